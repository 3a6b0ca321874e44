"""A stated result against a program's output: verified, refuted or unverifiable."""
