"""Commands on plain files: one stage each, by the columns of the fixed contract."""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from mathcode_assets.cli.console import UsageError, err, out, progress
from mathcode_assets.sources.errors import BrokenStream, UnreadableSource
from mathcode_assets.sources.formats import raw_records
from mathcode_assets.sources.listing import SourceFile, list_inputs
from mathcode_assets.sources.partitions import partition_key
from mathcode_assets.sources.raw_records import ReadLimits, Record, Rejected
from mathcode_assets.storage.rows import row_writer

BATCH_ROWS = 256
BATCH_CHARS = 8 << 20
BAD_RECORDS_SHOWN = 5

Row = dict[str, Any]


def add_commands(commands: Any) -> None:
    """Add the subcommands of this module."""
    _add(commands, "filter-code", filter_code, "keep code that imports mathematics packages")
    _add(commands, "textbooks", textbooks, "PDFs to text: kept, duplicate, damaged, encrypted, no_text, not_math")
    classifier = commands.add_parser("classifier", help="train or apply a fastText classifier")
    actions = classifier.add_subparsers(dest="action", metavar="train|score", required=True)
    train = _add(actions, "train", classifier_train, "rows text, label -> a model and its report")
    train.add_argument("--positive", default="", help="label whose probability is the score (default: math, ...)")
    train.add_argument("--held-out", type=float, default=0.1, metavar="SHARE", help="measured on, not trained on")
    train.add_argument("--features", action="store_true", help="formula features beside fastText (two labels)")
    train.add_argument("--seed", type=int, default=0)
    score = _add(actions, "score", classifier_score, "rows id, text -> id, score, label")
    score.add_argument("--model", required=True, metavar="MODEL")
    dedup = _add(commands, "dedup", deduplicate, "rows id, text -> id, verdict, duplicate_of, cluster")
    dedup.add_argument(
        "--threshold", type=float, default=0.8, metavar="T", help="Jaccard of near duplicates' word 5-grams, in (0, 1]"
    )
    dedup.add_argument("--exact", action="store_true", help="exact duplicates alone")
    scan = _add(commands, "decontaminate", decontaminate, "rows id, text -> clean, near or contaminated, with evidence")
    scan.add_argument("--benchmarks", required=True, metavar="DIR")
    overlap = commands.add_parser("ngram-overlap", help="n = 3..13 overlap of components with benchmarks (Appendix F)")
    overlap.add_argument("--input", required=True, metavar="X")
    overlap.add_argument("--benchmarks", required=True, metavar="DIR")
    overlap.add_argument("--output", metavar="Y", help="also write the rows")
    overlap.set_defaults(run=ngram_overlap)


def _add(commands: Any, name: str, run: Any, summary: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=summary)
    parser.add_argument("--input", required=True, metavar="X", help="file, folder or glob, local or s3://")
    parser.add_argument("--output", required=True, metavar="Y")
    parser.set_defaults(run=run)
    return parser


class Input:
    """The rows of an input that have the fields a command needs; the others are counted as quarantined.

    Args:
        uri: file, folder or glob, local or on an object store; told apart by ending and first bytes.
        needed: fields and their types.

    Raises:
        SourceListingError: nothing is there, or of a format that is not read.
    """

    def __init__(self, uri: str, needed: Mapping[str, type | tuple[type, ...]]) -> None:
        self.files = list_inputs(uri)
        self._needed = needed
        self.n_rows = 0
        self.n_bad = 0

    def __iter__(self) -> Iterator[Row]:
        for file in self.files:
            for record in progress(self._records(file), file.relative_path):
                problem = record.detail if isinstance(record, Rejected) else self._problem(record.fields)
                if problem:
                    self._bad(file, record.row, problem)
                    continue
                self.n_rows += 1
                yield dict(record.fields)

    def status(self) -> int:
        """Exit status: 1 where records were quarantined; says so on stderr."""
        if self.n_bad:
            err.print(f"{self.n_bad} records quarantined, {self.n_rows} read", markup=False)
        return 1 if self.n_bad else 0

    def _records(self, file: SourceFile) -> Iterator[Record | Rejected]:
        try:
            yield from raw_records(file, ReadLimits(), needed=(), present=[[name] for name in self._needed])
        except BrokenStream as error:
            raise UnreadableSource(file.address, str(error)) from error

    def _problem(self, fields: Mapping[str, Any]) -> str:
        for name, kinds in self._needed.items():
            value = fields.get(name)
            if name not in fields:
                return f"no field {name!r}"
            if not isinstance(value, kinds):
                return f"field {name!r} is {type(value).__name__}"
            if isinstance(value, str) and not value.isascii():
                try:
                    value.encode()
                except UnicodeEncodeError:
                    return f"field {name!r} holds a lone surrogate"
        return ""

    def _bad(self, file: SourceFile, number: int, reason: str) -> None:
        self.n_bad += 1
        if self.n_bad <= BAD_RECORDS_SHOWN:
            err.print(f"quarantined {file.address} record {number}: {reason}", markup=False)


