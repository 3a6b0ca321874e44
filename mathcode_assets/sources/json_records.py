"""Records of JSON lines, and of a file that is one JSON array; as a stream, from chunks of bytes."""

from __future__ import annotations

import codecs
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from mathcode_assets.sources.errors import BrokenStream
from mathcode_assets.sources.raw_records import (
    INVALID_JSON,
    INVALID_UTF8,
    KEPT_BYTES,
    NOT_AN_OBJECT,
    RECORD_TOO_LARGE,
    RawRecords,
    ReadLimits,
    Record,
    Rejected,
)

# In an array outside and inside of strings: what changes where we are.
_STRUCTURE = re.compile(rb'["\[\]{},]')
_IN_STRING = re.compile(rb'["\\]')


@dataclass(slots=True)
class Line:
    """One piece of a stream: its number, its bytes (of a too long one the first 64 KiB), its whole size."""

    row: int
    data: bytes
    size_bytes: int
    is_ended: bool = True


def json_lines(chunks: Iterable[bytes], limits: ReadLimits) -> RawRecords:
    """One record a line; lines of white space are counted but are no records.

    Lines end at a newline byte only: U+2028, U+0085 and form feeds are part of the text.
    """
    yield from _records(split_lines(chunks, limits.max_record_bytes), limits)


def json_array(chunks: Iterable[bytes], limits: ReadLimits) -> RawRecords:
    """One record for each element of a single JSON array.

    Raises:
        BrokenStream: after the last whole element, where the array is not closed or more follows it.
    """
    yield from _records(split_array(chunks, limits.max_record_bytes), limits)


def _records(pieces: Iterable[Line], limits: ReadLimits) -> RawRecords:
    for piece in pieces:
        if piece.size_bytes > limits.max_record_bytes:
            yield _too_large(piece, limits)
        elif piece.data and not piece.data.isspace():
            yield parse_record(piece)


def split_lines(chunks: Iterable[bytes], max_bytes: int) -> Iterator[Line]:
    """Lines of a stream of chunks, without their newline and without a byte order mark at the start.

    A line above `max_bytes` is passed over without being held: its data are its first bytes.
    """
    row, size, parts = 0, 0, []
    for chunk in _without_mark(chunks):
        pieces = chunk.split(b"\n")
        for piece in pieces[:-1]:
            if not parts:  # the usual case: a line within one chunk
                yield Line(row, piece if len(piece) <= max_bytes else piece[:KEPT_BYTES], len(piece))
            else:
                size = _extend(parts, size, piece, max_bytes)
                yield Line(row, b"".join(parts), size)
            row, size, parts = row + 1, 0, []
        if pieces[-1]:
            size = _extend(parts, size, pieces[-1], max_bytes)
    if parts:
        yield Line(row, b"".join(parts), size, is_ended=False)


def split_array(chunks: Iterable[bytes], max_bytes: int) -> Iterator[Line]:
    """The elements of one JSON array, found by brackets and quotes alone, without their commas.

    Raises:
        BrokenStream: the array is not closed, or more than white space follows it.
    """
    row, size, parts = 0, 0, []
    depth, is_string, is_escaped = 0, False, False
    chunks = _without_mark(chunks)
    for chunk in chunks:
        start = 0
        position = 1 if is_escaped else 0  # the escaped character is the first of this chunk
        is_escaped = False
        while match := (_IN_STRING if is_string else _STRUCTURE).search(chunk, position):
            mark, position = match.group(), match.end()
            if is_string:
                is_string = mark != b'"'
                is_escaped = is_string and position == len(chunk)
                position += is_string
            elif mark == b'"':
                is_string = True
            elif mark in b"[{":
                depth += 1
                start = position if depth == 1 else start
            elif mark in b"]}" or depth == 1:
                depth -= mark != b","
                if depth == 0 or mark == b",":
                    size = _extend(parts, size, chunk[start : match.start()], max_bytes)
                    yield Line(row, b"".join(parts), size)
                    row, size, parts, start = row + 1, 0, [], position
                if depth == 0:
                    _want_nothing_more(itertools.chain([chunk[position:]], chunks))
                    return
        size = _extend(parts, size, chunk[start:], max_bytes)
    if depth == 1 and not is_string:
        yield Line(row, b"".join(parts), size)
    raise BrokenStream("cut off: the JSON array is not closed")


def _want_nothing_more(chunks: Iterable[bytes]) -> None:
    if any(chunk.strip() for chunk in chunks):
        raise BrokenStream("more follows the end of the JSON array")


def _extend(parts: list[bytes], size: int, piece: bytes, max_bytes: int) -> int:
    if size + len(piece) <= max_bytes:
        parts.append(piece)
    elif size <= max_bytes:
        parts[:] = [b"".join([*parts, piece[:KEPT_BYTES]])[:KEPT_BYTES]]
    return size + len(piece)


def _without_mark(chunks: Iterable[bytes]) -> Iterator[bytes]:
    start: bytes | None = b""
    for chunk in chunks:
        if start is None:
            yield chunk
            continue
        start += chunk
        if len(start) >= len(codecs.BOM_UTF8):
            yield start.removeprefix(codecs.BOM_UTF8)
            start = None
    if start:
        yield start


def _too_large(line: Line, limits: ReadLimits) -> Rejected:
    detail = f"{line.size_bytes:,} bytes, at most {limits.max_record_bytes:,} are read"
    return Rejected(line.row, RECORD_TOO_LARGE, detail, line.data[:KEPT_BYTES])


def parse_record(line: Line) -> Record | Rejected:
    """The JSON object of a line, or why it is none."""
    try:
        text = line.data.decode("utf-8")
    except UnicodeDecodeError as error:
        return Rejected(line.row, INVALID_UTF8, f"byte {error.start} of the record: {error.reason}", line.data)
    try:
        value = _loads(text)
    except (ValueError, RecursionError) as error:
        cut = "" if line.is_ended else "; the last line has no newline, the file may be cut off"
        detail = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        return Rejected(line.row, INVALID_JSON, detail + cut, line.data)
    if not isinstance(value, dict):
        return Rejected(line.row, NOT_AN_OBJECT, f"a JSON object is wanted, this is {type(value).__name__}", line.data)
    return Record(line.row, value, line.data)


def _loads(text: str) -> Any:
    """JSON, also with raw control characters (form feeds, NULs) in strings, which web text has."""
    try:
        return json.loads(text, strict=False)
    except json.JSONDecodeError:
        raise
    except ValueError:  # an integer beyond Python's limit of 4,300 digits: keep it as its digits
        return json.loads(text, strict=False, parse_int=lambda digits: int(digits) if len(digits) < 4_000 else digits)
