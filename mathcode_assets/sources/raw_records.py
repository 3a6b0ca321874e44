"""The records of a file, one after another, whatever its format: JSON lines, a JSON array, parquet, CSV.

A record comes out as a `Record` (a mapping of its fields) or, where it cannot be told apart or
parsed, as a `Rejected` with the reason; a file that breaks off raises after the last whole record.
What a record means (which field is the text) is decided in `readers`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

INVALID_UTF8 = "invalid_utf8"
INVALID_JSON = "invalid_json"
NOT_AN_OBJECT = "not_an_object"
RECORD_TOO_LARGE = "record_too_large"

# What is kept of a record that is too large; the quarantine keeps no more of any.
KEPT_BYTES = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLimits:
    """What a single record may cost.

    Attributes:
        max_record_bytes: of one record (a line of JSON, or a value of text in parquet). A book is some
            MB and the longest document asked for 50 MB; 256 MiB keeps a worker within 2 GiB.
    """

    max_record_bytes: int = 256 << 20


@dataclass(slots=True)
class Record:
    """One record: its 0-based number in the file, its fields, and its stored bytes where there are any.

    A field whose bytes are not UTF-8 (parquet) is `bytes`.
    """

    row: int
    fields: Mapping[str, Any]
    raw: bytes | None = None

    def payload(self) -> bytes:
        """What a quarantine keeps of it."""
        if self.raw is not None:
            return self.raw
        short = {
            name: value[:KEPT_BYTES] if isinstance(value, str | bytes) else value for name, value in self.fields.items()
        }
        return json.dumps(short, default=repr).encode()


@dataclass(slots=True)
class Rejected:
    """One record that is none: reason in snake_case, what is wrong in words, its first bytes."""

    row: int
    reason: str
    detail: str
    raw: bytes


RawRecords = Iterator[Record | Rejected]
