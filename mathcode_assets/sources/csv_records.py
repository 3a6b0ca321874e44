"""Records of a CSV file with a header line; for tables of labels."""

from __future__ import annotations

import csv
import io
from typing import BinaryIO

from mathcode_assets.sources.raw_records import INVALID_UTF8, RawRecords, Record, Rejected

INVALID_CSV = "invalid_csv"


def csv_records(stream: BinaryIO) -> RawRecords:
    """One record a row below the header; values are strings.

    A row that is not UTF-8, or has more or fewer values than the header, is rejected.
    """
    # surrogateescape: bytes that are not UTF-8 show as lone surrogates, and only their row is lost.
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    reader = csv.reader(text)
    header: list[str] | None = None
    row = -1
    while True:
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            row += 1
            yield Rejected(row, INVALID_CSV, str(error), b"")
            continue
        if not values:
            continue
        if header is None:
            header = values
            continue
        row += 1
        raw = ",".join(values).encode("utf-8", "surrogateescape")
        if len(values) != len(header):
            yield Rejected(row, INVALID_CSV, f"{len(values)} values, the header has {len(header)}", raw)
            continue
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError as error:
            yield Rejected(row, INVALID_UTF8, f"byte {error.start} of the record: {error.reason}", raw)
            continue
        yield Record(row, dict(zip(header, values, strict=True)), raw)
