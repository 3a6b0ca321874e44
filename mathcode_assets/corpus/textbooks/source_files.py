"""PDFs as documents, in the shape in which the files of any source are read."""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import pyarrow as pa

from mathcode_assets.corpus.textbooks.extraction import OK, ExtractionConfig, PdfReader
from mathcode_assets.records import DOCUMENT, batch_of
from mathcode_assets.sources.documents import document_row
from mathcode_assets.sources.listing import SourceFile
from mathcode_assets.sources.opening import local_path
from mathcode_assets.sources.quarantine import Quarantine, ReadReport


@dataclass(frozen=True, slots=True, kw_only=True)
class PdfReading:
    """One PDF, one document; or one record of the quarantine. `licence`: of files, which state none."""

    source: str
    config: ExtractionConfig
    licence: str | None

    def __call__(self, file: SourceFile, quarantine: Quarantine, report: ReadReport) -> Iterator[pa.RecordBatch]:
        """The document of one file, if there is one."""
        report.files[file.relative_path] = 1
        report.n_records += 1
        with local_path(file) as path:
            pdf = _reader(self.config).extract(path)
        if pdf.status != OK:
            report.n_quarantined[pdf.status] += 1
            quarantine.add(
                source_file=file.relative_path, source_row=0, reason=pdf.status, detail=pdf.detail, payload=b""
            )
            return
        report.n_read += 1
        report.n_chars += len(pdf.text)
        row = document_row(
            source=self.source,
            file=file,
            source_row=0,
            text=pdf.text,
            source_id=file.relative_path,
            source_uri=file.address,
            licence=self.licence,
            metadata={"detail": pdf.detail, "n_pages": pdf.n_pages},
        )
        yield batch_of([row], DOCUMENT)


@cache
def _reader(config: ExtractionConfig) -> PdfReader:
    """The reader of this process, whose own process is kept warm."""
    reader = PdfReader(config)
    atexit.register(reader.close)
    return reader
