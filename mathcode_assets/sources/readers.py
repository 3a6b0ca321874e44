"""Readers: a listed file in its original format to batches of documents, benchmark items or labels.

The format is told by the file's first bytes and ending, the fields by the names of its columns:

| source | columns | text | own id | address | licence |
|---|---|---|---|---|---|
| OpenWebMath | url, text, date, metadata | text | - | url | in metadata |
| Matrix (CC-En, books) | id, text | text | id | - | - |
| StarCoder python, jupyter scripts | max_stars_repo_name, max_stars_repo_path, id, content |
  content | id | github.com/NAME/PATH | - |
| StarCoder jupyter structured | repo_name, path, license, id, content |
  content | id | github.com/NAME/PATH | license |
| Maths-College, Education-College-Students | idx, model, text; prompt, text | text | idx | - | - |

Every format may come as JSON lines (plain, gzip or zstd), as one JSON array (`.json`) or as parquet.
Each record is read, or quarantined with a reason:

    invalid_utf8  invalid_json  not_an_object  invalid_csv  record_too_large
    missing_field  null_field  wrong_type  empty_text  lone_surrogate

A file of no bytes has no records and is no error. A file that breaks off gives every record before
the break, then raises `UnreadableSource`: whoever reads it fails that partition and publishes nothing.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from mathcode_assets.records import BENCHMARK_ITEM, LABEL
from mathcode_assets.sources.benchmarks import BENCHMARK_FIELDS, QUESTION_NAMES, benchmark_row
from mathcode_assets.sources.documents import DocumentBatches, document_row, encodable
from mathcode_assets.sources.errors import UnreadableSource
from mathcode_assets.sources.fields import FieldError, optional_text, text_field
from mathcode_assets.sources.formats import raw_records
from mathcode_assets.sources.listing import SourceFile
from mathcode_assets.sources.quarantine import Quarantine, ReadReport
from mathcode_assets.sources.raw_records import INVALID_JSON, RawRecords, ReadLimits, Record, Rejected

# The first of these that a record has is its text.
TEXT_NAMES: tuple[str, ...] = ("text", "content")
ID_NAMES: tuple[str, ...] = ("id", "idx")
URL_NAMES: tuple[str, ...] = ("url", "source_url")
REPOSITORY_NAMES: tuple[tuple[str, str], ...] = (
    ("max_stars_repo_name", "max_stars_repo_path"),
    ("repo_name", "path"),
)
LICENCE_NAMES: tuple[str, ...] = ("license", "licence", "max_stars_repo_licenses", "licenses")
METADATA_NAME = "metadata"

LABEL_ID_NAMES: tuple[str, ...] = ("source_id", "id")
LABEL_NAMES: tuple[str, ...] = ("label",)
SPLIT_NAMES: tuple[str, ...] = ("split",)
DEFAULT_SPLIT = "train"

DEFAULT_LIMITS = ReadLimits()


def read_documents(
    file: SourceFile,
    *,
    source: str,
    quarantine: Quarantine,
    report: ReadReport,
    licence: str | None = None,
    limits: ReadLimits = DEFAULT_LIMITS,
) -> Iterator[pa.RecordBatch]:
    """Batches of `records.DOCUMENT`, in the order of the file.

    Args:
        file: as listed.
        source: key in the sources file.
        quarantine: takes the bad records.
        report: counts; may be shared by the files of a partition.
        licence: of records that name none.
        limits: what a record may cost.

    Raises:
        UnreadableSource: the file cannot be read, or not further than a record; the batches before
            hold every good record before that.
    """

    def row_of(record: Record) -> tuple[dict[str, Any], int]:
        return _document(record, source=source, file=file, licence=licence, limits=limits)

    records = raw_records(file, limits, needed=[TEXT_NAMES])
    yield from _batches(records, row_of, DocumentBatches(), file, quarantine, report)


def read_benchmark_items(
    file: SourceFile,
    *,
    benchmark: str,
    quarantine: Quarantine,
    report: ReadReport,
    limits: ReadLimits = DEFAULT_LIMITS,
) -> Iterator[pa.RecordBatch]:
    """Batches of `records.BENCHMARK_ITEM`, in the order of the file.

    `benchmark` is its name, by custom the partition key of the file.

    Raises:
        UnreadableSource: as `read_documents`.
    """

    def row_of(record: Record) -> tuple[dict[str, Any], int]:
        row = benchmark_row(record, benchmark)
        return row, sum(len(row[name]) for name in ("question", "answer", "solution", "options"))

    records = raw_records(file, limits, needed=[QUESTION_NAMES], only=BENCHMARK_FIELDS)
    yield from _batches(records, row_of, DocumentBatches(BENCHMARK_ITEM), file, quarantine, report)


def read_labels(
    file: SourceFile, *, quarantine: Quarantine, report: ReadReport, limits: ReadLimits = DEFAULT_LIMITS
) -> Iterator[pa.RecordBatch]:
    """Batches of `records.LABEL`, in the order of the file; a record without a split is of `train`.

    Raises:
        UnreadableSource: as `read_documents`.
    """

    def row_of(record: Record) -> tuple[dict[str, Any], int]:
        row = {
            "source_id": encodable(_own_id(record.fields, LABEL_ID_NAMES)[1] or ""),
            "label": text_field(record.fields, LABEL_NAMES, limits.max_record_bytes)[1],
            "split": optional_text(record.fields, SPLIT_NAMES) or DEFAULT_SPLIT,
        }
        if not row["source_id"]:
            raise FieldError("missing_field", f"no {' or '.join(LABEL_ID_NAMES)}")
        return row, 100

    only = (*LABEL_ID_NAMES, *LABEL_NAMES, *SPLIT_NAMES)
    records = raw_records(file, limits, needed=[LABEL_NAMES], present=[LABEL_ID_NAMES], only=only)
    yield from _batches(records, row_of, DocumentBatches(LABEL), file, quarantine, report)


def _batches(
    records: RawRecords,
    row_of: Callable[[Record], tuple[dict[str, Any], int]],
    batches: DocumentBatches,
    file: SourceFile,
    quarantine: Quarantine,
    report: ReadReport,
) -> Iterator[pa.RecordBatch]:
    report.files.setdefault(file.relative_path, 0)

    def reject(row: int, reason: str, detail: str, payload: bytes) -> None:
        report.n_quarantined[reason] += 1
        quarantine.add(source_file=file.relative_path, source_row=row, reason=reason, detail=detail, payload=payload)

    try:
        for record in records:
            report.n_records += 1
            report.files[file.relative_path] += 1
            if isinstance(record, Rejected):
                reject(record.row, record.reason, record.detail, record.raw)
                continue
            try:
                row, n_chars = row_of(record)
            except FieldError as error:
                reject(record.row, error.reason, error.detail, record.payload())
                continue
            except RecursionError:  # it could be parsed, but not be written again some frames deeper
                reject(record.row, INVALID_JSON, "nested too deeply", record.payload())
                continue
            report.n_read += 1
            report.n_chars += n_chars
            yield from batches.add(row, n_chars)
    except UnreadableSource:
        yield from batches.rest()
        raise
    yield from batches.rest()


def _document(
    record: Record, *, source: str, file: SourceFile, licence: str | None, limits: ReadLimits
) -> tuple[dict[str, Any], int]:
    fields = record.fields
    text_name, text = text_field(fields, TEXT_NAMES, limits.max_record_bytes)
    id_name, own_id = _own_id(fields, ID_NAMES)
    rest = {name: value for name, value in fields.items() if name not in (text_name, id_name)}
    nested = _nested(rest.get(METADATA_NAME))
    if nested is not None:
        rest[METADATA_NAME] = nested
    url = optional_text(rest, URL_NAMES)
    if url is not None:
        rest = {name: value for name, value in rest.items() if name not in URL_NAMES or value != url}
    row = document_row(
        source=source,
        file=file,
        source_row=record.row,
        text=text,
        source_id=own_id,
        source_uri=url or _repository_path(rest),
        licence=_licence(rest) or licence,
        metadata=rest,
    )
    return row, len(text) + len(row["source_metadata"])


def _own_id(fields: Mapping[str, Any], names: Sequence[str]) -> tuple[str | None, str | None]:
    """Name and value of a record's id; a number is written in digits, what is no id at all is passed over."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return name, str(value)
        text = optional_text(fields, (name,))
        if text is not None:
            return name, text
    return None, None


def _repository_path(fields: Mapping[str, Any]) -> str | None:
    for repository, path in REPOSITORY_NAMES:
        name, file = optional_text(fields, (repository,)), optional_text(fields, (path,))
        if name and file:
            return f"github.com/{name}/{file.lstrip('/')}"
    return None


def _nested(value: Any) -> dict[str, Any] | None:
    """OpenWebMath's metadata column: a string that holds a JSON object."""
    if isinstance(value, str) and value.startswith("{"):
        with contextlib.suppress(ValueError, RecursionError):
            found = json.loads(value)
            return found if isinstance(found, dict) else None
    return None


def _licence(fields: Mapping[str, Any]) -> str | None:
    """The licence a record names, in its own fields or in its metadata."""
    metadata = fields.get(METADATA_NAME)
    places = [fields]
    if isinstance(metadata, Mapping):
        provenance = metadata.get("provenance")
        places += [metadata, *([provenance] if isinstance(provenance, Mapping) else [])]
    for place in places:
        for name in LICENCE_NAMES:
            value = place.get(name)
            if isinstance(value, list | tuple):
                value = ", ".join(item for item in value if isinstance(item, str))
            if isinstance(value, str) and value.strip():
                return value.strip()
    return None
