"""Hand-made documents and labels as the batches that stages read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

import pyarrow as pa

from mathcode_assets.records import DOCUMENT, LABEL, batch_of

_BATCH_ROWS = 64


def document_batches(
    texts: Iterable[str], *, source: str = "web", source_file: str = "shard-0.jsonl", rows: int = _BATCH_ROWS
) -> list[pa.RecordBatch]:
    """Documents with ids ``source-0``, ``source-1``, ... in batches of at most ``rows``."""
    records = [
        {
            "doc_id": blake2b(f"{source}/{source_file}/{number}/{text}".encode(), digest_size=16).hexdigest(),
            "source": source,
            "source_id": f"{source}-{number}",
            "source_uri": f"https://example.org/{number}",
            "source_file": source_file,
            "source_row": number,
            "source_revision": "r1",
            "licence": "unknown",
            "text": text,
            "source_metadata": "{}",
        }
        for number, text in enumerate(texts)
    ]
    return [batch_of(records[start : start + rows], DOCUMENT) for start in range(0, len(records), rows)]


def label_batches(labels: Sequence[str], *, source: str = "web", split: str = "train") -> list[pa.RecordBatch]:
    """One label for each document of `document_batches`."""
    rows = [{"source_id": f"{source}-{number}", "label": label, "split": split} for number, label in enumerate(labels)]
    return [batch_of(rows, LABEL)]