ID = (str, int, float)
TEXT: Mapping[str, Any] = {"id": ID, "text": str}


def chunks(rows: Iterable[Row], text: str = "text") -> Iterator[list[Row]]:
    """Rows in lists of at most BATCH_ROWS rows and some BATCH_CHARS characters of text."""
    chunk: list[Row] = []
    n_chars = 0
    for row in rows:
        chunk.append(row)
        n_chars += len(row[text])
        if len(chunk) >= BATCH_ROWS or n_chars >= BATCH_CHARS:
            yield chunk
            chunk, n_chars = [], 0
    if chunk:
        yield chunk


def filter_code(arguments: argparse.Namespace) -> int:
    """Rows whose `content` imports a mathematics package, with `packages` added."""
    from mathcode_assets.corpus.code_with_math_packages.tagging import filter_code_rows

    rows = Input(arguments.input, {"content": str})
    n_kept = 0
    with row_writer(arguments.output) as append:
        for chunk in chunks(rows, "content"):
            # Only what the filter looks at goes through Arrow: other columns may change type from row to row.
            columns = {"content": [row["content"] for row in chunk], "row": list(range(len(chunk)))}
            if any("lang" in row for row in chunk):
                columns["lang"] = [row.get("lang") if isinstance(row.get("lang"), str) else None for row in chunk]
            for kept in filter_code_rows([pa.RecordBatch.from_pydict(columns)]):
                found = kept.select(["row", "packages"]).to_pylist()
                append({**chunk[entry["row"]], "packages": entry["packages"]} for entry in found)
                n_kept += len(found)
    out.print(f"{n_kept} of {rows.n_rows} kept")
    return rows.status()


def textbooks(arguments: argparse.Namespace) -> int:
    """What becomes of each PDF of a folder."""
    from mathcode_assets.corpus.textbooks.reading import pdf_files, screen_folder

    folder = Path(arguments.input)
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    files = pdf_files(folder)
    if not files:
        raise UsageError(f"{folder}: holds no PDF")
    counts: dict[str, int] = {}
    with row_writer(arguments.output) as append:
        for row in progress(screen_folder(files), "PDFs"):
            counts[row["status"]] = counts.get(row["status"], 0) + 1
            append([row])
    out.print(", ".join(f"{status} {n}" for status, n in sorted(counts.items())))
    return 0


def classifier_train(arguments: argparse.Namespace) -> int:
    """Train on rows text, label, and print the report of the held-out share."""
    from mathcode_assets.filtering.training import ClassifierConfig, train

    rows = Input(arguments.input, {"text": str, "label": (str, int, bool)})
    config = ClassifierConfig(
        positive=arguments.positive,
        held_out_share=arguments.held_out,
        formula_features=arguments.features,
        seed=arguments.seed,
    )
    target = Path(arguments.output)
    try:
        report = train(((row["text"], str(row["label"])) for row in rows), config, target)
    except ValueError as error:
        shutil.rmtree(target, ignore_errors=True)
        raise UsageError(f"{arguments.input}: {error}") from error
    for label, metrics in report.held_out.classes.items():
        shown = {name: getattr(metrics, name) for name in ("precision", "recall", "f1")}
        values = ", ".join(f"{name} {'-' if value is None else f'{value:.3f}'}" for name, value in shown.items())
        out.print(f"{label}: {values} ({metrics.support} held out)", markup=False)
    out.print(f"model {target}, report {target / 'report.json'}", markup=False)
    return rows.status()


def classifier_score(arguments: argparse.Namespace) -> int:
    """Score rows id, text."""
    from mathcode_assets.filtering.classifier import load

    try:
        classifier = load(Path(arguments.model))
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{arguments.model}: no classifier of ours ({error})") from error
    rows = Input(arguments.input, TEXT)
    with row_writer(arguments.output) as append:
        for chunk in chunks(rows):
            predictions = classifier.predict([row["text"] for row in chunk])
            append(
                {"id": row["id"], "score": float(score), "label": label}
                for row, score, label in zip(chunk, predictions.scores, predictions.labels, strict=True)
            )
    return rows.status()


