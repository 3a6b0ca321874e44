"""Which pairs of texts are worth comparing: those with an equal band, found through an exchange by key.

The pairs depend on the set of documents alone. `all_pairs` finds them over everything; `pairs_of_new_texts` finds those
that new texts bring, and reads the bands of the others only to see which have a key in common with a new one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mathcode_assets.deduplication import kernel
from mathcode_assets.deduplication.config import DeduplicationConfig
from mathcode_assets.deduplication.exchange import KeyBuckets, keys_of
from mathcode_assets.deduplication.fingerprints import fixed_bytes
from mathcode_assets.deduplication.signatures import BANDS
from mathcode_assets.deduplication.texts import Corpus, ascending
from mathcode_assets.records import BAND_KEYS_BYTES

# Pairs gathered before repeated ones are taken out: a pair comes once for each band it shares. 64 MB.
PENDING_PAIRS = 1 << 23


class Crowded(Exception):
    """A new text has a key that so many texts have that which pairs are compared depends on all of them."""


def all_pairs(corpus: Corpus, folder: Path, config: DeduplicationConfig) -> tuple[np.ndarray, np.ndarray]:
    """Every candidate pair, and the documents in crowded buckets.

    Args:
        corpus: the documents; only the first of each text is compared.
        folder: new, for scratch files: 170 bytes a text.
        config: `crowd` and `crowd_leaders` bound the pairs.

    Returns:
        (uint64 pairs ascending: lower number in the upper half, higher one in the lower; uint64 numbers ascending).
    """
    with KeyBuckets(folder) as buckets:
        for start, rows, bands in _bands(corpus):
            buckets.add(keys_of(bands[rows], BANDS).ravel(), np.repeat((start + rows).astype(np.uint64), BANDS))
    pairs, crowd = _Pairs(), [np.empty(0, np.uint64)]
    for keys, numbers in buckets:
        crowded = np.zeros(len(keys), dtype=bool)
        pairs.add(kernel.bucket_pairs(keys, numbers, config.crowd, config.crowd_leaders, crowded))
        crowd.append(ascending(numbers[crowded]))
    return pairs.unique(), ascending(np.concatenate(crowd))


def pairs_of_new_texts(corpus: Corpus, is_new: np.ndarray, config: DeduplicationConfig) -> np.ndarray:
    """Every candidate pair with a new text, and perhaps some without.

    Args:
        corpus: the documents, new ones included.
        is_new: bool per shard: whether it may hold a new text.
        config: of the index.

    Raises:
        Crowded: a key of a new shard is crowded: only `all_pairs` gives the pairs then.
    """
    new_keys = [keys_of(bands[rows], BANDS).ravel() for _, rows, bands in _bands(corpus, np.flatnonzero(is_new))]
    table = kernel.key_table(np.concatenate([np.empty(0, np.uint64), *new_keys]))
    found_keys, found_numbers = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
    for start, rows, bands in _bands(corpus) if new_keys else ():
        found_rows, keys = kernel.entries_among(bands, rows, table)
        found_keys.append(keys)
        found_numbers.append((start + found_rows).astype(np.uint64))
    keys, numbers = np.concatenate(found_keys), np.concatenate(found_numbers)
    order = np.lexsort((numbers, keys))
    crowded = np.zeros(len(keys), dtype=bool)
    pairs = kernel.bucket_pairs(keys[order], numbers[order], config.crowd, config.crowd_leaders, crowded)
    if crowded.any():
        raise Crowded
    return ascending(pairs)


def _bands(corpus: Corpus, shards: np.ndarray | None = None) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(number of the first row, rows that are the first document of a text that has words, bands of all rows)."""
    for shard in range(len(corpus.shards)) if shards is None else shards.tolist():
        first = corpus.firsts_of(shard)
        row = 0
        for batch in corpus.shards[shard].fingerprints(["bands"]):
            bands = fixed_bytes(batch.column("bands"), BAND_KEYS_BYTES)
            wanted = np.flatnonzero(first[row : row + len(bands)])
            yield int(corpus.starts[shard]) + row, kernel.rows_with_words(bands, wanted), bands
            row += len(bands)


class _Pairs:
    """Pairs, each once, gathered without holding all its repetitions."""

    def __init__(self) -> None:
        self._pending: list[np.ndarray] = []
        self._n_pending = 0
        self._limit = PENDING_PAIRS

    def add(self, pairs: np.ndarray) -> None:
        self._pending.append(pairs)
        self._n_pending += len(pairs)
        if self._n_pending > self._limit:
            self._pending = [self.unique()]
            self._n_pending = len(self._pending[0])
            self._limit = max(PENDING_PAIRS, 2 * self._n_pending)

    def unique(self) -> np.ndarray:
        return ascending(np.concatenate([np.empty(0, np.uint64), *self._pending]))
