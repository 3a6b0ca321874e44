"""The n = 3..13 overlap table of Appendix F, by component and benchmark.

The paper prints one percentage for each n (0.21 % at n = 3, 0.02 % at 7, 0.00 % at 13) and does not say
of what. A share of documents, or of the benchmark's n-grams, would be near 100 % at n = 3 for 19 billion
tokens, so a share of the corpus is the nearest reading. **Here: of all n-grams of a component,
repetitions counted, the share that occurs in a question of the benchmark.** On OpenWebMath against MATH
that falls from 12 % at n = 3 to 0.003 % at 13: the order of magnitude of the paper's from n = 6 on. The
two other shares stand beside it. Tokens are those of `text.normalise`, where the paper splits at white
space.

Questions only: solutions share formulas with every textbook.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit, uint64

from mathcode_assets.decontamination.index import BenchmarkIndex
from mathcode_assets.records import NGRAM_OVERLAP, batch_of
from mathcode_assets.text.kernel import next_token
from mathcode_assets.text.ngrams import gram_hashes, mix, push, rolling_top
from mathcode_assets.text.tables import tables

MIN_N, MAX_N = 3, 13  # the paper's table
_MAX_BENCHMARKS = 64  # one bit each


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grams:
    """All n-grams of all benchmarks in one open-addressing table."""

    names: list[str]
    key: np.ndarray  # uint64, 0 is empty
    owners: np.ndarray  # uint64, bit of each benchmark that has the n-gram
    length: np.ndarray  # int64, n


def ngram_overlap(components: Mapping[str, Iterable[pa.RecordBatch]], index: BenchmarkIndex) -> pa.RecordBatch:
    """The overlap table: one row for each component, benchmark and n.

    Args:
        components: documents (a ``text`` column) of each component; each is read once, in a stream.
        index: of the benchmarks.

    Raises:
        ValueError: more than 64 benchmarks.
    """
    grams = _benchmark_grams(index)
    rows = [row for name, batches in components.items() for row in _component_rows(name, batches, grams)]
    return batch_of(rows, NGRAM_OVERLAP)


def _component_rows(component: str, batches: Iterable[pa.RecordBatch], grams: _Grams) -> list[dict[str, Any]]:
    shape = (MAX_N + 1, len(grams.names))
    shared, documents = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    totals, seen, n_documents = np.zeros(MAX_N + 1, np.int64), np.zeros(len(grams.key), np.bool_), 0
    for batch in batches:
        for text in batch.column("text"):
            value = text.as_buffer()
            buffer = np.frombuffer(value, np.uint8) if value is not None and value.size else np.zeros(0, np.uint8)
            _count(buffer, tables(), grams.key, grams.owners, seen, totals, shared, documents)
            n_documents += 1
    rows = []
    for b, benchmark in enumerate(grams.names):
        own = (grams.owners >> np.uint64(b)) & np.uint64(1) == 1
        for n in range(MIN_N, MAX_N + 1):
            here = own & (grams.length == n)
            rows.append({
                "component": component, "benchmark": benchmark, "n": n,
                "n_grams": int(totals[n]), "n_shared": int(shared[n, b]),
                "overlap": int(shared[n, b]) / max(1, int(totals[n])),
                "document_share": int(documents[n, b]) / max(1, n_documents),
                "benchmark_share": int((here & seen).sum()) / max(1, int(here.sum())),
            })  # fmt: skip
    return rows


def _benchmark_grams(index: BenchmarkIndex) -> _Grams:
    benchmarks = index.items["benchmark"].to_pylist()
    names = sorted(set(benchmarks))
    if len(names) > _MAX_BENCHMARKS:
        raise ValueError(f"{len(names)} benchmarks, the overlap table holds {_MAX_BENCHMARKS}")
    found: dict[int, tuple[int, int]] = {}
    for item, name in enumerate(benchmarks):
        tokens = index.token_hash[index.offsets[item] : index.offsets[item + 1]]
        bit = 1 << names.index(name)
        for n in range(MIN_N, MAX_N + 1):
            for key in gram_hashes(tokens, n).tolist():
                found[key] = (found.get(key, (0, 0))[0] | bit, n)
    size = 1 << max(4, (2 * len(found)).bit_length())
    key, owners, length = np.zeros(size, np.uint64), np.zeros(size, np.uint64), np.zeros(size, np.int64)
    keys = np.array(list(found), np.uint64)
    _fill(keys, np.array([v[0] for v in found.values()], np.uint64),
          np.array([v[1] for v in found.values()], np.int64), key, owners, length)  # fmt: skip
    return _Grams(names=names, key=key, owners=owners, length=length)


@njit(cache=True)
def _fill(keys, bits, lengths, key, owners, length):
    mask = len(key) - 1
    for k in range(len(keys)):
        slot = np.int64(keys[k] & uint64(mask))
        while key[slot] != 0:
            slot = (slot + 1) & mask
        key[slot], owners[slot], length[slot] = keys[k], bits[k], lengths[k]


@njit(cache=True)
def _count(buffer, t, key, owners, seen, totals, shared, documents):
    """Count one document's n-grams of every length into the totals."""
    ring, rolling = np.zeros(16, np.uint64), np.zeros(MAX_N + 1, np.uint64)
    tops, here = np.zeros(MAX_N + 1, np.uint64), np.zeros(shared.shape, np.bool_)
    for n in range(MIN_N, MAX_N + 1):
        tops[n] = rolling_top(n)
    mask, at, count, end = len(key) - 1, 0, 0, len(buffer)
    while True:
        at, value, _, _ = next_token(buffer, at, end, t)
        if value == 0:
            break
        for n in range(MIN_N, MAX_N + 1):
            oldest = ring[(count - n) & 15] if count >= n else uint64(0)
            rolling[n] = push(rolling[n], value, oldest, tops[n])
            if count + 1 < n:
                continue
            totals[n] += 1
            gram = mix(rolling[n])
            slot = np.int64(gram & uint64(mask))
            while key[slot] != 0 and key[slot] != gram:
                slot = (slot + 1) & mask
            if key[slot] == 0:
                continue
            seen[slot] = True
            for b in range(shared.shape[1]):
                if (owners[slot] >> uint64(b)) & uint64(1):
                    shared[n, b] += 1
                    here[n, b] = True
        ring[count & 15] = value
        count += 1
    for n in range(MIN_N, MAX_N + 1):
        for b in range(shared.shape[1]):
            if here[n, b]:
                documents[n, b] += 1
