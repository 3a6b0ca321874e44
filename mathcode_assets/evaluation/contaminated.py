"""Benchmark items found in the training data: out of the contamination tables, and as a file for the worker."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mathcode_assets.evaluation.scoring import ItemKey
from mathcode_assets.evaluation.spec import SpecError
from mathcode_assets.records import CONTAMINATED, NEAR, iter_column


def contaminated_items(
    batches: Iterable[pa.RecordBatch],
    *,
    verdicts: Collection[str] = (CONTAMINATED,),
    doc_ids: Collection[str] | None = None,
) -> set[ItemKey]:
    """Items that documents match, as (benchmark, question_index).

    Args:
        batches: of `records.CONTAMINATION_ATTRIBUTES`.
        verdicts: of a match that counts; add `near` to count look-alikes as well.
        doc_ids: only these documents count, e.g. those of the pile that was trained on; None: all. A document
            the pipeline dropped says nothing against the checkpoint.
    """
    found: set[ItemKey] = set()
    for batch in batches:
        rows = zip(iter_column([batch], "doc_id"), iter_column([batch], "matches"), strict=True)
        for doc_id, matches in rows:
            if doc_ids is None or doc_id in doc_ids:
                found.update(
                    (match["benchmark"], match["question_index"]) for match in matches if match["verdict"] in verdicts
                )
    return found


def matched_documents(
    batches: Iterable[pa.RecordBatch], *, verdicts: Collection[str] = (CONTAMINATED, NEAR)
) -> dict[str, set[ItemKey]]:
    """The documents that match an item, with all items of each; few of many, so they are held in memory.

    Args:
        batches: with the columns `doc_id` and `matches` of `records.CONTAMINATION_ATTRIBUTES`.
        verdicts: of a match that counts.
    """
    found: dict[str, set[ItemKey]] = {}
    for batch in batches:
        for row in batch.filter(pc.greater(pc.list_value_length(batch.column("matches")), 0)).to_pylist():
            items = {(m["benchmark"], m["question_index"]) for m in row["matches"] if m["verdict"] in verdicts}
            if items:
                found.setdefault(row["doc_id"], set()).update(items)
    return found


def write_contaminated(path: Path, items: Collection[ItemKey]) -> None:
    """The file `EvaluationSpec.contaminated` names: JSON lines, sorted."""
    rows = [{"benchmark": benchmark, "question_index": index} for benchmark, index in sorted(items)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def read_contaminated(path: Path) -> frozenset[ItemKey]:
    """Items of a file of JSON lines {benchmark, question_index}.

    Raises:
        SpecError: it cannot be read; names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise SpecError(f"contaminated: {path}: {error.strerror}") from error
    found: set[ItemKey] = set()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            found.add((str(row["benchmark"]), int(row["question_index"])))
        except (ValueError, KeyError, TypeError) as error:
            raise SpecError(f"contaminated: {path.name}:{number}: wants benchmark and question_index") from error
    return frozenset(found)
