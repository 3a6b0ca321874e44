"""The benchmark files of the sources file, as the items in them."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.sources.partitions import Partition, list_partitions
from mathcode_assets.sources.quarantine import Quarantine, ReadReport
from mathcode_assets.sources.readers import read_benchmark_items


def benchmark_partitions(workspace: Workspace) -> list[Partition]:
    """The benchmark files of the sources file, one partition each; none where it names none."""
    spec = workspace.sources.benchmarks
    return [] if spec is None else list_partitions(spec)


def benchmark_inputs(workspace: Workspace) -> dict[str, str]:
    """Fingerprints of the benchmark files, as the inputs of a recipe."""
    return {f"benchmarks:{found.key}": found.fingerprint for found in benchmark_partitions(workspace)}


def benchmark_items(workspace: Workspace, report: ReadReport) -> Iterator[pa.RecordBatch]:
    """The items of all files, BENCHMARK_ITEM; what was read and what not is counted in the report."""
    quarantine = Quarantine(source="benchmarks")
    for found in benchmark_partitions(workspace):
        for file in found.files:
            yield from read_benchmark_items(file, benchmark=found.key, quarantine=quarantine, report=report)
