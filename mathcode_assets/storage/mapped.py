"""The rows of a table mapped over an engine: the same batches as in one process, whatever the engine.

A table is cut where its files and row groups end, which its bytes decide and no setting. Workers write what they
find to a work folder as Arrow streams; the process that asks reads them back in order and hands them to the one
writer, so what is published has the bytes it would have had.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.memory import MemoryFileSystem

from mathcode_assets.engine.mapping import Engine
from mathcode_assets.storage.filesystem import Location
from mathcode_assets.storage.lake import Lake, Table
from mathcode_assets.storage.leftovers import process_folder
from mathcode_assets.storage.shards import read_batches

COPY_PREFIX = "copies-"
# Copies of artifacts that this process fetched.
_fetched: dict[tuple[str, str], Path] = {}

BatchMap = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowGroup:
    """A row group of one file of a table. `first_row` counts within the file."""

    file: Location
    group: int
    first_row: int
    n_rows: int

    def __str__(self) -> str:
        return f"{self.file.uri}, rows {self.first_row}..{self.first_row + self.n_rows - 1}"

    def batches(self, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        """Its rows, in the batches in which `Table.batches` gives them."""
        with _opened(self.file) as source:
            yield from read_batches(source, columns=columns, groups=[self.group])


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A published folder (a model, an index) that workers open, wherever they are.

    folder: a copy on the machine that asks; a worker that does not see it fetches its own.
    """

    lake: Lake
    table: Table
    version: str
    folder: Path

    def open(self) -> Path:
        """A local copy of this version.

        Raises:
            RuntimeError: another version has been published since.
        """
        if self.folder.is_dir():
            return self.folder
        key = (self.table.location.uri, self.version)
        if key not in _fetched:
            folder = Path(tempfile.mkdtemp(prefix=COPY_PREFIX, dir=process_folder()))
            self.lake.fetch_folder(self.table, folder)
            if self.table.manifest().data_version != self.version:
                raise RuntimeError(f"{key[0]} was published again while its version {self.version[:12]} was in use")
            _fetched[key] = folder
        return _fetched[key]


@dataclass(frozen=True, slots=True, kw_only=True)
class WithLoaded:
    """A function of batches and a loaded thing, as one of batches that loads it once a process."""

    function: Callable[[Iterable[pa.RecordBatch], Any], Iterator[pa.RecordBatch]]
    load: Callable[[Path], Any]
    artifact: Artifact

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The function's batches."""
        return self.function(batches, loaded(self.load, self.artifact.open()))


@lru_cache(maxsize=8)
def loaded(load: Callable[[Path], Any], folder: Path) -> Any:
    """What is in a folder, loaded once a process."""
    return load(folder)


def row_groups_of(table: Table) -> list[RowGroup]:
    """The row groups of a table that hold rows, in order.

    Raises:
        NotPublished: nothing is published there.
    """
    found = []
    for file in table.files():
        with _opened(file) as source, pq.ParquetFile(source, pre_buffer=False) as parquet:
            first = 0
            for group in range(parquet.num_row_groups):
                n_rows = parquet.metadata.row_group(group).num_rows
                if n_rows:
                    found.append(RowGroup(file=file, group=group, first_row=first, n_rows=n_rows))
                first += n_rows
    return found


def map_rows(
    table: Table, function: BatchMap, *, columns: Sequence[str] | None, engine: Engine, work: Callable[[], Any]
) -> Iterator[pa.RecordBatch]:
    """What a function of batches makes of a table's rows, in order.

    Args:
        table: published.
        function: importable by name; what it makes of a batch must depend on that batch alone.
        columns: that it is given.
        engine: who does the work.
        work: a context manager that gives an empty `Location` which the engine's workers see.

    Raises:
        NotPublished: nothing is published there.
        Exception: what the function raised, with the rows it was working on in a note.
    """
    # Files in this process's memory are nowhere else.
    is_elsewhere = not isinstance(table.location.filesystem, MemoryFileSystem)
    groups = row_groups_of(table) if engine.n_workers > 1 and is_elsewhere else []
    if len(groups) < 2:
        yield from function(table.batches(columns=columns))
        return
    with work() as folder:
        tasks = (_Task(rows=rows, function=function, columns=columns, folder=folder) for rows in groups)
        for stream in engine.map(_run, tasks, describe=lambda task: str(task.rows)):
            yield from take_stream(stream)


def write_stream(folder: Location, batches: Iterable[pa.RecordBatch]) -> Location | None:
    """Write batches of one schema to a new file of a work folder; None where there are none.

    Each try of a piece of work writes a file of its own, so one that died or came late disturbs no other.
    """
    rest = iter(batches)
    first = next(rest, None)
    if first is None:
        return None
    target = folder / f"{uuid.uuid4().hex}.arrow"
    with (
        target.filesystem.open(target.path, "wb") as stream,
        pa.ipc.new_stream(stream, first.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer,
    ):
        writer.write_batch(first)
        for batch in rest:
            writer.write_batch(batch)
    return target


def take_stream(stream: Location | None) -> Iterator[pa.RecordBatch]:
    """The batches of a file that `write_stream` wrote; the file is removed when they are read."""
    if stream is None:
        return
    with stream.open() as source, pa.ipc.open_stream(source) as reader:
        yield from reader
    stream.filesystem.rm_file(stream.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    rows: RowGroup
    function: BatchMap
    columns: Sequence[str] | None
    folder: Location


def _run(task: _Task) -> Location | None:
    last = [task.rows.first_row, task.rows.first_row]

    def followed() -> Iterator[pa.RecordBatch]:
        for batch in task.rows.batches(task.columns):
            last[:] = [last[1], last[1] + batch.num_rows]
            yield batch

    try:
        return write_stream(task.folder, task.function(followed()))
    except Exception as error:
        error.add_note(f"at rows {last[0]}..{last[1] - 1} of {task.rows.file.uri}")
        raise


@contextmanager
def _opened(file: Location) -> Iterator[Any]:
    if file.is_local:
        yield file.path
        return
    with file.open() as stream:
        yield stream
