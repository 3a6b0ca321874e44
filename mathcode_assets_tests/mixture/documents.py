"""Hand-made clean documents for the tests of the mixture."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from mathcode_assets.records import CLEAN_DOCUMENT, batch_of


def clean_documents(texts: Iterable[str], *, source: str = "web", n_tokens: int | None = None) -> pa.RecordBatch:
    """Documents `<source>-0`, `<source>-1`, ..., with a token a word unless `n_tokens` is given."""
    rows = [
        {
            "doc_id": f"{source}-{number}",
            "source": source,
            "source_id": str(number),
            "source_uri": f"https://example.org/{source}/{number}",
            "source_file": f"{source}.jsonl",
            "source_row": number,
            "source_revision": "r1",
            "licence": "CC-BY-4.0" if number % 3 else "unknown",
            "text": text,
            "source_metadata": "{}",
            "n_tokens": len(text.split()) if n_tokens is None else n_tokens,
        }
        for number, text in enumerate(texts)
    ]
    return batch_of(rows, CLEAN_DOCUMENT)
