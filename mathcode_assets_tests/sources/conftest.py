"""Files written for a test, listed as the package lists them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pytest

from mathcode_assets.sources.errors import UnreadableSource
from mathcode_assets.sources.listing import SourceFile, local_file
from mathcode_assets.sources.quarantine import Quarantine, ReadReport
from mathcode_assets.sources.readers import read_documents


@dataclass
class Outcome:
    """All that reading a file gave."""

    rows: list[dict[str, Any]]
    rejected: list[dict[str, Any]]
    report: ReadReport
    error: UnreadableSource | None

    @property
    def texts(self) -> list[str]:
        return [row["text"] for row in self.rows]

    @property
    def reasons(self) -> list[tuple[int, str]]:
        return [(row["source_row"], row["reason"]) for row in self.rejected]


Read = Callable[..., Outcome]


def jsonl(*records: Any) -> bytes:
    """Records as JSON lines."""
    return b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)


@pytest.fixture
def read() -> Read:
    """Read a file to its end, or to where it breaks; rows must add up either way."""

    def _read(path: Path | SourceFile, *, source: str = "cc_en", **options: Any) -> Outcome:
        file = path if isinstance(path, SourceFile) else local_file(path, address=path.name)
        quarantine, report, rows, error = Quarantine(source=source), ReadReport(), [], None
        try:
            for batch in read_documents(file, source=source, quarantine=quarantine, report=report, **options):
                rows.extend(batch.to_pylist())
        except UnreadableSource as found:
            error = found
        rejected = [row for batch in quarantine.batches() for row in batch.to_pylist()]
        assert report.n_records == report.n_read + report.n_quarantined.total()
        assert report.n_read == len(rows)
        assert report.n_quarantined == quarantine.counts
        assert len(rejected) == quarantine.counts.total()
        return Outcome(rows, rejected, report, error)

    return _read


@pytest.fixture
def memory_folder() -> Iterator[str]:
    """An empty folder of the memory file system, gone after the test."""
    fs = fsspec.filesystem("memory")
    fs.makedirs("/sources-test", exist_ok=True)
    yield "memory://sources-test"
    fs.rm("/sources-test", recursive=True)