def deduplicate(arguments: argparse.Namespace) -> int:
    """Exact and near duplicates among rows id, text; the first copy stays."""
    from mathcode_assets.deduplication.config import DeduplicationConfig
    from mathcode_assets.deduplication.rows import deduplicate_rows

    try:
        config = DeduplicationConfig(near=not arguments.exact, threshold=arguments.threshold)
    except ValueError as error:
        raise UsageError(str(error)) from error
    rows = Input(arguments.input, TEXT)
    counts: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as scratch, row_writer(arguments.output) as append:
        for row in deduplicate_rows(rows, work_dir=Path(scratch), config=config):
            counts[row["verdict"]] = counts.get(row["verdict"], 0) + 1
            append([row])
    out.print(", ".join(f"{verdict} {n}" for verdict, n in sorted(counts.items())))
    return rows.status()


def benchmark_index(uri: str) -> Any:
    """The index of every benchmark file of a folder.

    Raises:
        UsageError: a file cannot be read, or there is none.
    """
    from mathcode_assets.decontamination.index import build_index
    from mathcode_assets.sources.quarantine import Quarantine, ReadReport
    from mathcode_assets.sources.readers import read_benchmark_items

    files = list_inputs(uri)
    quarantine, report = Quarantine(source="benchmarks"), ReadReport()
    index = build_index(
        batch
        for file in files
        for batch in read_benchmark_items(
            file, benchmark=partition_key(file.relative_path), quarantine=quarantine, report=report
        )
    )
    if len(quarantine):
        err.print(f"benchmarks: {report.summary()}", markup=False)
    return index


def decontaminate(arguments: argparse.Namespace) -> int:
    """Scan rows id, text against a folder of benchmarks."""
    from mathcode_assets.decontamination.scan import scan_documents

    index = benchmark_index(arguments.benchmarks)
    rows = Input(arguments.input, TEXT)
    counts: dict[str, int] = {}
    with row_writer(arguments.output) as append:
        for chunk in chunks(rows):
            for batch in scan_documents([text_batch(chunk)], index):
                found = batch.to_pylist()
                for entry in found:
                    counts[entry["verdict"]] = counts.get(entry["verdict"], 0) + 1
                append(
                    {"id": row["id"]} | {name: value for name, value in entry.items() if name != "doc_id"}
                    for row, entry in zip(chunk, found, strict=True)
                )
    out.print(", ".join(f"{verdict} {n}" for verdict, n in sorted(counts.items())))
    return rows.status()


def ngram_overlap(arguments: argparse.Namespace) -> int:
    """Print the overlap table: a line a component, benchmark and n; a component is a file or row field."""
    from mathcode_assets.decontamination.ngram_overlap import ngram_overlap as overlap

    index = benchmark_index(arguments.benchmarks)
    statuses: list[Input] = []

    def stream(uri: str) -> Iterator[pa.RecordBatch]:
        rows = Input(uri, {"text": str})
        statuses.append(rows)
        for chunk in chunks(rows):
            yield text_batch(chunk)

    files = list_inputs(arguments.input)
    components = {partition_key(file.relative_path): stream(file.uri) for file in files}
    table = overlap(components, index).to_pylist()
    if arguments.output:
        with row_writer(arguments.output) as append:
            append(table)
    print_overlap(table)
    return max((rows.status() for rows in statuses), default=0)


def print_overlap(table: Sequence[Row]) -> None:
    """The overlap rows as they are, tab-separated: to read, or for a spreadsheet."""
    names = list(table[0]) if table else []
    print("\t".join(names))
    for row in table:
        values = (f"{value:.6f}" if isinstance(value, float) else str(value) for value in row.values())
        print("\t".join(values))


def text_batch(chunk: Sequence[Row]) -> pa.RecordBatch:
    """doc_id and text of some rows; the id as JSON, which keeps 7 and "7" apart."""
    ids = [json.dumps(row.get("id")) for row in chunk]
    texts = pa.array([row["text"] for row in chunk], pa.large_string())
    return pa.RecordBatch.from_arrays([pa.array(ids, pa.string()), texts], names=["doc_id", "text"])
