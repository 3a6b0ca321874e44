"""Benchmark questions found inside documents: index, scan, self-test, and the paper's own rule for comparison."""
