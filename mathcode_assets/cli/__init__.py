"""`mathcode`: every stage on plain files, and the whole graph from a sources file.

The stage functions behind the assets do the work; these modules only read arguments and print.
"""

from mathcode_assets.cli.main import main

__all__ = ["main"]
