"""Append-only files of checksummed records, one file for each writer: what the request cache is stored in.

A folder of segments holds one record a line: eight hex digits of the CRC-32 of the JSON, a blank, the JSON,
a newline. Each process that writes opens a file of its own, so writers need no locks, and a file that a dead
process left is never written again. A record that was torn by a crash, or damaged later, fails its checksum
and is passed over; reading goes on at the next newline, so it costs itself and nothing else.

Durability: an appended record has left the process (one ``write``), so it survives ``kill -9``; it survives
a power cut once `SegmentWriter.sync` has returned.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4
from zlib import crc32

SUFFIX = ".records"
_PREFIX_BYTES = 9  # checksum and blank


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record is: bytes ``offset`` to ``offset + length`` of a segment."""

    segment: str
    offset: int
    length: int


def encode_record(record: dict[str, Any]) -> bytes:
    """One line; lone surrogates, which UTF-8 cannot hold, become question marks."""
    body = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return b"%08x %s\n" % (crc32(body), body)


def decode_record(line: bytes) -> dict[str, Any] | None:
    """The record of a line, None where the line is torn or damaged."""
    body = line[_PREFIX_BYTES:].removesuffix(b"\n")
    if not line.endswith(b"\n") or line[:_PREFIX_BYTES] != b"%08x " % crc32(body):
        return None
    try:
        record = json.loads(body)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def list_segments(folder: Path) -> list[Path]:
    """The segments of a folder, oldest first; none where there is no folder."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def scan(path: Path, offset: int = 0) -> Iterator[tuple[Place, dict[str, Any] | None]]:
    """Every whole line of a segment from an offset on, with its record or None where it is damaged.

    A last line without its newline is not yielded: it is torn, or being written right now.
    """
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:  # bytes split at \n only, and JSON escapes that within strings
            if not line.endswith(b"\n"):
                return
            yield Place(path.name, offset, len(line)), decode_record(line)
            offset += len(line)


class SegmentWriter:
    """The one writer of a new segment; not thread safe, not to be used across a fork."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        number = 1 + max((_number_of(path) for path in list_segments(folder)), default=0)
        self.path = (
            folder / f"{number:06d}-{uuid4().hex[:12]}{SUFFIX}"
        )  # the number orders, the rest tells writers apart
        self._file: BinaryIO = self.path.open("xb", buffering=0)
        self._size = self._synced = 0
        self._is_torn = False
        _sync_folder(folder)

    def append(self, record: dict[str, Any]) -> Place:
        """Hand a record to the operating system.

        Raises:
            OSError: it could not be written, e.g. for a full disk; what was written of it is passed over later.
        """
        line = encode_record(record)
        if self._is_torn:  # end what an earlier error left, or this record would be glued to it
            self._write(b"\n")
        place = Place(self.path.name, self._size, len(line))
        self._is_torn = True
        self._write(line)
        self._is_torn = False
        return place

    def sync(self) -> None:
        """Return once everything appended before the call is on the disk."""
        size = self._size
        if self._synced < size:
            os.fsync(self._file.fileno())
            self._synced = size

    def close(self) -> None:
        """Sync and close; an empty segment is taken away."""
        self.sync()
        self._file.close()
        if not self._size:
            self.path.unlink(missing_ok=True)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            n_written = self._file.write(rest) or 0
            self._size += n_written
            rest = rest[n_written:]


def _number_of(path: Path) -> int:
    head = path.name.partition("-")[0]
    return int(head) if head.isdigit() else 0


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
