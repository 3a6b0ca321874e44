"""Benchmark questions inside documents: index, scan, self-test, the paper's own rule for comparison."""
