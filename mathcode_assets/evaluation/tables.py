"""Results side by side: rows of `records.SCORE` and `records.SCORE_ITEM`, and tables in the shape of the paper's.

The ablation's is in `ablation_scores`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from mathcode_assets.evaluation import paper
from mathcode_assets.evaluation.benchmarks import BENCHMARKS, PAPER_TABLE, paper_column_of, title_of
from mathcode_assets.evaluation.intervals import Z_95
from mathcode_assets.evaluation.scoring import JudgedItem
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
            "perplexity": score["perplexity"],
            "bits_per_byte": score["bits_per_byte"],
            "bits_per_byte_error": score["bits_per_byte_error"],
        }
        for score in result["scores"]
    ]


def score_batch(results: Iterable[Row]) -> pa.RecordBatch:
    """Every result's scores as one batch of `records.SCORE`, in order."""
    return batch_of([row for result in results for row in score_rows(result)], SCORE)


def item_batches(items_file: Path) -> Iterator[pa.RecordBatch]:
    """The rows of an items.jsonl as batches of `records.SCORE_ITEM`."""
    rows = (asdict(item) for item in read_items(items_file))
    while batch := list(islice(rows, ITEMS_PER_BATCH)):
        yield batch_of(batch, SCORE_ITEM)


def read_items(items_file: Path) -> Iterator[JudgedItem]:
    """The items of an items.jsonl, in order."""
    with items_file.open(encoding="utf-8", newline="\n") as lines:
        yield from items_of_lines(lines)


def items_of_lines(lines: Iterable[str]) -> Iterator[JudgedItem]:
    """The items of the lines of an items.jsonl, in order."""
    for line in lines:
        if line.strip():
            yield JudgedItem(**json.loads(line))


def score_table(rows: Sequence[Row]) -> str:
    """One model, a line for each benchmark: score, interval, items, the paper's number, and without what leaked."""
    lines = [
        markdown_row(["benchmark", "score", "95 % interval", "n", "paper", "without contaminated items"]),
        markdown_rule(5),
    ]
    lines += [markdown_row(cells) for cells in score_cells(rows)]
    return "\n".join(lines) + "\n" + _notes(rows)


def score_cells(rows: Sequence[Row]) -> list[list[str]]:
    """The cells of `score_table`, a list for each benchmark."""
    ordered = sorted(rows, key=lambda row: columns_of(rows).index(row["benchmark"]))
    return [[title_of(row["benchmark"]), *_cells(row), _paper_percent(row), _clean(row)] for row in ordered]


def paper_table(rows: Sequence[Row]) -> str:
    """Models by benchmarks in the shape of the paper's Table 2, percent with 95 % intervals, the paper's rows below.

    Args:
        rows: of `records.SCORE`; one row for a model and a benchmark (the last one counts).
    """
    by_model: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_model.setdefault(row["model"], {})[row["benchmark"]] = row
    columns = columns_of(rows)
    lines = [markdown_row(["model", *(title_of(column) for column in columns)]), markdown_rule(len(columns))]
    lines += [
        markdown_row([model, *(_measured(found.get(column)) for column in columns)])
        for model, found in by_model.items()
    ]
    for model in dict.fromkeys(row["paper_model"] for row in rows):
        known = [paper.score(model, paper_column_of(column)) for column in columns]
        lines.append(
            markdown_row([f"{model} (paper)", *(NOTHING if value is None else f"{value:.1f}" for value in known)])
        )
    return "\n".join(lines) + "\n" + _notes(rows)


def columns_of(rows: Sequence[Row]) -> list[str]:
    """The benchmarks of some rows: the paper's table first, in its order, then as in BENCHMARKS."""
    present = {row["benchmark"] for row in rows}
    order = [*PAPER_TABLE, *(name for name in BENCHMARKS if name not in PAPER_TABLE)]
    own = sorted(present - set(order))  # before held-out text, which is the last of BENCHMARKS
    order[-1:] = [*own, order[-1]]
    return [name for name in order if name in present]


def _cells(row: Row) -> tuple[str, str, str]:
    """Score, interval and n of a line."""
    if row["perplexity"] is not None:
        error = row["bits_per_byte_error"]
        spread = NOTHING if error is None else f"{row['bits_per_byte']:.4f} ± {Z_95 * error:.4f} bits per byte"
        return f"perplexity {row['perplexity']:.2f}", spread, f"{row['n']} documents"
    if row["score"] is None:
        return NOTHING, NOTHING, str(row["n"])
    return f"{100 * row['score']:.1f}", f"{100 * row['low']:.1f} to {100 * row['high']:.1f}", str(row["n"])


def _paper_percent(row: Row) -> str:
    return NOTHING if row["paper_score"] is None else f"{row['paper_score']:.1f} ({row['paper_model']})"


def _clean(row: Row) -> str:
    """The score on the items that are not in the training data, where there are such."""
    if row["score"] is None or not row["n_contaminated"]:
        return NOTHING
    rest = f"{row['n'] - row['n_contaminated']} items"
    return rest if row["score_clean"] is None else f"{100 * row['score_clean']:.1f} on {rest}"


def _measured(row: Row | None) -> str:
    if row is not None and row.get("perplexity") is not None:
        return f"perplexity {row['perplexity']:.2f}, {row['bits_per_byte']:.4f} bits per byte"
    if row is None or row["score"] is None:
        return NOTHING
    shown = f"{100 * row['score']:.1f} [{100 * row['low']:.1f}, {100 * row['high']:.1f}] of {row['n']}"
    if row["n_contaminated"]:
        clean = NOTHING if row["score_clean"] is None else f"{100 * row['score_clean']:.1f}"
        shown += f"; {clean} without {row['n_contaminated']} contaminated"
    return shown


def _notes(rows: Sequence[Row]) -> str:
    cut = sum(row["n_prompts_cut"] or 0 for row in rows)
    notes = [f"Percent of items right, with 95 % intervals (Wilson). Paper: {paper.SOURCE}."]
    if cut:
        notes.append(f"{cut} prompts were longer than the model's context: it did not see their first exemplars.")
    return "\n" + " ".join(notes) + "\n"


def markdown_row(cells: Sequence[str]) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def markdown_rule(n_columns: int) -> str:
    """The line below the heads of one column and n_columns others."""
    return "|---|" + "---|" * n_columns
