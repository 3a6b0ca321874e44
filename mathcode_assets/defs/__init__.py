"""The only package that knows Dagster: assets, checks, partitions, automation, and the in-process driver.

What belongs here: which table is made from which, with what settings, when, and what the UI shows.
What does not: how a document is read, scored, compared or written. That is in the stage packages.
"""

import warnings

import dagster as dg

# Code references, observable sources and partitioned checks are marked beta or preview in the Dagster that
# is pinned; a line for each asset and partition would bury what matters.
for _category in (dg.BetaWarning, dg.PreviewWarning):
    warnings.filterwarnings("ignore", category=_category, module=r"(mathcode_assets|dagster)\.")
