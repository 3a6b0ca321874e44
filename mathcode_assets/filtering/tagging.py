"""Documents in, verdicts out: the loop that every classifier-based filter shares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

from mathcode_assets.filtering.classifier import Classifier
from mathcode_assets.records import DROPPED, FILTER_ATTRIBUTES, KEPT, batch_of

# Reasons of dropping, shared by the filters.
NOT_MATHEMATICAL = "not_mathematical"
PROGRAMMING = "programming"


class Verdict(NamedTuple):
    """What a filter found about one document. Kept where ``reason`` is empty."""

    reason: str
    score: float | None
    labels: Sequence[str] = ()


def attributes_of(doc_ids: Sequence[str], verdicts: Sequence[Verdict], *, model: str | Sequence[str]) -> pa.RecordBatch:
    """One batch of `records.FILTER_ATTRIBUTES`.

    Args:
        doc_ids: of the documents, in order.
        verdicts: one for each document.
        model: name@version of what decided, for all of them or one for each.
    """
    models = [model] * len(doc_ids) if isinstance(model, str) else model
    return batch_of(
        [
            {
                "doc_id": doc_id,
                "verdict": DROPPED if verdict.reason else KEPT,
                "reason": verdict.reason,
                "score": verdict.score,
                "model": decided_by,
                "labels": list(verdict.labels),
            }
            for doc_id, verdict, decided_by in zip(doc_ids, verdicts, models, strict=True)
        ],
        FILTER_ATTRIBUTES,
    )


def tag_with_threshold(
    documents: Iterable[pa.RecordBatch], classifier: Classifier, *, threshold: float
) -> Iterator[pa.RecordBatch]:
    """Keep what scores at least ``threshold`` in [0, 1]; the rest is dropped as not mathematical."""
    for batch in documents:
        texts = batch.column("text").to_pylist()
        verdicts = [
            Verdict("" if score >= threshold else NOT_MATHEMATICAL, float(score)) for score in classifier.score(texts)
        ]
        yield attributes_of(batch.column("doc_id").to_pylist(), verdicts, model=classifier.model_id)
