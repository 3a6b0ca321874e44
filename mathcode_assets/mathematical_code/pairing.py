"""Documents of the pile out of verified computations: text and code paired, or apart for the ablation.

Paper, section 2.2: a record is, for each computation, its conditions, expression, result and fenced code, the
computations joined by a blank line; the source text is not in it. The titles are our own.

A paired document keeps where its source document came from (source_id, address, file, row, revision, licence).
Its `source` is ``mathematical_code/<source of that document>``, and its source_metadata names that document and the
computations, so a document of the pile is traced to the text and to every verdict it rests on.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from mathcode_assets.mathematical_code.lockstep import OutOfStep
from mathcode_assets.records import DOCUMENT, VERIFIED
from mathcode_assets.sources.documents import DocumentBatches, canonical_json, doc_id_of

SOURCE_PREFIX = "mathematical_code/"

PAIRED = "paired"
TEXT_ALONE = "text"
CODE_ALONE = "code"

_CARRIED = ("source_id", "source_uri", "source_file", "source_row", "source_revision", "licence")
_DOCUMENT_COLUMNS = ["doc_id", "source", *_CARRIED]
_COMPUTATION_COLUMNS = [
    "doc_id", "computation_id", "conditions", "expression", "result", "language", "code", "verdict",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PairingConfig:
    """Which computations become text of the pile."""

    verdicts: tuple[str, ...] = (VERIFIED,)
    """We deviate: the reference keeps whatever runs and is off by less than 0.01, or prints nothing."""


def paired(
    documents: Iterable[pa.RecordBatch], computations: Iterable[pa.RecordBatch], config: PairingConfig | None = None
) -> Iterator[pa.RecordBatch]:
    """One DOCUMENT for each source document with a computation of one of the verdicts, in order.

    Args:
        documents: the source documents; their text is not read.
        computations: VERIFIED_COMPUTATION, in the order of the documents.
        config: which verdicts.

    Raises:
        OutOfStep: a computation of a document that is not there, or in another order.
    """
    rows = DocumentBatches(DOCUMENT)
    for document, chosen in _chosen(documents, computations, config or PairingConfig()):
        text = "\n\n".join(f"{_words_of(computation)}\n\n{_fenced(computation)}" for computation in chosen)
        yield from rows.add(_row(document, chosen, text, PAIRED), len(text))
    yield from rows.rest()


def separated(
    documents: Iterable[pa.RecordBatch], computations: Iterable[pa.RecordBatch], config: PairingConfig | None = None
) -> Iterator[pa.RecordBatch]:
    """The content of `paired` with text and code in documents of their own, the text before the code.

    The paper's ablation: the same words, without a program next to the computation it works out.
    """
    rows = DocumentBatches(DOCUMENT)
    for document, chosen in _chosen(documents, computations, config or PairingConfig()):
        words = "\n\n".join(_words_of(computation) for computation in chosen)
        code = "\n\n".join(_fenced(computation) for computation in chosen)
        for text, form in ((words, TEXT_ALONE), (code, CODE_ALONE)):
            yield from rows.add(_row(document, chosen, text, form), len(text))
    yield from rows.rest()


def _chosen(
    documents: Iterable[pa.RecordBatch], computations: Iterable[pa.RecordBatch], config: PairingConfig
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Source documents with their computations of the wanted verdicts; those without any left out."""
    facts = (row for batch in documents for row in batch.select(_DOCUMENT_COLUMNS).to_pylist())
    found = (row for batch in computations for row in batch.select(_COMPUTATION_COLUMNS).to_pylist())
    for doc_id, rows in itertools.groupby(found, key=lambda row: row["doc_id"]):
        document = next((row for row in facts if row["doc_id"] == doc_id), None)
        if document is None:
            raise OutOfStep(f"no document {doc_id} after those before it")
        chosen = [row for row in rows if row["verdict"] in config.verdicts]
        if chosen:
            yield document, chosen


def _row(document: dict[str, Any], chosen: list[dict[str, Any]], text: str, form: str) -> dict[str, Any]:
    source = SOURCE_PREFIX + document["source"]
    metadata = {
        "source_doc_id": document["doc_id"],
        "computation_ids": [computation["computation_id"] for computation in chosen],
        "form": form,
    }
    return {name: document[name] for name in _CARRIED} | {
        "doc_id": doc_id_of(source, document["source_id"], text),
        "source": source,
        "text": text,
        "source_metadata": canonical_json(metadata),
    }


def _words_of(computation: dict[str, Any]) -> str:
    """Conditions, expression and result of a computation under their titles."""
    conditions, result = computation["conditions"], computation["result"]
    lines = [f"**Conditions:** {conditions}"] if conditions else []
    lines.append(f"**Expression:** {_as_formula(computation['expression'])}")
    lines.append(f"**Result:** {_as_formula(result) if _is_latex(result) else result}")
    return "\n\n".join(lines)


def _as_formula(latex: str) -> str:
    """LaTeX between delimiters; text that has its own stays as it is."""
    if re.search(r"(?<!\\)\$|\\\(|\\\[", latex):
        return latex
    return f"$$\n{latex}\n$$" if "\n" in latex else f"${latex}$"


def _is_latex(result: str) -> bool:
    return re.search(r"\\|\^|_\{", result) is not None


def _fenced(computation: dict[str, Any]) -> str:
    """The program in a fence that is longer than any run of back-ticks in it."""
    code = computation["code"]
    longest = max((len(run) for run in re.findall(r"`+", code)), default=0)
    mark = "`" * max(3, longest + 1)
    return f"{mark}{computation['language']}\n{code}\n{mark}"
