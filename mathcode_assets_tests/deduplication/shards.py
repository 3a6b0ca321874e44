"""Shards made of a few documents, and their verdicts as rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mathcode_assets.deduplication.config import DeduplicationConfig
from mathcode_assets.deduplication.fingerprints import fingerprint_documents
from mathcode_assets.deduplication.resolution import resolve
from mathcode_assets.deduplication.texts import Shard
from mathcode_assets.records import DUPLICATE_ATTRIBUTES, check_batch

Documents = Sequence[tuple[str, str]]  # doc_id and text
CONFIG = DeduplicationConfig(preference=("books", "web", "code"), code_components=("code",))


def documents(rows: Documents, *, batch_rows: int = 2) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(rows), batch_rows):
        ids, texts = zip(*rows[start : start + batch_rows], strict=True)
        yield pa.record_batch([pa.array(ids), pa.array(texts, pa.large_string())], names=["doc_id", "text"])


def shard(
    component: str, partition: str, rows: Documents, *, config: DeduplicationConfig = CONFIG, batch_rows: int = 2
) -> Shard:
    """A shard whose texts may be asked for, and whose version follows its rows."""

    def fingerprints(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for batch in fingerprint_documents(documents(rows, batch_rows=batch_rows), config.kind_of(component)):
            yield batch.select(list(columns))

    def texts(wanted: np.ndarray) -> Iterator[pa.Array]:
        yield from (pa.array([rows[row][1]], pa.large_string()) for row in wanted.tolist())

    version = hashlib.sha256(repr(rows).encode()).hexdigest()
    return Shard(component=component, partition=partition, version=version, fingerprints=fingerprints, texts=texts)


def shards_of(
    partitions: Mapping[tuple[str, str], Documents], *, config: DeduplicationConfig = CONFIG, batch_rows: int = 2
) -> list[Shard]:
    return [shard(*key, rows, config=config, batch_rows=batch_rows) for key, rows in partitions.items()]


def verdicts(
    partitions: Mapping[tuple[str, str], Documents],
    work_dir: Path,
    *,
    config: DeduplicationConfig = CONFIG,
    batch_rows: int = 2,
    previous: Path | None = None,
    index: Path | None = None,
) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """DUPLICATE_ATTRIBUTES rows of each shard, in the order they come back."""
    found = {}
    given = shards_of(partitions, config=config, batch_rows=batch_rows)
    for one in resolve(given, work_dir=work_dir, config=config, previous=previous, index=index):
        rows = []
        for batch in one.batches:
            check_batch(batch, DUPLICATE_ATTRIBUTES)
            rows += batch.to_pylist()
        found[one.component, one.partition] = rows
    return found


def named(found: Mapping[Any, Sequence[Mapping[str, Any]]]) -> dict[str, tuple[str, str | None]]:
    """doc_id -> (verdict, duplicate_of)."""
    return {row["doc_id"]: (row["verdict"], row["duplicate_of"]) for rows in found.values() for row in rows}


def words(start: int, count: int) -> str:
    """`count` different words, numbered from `start`."""
    return " ".join(f"word{number}" for number in range(start, start + count))


def shingles(text: str) -> set[tuple[str, ...]]:
    """The sets of word 5-grams as one would write it down."""
    found = text.split()
    return {tuple(found[place : place + 5]) for place in range(max(1, len(found) - 4))} if found else set()


def jaccard(one: str, other: str) -> float:
    left, right = shingles(one), shingles(other)
    return len(left & right) / len(left | right)
