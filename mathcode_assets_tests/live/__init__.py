"""Tests against Dagster as it runs in production: code location, daemon and webserver as processes of their own."""
