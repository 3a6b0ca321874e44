"""The files of a partition read one after another, or side by side by an engine: the same rows in the same order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import pyarrow as pa

from mathcode_assets.engine.mapping import Engine
from mathcode_assets.sources.listing import SourceFile, check_unchanged
from mathcode_assets.sources.quarantine import Quarantine, ReadReport
from mathcode_assets.sources.readers import read_documents
from mathcode_assets.storage.filesystem import Location
from mathcode_assets.storage.mapped import take_stream, write_stream

# Reads one file: batches of documents; the bad records go to the quarantine, the counts to the report.
ReadFile = Callable[[SourceFile, Quarantine, ReadReport], Iterable[pa.RecordBatch]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentReading:
    """`readers.read_documents` for the files of a source."""

    source: str
    licence: str | None

    def __call__(self, file: SourceFile, quarantine: Quarantine, report: ReadReport) -> Iterator[pa.RecordBatch]:
        """The documents of one file."""
        yield from read_documents(file, source=self.source, quarantine=quarantine, report=report, licence=self.licence)


def read_files(
    files: Sequence[SourceFile],
    read: ReadFile,
    *,
    quarantine: Quarantine,
    report: ReadReport,
    engine: Engine,
    work: Callable[[], AbstractContextManager[Location]],
) -> Iterator[pa.RecordBatch]:
    """The documents of files in their order, each checked to be still what was listed.

    Args:
        files: of one partition.
        read: importable by name, or an object that travels.
        quarantine: takes the bad records, in the order of the files.
        report: counts over all files.
        engine: who reads.
        work: gives an empty folder that the engine's workers see.

    Raises:
        UnreadableSource: a file cannot be read, or has changed.
    """
    if engine.n_workers < 2 or len(files) < 2:
        for file in files:
            yield from read(file, quarantine, report)
            check_unchanged(file)  # else the manifest would name a fingerprint that was not read
        return
    with work() as folder:
        tasks = (_Task(file=file, read=read, source=quarantine.source, folder=folder) for file in files)
        for found in engine.map(_read, tasks, describe=lambda task: task.file.address):
            yield from take_stream(found.documents)
            report.add(found.report)
            quarantine.take(take_stream(found.quarantined))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    file: SourceFile
    read: ReadFile
    source: str
    folder: Location


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    documents: Location | None
    quarantined: Location | None
    report: ReadReport


def _read(task: _Task) -> _Found:
    quarantine, report = Quarantine(source=task.source), ReadReport()
    documents = write_stream(task.folder, task.read(task.file, quarantine, report))
    check_unchanged(task.file)
    return _Found(documents=documents, quarantined=write_stream(task.folder, quarantine.batches()), report=report)
