"""Rows of files as the commands take them: .jsonl, .jsonl.gz, .jsonl.zst and .parquet, by the ending.

An input may be a file, a folder or a glob, local or on an object store.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from mathcode_assets.storage.filesystem import Location, locate, put_file, staged_file
from mathcode_assets.storage.shards import read_batches

ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")
PARQUET_CHUNK_ROWS = 1000

Row = dict[str, Any]
OnBadRecord = Callable[[str, int, str], None]


class UnreadableInput(ValueError):
    """An input that is missing, of an unknown format, or broken as a whole."""


def input_files(uri: str, *, endings: tuple[str, ...] = ENDINGS) -> list[Location]:
    """The files behind a file, folder or glob, sorted.

    Raises:
        UnreadableInput: there is none.
    """
    location = locate(uri)
    filesystem, path = location.filesystem, location.path
    if any(c in path for c in "*?[") and not filesystem.exists(path):
        names = [str(name) for name in filesystem.glob(path)]
    elif filesystem.isdir(path):
        names = [name for name in filesystem.find(path) if name.endswith(endings)]
    else:
        names = [path] if filesystem.exists(path) else []
    if not names:
        raise UnreadableInput(f"no input at {uri} (a file, folder or glob of {', '.join(endings)})")
    return [Location(filesystem, name) for name in sorted(names)]


def read_rows(file: Location, *, on_bad: OnBadRecord) -> Iterator[Row]:
    """The records of one file in order; one that cannot be read goes to `on_bad(uri, row, reason)`.

    Raises:
        UnreadableInput: the file cannot be opened, is of an unknown format, or breaks off.
    """
    try:
        if file.name.endswith(".parquet"):
            with file.open() as stream:
                for batch in read_batches(stream):
                    yield from batch.to_pylist()
        else:
            yield from _read_json_lines(file, on_bad)
    except (OSError, EOFError, pa.ArrowException, zstandard.ZstdError) as error:
        raise UnreadableInput(f"{file.uri}: {error}") from error


def _read_json_lines(file: Location, on_bad: OnBadRecord) -> Iterator[Row]:
    with ExitStack() as stack:
        stream = _decompressed(stack.enter_context(file.open()), file, stack)
        # Binary lines end at \n alone; text mode would not split at U+2028 either, but at \r.
        for number, line in enumerate(stream):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                json.dumps(row, ensure_ascii=False).encode()
            except ValueError as error:
                on_bad(file.uri, number, str(error))
                continue
            if isinstance(row, dict):
                yield row
            else:
                on_bad(file.uri, number, f"a {type(row).__name__}, not an object")


def _decompressed(stream: IO[bytes], file: Location, stack: ExitStack) -> IO[bytes]:
    if file.name.endswith(".jsonl.gz"):
        return cast("IO[bytes]", stack.enter_context(gzip.open(stream, "rb")))
    if file.name.endswith(".jsonl.zst"):
        reader = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
        return stack.enter_context(io.BufferedReader(cast(io.RawIOBase, reader), 1 << 20))
    if file.name.endswith(".jsonl"):
        return stream
    raise UnreadableInput(f"{file.uri}: unknown format, expected one of {', '.join(ENDINGS)}")


@contextmanager
def row_writer(uri: str) -> Iterator[Callable[[Iterable[Mapping[str, Any]]], None]]:
    """A function that appends rows to the file; the file appears, whole, when the block ends well.

    Parquet takes its schema from the first thousand rows.

    Raises:
        UnreadableInput: an ending that is none of `ENDINGS`.
    """
    target = locate(uri)
    if not target.name.endswith(ENDINGS):
        raise UnreadableInput(f"{uri}: unknown format, expected one of {', '.join(ENDINGS)}")
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
