"""Which format a file is in, told by its first bytes and its ending: its records, whatever the format.

| first bytes, after decompression | ending | read as |
|---|---|---|
| `PAR1` | any | parquet |
| others | .parquet | not a whole parquet file: unreadable |
| others | .csv | CSV |
| `[` | .json | one JSON array |
| others | all else | JSON lines |
"""

from __future__ import annotations

import codecs
import itertools
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from mathcode_assets.sources.csv_records import csv_records
from mathcode_assets.sources.errors import BrokenStream, UnreadableSource
from mathcode_assets.sources.json_records import json_array, json_lines
from mathcode_assets.sources.listing import SourceFile, ending_of
from mathcode_assets.sources.opening import PARQUET_MAGIC, decompressed, head, open_raw
from mathcode_assets.sources.parquet_records import parquet_records
from mathcode_assets.sources.raw_records import RawRecords, ReadLimits

# Endings under which public data sets hold JSON lines as well as one array.
JSON_ENDINGS: tuple[str, ...] = (".json", ".json.gz", ".json.zst")

_PEEKED_CHUNKS = 16


def raw_records(
    file: SourceFile,
    limits: ReadLimits,
    *,
    needed: Sequence[Sequence[str]],
    present: Sequence[Sequence[str]] = (),
    only: Sequence[str] | None = None,
) -> RawRecords:
    """The records of a file in any of the formats; none for a file of no bytes.

    Args:
        file: as listed.
        limits: what a record may cost.
        needed: for each needed field of text the names it may have; checked at once where a file
            has columns, and otherwise by whoever takes the records.
        present: the same for fields that need not be text.
        only: read these columns, where a file has columns.

    Raises:
        UnreadableSource: as `read_documents`.
    """
    if file.size_bytes == 0:
        return
    with open_raw(file) as stream:
        try:
            is_parquet = head(stream) == PARQUET_MAGIC or ending_of(file.relative_path) == ".parquet"
        except Exception as error:  # each store has errors of its own
            raise UnreadableSource(file.address, f"cannot be read: {type(error).__name__}: {error}") from error
        if not is_parquet:
            yield from _text_records(file, stream, limits)
            return
    yield from parquet_records(file, needed=needed, present=present, only=only)


def _text_records(file: SourceFile, stream: BinaryIO, limits: ReadLimits) -> RawRecords:
    if ending_of(file.relative_path) == ".csv":
        yield from csv_records(stream)
        return
    chunks = decompressed(stream, name=file.relative_path)
    n_seen = 0
    try:
        first, chunks = _peek(chunks)
        is_array = first == b"[" and ending_of(file.relative_path) in JSON_ENDINGS
        records = json_array if is_array else json_lines
        for record in records(chunks, limits):
            yield record
            n_seen = record.row + 1
    except BrokenStream as error:
        raise UnreadableSource(file.address, str(error), row=n_seen) from error


def _peek(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first byte that is no white space and no byte order mark, and the chunks, all of them."""
    held: list[bytes] = []
    for chunk in chunks:
        held.append(chunk)
        start = b"".join(held).removeprefix(codecs.BOM_UTF8).lstrip()
        if start or len(held) > _PEEKED_CHUNKS:
            return start[:1], itertools.chain(held, chunks)
    return b"", iter(held)
