"""The only package that knows Dagster: assets, checks, partitions, automation, and the in-process driver.

What belongs here: which table is made from which, with what settings, when, and what the UI shows.
What does not: how a document is read, scored, compared or written. That is in the stage packages.
"""
