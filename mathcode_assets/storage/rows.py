"""Rows written as the commands give them: .jsonl, .jsonl.gz, .jsonl.zst and .parquet, by the ending."""

from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from tempfile import TemporaryFile
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

    A Parquet column in which rows differ in kind (numbers and texts as ids) is written as text.

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
    """Rows wait in a spool until the last one has told the type of every column."""
    with TemporaryFile() as spool:
        columns = _Columns()
        pending: list[dict[str, Any]] = []

        def flush() -> None:
            pickle.dump(pending, spool)
            columns.n_chunks += 1
            pending.clear()

        def append(rows: Iterable[Mapping[str, Any]]) -> None:
            for row in rows:
                pending.append(dict(row))
                columns.see(row)
                if len(pending) >= PARQUET_CHUNK_ROWS:
                    flush()

        yield append
        flush()
        spool.seek(0)
        chunks = [partial(pickle.load, spool)] * columns.n_chunks
        schema = pa.unify_schemas(
            [pa.Table.from_pylist(columns.as_written(load())).schema for load in chunks], promote_options="permissive"
        )
        spool.seek(0)
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for load in chunks:
                writer.write_table(pa.Table.from_pylist(columns.as_written(load()), schema=schema))


class _Columns:
    """What kinds of value each column holds: one of several kinds is written as text."""

    def __init__(self) -> None:
        self.n_chunks = 0
        self._kinds: dict[str, set[type]] = {}

    def see(self, row: Mapping[str, Any]) -> None:
        for name, value in row.items():
            kinds = self._kinds.setdefault(name, set())
            if value is not None:
                kinds.add(float if type(value) is int else type(value))

    def as_written(self, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        mixed = [name for name, kinds in self._kinds.items() if len(kinds) > 1]
        # Every column in every row: Arrow looks for names in the first one only.
        return [
            {name: row.get(name) for name in self._kinds}
            | {name: str(row[name]) for name in mixed if row.get(name) is not None}
            for row in rows
        ]
