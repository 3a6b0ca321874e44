"""Which examples a classifier learns from: sampling by hash, so that order and sharding never matter.

A document is chosen because of its own key (doc_id or text) and the seed, never because of where it stood in
the stream: the same documents in other shards, or in another order, give the same examples.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import NamedTuple

import pyarrow as pa

TRAIN = "train"
TEST = "test"


class Example(NamedTuple):
    """One labelled text. ``split`` is train, test, or empty where a hash of the text decides."""

    text: str
    label: str
    split: str = ""


def unit_hash(key: str, *, seed: int) -> float:
    """A number in [0, 1) that depends on the key and the seed only."""
    digest = blake2b(f"{seed}\x1f{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def sample_texts(
    documents: Iterable[pa.RecordBatch], *, rate: float, floor: int, seed: int, max_chars: int
) -> Iterator[str]:
    """Texts of a ``rate`` share of the documents, but of at least ``floor`` of them while there are so many.

    The documents with the smallest hashes of doc_id are chosen, so a larger rate or floor only adds to a
    sample. Memory is bounded by ``floor`` times ``max_chars`` characters.

    Args:
        documents: batches with columns doc_id and text.
        rate: share in [0, 1].
        floor: number of documents below which the sample is topped up.
        seed: another seed gives another sample.
        max_chars: texts are cut here, in characters.
    """
    waiting: list[tuple[float, str, str]] = []  # largest hash on top: (-hash, doc_id, text)
    n_sampled = 0
    for doc_id, text in texts_by_id(documents):
        rank = unit_hash(doc_id, seed=seed)
        if rank < rate:
            n_sampled += 1
            yield text[:max_chars]
        elif n_sampled < floor:
            heapq.heappush(waiting, (-rank, doc_id, text[:max_chars]))
        while len(waiting) > max(0, floor - n_sampled):
            heapq.heappop(waiting)
    for _, _, text in sorted(waiting, reverse=True):
        yield text


def balanced(examples: Iterable[Example], *, per_label: int, max_ratio: float, seed: int) -> list[Example]:
    """At most ``per_label`` examples of each label, and of none more than ``max_ratio`` times the rarest.

    Chosen by hash of the text; returned label by label in hash order. Memory is bounded by the number of
    labels times ``per_label`` texts.
    """
    heaps: dict[str, list[tuple[float, Example]]] = {}
    for example in examples:
        heap = heaps.setdefault(example.label, [])
        heapq.heappush(heap, (-unit_hash(example.text, seed=seed), example))
        if len(heap) > per_label:
            heapq.heappop(heap)
    if not heaps:
        return []
    limit = int(max_ratio * min(len(heap) for heap in heaps.values()))
    chosen = {label: sorted(heaps[label], reverse=True)[:limit] for label in sorted(heaps)}
    return [example for ranked in chosen.values() for _, example in ranked]


def labelled_examples(
    documents: Iterable[pa.RecordBatch], labels: Iterable[pa.RecordBatch], *, max_chars: int
) -> Iterator[Example]:
    """The documents that have a label, joined on source_id, with the split the labels give.

    Args:
        documents: batches of `records.DOCUMENT`, streamed.
        labels: batches of `records.LABEL`; held in memory.
        max_chars: texts are cut here, in characters.
    """
    by_id: dict[str, tuple[str, str]] = {}
    for batch in labels:
        columns = (batch.column(name).to_pylist() for name in ("source_id", "label", "split"))
        by_id.update((source_id, (label, split)) for source_id, label, split in zip(*columns, strict=True))
    for batch in documents:
        for source_id, text in zip(batch.column("source_id").to_pylist(), batch.column("text"), strict=True):
            if source_id in by_id:
                label, split = by_id[source_id]
                yield Example(text.as_py()[:max_chars], label, split)


def texts_by_id(documents: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, str]]:
    """``(doc_id, text)`` of every document, one text in memory at a time."""
    for batch in documents:
        for doc_id, text in zip(batch.column("doc_id").to_pylist(), batch.column("text"), strict=True):
            yield doc_id, text.as_py()
