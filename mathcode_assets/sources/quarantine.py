"""Bad records, kept aside with the reason, and the count that makes rows add up.

Held in memory up to some megabytes, then in a temporary file: a file that is bad from start to end
costs disk, not memory.
"""

from __future__ import annotations

import io
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from mathcode_assets.records import QUARANTINE, batch_of

MAX_PAYLOAD_BYTES = 64 << 10  # as records.QUARANTINE says
MAX_DETAIL_CHARS = 1_000

_BATCH_ROWS = 256
_SPILL_BYTES = 8 << 20


class Quarantine:
    """Collects the bad records of one source; `batches` gives them back in the order they came.

    Attributes:
        counts: records by reason.
    """

    def __init__(self, *, source: str) -> None:
        self.source = source
        self.counts: Counter[str] = Counter()
        self._rows: list[dict[str, Any]] = []
        self._rows_bytes = 0
        # Not closed here but by `close` or at collection: it lives as long as the collector.
        self._spill = tempfile.SpooledTemporaryFile(max_size=_SPILL_BYTES)  # noqa: SIM115

    def add(self, *, source_file: str, source_row: int, reason: str, detail: str, payload: bytes) -> None:
        """One bad record; of the payload the first 64 KiB are kept."""
        self.counts[reason] += 1
        row = {
            "source": self.source,
            "source_file": _storable(source_file),
            "source_row": source_row,
            "reason": reason,
            "detail": _storable(detail[:MAX_DETAIL_CHARS]),
            "payload": payload[:MAX_PAYLOAD_BYTES],
        }
        self._rows.append(row)
        self._rows_bytes += len(row["payload"]) + len(row["detail"])
        if len(self._rows) >= _BATCH_ROWS or self._rows_bytes >= _SPILL_BYTES:
            self._flush()

    def take(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Bad records that another process collected (`batches` of its quarantine), after those that are here."""
        for batch in batches:
            for row in batch.to_pylist():
                del row["source"]
                self.add(**row)

    def __len__(self) -> int:
        return self.counts.total()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All records so far as batches of `records.QUARANTINE`; may be asked again, and added to after."""
        self._flush()
        end, offset = self._spill.tell(), 0
        while offset < end:
            self._spill.seek(offset)
            size = int.from_bytes(self._spill.read(8), "big")
            # Read whole before it is given out: whoever takes it may add records meanwhile.
            batch = pa.ipc.read_record_batch(pa.py_buffer(self._spill.read(size)), QUARANTINE)
            offset = self._spill.tell()
            self._spill.seek(0, io.SEEK_END)
            yield batch

    def close(self) -> None:
        """Forget everything."""
        self._rows.clear()
        self._spill.close()

    def _flush(self) -> None:
        if not self._rows:
            return
        data = batch_of(self._rows, QUARANTINE).serialize()
        self._spill.write(data.size.to_bytes(8, "big"))
        self._spill.write(data)
        self._rows.clear()
        self._rows_bytes = 0


def _storable(text: str) -> str:
    """Text that UTF-8 can hold: a lone surrogate becomes its escape."""
    return text.encode("utf-8", "backslashreplace").decode()


@dataclass(slots=True)
class ReadReport:
    """What became of the records of the files read: n_records = n_read + the quarantined ones.

    Attributes:
        n_records: records found.
        n_read: records given out as rows.
        n_quarantined: by reason.
        n_chars: characters of the rows given out (of documents: text and metadata).
        files: records found, by relative path of the file; an empty file has 0.
    """

    n_records: int = 0
    n_read: int = 0
    n_quarantined: Counter[str] = field(default_factory=Counter)
    n_chars: int = 0
    files: dict[str, int] = field(default_factory=dict)

    def add(self, other: ReadReport) -> None:
        """Count what another report counted of other files."""
        self.n_records += other.n_records
        self.n_read += other.n_read
        self.n_quarantined.update(other.n_quarantined)
        self.n_chars += other.n_chars
        self.files.update(other.files)

    def summary(self) -> str:
        """One line: records, read, quarantined by reason, and the files without a record."""
        parts = [f"{self.n_records:,} records", f"{self.n_read:,} read"]
        if self.n_quarantined:
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(self.n_quarantined.items()))
            parts.append(f"{self.n_quarantined.total():,} quarantined ({reasons})")
        empty = sorted(path for path, count in self.files.items() if not count)
        if empty:
            parts.append(f"without a record: {', '.join(empty)}")
        return ", ".join(parts)
