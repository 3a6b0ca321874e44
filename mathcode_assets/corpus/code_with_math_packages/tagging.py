"""Tag code that imports a mathematics package (MathCoder2 §2.2, code using math packages).

Emits `records.FILTER_ATTRIBUTES`, one row a document: ``verdict`` kept or dropped; ``reason``
``not_python`` (the row's ``lang`` column names another language) or ``no_math_package``; ``labels`` the
packages imported, sorted; ``score`` null, because a rule decides and the paper has no other rule.

The three StarCoder subsets differ in shape only: Python files and notebooks turned into scripts are one
source each; structured notebooks are cells behind markers, known by their first marker.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

import pyarrow as pa
import pyarrow.compute as pc

from mathcode_assets.corpus.code_with_math_packages.imports import candidate_pattern, python_imports
from mathcode_assets.corpus.code_with_math_packages.notebooks import START_MARKER, python_cells
from mathcode_assets.records import DROPPED, FILTER_ATTRIBUTES, KEPT, batch_of

RULE = "math_imports@1"

NO_MATH_PACKAGE = "no_math_package"
NOT_PYTHON = "not_python"


class CodeKind(Enum):
    """How a row's content is laid out."""

    SCRIPT = "script"  # one Python source: a file, or a notebook turned into a script
    NOTEBOOK = "notebook"  # cells behind <jupyter_...> markers


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeFilterConfig:
    """Which imports make a file mathematical code."""

    # MathCoder2 §2.2. NumPy is left out on purpose: most of what imports it is not mathematics.
    packages: tuple[str, ...] = ("cmath", "fractions", "scipy", "statistics", "sympy")


def kind_of(content: str) -> CodeKind:
    """The layout of a content, by its first marker."""
    return CodeKind.NOTEBOOK if content.lstrip("\ufeff \t\r\n").startswith(START_MARKER) else CodeKind.SCRIPT


def packages_of(content: str, kind: CodeKind, config: CodeFilterConfig | None = None) -> list[str]:
    """The packages of the config that this content imports, sorted. Never raises on any text."""
    wanted = frozenset((config or CodeFilterConfig()).packages)
    if kind is CodeKind.SCRIPT:
        return sorted(python_imports(content, wanted))
    found: set[str] = set()
    for cell in python_cells(content):
        if any(name in cell for name in wanted - found):
            found |= python_imports(cell, wanted)
    return sorted(found)


def tag_code(documents: Iterable[pa.RecordBatch], config: CodeFilterConfig | None = None) -> Iterator[pa.RecordBatch]:
    """Attributes (`records.FILTER_ATTRIBUTES`) of documents (`records.DOCUMENT`), same rows, same order."""
    config = config or CodeFilterConfig()
    for batch in documents:
        packages = _packages_of_column(batch.column("text"), config)
        languages = [_language(metadata) for metadata in batch.column("source_metadata").to_pylist()]
        rows = [
            _attributes(doc_id, found, is_python=_is_python(language))
            for doc_id, found, language in zip(batch.column("doc_id").to_pylist(), packages, languages, strict=True)
        ]
        yield batch_of(rows, FILTER_ATTRIBUTES)


def filter_code_rows(
    batches: Iterable[pa.RecordBatch], config: CodeFilterConfig | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows that import a mathematics package, all columns kept, ``packages`` (sorted list) added.

    For rows of any schema that has a string column ``content``. A null content is dropped; a string
    column ``lang``, where there is one, must name Python or be null; a column ``packages`` already there
    is replaced.

    Raises:
        ValueError: there is no column ``content``, or it is not of strings.
    """
    config = config or CodeFilterConfig()
    for batch in batches:
        content = _string_column(batch, "content")
        packages = _packages_of_column(content, config)
        if "lang" in batch.schema.names:
            languages = batch.column("lang").to_pylist()
            packages = [
                found if _is_python(language) else [] for found, language in zip(packages, languages, strict=True)
            ]
        if "packages" in batch.schema.names:
            batch = batch.drop_columns(["packages"])
        batch = batch.append_column(
            pa.field("packages", pa.list_(pa.string())), pa.array(packages, type=pa.list_(pa.string()))
        )
        yield batch.filter(pa.array([bool(found) for found in packages], type=pa.bool_()))


def _attributes(doc_id: str, found: list[str], *, is_python: bool) -> dict[str, object]:
    reason = NOT_PYTHON if not is_python else "" if found else NO_MATH_PACKAGE
    return {
        "doc_id": doc_id,
        "verdict": DROPPED if reason else KEPT,
        "reason": reason,
        "score": None,
        "model": RULE,
        "labels": found,
    }


def _packages_of_column(contents: pa.Array, config: CodeFilterConfig) -> list[list[str]]:
    """The packages of each content; only those that pass the literal prefilter become Python strings."""
    candidates = pc.fill_null(pc.match_substring_regex(contents, candidate_pattern(config.packages)), False)
    packages: list[list[str]] = [[] for _ in range(len(contents))]
    for row in pc.indices_nonzero(candidates).to_pylist():
        content = contents[row].as_py()
        packages[row] = packages_of(content, kind_of(content), config)
    return packages


def _string_column(batch: pa.RecordBatch, name: str) -> pa.Array:
    if name not in batch.schema.names:
        raise ValueError(f"rows have no column {name!r}; columns: {batch.schema.names}")
    column = batch.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_null(column.type):
        return column.cast(pa.string())
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise ValueError(f"column {name!r} is of type {column.type}, not of strings")
    return column


def _language(metadata: str) -> object:
    """The ``lang`` column of the source, which only notebooks turned into scripts have."""
    if '"lang"' not in metadata:
        return None
    columns = json.loads(metadata)
    return columns.get("lang") if isinstance(columns, dict) else None


def _is_python(language: object) -> bool:
    """Whether a ``lang`` value is Python, or nothing at all: two of the subsets have no such column."""
    return language is None or str(language).strip().lower() in {
        "",
        "python",
        "python2",
        "python3",
        "ipython",
    }
