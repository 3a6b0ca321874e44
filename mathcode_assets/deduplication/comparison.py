"""Exact comparison of candidate pairs: the Jaccard similarity of their sets of word 5-grams.

The texts of the candidates are read again, shard by shard, and their sets go to one scratch file, 8 bytes a word.
Pairs are then compared in order with the file mapped into memory; what was touched is given back as it goes, so that
memory holds one stretch of pairs, whatever the number of candidates.
"""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np

from mathcode_assets.deduplication import kernel
from mathcode_assets.deduplication.config import DeduplicationConfig
from mathcode_assets.deduplication.fingerprints import shingle_sets
from mathcode_assets.deduplication.texts import Corpus, ascending

# Hashes that a stretch of pairs may touch before the pages are given back: 128 MB, or one pair of longer texts.
STRETCH_HASHES = 1 << 24
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def compare(corpus: Corpus, pairs: np.ndarray, path: Path, config: DeduplicationConfig) -> np.ndarray:
    """Jaccard similarity of each pair, float64 in [0, 1].

    Args:
        corpus: where the texts are.
        pairs: as `candidates` gives them.
        path: a new scratch file.
        config: says what kind of text a component holds.

    Raises:
        ValueError: a shard did not give as many texts as it was asked for.
    """
    found = np.empty(len(pairs))
    if not len(pairs):
        return found
    left, right = (pairs >> _HALF).astype(np.int64), (pairs & _LOW).astype(np.int64)
    numbers = ascending(np.concatenate([left, right]))
    sizes = _write_sets(corpus, numbers, path, config)
    ends = np.cumsum(sizes)
    starts = ends - sizes
    left, right = np.searchsorted(numbers, left), np.searchsorted(numbers, right)
    touched = np.cumsum(sizes[left] + sizes[right])
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        sets = np.frombuffer(mapped, np.uint64)
        start = 0
        while start < len(pairs):
            before = touched[start - 1] if start else 0
            end = max(int(np.searchsorted(touched, before + STRETCH_HASHES)), start + 1)
            kernel.similarities(sets, starts, ends, left[start:end], right[start:end], found[start:end])
            mapped.madvise(mmap.MADV_DONTNEED)
            start = end
        del sets  # or the map cannot be closed
    return found


def _write_sets(corpus: Corpus, numbers: np.ndarray, path: Path, config: DeduplicationConfig) -> np.ndarray:
    """Append the set of each document to the file; how many hashes each has."""
    sizes: list[int] = []
    with path.open("wb") as file:
        for number, rows in corpus.rows_by_shard(numbers):
            shard, before = corpus.shards[number], len(sizes)
            kind = config.kind_of(shard.component)
            for texts in shard.texts(rows):
                for shingles in shingle_sets(texts, kind):
                    file.write(shingles.data)
                    sizes.append(len(shingles))
            if len(sizes) - before != len(rows):
                raise ValueError(
                    f"{shard.component}[{shard.partition}] gave {len(sizes) - before} texts of {len(rows)} asked for"
                )
    return np.array(sizes, np.int64)
