"""Rows spread over bucket files and read back one bucket at a time: the exchange of a global step.

A global step is map, exchange, map: every row goes to the bucket its key names, equal keys meet in
one bucket, and only one bucket is ever in memory. Files are Arrow IPC streams in a folder of the
caller's; they are scratch, never published.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa

# Rows held back before they are written: with 64 buckets a write then holds about 1,000 rows, where
# the 500 bytes of header that Arrow writes with each batch no longer count.
BUFFER_ROWS = 1 << 16


class Buckets:
    """Numbered scratch files of one schema: `add` rows, `close`, then `read` bucket by bucket.

    Rows of a bucket come back in the order in which they were added.
    """

    def __init__(self, folder: Path, schema: pa.Schema, n_buckets: int) -> None:
        folder.mkdir(parents=True)
        self._paths = [folder / f"{number:05d}.arrows" for number in range(n_buckets)]
        self._writers = [pa.ipc.new_stream(path, schema) for path in self._paths]
        self._schema = schema
        self._batches: list[pa.RecordBatch] = []
        self._numbers: list[np.ndarray] = []
        self._buffered = 0

    def __len__(self) -> int:
        return len(self._paths)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, batch: pa.RecordBatch, numbers: np.ndarray) -> None:
        """Send each row of the batch to the bucket of the same place in `numbers`."""
        self._batches.append(batch)
        self._numbers.append(numbers)
        self._buffered += batch.num_rows
        if self._buffered >= BUFFER_ROWS:
            self._flush()

    def close(self) -> None:
        """Write what is held back and close the files. Calling it again does nothing."""
        self._flush()
        for writer in self._writers:
            writer.close()
        self._writers = []

    def read(self, number: int) -> pa.Table:
        """One bucket's rows; an empty table where none came."""
        with pa.ipc.open_stream(self._paths[number]) as reader:
            return reader.read_all()

    def _flush(self) -> None:
        if not self._buffered:
            return
        numbers = np.concatenate(self._numbers)
        order = np.argsort(numbers, kind="stable")
        rows = pa.Table.from_batches(self._batches, self._schema).take(pa.array(order)).combine_chunks()
        borders = np.searchsorted(numbers[order], np.arange(len(self) + 1))
        for number, writer in enumerate(self._writers):
            start, end = int(borders[number]), int(borders[number + 1])
            if end > start:
                writer.write_table(rows.slice(start, end - start))
        self._batches, self._numbers, self._buffered = [], [], 0


def fixed_bytes(column: pa.Array, width: int) -> np.ndarray:
    """A fixed-size binary column without nulls as an array of shape (rows, width), not copied."""
    data = np.frombuffer(column.buffers()[1], dtype=np.uint8)
    start = column.offset * width
    return data[start : start + len(column) * width].reshape(len(column), width)
