"""Tests of the embedded sample."""
