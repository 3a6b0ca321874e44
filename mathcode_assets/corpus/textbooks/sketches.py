"""Small summaries of books from which their likeness can be told: bottom-k sketches.

A set (of words, or of word 5-grams) is summarised by its ``k`` smallest 64-bit hashes. Below the
smaller of two sketches' largest hashes both are complete, so Jaccard similarity and containment can be
read off there; a set of at most ``k`` members is kept whole and compared exactly. The standard error is
about ``sqrt(j (1 - j) / k)``: 0.016 at most with k = 1,024, for 16 KiB a book.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from itertools import repeat
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa

from mathcode_assets.records import KEPT, TEXTBOOK_SKETCH, batch_of

SKETCH_SIZE = 1024
SHINGLE_WORDS = 5

_WORD = re.compile(r"\w+")
_NAME_WORD = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_COMPLETE = np.uint64(2**64 - 1)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_STEP = np.uint64(0x9E3779B97F4A7C15)


def sketch_documents(
    documents: Iterable[pa.RecordBatch], attributes: Iterable[pa.RecordBatch] | None = None
) -> Iterator[pa.RecordBatch]:
    """Sketches (`records.TEXTBOOK_SKETCH`) of documents (`records.DOCUMENT`), in their order.

    With attributes (co-partitioned `records.FILTER_ATTRIBUTES`), only of the documents they keep: a book
    that is dropped must not suppress a copy of it.

    Raises:
        ValueError: documents and attributes are not the same rows in the same order.
    """
    for batch, verdicts in zip(documents, attributes if attributes is not None else repeat(None), strict=False):
        columns = batch.select(["doc_id", "source_file", "source_metadata"]).to_pylist()
        kept = _kept(batch, verdicts)
        rows = [_sketch(row, batch.column("text")[at].as_py()) for at, row in enumerate(columns) if kept[at]]
        yield batch_of(rows, TEXTBOOK_SKETCH)


def name_words(file_name: str) -> list[str]:
    """The words of a file's name without folder and ending, camel case parted, lower case, sorted."""
    parted = _CAMEL.sub(" ", PurePosixPath(file_name).stem)
    return sorted({word.lower() for word in _NAME_WORD.findall(parted)})


def text_sketches(text: str) -> tuple[np.ndarray, np.ndarray]:
    """The sketch of a text's set of words and that of its word 5-grams: ascending uint64 arrays.

    A text of fewer than five words has one shingle, all of it.
    """
    words = _WORD.findall(text.lower())
    ids = {word: _hash(word) for word in dict.fromkeys(words)}
    sequence = np.fromiter((ids[word] for word in words), dtype=np.uint64, count=len(words))
    vocabulary = np.fromiter(ids.values(), dtype=np.uint64, count=len(ids))
    return _smallest(vocabulary), _smallest(_shingles(sequence))


def jaccard(one: np.ndarray, other: np.ndarray) -> float:
    """Estimated |A ∩ B| / |A ∪ B| of two sketched sets, in [0, 1]; 0 if both are empty."""
    one, other = _comparable(one, other)
    shared = len(np.intersect1d(one, other, assume_unique=True))
    union = len(one) + len(other) - shared
    return shared / union if union else 0.0


def containment(one: np.ndarray, other: np.ndarray) -> float:
    """Estimated |A ∩ B| / min(|A|, |B|) of two sketched sets, in [0, 1]; 0 if one is empty."""
    one, other = _comparable(one, other)
    smaller = min(len(one), len(other))
    return len(np.intersect1d(one, other, assume_unique=True)) / smaller if smaller else 0.0


def _kept(batch: pa.RecordBatch, verdicts: pa.RecordBatch | None) -> list[bool]:
    if verdicts is None:
        return [True] * len(batch)
    if not verdicts.column("doc_id").equals(batch.column("doc_id")):
        raise ValueError("attributes are not of these documents in this order")
    return [verdict == KEPT for verdict in verdicts.column("verdict").to_pylist()]


def _sketch(row: dict[str, str], text: str) -> dict[str, object]:
    metadata = json.loads(row["source_metadata"] or "{}")
    n_pages = metadata.get("n_pages") if isinstance(metadata, dict) else None
    words, shingles = text_sketches(text)
    return {
        "doc_id": row["doc_id"],
        "source_file": row["source_file"],
        "name_words": name_words(row["source_file"]),
        "n_pages": n_pages if isinstance(n_pages, int) else 0,
        "n_chars": len(text),
        "text_hash": hashlib.sha256(text.encode()).hexdigest()[:32],
        "word_sketch": words,
        "shingle_sketch": shingles,
    }


def _comparable(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both sketches cut where the shorter-reaching one ends: below, each holds all of its set."""
    reach = min(
        one[-1] if len(one) == SKETCH_SIZE else _COMPLETE,
        other[-1] if len(other) == SKETCH_SIZE else _COMPLETE,
    )
    return one[one <= reach], other[other <= reach]


def _smallest(hashes: np.ndarray) -> np.ndarray:
    return np.unique(hashes)[:SKETCH_SIZE]


def _hash(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")


def _shingles(sequence: np.ndarray) -> np.ndarray:
    """One well-mixed 64-bit hash for each run of five words (splitmix64 steps, wrapping)."""
    length = min(SHINGLE_WORDS, len(sequence))
    n_runs = len(sequence) - length + 1 if length else 0
    state = np.zeros(n_runs, dtype=np.uint64)
    for step in range(length):
        state = state * _STEP + sequence[step : step + n_runs]
        state = (state ^ (state >> np.uint64(30))) * _MIX[0]
        state = (state ^ (state >> np.uint64(27))) * _MIX[1]
        state ^= state >> np.uint64(31)
    return state
