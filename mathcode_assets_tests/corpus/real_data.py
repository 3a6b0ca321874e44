"""The real data that these tests measure on, as the batches that stages read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from mathcode_assets.records import DOCUMENT, LABEL, batch_of

_BATCH_ROWS = 500


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """All rows of a .jsonl.zst file."""
    with path.open("rb") as file:
        content = zstandard.ZstdDecompressor().stream_reader(file).read()
    return [json.loads(line) for line in content.split(b"\n") if line.strip()]


def documents_of(rows: list[dict[str, Any]], *, source: str, source_file: str) -> Iterator[pa.RecordBatch]:
    """Rows with ``text``, and ``id`` or ``idx`` where they have one."""
    for start in range(0, len(rows), _BATCH_ROWS):
        records = [
            {
                "doc_id": f"{source}/{source_file}/{number:08d}",
                "source": source,
                "source_id": str(row.get("id", row.get("idx", number))),
                "source_uri": row.get("url") or "",
                "source_file": source_file,
                "source_row": number,
                "source_revision": "",
                "licence": "unknown",
                "text": row["text"],
                "source_metadata": "{}",
            }
            for number, row in enumerate(rows[start : start + _BATCH_ROWS], start=start)
        ]
        yield batch_of(records, DOCUMENT)


def cc_en_documents(shared_data: Path, *, shards: int) -> list[pa.RecordBatch]:
    """Documents of the first shards; the first four are labelled."""
    paths = sorted((shared_data / "cc_en").glob("*.jsonl.zst"))[:shards]
    return [batch for path in paths for batch in documents_of(read_jsonl(path), source="cc_en", source_file=path.name)]


def cc_en_labels(shared_data: Path) -> list[pa.RecordBatch]:
    """All labels, as `records.LABEL`."""
    table = pq.read_table(shared_data / "cc_en" / "labels.shards-0000-0003.parquet")
    rows = [{"source_id": row["id"], "label": row["label"], "split": row["split"]} for row in table.to_pylist()]
    return [batch_of(rows, LABEL)]


def open_web_math_documents(shared_data: Path) -> list[pa.RecordBatch]:
    """Documents of all shards."""
    paths = sorted((shared_data / "open_web_math" / "data").glob("*.parquet"))
    return [
        batch
        for path in paths
        for batch in documents_of(pq.read_table(path).to_pylist(), source="open_web_math", source_file=path.name)
    ]


def web_validation(shared_data: Path) -> list[dict[str, Any]]:
    """Pages of other origins: id, text, label."""
    return read_jsonl(shared_data / "web_validation" / "web_docs.jsonl.zst")
