"""Documents for the tests of this folder, without a PDF behind them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from mathcode_assets.corpus.textbooks.extraction import PdfText
from mathcode_assets.corpus.textbooks.reading import document_row
from mathcode_assets.records import DOCUMENT, batch_of


def book_batch(texts: Mapping[str, str], *, n_pages: Mapping[str, int] | None = None) -> pa.RecordBatch:
    """One document a file name."""
    return batch_of(
        [
            document_row(
                (Path(__file__), name),
                PdfText(status="ok", text=text, n_pages=(n_pages or {}).get(name, 1), detail=""),
            )
            for name, text in texts.items()
        ],
        DOCUMENT,
    )
