"""The pile as a hub-shaped data set: a folder that `datasets.load_dataset(folder)` reads.

    README.md                                   the data card, with `configs:` naming the files below
    data/<component>/train-00000-of-00002.parquet
    data/<component>/train-00001-of-00002.parquet

The same pile gives the same bytes, however it came in batches: rows are cut into row groups and
shards by the bytes of their text alone. A folder without README.md is an export that did not end.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem

from mathcode_assets.mixture.data_card import DataCard, render_data_card
from mathcode_assets.records import PILE_DOCUMENT, check_batch

# What a trainer and a reader of the hub want; the rest stays in the lake under the same doc_id.
HUB_COLUMNS = (
    "text",
    "component",
    "doc_id",
    "source",
    "source_id",
    "source_uri",
    "source_revision",
    "licence",
    "n_tokens",
    "repetition",
)
_REPEATING = ["component", "source", "source_revision", "licence", "repetition"]
HUB_SCHEMA = pa.schema([PILE_DOCUMENT.field(name) for name in HUB_COLUMNS])

# The hub's own writers aim at shards of 500 MB; with zstd a gigabyte of text comes near that.
SHARD_TEXT_BYTES = 1_000_000_000
# Small enough to stream, large enough to compress: text of a row group is held in memory.
ROW_GROUP_TEXT_BYTES = 32_000_000
ROW_GROUP_ROWS = 20_000


class _RowGroup(NamedTuple):
    component: str
    shard: int
    rows: pa.Table


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedFile:
    """A published file: path below the root with forward slashes, rows in it."""

    path: str
    n_rows: int


def export_hub_dataset(
    batches: Iterable[pa.RecordBatch],
    *,
    card: DataCard,
    fs: AbstractFileSystem,
    root: str,
    shard_text_bytes: int = SHARD_TEXT_BYTES,
    row_group_text_bytes: int = ROW_GROUP_TEXT_BYTES,
) -> list[ExportedFile]:
    """Write the data set below `root`, in place of an earlier one, and list its Parquet files.

    Args:
        batches: PILE_DOCUMENT, the rows of a component together.
        card: rendered to README.md, which is removed first and written last.
        fs: any fsspec file system.
        root: folder on it, made where missing; `data/` and `README.md` below it are replaced.
        shard_text_bytes: a shard ends with the row group that brings its text to this, UTF-8 bytes.
        row_group_text_bytes: a row group ends with the row that brings its text to this.

    Raises:
        ValueError: a component's rows are not together, or a component's name is no folder name.
    """
    base = PurePosixPath(root)
    readme, data, pending = str(base / "README.md"), str(base / "data"), str(base / "data.pending")
    for stale in (readme, pending):
        if fs.exists(stale):
            fs.rm(stale, recursive=True)
    groups = _row_groups(batches, group_bytes=row_group_text_bytes, shard_bytes=shard_text_bytes)
    shards = _write_shards(groups, fs, pending)
    if fs.exists(data):
        fs.rm(data, recursive=True)
    exported = []
    for component, row_counts in shards.items():
        fs.makedirs(f"{data}/{component}", exist_ok=True)
        for number, n_rows in enumerate(row_counts):
            name = f"{component}/train-{number:05d}-of-{len(row_counts):05d}.parquet"
            fs.mv(_pending_path(pending, component, number), f"{data}/{name}")
            exported.append(ExportedFile(path=f"data/{name}", n_rows=n_rows))
    if fs.exists(pending):
        fs.rm(pending, recursive=True)
    with fs.open(readme, "wb") as file:
        file.write(render_data_card(card).encode())
    return exported


def _pending_path(folder: str, component: str, number: int) -> str:
    """Where a shard waits: its final name holds the number of shards, known only at the end."""
    return f"{folder}/{component}/{number:05d}.parquet"


def _write_shards(groups: Iterable[_RowGroup], fs: AbstractFileSystem, folder: str) -> dict[str, list[int]]:
    """Rows of each shard by component, after writing them all."""
    shards: dict[str, list[int]] = {}
    for (component, shard), members in itertools.groupby(groups, key=lambda group: group[:2]):
        if shard == 0 and component in shards:
            raise ValueError(f"rows of {component} come in two places")
        if not component or "/" in component or component.startswith("."):
            raise ValueError(f"component {component!r} is no folder name")
        fs.makedirs(f"{folder}/{component}", exist_ok=True)
        with (
            fs.open(_pending_path(folder, component, shard), "wb") as file,
            pq.ParquetWriter(file, HUB_SCHEMA, compression="zstd", use_dictionary=_REPEATING) as writer,
        ):
            counts = shards.setdefault(component, [])
            counts.append(0)
            for group in members:
                writer.write_table(group.rows, row_group_size=group.rows.num_rows)
                counts[-1] += group.rows.num_rows
    return shards


def _row_groups(batches: Iterable[pa.RecordBatch], *, group_bytes: int, shard_bytes: int) -> Iterator[_RowGroup]:
    """Row groups, each with the shard of its component it belongs to; the same for any batching."""
    component, shard, written = "", 0, 0
    held: list[pa.RecordBatch] = []
    n_rows, n_bytes = 0, 0
    for run_component, rows in _runs(batches):
        if run_component != component:
            if held:
                yield _RowGroup(component, shard, pa.Table.from_batches(held).combine_chunks())
            component, shard, written = run_component, 0, 0
            held, n_rows, n_bytes = [], 0, 0
        while rows.num_rows:
            sizes = np.cumsum(pc.binary_length(rows.column("text")).to_numpy()) + n_bytes
            end = int(np.searchsorted(sizes, group_bytes)) + 1
            taken = rows.slice(0, min(end, ROW_GROUP_ROWS - n_rows))
            held.append(taken)
            n_rows += taken.num_rows
            n_bytes = int(sizes[taken.num_rows - 1])
            rows = rows.slice(taken.num_rows)
            if n_bytes >= group_bytes or n_rows == ROW_GROUP_ROWS:
                yield _RowGroup(component, shard, pa.Table.from_batches(held).combine_chunks())
                written += n_bytes
                held, n_rows, n_bytes = [], 0, 0
                if written >= shard_bytes:
                    shard, written = shard + 1, 0
    if held:
        yield _RowGroup(component, shard, pa.Table.from_batches(held).combine_chunks())


def _runs(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Slices of one component each, with the columns of the export."""
    for batch in batches:
        check_batch(batch, PILE_DOCUMENT)
        if not batch.num_rows:
            continue
        names = batch.column("component").to_numpy(zero_copy_only=False)
        starts = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist(), len(names)]
        rows = batch.select(HUB_COLUMNS)
        rows = pa.RecordBatch.from_arrays(rows.columns, schema=HUB_SCHEMA)
        for start, end in itertools.pairwise(starts):
            yield names[start], rows.slice(start, end - start)
