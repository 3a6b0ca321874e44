"""The partitions of each source: groups of its files, added and removed as the source changes.

One dynamic definition a source, shared by every table that is made from it shard by shard. The
recipe that turns files into keys is in `sources.partitions`; hundreds of keys, never tens of thousands.
"""

from __future__ import annotations

from functools import cache

import dagster as dg


@cache
def partitions_def(source: str) -> dg.DynamicPartitionsDefinition:
    """The partitions of one source, by its key in the sources file."""
    return dg.DynamicPartitionsDefinition(name=source)
