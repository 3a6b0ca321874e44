"""Deduplication of rows `id, text`, as the command does it: one shard whose texts wait on disk."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mathcode_assets.deduplication.config import DeduplicationConfig
from mathcode_assets.deduplication.exact import PROSE, TextKind
from mathcode_assets.deduplication.fingerprints import fingerprint_documents
from mathcode_assets.deduplication.resolution import resolve
from mathcode_assets.deduplication.texts import Shard, texts_of_file
from mathcode_assets.records import FINGERPRINT

ROW_BATCH = 1000
ROW_BATCH_CHARS = 4 << 20
_COMPONENT = "rows"


def deduplicate_rows(
    rows: Iterable[Mapping[str, Any]],
    *,
    work_dir: Path,
    kind: TextKind = PROSE,
    config: DeduplicationConfig | None = None,
) -> Iterator[dict[str, Any]]:
    """One row for each row, in order: `id, verdict, duplicate_of, cluster`; the first copy stays.

    Args:
        rows: with `id` (any JSON value, need not be unique) and `text`; read once.
        work_dir: an existing empty local folder for scratch files: the texts compressed, some 200 bytes a row.
        kind: how texts are compared.
        config: threshold and whether near duplicates are looked for; its components are not asked.
    """
    config = replace(
        config or DeduplicationConfig(),
        preference=(_COMPONENT,),
        code_components=() if kind is PROSE else (_COMPONENT,),
    )
    shard = _spooled(rows, work_dir, kind)
    for found in resolve([shard], work_dir=work_dir, config=config):
        for batch in found.batches:
            for row in batch.to_pylist():
                original = row["duplicate_of"]
                yield {
                    "id": json.loads(row["doc_id"]),
                    "verdict": row["verdict"],
                    "duplicate_of": None if original is None else json.loads(original),
                    "cluster": row["cluster"],
                }


def _spooled(rows: Iterable[Mapping[str, Any]], folder: Path, kind: TextKind) -> Shard:
    """The rows as a shard: fingerprints and texts in two files."""
    texts_path, path = folder / "texts.parquet", folder / "fingerprints.arrow"
    schema = pa.schema([("text", pa.large_string())])
    with (
        pq.ParquetWriter(texts_path, schema, compression="zstd", compression_level=1, use_dictionary=False) as texts,
        pa.ipc.new_file(path, FINGERPRINT) as fingerprints,
    ):
        for batch in _row_batches(rows):
            texts.write_table(pa.table([batch.column("text")], schema=schema))
            for found in fingerprint_documents([batch], kind):
                fingerprints.write_batch(found)

    def stored(columns: list[str]) -> Iterator[pa.RecordBatch]:
        with pa.OSFile(str(path)) as source:
            reader = pa.ipc.open_file(source)
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number).select(columns)

    return Shard(
        component=_COMPONENT,
        partition="",
        version="",
        fingerprints=lambda columns: stored(list(columns)),
        texts=lambda wanted: texts_of_file(texts_path, wanted),
    )


def _row_batches(rows: Iterable[Mapping[str, Any]]) -> Iterator[pa.RecordBatch]:
    """Batches of `doc_id` (the id as JSON, so that 7 and "7" come back as they were) and `text`."""
    ids: list[str] = []
    texts: list[str] = []
    size = 0
    for row in rows:
        ids.append(json.dumps(row["id"]))
        texts.append(row["text"])
        size += len(row["text"])
        if len(ids) >= ROW_BATCH or size >= ROW_BATCH_CHARS:
            yield _row_batch(ids, texts)
            ids, texts, size = [], [], 0
    if ids:
        yield _row_batch(ids, texts)


def _row_batch(ids: list[str], texts: list[str]) -> pa.RecordBatch:
    return pa.record_batch([pa.array(ids), pa.array(texts, pa.large_string())], names=["doc_id", "text"])
