"""Rows of `records.DOCUMENT`: the id, the canonical metadata, and batches of bounded size.

Shared by the readers and by whoever makes documents in another way (text out of PDFs).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from mathcode_assets.records import DOCUMENT, UNKNOWN_LICENCE, batch_of
from mathcode_assets.sources.listing import SourceFile

DOC_ID_HEX_DIGITS = 32

BATCH_ROWS = 1_000
BATCH_BYTES = 8 << 20


def doc_id_of(source: str, source_id: str, text: str) -> str:
    """32 hex digits of the sha256 of source key, source_id and text, each prefixed by its length.

    Raises:
        UnicodeEncodeError: one of them holds a lone surrogate.
    """
    digest = hashlib.sha256()
    for part in (source, source_id, text):
        data = part.encode("utf-8")
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()[:DOC_ID_HEX_DIGITS]


def document_row(
    *,
    source: str,
    file: SourceFile,
    source_row: int,
    text: str,
    source_id: str | None = None,
    source_uri: str | None = None,
    licence: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One row of `records.DOCUMENT`.

    Args:
        source: key in the sources file.
        file: the file it comes from.
        source_row: 0-based number of the record in the file (jsonl: of the line).
        text: not empty.
        source_id: the record's own id; None: `<relative path>#<row>`.
        source_uri: the record's own address; None: `<address of the file>#<row>`.
        licence: None: unknown.
        metadata: everything else there is, made canonical JSON here.

    Raises:
        UnicodeEncodeError: the text holds a lone surrogate.
    """
    identity = encodable(source_id if source_id else f"{file.relative_path}#{source_row}")
    return {
        "doc_id": doc_id_of(source, identity, text),
        "source": source,
        "source_id": identity,
        "source_uri": encodable(source_uri if source_uri else f"{file.address}#{source_row}"),
        "source_file": encodable(file.relative_path),
        "source_row": source_row,
        "source_revision": file.revision,
        "licence": encodable(licence or UNKNOWN_LICENCE),
        "text": text,
        "source_metadata": canonical_json(metadata or {}),
    }


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces, characters as they are; what JSON lacks becomes a string.

    Dates are ISO 8601, bytes their text, NaN and infinities 'nan', 'inf', '-inf'; a lone surrogate
    stays the escape it was in the source, which is valid JSON and valid UTF-8.

    Raises:
        RecursionError: nested deeper than Python goes, about 1,000 levels.
    """
    if not value and isinstance(value, Mapping):
        return "{}"
    try:
        text = _ENCODER.encode(value)
    except (ValueError, TypeError):  # NaN, or keys that are no strings
        text = _ENCODER.encode(_plain(value))
    return encodable(text)


def encodable(text: str) -> str:
    """Text that UTF-8 can hold: a lone surrogate becomes its six-character escape."""
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text


class DocumentBatches:
    """Rows gathered into batches of at most BATCH_ROWS rows and about BATCH_BYTES of text."""

    def __init__(self, schema: pa.Schema = DOCUMENT, *, rows: int = BATCH_ROWS, n_bytes: int = BATCH_BYTES) -> None:
        self._schema, self._max_rows, self._max_bytes = schema, rows, n_bytes
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0

    def add(self, row: dict[str, Any], n_bytes: int) -> Iterator[pa.RecordBatch]:
        """Take a row of about `n_bytes` (characters do); gives the batch it completes, if it does."""
        self._rows.append(row)
        self._bytes += n_bytes
        if len(self._rows) >= self._max_rows or self._bytes >= self._max_bytes:
            yield from self.rest()

    def rest(self) -> Iterator[pa.RecordBatch]:
        """The batch of the rows not given out yet, if there are any."""
        if self._rows:
            batch = batch_of(self._rows, self._schema)
            self._rows, self._bytes = [], 0
            yield batch


def _json_value(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "backslashreplace")
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)


_ENCODER = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_json_value
)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
