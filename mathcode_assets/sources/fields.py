"""Single fields of a record: found under one of several names, of the right type, valid and not empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mathcode_assets.sources.documents import encodable
from mathcode_assets.sources.raw_records import INVALID_UTF8, RECORD_TOO_LARGE

MISSING_FIELD = "missing_field"
NULL_FIELD = "null_field"
WRONG_TYPE = "wrong_type"
EMPTY_TEXT = "empty_text"
LONE_SURROGATE = "lone_surrogate"


class FieldError(ValueError):
    """A record that cannot be used for one of its fields; `reason` in snake_case, `detail` in words."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason}: {detail}")


def text_field(fields: Mapping[str, Any], names: Sequence[str], max_bytes: int) -> tuple[str, str]:
    """Name and value of the first of these fields that the record has: valid text, not only white space.

    Raises:
        FieldError: none there, null, no string, not UTF-8, empty, too long, or with a lone surrogate.
    """
    name = next((name for name in names if fields.get(name) is not None), None)
    if name is None:
        there = next((name for name in names if name in fields), None)
        if there is not None:
            raise FieldError(NULL_FIELD, f"{there} is null")
        raise FieldError(MISSING_FIELD, f"no {' or '.join(names)}; found: {', '.join(sorted(fields)) or 'no field'}")
    value = fields[name]
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise FieldError(INVALID_UTF8, f"byte {error.start} of {name}: {error.reason}") from error
    if not isinstance(value, str):
        raise FieldError(WRONG_TYPE, f"{name} is {type(value).__name__}, not a string")
    if not value or value.isspace():
        raise FieldError(EMPTY_TEXT, f"{name} is {'empty' if not value else 'white space only'}")
    try:
        n_bytes = len(value.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise FieldError(LONE_SURROGATE, f"character {error.start} of {name} is a lone surrogate") from error
    if n_bytes > max_bytes:
        raise FieldError(RECORD_TOO_LARGE, f"{name} has {n_bytes:,} bytes, at most {max_bytes:,} are read")
    return name, value


def optional_text(fields: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """The first of these fields that is text and not empty, stripped and storable; None for none."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "backslashreplace")
        if isinstance(value, str) and value.strip():
            return encodable(value.strip())
    return None
