"""Band keys spread over bucket files and read back one bucket at a time: the exchange of the global step.

A global step is map, exchange, map: every key goes to the bucket of its first byte, equal keys meet in one bucket,
and only one bucket is ever in memory. The files are scratch, never published.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np

KEY_BITS = 40
N_BUCKETS = 256
# Entries held back before they are written: some 4,000 (32 kB) for each bucket.
BUFFER_ENTRIES = 1 << 20
_GID_BITS = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)


class KeyBuckets:
    """(key, document number) pairs on disk by the first byte of the key: `add`, `close`, then iterate.

    Eight bytes an entry: the bucket's number holds the first byte of the key, the entry the rest and the number.
    What fits into one buffer never goes to disk.
    """

    def __init__(self, folder: Path) -> None:
        self._paths = [folder / f"{number:03d}.u64" for number in range(N_BUCKETS)]
        self._files: list[IO[bytes]] = []
        self._held: list[np.ndarray] = []
        self._buckets: list[np.ndarray] = []
        self._n_held = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, keys: np.ndarray, numbers: np.ndarray) -> None:
        """Take in uint64 keys below 2^40 and as many document numbers below 2^32."""
        self._held.append((keys & _LOW) << _GID_BITS | numbers.astype(np.uint64))
        self._buckets.append((keys >> _GID_BITS).astype(np.uint8))
        self._n_held += len(keys)
        if self._n_held >= BUFFER_ENTRIES:
            self._flush()

    def close(self) -> None:
        """Write what is held back and close the files. Calling it again does nothing."""
        if self._files:
            self._flush()
        for file in self._files:
            file.close()
        self._files = []

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(keys, numbers), bucket by bucket, ascending by both."""
        if self._n_held:
            entries, borders = self._by_bucket()
            for start, end in itertools.pairwise(borders.tolist()):
                entries[start:end].sort()
            first_bytes = np.repeat(np.arange(N_BUCKETS, dtype=np.uint64) << _GID_BITS, np.diff(borders))
            yield first_bytes | entries >> _GID_BITS, entries & _LOW
            return
        for number, path in enumerate(self._paths):
            entries = np.sort(np.fromfile(path, np.uint64)) if path.exists() else np.empty(0, np.uint64)
            yield np.uint64(number) << _GID_BITS | entries >> _GID_BITS, entries & _LOW

    def _flush(self) -> None:
        if not self._n_held:
            return
        if not self._files:
            self._paths[0].parent.mkdir(parents=True)
            self._files = [path.open("wb") for path in self._paths]
        entries, borders = self._by_bucket()
        for number, file in enumerate(self._files):
            file.write(entries[borders[number] : borders[number + 1]].data)
        self._held, self._buckets, self._n_held = [], [], 0

    def _by_bucket(self) -> tuple[np.ndarray, np.ndarray]:
        """(what is held back, bucket after bucket; where each bucket starts, and the end)."""
        buckets = np.concatenate(self._buckets)
        order = np.argsort(buckets, kind="stable")
        return np.concatenate(self._held)[order], np.searchsorted(buckets[order], np.arange(N_BUCKETS + 1))


def keys_of(bands: np.ndarray, n_bands: int) -> np.ndarray:
    """The band keys of some texts as uint64[texts, n_bands], from their little-endian bytes."""
    keys = np.zeros((len(bands), n_bands, 8), np.uint8)
    keys[:, :, : KEY_BITS // 8] = bands.reshape(len(bands), n_bands, KEY_BITS // 8)
    return keys.view("<u8")[:, :, 0]
