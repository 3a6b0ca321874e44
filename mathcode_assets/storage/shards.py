"""The one writer and the one reader of Parquet shards.

Row groups are cut by the rows' own sizes, never by how the rows arrived, so the same rows give the
same bytes whatever the batches were; and both sides hold one row group in memory, however long the shard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mathcode_assets.records import check_batch

# A row group is closed by the row that reaches either. 16 MB keeps a reader small and scans fast;
# a single 50 MB text makes a group of its own.
ROW_GROUP_BYTES = 16 << 20
ROW_GROUP_ROWS = 8192
# A file is closed after the row group that reaches this (uncompressed): object stores and
# column readers are happiest between 100 MB and 1 GB.
FILE_BYTES = 1 << 30
# Rows a reader hands on at once; below the group's size, so a batch never exceeds ROW_GROUP_BYTES + one row.
BATCH_ROWS = 512
COMPRESSION_LEVEL = 3


@dataclass(frozen=True, slots=True)
class WrittenShard:
    """A finished local file, to be put in its place."""

    path: Path
    sha256: str
    size_bytes: int
    n_rows: int


def row_groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Cut a stream into row groups, each one contiguous chunk.

    Raises:
        SchemaMismatch: a batch does not fit the schema.
    """
    pending: list[pa.RecordBatch] = []
    n_rows, n_bytes = 0, 0
    for batch in batches:
        check_batch(batch, schema)
        start = 0
        sizes = row_sizes(batch)
        while start < batch.num_rows:
            total = n_bytes + np.cumsum(sizes[start:])
            by_bytes = int(np.searchsorted(total, ROW_GROUP_BYTES, side="left")) + 1
            take = min(by_bytes, ROW_GROUP_ROWS - n_rows, batch.num_rows - start)
            pending.append(batch.slice(start, take))
            n_rows, n_bytes, start = n_rows + take, int(total[take - 1]), start + take
            if n_bytes >= ROW_GROUP_BYTES or n_rows >= ROW_GROUP_ROWS:
                yield _contiguous(pending, schema)
                pending, n_rows, n_bytes = [], 0, 0
    if pending:
        yield _contiguous(pending, schema)


def row_sizes(batch: pa.RecordBatch) -> np.ndarray:
    """Approximate bytes of each row, shape (n_rows,): lengths of strings and lists, 8 for the rest."""
    sizes = np.full(batch.num_rows, 8 * batch.num_columns, dtype=np.int64)
    for column in batch.columns:
        if _has_bytes(column.type):
            sizes += _as_int64(pc.binary_length(column))
        elif pa.types.is_list(column.type):
            sizes += 32 * _as_int64(pc.list_value_length(column))
    return sizes


def write_shards(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, *, new_path: Iterator[Path]
) -> Iterator[WrittenShard]:
    """Write a stream to as many files as `FILE_BYTES` asks for, at least one, each to the next path.

    Yields each file as soon as it is closed, so that the caller can upload and remove it.

    Raises:
        SchemaMismatch: a batch does not fit the schema.
    """
    groups = row_groups(batches, schema)
    group = next(groups, None)
    while True:
        path = next(new_path)
        n_rows, n_bytes = 0, 0
        with pq.ParquetWriter(path, schema, **_writer_options(schema)) as writer:
            while group is not None and n_bytes < FILE_BYTES:
                writer.write_table(group, row_group_size=group.num_rows)
                n_rows, n_bytes = n_rows + group.num_rows, n_bytes + group.nbytes
                group = next(groups, None)
        yield WrittenShard(path, file_sha256(path), path.stat().st_size, n_rows)
        if group is None:
            return


def read_batches(
    source: IO[bytes] | str | Path, *, columns: Sequence[str] | None = None, groups: Sequence[int] | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file in order, or those of some row groups, a row group in memory at a time.

    A batch never crosses the border of a row group, so the batches of a file are those of its row groups.

    Raises:
        pa.ArrowInvalid: not a Parquet file.
    """
    with pq.ParquetFile(source, pre_buffer=False) as file:
        for group in range(file.num_row_groups) if groups is None else groups:
            yield from file.iter_batches(batch_size=BATCH_ROWS, row_groups=[group], columns=columns, use_threads=False)


def read_rows(
    source: IO[bytes] | str | Path, rows: np.ndarray, *, columns: Sequence[str] | None = None
) -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
    """These rows (ascending) of a Parquet file, with their numbers; row groups without any are not read.

    Raises:
        pa.ArrowInvalid: not a Parquet file.
        IndexError: a row that it has not.
    """
    with pq.ParquetFile(source, pre_buffer=False) as file:
        if len(rows) and not 0 <= rows[0] <= rows[-1] < file.metadata.num_rows:
            raise IndexError(f"rows {rows[0]} to {rows[-1]} of a file of {file.metadata.num_rows}")
        first = 0
        for group in range(file.num_row_groups):
            end = first + file.metadata.row_group(group).num_rows
            here = rows[np.searchsorted(rows, first) : np.searchsorted(rows, end)]
            if len(here):
                found = [
                    batch.take(pa.array(here[own] - number))
                    for number, batch in _numbered(file, group, first, columns)
                    if len(own := np.flatnonzero((here >= number) & (here < number + batch.num_rows)))
                ]
                yield here, pa.Table.from_batches(found).combine_chunks().to_batches()[0]
            first = end


def _numbered(
    file: pq.ParquetFile, group: int, first: int, columns: Sequence[str] | None
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The batches of a row group with the number of their first row."""
    for batch in file.iter_batches(batch_size=BATCH_ROWS, row_groups=[group], columns=columns, use_threads=False):
        yield first, batch
        first += batch.num_rows


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a local file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _contiguous(batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    # Page borders follow chunk borders: one chunk, or the bytes would tell how the rows arrived.
    arrays = [pa.concat_arrays([batch.column(i) for batch in batches]) for i in range(len(schema))]
    return pa.Table.from_arrays(arrays, schema=schema)


def _has_bytes(dtype: pa.DataType) -> bool:
    strings = pa.types.is_string(dtype) or pa.types.is_large_string(dtype)
    return strings or pa.types.is_binary(dtype) or pa.types.is_large_binary(dtype)


def _as_int64(lengths: pa.Array) -> np.ndarray:
    return lengths.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)


def _writer_options(schema: pa.Schema) -> dict[str, Any]:
    # Dictionaries help repeated short strings and only cost time on texts and ids.
    repeated = [f.name for f in schema if pa.types.is_string(f.type) and not f.name.endswith("_id")]
    return {
        "compression": "zstd",
        "compression_level": COMPRESSION_LEVEL,
        "use_dictionary": repeated,
        "write_statistics": [f.name for f in schema if not pa.types.is_large_string(f.type)],
        "store_schema": True,
    }
