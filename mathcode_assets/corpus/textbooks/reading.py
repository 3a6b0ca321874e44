"""PDF files as documents: ``read_pdfs`` for the graph, ``screen_folder`` for a folder by itself."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from mathcode_assets.corpus.textbooks.editions import EditionConfig, find_editions
from mathcode_assets.corpus.textbooks.extraction import OK, ExtractionConfig, PdfReader, PdfText
from mathcode_assets.corpus.textbooks.screening import NOT_MATH, ScreeningConfig, math_share
from mathcode_assets.corpus.textbooks.sketches import sketch_documents
from mathcode_assets.records import DOCUMENT, KEPT, UNKNOWN_LICENCE, batch_of
from mathcode_assets.storage.leftovers import process_folder

SOURCE = "textbooks"
DUPLICATE = "duplicate"

# Path of the file, and its name relative to the source's root, with forward slashes.
PdfFile = tuple[Path, str]
MakeRow = Callable[[PdfFile, PdfText], Mapping[str, Any]]
# source_file, source_row, reason, detail
Quarantine = Callable[[str, int, str, str], None]

_BATCH_CHARS = 4_000_000
_BATCH_ROWS = 100

_SCREENED = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("file", pa.string()),
        pa.field("status", pa.string()),
        pa.field("detail", pa.large_string()),
        pa.field("text", pa.large_string()),
        pa.field("n_pages", pa.int32()),
        pa.field("math_share", pa.float32()),
    ]
)


def pdf_files(folder: Path) -> list[PdfFile]:
    """Every ``*.pdf`` below a folder (any case of the ending), ordered by relative name."""
    found = [path for path in folder.rglob("*") if path.suffix.lower() == ".pdf" and path.is_file()]
    return sorted(((path, path.relative_to(folder).as_posix()) for path in found), key=lambda file: file[1])


def document_row(file: PdfFile, pdf: PdfText) -> dict[str, Any]:
    """One `records.DOCUMENT` row of a PDF: revision is the file's SHA-256, licence unknown."""
    path, name = file
    return {
        "doc_id": _doc_id(SOURCE, name, pdf.text),
        "source": SOURCE,
        "source_id": name,
        "source_uri": name,
        "source_file": name,
        "source_row": 0,
        "source_revision": _sha256(path),
        "licence": UNKNOWN_LICENCE,
        "text": pdf.text,
        "source_metadata": json.dumps({"detail": pdf.detail, "n_pages": pdf.n_pages}, sort_keys=True),
    }


def read_pdfs(
    files: Iterable[PdfFile],
    *,
    quarantine: Quarantine,
    make_row: MakeRow = document_row,
    config: ExtractionConfig | None = None,
) -> Iterator[pa.RecordBatch]:
    """Documents (`records.DOCUMENT`), one a readable PDF, in the order of the files.

    Each file that gives none goes to ``quarantine``, reason ``damaged``, ``encrypted`` or ``no_text``.
    ``make_row`` must put ``n_pages`` into ``source_metadata``, from which the better edition is told.
    """
    rows: list[Mapping[str, Any]] = []
    n_chars = 0
    with PdfReader(config) as reader:
        for file in files:
            pdf = reader.extract(file[0])
            if pdf.status != OK:
                quarantine(file[1], 0, pdf.status, pdf.detail)
                continue
            rows.append(make_row(file, pdf))
            n_chars += len(pdf.text)
            if n_chars >= _BATCH_CHARS or len(rows) >= _BATCH_ROWS:
                yield batch_of(rows, DOCUMENT)
                rows, n_chars = [], 0
    if rows:
        yield batch_of(rows, DOCUMENT)


def screen_folder(
    files: Iterable[PdfFile],
    *,
    extraction: ExtractionConfig | None = None,
    screening: ScreeningConfig | None = None,
    editions: EditionConfig | None = None,
) -> Iterator[dict[str, Any]]:
    """What becomes of each PDF, in the order of the files; the rows of ``mathcode textbooks``.

    Keys: ``id``, ``file``, ``status`` (kept, duplicate, damaged, encrypted, no_text, not_math),
    ``duplicate_of`` (the id of the copy kept, None unless a duplicate), ``text`` (empty where nothing
    could be read), ``n_pages``, ``detail`` (in words, may be empty), ``math_share`` (None where
    there is no text).
    Texts wait in a temporary file for the copies of all of them to be known, so memory holds one book
    and 16 KiB for each.
    """
    screening = screening or ScreeningConfig()
    with tempfile.TemporaryDirectory(prefix="textbooks-", dir=process_folder()) as folder:
        spool = Path(folder) / "screened.arrow"
        sketches: list[pa.RecordBatch] = []
        with (
            pa.OSFile(str(spool), "wb") as sink,
            pa.ipc.new_stream(sink, _SCREENED) as writer,
            PdfReader(extraction) as reader,
        ):
            for file in files:
                row, sketch = _screened(file, reader.extract(file[0]), screening)
                writer.write_batch(pa.RecordBatch.from_pylist([row], schema=_SCREENED))
                sketches.extend(sketch)
        found = find_editions(sketches, editions)
        duplicate_of = dict(
            zip(found.column("doc_id").to_pylist(), found.column("duplicate_of").to_pylist(), strict=True)
        )
        with pa.OSFile(str(spool), "rb") as source, pa.ipc.open_stream(source) as batches:
            for batch in batches:
                yield from (_judged(row, duplicate_of) for row in batch.to_pylist())


def _screened(file: PdfFile, pdf: PdfText, config: ScreeningConfig) -> tuple[dict[str, Any], list[pa.RecordBatch]]:
    """The row of one PDF as far as it can be told alone, and its sketch if it may be kept."""
    row: dict[str, Any] = {
        "id": _doc_id(SOURCE, file[1], pdf.text),
        "file": file[1],
        "status": pdf.status,
        "detail": pdf.detail,
        "text": pdf.text,
        "n_pages": pdf.n_pages,
        "math_share": None,
    }
    if pdf.status != OK:
        return row, []
    share = math_share(pdf.text, config)
    row["math_share"] = share
    if share < config.min_window_share:
        row["status"] = NOT_MATH
        return row, []
    row["status"] = KEPT
    return row, list(sketch_documents([batch_of([document_row(file, pdf)], DOCUMENT)]))


def _judged(row: dict[str, Any], duplicate_of: Mapping[str, str]) -> dict[str, Any]:
    keeper = duplicate_of.get(row["id"]) if row["status"] == KEPT else None
    return {**row, "status": DUPLICATE if keeper else row["status"], "duplicate_of": keeper}


def _doc_id(source: str, source_id: str, text: str) -> str:
    """32 hex digits of SHA-256 over the three, each behind its length (8 bytes, big-endian)."""
    digest = hashlib.sha256()
    for part in (source, source_id, text):
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "big"))
        digest.update(encoded)
    return digest.hexdigest()[:32]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
