"""The documents of all shards as one numbered sequence, and which of them hold the same text.

Documents are numbered in order of preference, so of any set of documents the lowest number stays. Sixteen bytes of
content hash and some twenty more a document are in memory: 0.8 GB for the 20 million documents of the paper.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mathcode_assets.deduplication import kernel
from mathcode_assets.deduplication.exact import HASH_BYTES
from mathcode_assets.deduplication.fingerprints import fixed_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One partition of one component, as the global step reads it.

    Attributes:
        component: its name; partition: its key.
        version: of its fingerprints: shards of one version hold the same rows.
        fingerprints: FINGERPRINT batches in row order with these columns only; may be called many times.
        texts: the texts of these rows (ascending) in string arrays of any length; called where texts are compared.
    """

    component: str
    partition: str
    version: str
    fingerprints: Callable[[Sequence[str]], Iterable[pa.RecordBatch]]
    texts: Callable[[np.ndarray], Iterable[pa.Array]]

    @property
    def name(self) -> tuple[str, str, str]:
        """What tells this content of this shard from any other."""
        return self.component, self.partition, self.version

    @property
    def token(self) -> bytes:
        """Eight bytes for `name`."""
        return hashlib.blake2b("\0".join(self.name).encode(), digest_size=8).digest()


class Corpus:
    """The documents of the shards, numbered one after another.

    Args:
        shards: in order of preference.
        hashes: of all their documents, uint64[documents, 2].
        starts: number of each shard's first document, and of all documents at the end.
    """

    def __init__(self, shards: Sequence[Shard], hashes: np.ndarray, starts: np.ndarray) -> None:
        self.shards = shards
        self.hashes = hashes
        self.starts = starts
        order = np.argsort(hashes[:, 0])
        heads = hashes[order, 0]
        begins = np.ones(len(order), dtype=bool)
        begins[1:] = heads[1:] != heads[:-1]
        others = np.flatnonzero(~begins)
        if np.any(hashes[order[others], 1] != hashes[order[others - 1], 1]):  # two texts agree in the first half
            order = np.lexsort((hashes[:, 1], hashes[:, 0]))
            heads = hashes[order, 0]
            begins[1:] = (hashes[order[1:]] != hashes[order[:-1]]).any(axis=1)
        places = np.flatnonzero(begins)
        sizes = np.diff(places, append=len(order))
        self._first_of_group = np.minimum.reduceat(order, places) if len(order) else order
        self._head_of_group = heads[begins]
        self.first = np.empty(len(order), np.uint32)  # the lowest number of a document with the same text
        self.first[order] = np.repeat(self._first_of_group, sizes)
        self.repeated = np.empty(len(order), dtype=bool)  # whether another document has the same text
        self.repeated[order] = np.repeat(sizes > 1, sizes)

    def find(self, hashes: np.ndarray) -> np.ndarray:
        """Number of the first document with each text, -1 where there is none."""
        if not len(self._head_of_group):
            return np.full(len(hashes), -1, np.int64)
        place = np.searchsorted(self._head_of_group, hashes[:, 0])
        last = len(self._head_of_group) - 1
        while True:  # more than once only where two hashes have their first half in common
            at = np.minimum(place, last)
            inside = (place <= last) & (self._head_of_group[at] == hashes[:, 0])
            rest = self.hashes[self._first_of_group[at], 1]
            behind = inside & (rest < hashes[:, 1])
            if not behind.any():
                return np.where(inside & (rest == hashes[:, 1]), self._first_of_group[at], -1)
            place = place + behind

    def rows_by_shard(self, numbers: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """(shard, rows in it) of ascending document numbers; shards without any are left out."""
        borders = np.searchsorted(numbers, self.starts)
        for shard in range(len(self.shards)):
            if borders[shard] < borders[shard + 1]:
                yield shard, numbers[borders[shard] : borders[shard + 1]] - self.starts[shard]

    def firsts_of(self, shard: int) -> np.ndarray:
        """Which rows of a shard are the first of their text, bool per row."""
        start, end = self.starts[shard], self.starts[shard + 1]
        return self.first[start:end] == np.arange(start, end)


def ascending(values: np.ndarray) -> np.ndarray:
    """The values in order, each once, as `np.unique` gives them, which takes eighty times as long for millions."""
    values = np.sort(values)
    return values[: kernel.distinct(values)]


def read_hashes(shard: Shard) -> np.ndarray:
    """The content hashes of a shard, uint64[documents, 2]."""
    found = [np.empty((0, 2), np.uint64)]
    for batch in shard.fingerprints(["content_hash"]):
        found.append(as_halves(fixed_bytes(batch.column("content_hash"), HASH_BYTES)))
    return np.concatenate(found)


def as_halves(rows: np.ndarray) -> np.ndarray:
    """Hashes as bytes, uint8[n, 16], to uint64[n, 2]. The halves are big-endian, so their order is that of bytes."""
    return np.ascontiguousarray(rows).view(">u8").astype(np.uint64)


def as_bytes(halves: np.ndarray) -> np.ndarray:
    """The other way round."""
    return np.ascontiguousarray(halves).astype(">u8").view(np.uint8)


def texts_of_file(source: IO[bytes] | Path, rows: np.ndarray) -> Iterator[pa.Array]:
    """The texts of these rows (ascending) of a Parquet file of documents; row groups without any are not read."""
    with pq.ParquetFile(source) as file:
        first = 0
        for group in range(file.num_row_groups):
            end = first + file.metadata.row_group(group).num_rows
            start, stop = np.searchsorted(rows, [first, end])
            if start < stop:
                column = file.read_row_group(group, columns=["text"], use_threads=False).column("text")
                yield from column.take(pa.array(rows[start:stop] - first)).chunks
            first = end
