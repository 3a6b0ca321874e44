"""Results side by side: rows of `records.SCORE` and `records.SCORE_ITEM`, and tables in the shape of the paper's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from mathcode_assets.evaluation import paper
from mathcode_assets.evaluation.benchmarks import BENCHMARKS, PAPER_TABLE
from mathcode_assets.evaluation.intervals import mean_and_deviation
from mathcode_assets.records import SCORE, SCORE_ITEM, batch_of

Row = Mapping[str, Any]
# Completions may be long: some MB a batch at most.
ITEMS_PER_BATCH = 256
NOTHING = "–"


def score_rows(result: Row) -> list[dict[str, Any]]:
    """The rows of `records.SCORE` of one result.json."""
    model, spec = result["model"], result["spec"]
    lineage = spec.get("lineage") or {}
    return [
        {
            "model": model["name"],
            "model_fingerprint": model["fingerprint"],
            "corpus_fingerprint": model["corpus_fingerprint"],
            "composition": str(lineage.get("composition", "")),
            "seed": int(lineage.get("seed", spec["seed"])),
            "benchmark": score["benchmark"],
            "n_shots": spec["n_shots"],
            "n": score["all"]["n"],
            "n_right": score["all"]["n_right"],
            "score": score["all"]["score"],
            "low": score["all"]["low"],
            "high": score["all"]["high"],
            "n_contaminated": score["contaminated"]["n"],
            "n_right_contaminated": score["contaminated"]["n_right"],
            "score_clean": score["clean"]["score"],
            "low_clean": score["clean"]["low"],
            "high_clean": score["clean"]["high"],
            "n_no_answer": score["n_no_answer"],
            "n_unverifiable": score["n_unverifiable"],
            "n_prompts_cut": score["n_prompts_cut"],
            "paper_model": score["paper_model"],
            "paper_score": score["paper_score"],
        }
        for score in result["scores"]
    ]


def score_batch(results: Iterable[Row]) -> pa.RecordBatch:
    """Every result's scores as one batch of `records.SCORE`, in order."""
    return batch_of([row for result in results for row in score_rows(result)], SCORE)


def item_batches(items_file: Path) -> Iterator[pa.RecordBatch]:
    """The rows of an items.jsonl as batches of `records.SCORE_ITEM`."""
    with items_file.open(encoding="utf-8", newline="\n") as lines:
        rows = (json.loads(line) for line in lines)
        while batch := list(islice(rows, ITEMS_PER_BATCH)):
            yield batch_of(batch, SCORE_ITEM)


def paper_table(rows: Sequence[Row]) -> str:
    """Models by benchmarks in the shape of the paper's Table 2, percent with 95 % intervals, the paper's rows below.

    Args:
        rows: of `records.SCORE`; one row for a model and a benchmark (the last one counts).
    """
    by_model: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_model.setdefault(row["model"], {})[row["benchmark"]] = row
    columns = columns_of(rows)
    lines = [_line(["model", *(BENCHMARKS[column].title for column in columns)]), _rule(len(columns))]
    lines += [
        _line([model, *(_measured(found.get(column)) for column in columns)]) for model, found in by_model.items()
    ]
    for model in dict.fromkeys(row["paper_model"] for row in rows):
        known = [paper.score(model, BENCHMARKS[column].paper_column) for column in columns]
        lines.append(_line([f"{model} (paper)", *(NOTHING if value is None else f"{value:.1f}" for value in known)]))
    return "\n".join(lines) + "\n" + _notes(rows)


def ablation_table(rows: Sequence[Row]) -> str:
    """Compositions by benchmarks in the shape of the paper's Table 4: mean and standard deviation over seeds, percent.

    Args:
        rows: of `records.SCORE` with a composition; in the order the compositions shall have.
    """
    cells: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if row["composition"] and row["score"] is not None:
            scores = cells.setdefault(row["composition"], {}).setdefault(row["benchmark"], [])
            scores.append(100 * row["score"])
    columns = columns_of(rows)
    lines = [_line(["data", "runs", *(BENCHMARKS[column].title for column in columns)]), _rule(len(columns) + 1)]
    for composition, found in cells.items():
        n_runs = max(len(scores) for scores in found.values())
        lines.append(_line([composition, str(n_runs), *(_over_seeds(found.get(column, [])) for column in columns)]))
    for composition, known in paper.ABLATION.items():
        values = [known.get(BENCHMARKS[column].paper_column) for column in columns]
        shown = [NOTHING if value is None else f"{value:.1f}" for value in values]
        lines.append(_line([f"{composition} (paper)", "1", *shown]))
    return "\n".join(lines) + "\n"


def columns_of(rows: Sequence[Row]) -> list[str]:
    """The benchmarks of some rows: the paper's table first, in its order, then as in BENCHMARKS."""
    present = {row["benchmark"] for row in rows}
    order = [*PAPER_TABLE, *(name for name in BENCHMARKS if name not in PAPER_TABLE)]
    return [name for name in order if name in present]


def _measured(row: Row | None) -> str:
    if row is None or row["score"] is None:
        return NOTHING
    shown = f"{100 * row['score']:.1f} [{100 * row['low']:.1f}, {100 * row['high']:.1f}] of {row['n']}"
    if row["n_contaminated"]:
        clean = NOTHING if row["score_clean"] is None else f"{100 * row['score_clean']:.1f}"
        shown += f"; {clean} without {row['n_contaminated']} contaminated"
    return shown


def _over_seeds(scores: Sequence[float]) -> str:
    if not scores:
        return NOTHING
    mean, deviation = mean_and_deviation(scores)
    return f"{mean:.1f}" if deviation is None else f"{mean:.1f} ± {deviation:.1f}"


def _notes(rows: Sequence[Row]) -> str:
    cut = sum(row["n_prompts_cut"] or 0 for row in rows)
    notes = [f"Percent of items right, with 95 % intervals (Wilson). Paper: {paper.SOURCE}."]
    if cut:
        notes.append(f"{cut} prompts were longer than the model's context: it did not see their first exemplars.")
    return "\n" + " ".join(notes) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _rule(n_columns: int) -> str:
    return "|---|" + "---|" * n_columns
