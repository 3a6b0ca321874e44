"""Rows written as the commands give them: .jsonl, .jsonl.gz, .jsonl.zst and .parquet, by the ending."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from mathcode_assets.storage.filesystem import locate, put_file, staged_file

ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")
PARQUET_CHUNK_ROWS = 1000


class UnknownFormat(ValueError):
    """A file name whose ending says no format."""


@contextmanager
def row_writer(uri: str) -> Iterator[Callable[[Iterable[Mapping[str, Any]]], None]]:
    """A function that appends rows to the file; the file appears, whole, when the block ends well.

    Parquet takes its schema from the first thousand rows.

    Raises:
        UnknownFormat: an ending that is none of `ENDINGS`.
    """
    target = locate(uri)
    if not target.name.endswith(ENDINGS):
        raise UnknownFormat(f"{uri}: unknown format, expected one of {', '.join(ENDINGS)}")
    with staged_file(target.parent()) as staged:
        writing = _parquet_appender if target.name.endswith(".parquet") else _json_appender
        with writing(staged.as_posix(), target.name) as append:
            yield append
        put_file(staged, target)


@contextmanager
def _json_appender(path: str, name: str) -> Iterator[Callable[[Iterable[Mapping[str, Any]]], None]]:
    with ExitStack() as stack:
        stream: Any = stack.enter_context(open(path, "wb"))  # noqa: PTH123
        if name.endswith(".gz"):
            stream = stack.enter_context(gzip.GzipFile(fileobj=stream, mode="wb", mtime=0, filename=""))
        elif name.endswith(".zst"):
            stream = stack.enter_context(zstandard.ZstdCompressor(level=3).stream_writer(stream))

        def append(rows: Iterable[Mapping[str, Any]]) -> None:
            for row in rows:
                stream.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")

        yield append


@contextmanager
def _parquet_appender(path: str, name: str) -> Iterator[Callable[[Iterable[Mapping[str, Any]]], None]]:
    pending: list[Mapping[str, Any]] = []
    writer: pq.ParquetWriter | None = None

    def flush() -> None:
        nonlocal writer
        if not pending and writer is not None:
            return
        table = pa.Table.from_pylist(list(pending), schema=writer.schema if writer else None)
        if writer is None:
            writer = pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)
        pending.clear()

    def append(rows: Iterable[Mapping[str, Any]]) -> None:
        for row in rows:
            pending.append(row)
            if len(pending) >= PARQUET_CHUNK_ROWS:
                flush()

    try:
        yield append
        flush()
    finally:
        if writer is not None:
            writer.close()
