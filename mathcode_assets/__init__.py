"""MathCode-Pile as a Dagster asset graph."""
