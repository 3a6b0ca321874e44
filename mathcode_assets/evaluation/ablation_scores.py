"""Runs of an ablation side by side: rows of `records.ABLATION_SCORE`, and a table like the paper's Table 4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mathcode_assets.evaluation import paper
from mathcode_assets.evaluation.ablation import BASIC
from mathcode_assets.evaluation.benchmarks import PERPLEXITY, paper_column_of, title_of
from mathcode_assets.evaluation.intervals import mean_and_deviation
from mathcode_assets.evaluation.tables import NOTHING, columns_of, markdown_row, markdown_rule

Row = Mapping[str, Any]
SHARE_RIGHT = "share_right"
BITS_PER_BYTE = "bits_per_byte"
# Measure of ABLATION_SCORE -> column of SCORE.
MEASURES: Mapping[str, str] = {SHARE_RIGHT: "score", PERPLEXITY: "perplexity", BITS_PER_BYTE: "bits_per_byte"}
PER_HUNDRED = 100


class DifferentItems(ValueError):
    """Runs were asked different items: their scores cannot be set side by side."""


def ablation_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows of `records.ABLATION_SCORE`: each composition, benchmark and measure over its runs.

    Args:
        rows: of `records.SCORE`, each with a composition, in the order the compositions shall have.

    Raises:
        DifferentItems: a benchmark was asked with another number of items, or of exemplars, in one run than in another.
    """
    _check_items(rows)
    values: dict[tuple[str, str, str], list[float]] = {}
    counts: dict[str, int] = {}
    compositions = list(dict.fromkeys(row["composition"] for row in rows))
    for row in rows:
        counts[row["benchmark"]] = row["n"]
        for measure, column in MEASURES.items():
            if row[column] is not None:
                values.setdefault((row["composition"], row["benchmark"], measure), []).append(row[column])
    found = []
    for composition in compositions:
        for benchmark in columns_of(rows):
            for measure in MEASURES:
                runs = values.get((composition, benchmark, measure))
                if runs:
                    basic = values.get((BASIC, benchmark, measure))
                    found.append(_row(composition, benchmark, measure, counts[benchmark], runs, basic))
    return found


def ablation_table(rows: Sequence[Row]) -> str:
    """Compositions by benchmarks: mean ± standard deviation over seeds, in brackets the difference to basic.

    Args:
        rows: of `ablation_rows`. Shares are shown in percent, held-out text in bits per byte (less is better).
    """
    columns = columns_of(rows)
    shown = {
        (row["composition"], row["benchmark"]): row for row in rows if row["measure"] in (SHARE_RIGHT, BITS_PER_BYTE)
    }
    n_runs: dict[str, int] = {}
    for row in rows:
        n_runs[row["composition"]] = max(row["n_runs"], n_runs.get(row["composition"], 0))
    lines = [markdown_row(["data", "runs", *(title_of(column) for column in columns)]), markdown_rule(len(columns) + 1)]
    for composition, n in n_runs.items():
        lines.append(markdown_row([composition, str(n), *(_cell(shown.get((composition, c))) for c in columns)]))
    for composition, known in paper.ABLATION.items():
        values = [known.get(paper_column_of(column)) for column in columns]
        cells = [NOTHING if value is None else f"{value:.1f}" for value in values]
        if any(value is not None for value in values):
            lines.append(markdown_row([f"{composition} (paper)", "1", *cells]))
    note = "Percent right over the seeds, mean ± standard deviation, in brackets the difference to basic."
    if PERPLEXITY in columns:
        note += f" {title_of(PERPLEXITY).capitalize()}: bits per byte, less is better."
    return "\n".join(lines) + f"\n\n{note}\n"


def _check_items(rows: Sequence[Row]) -> None:
    asked: dict[str, tuple[str, Any]] = {}
    for row in rows:
        name, items = f"{row['composition']} seed {row['seed']}", (row["n"], row["n_shots"])
        first, known = asked.setdefault(row["benchmark"], (name, items))
        if items != known:
            raise DifferentItems(
                f"{row['benchmark']}: {known[0]} items with {known[1]} exemplars in {first}, "
                f"{items[0]} with {items[1]} in {name}"
            )


def _row(
    composition: str, benchmark: str, measure: str, n: int, runs: Sequence[float], basic: Sequence[float] | None
) -> dict[str, Any]:
    mean, deviation = mean_and_deviation(runs)
    in_paper = paper.ABLATION.get(composition, {}) if measure == SHARE_RIGHT else {}
    return {
        "composition": composition,
        "benchmark": benchmark,
        "measure": measure,
        "n_runs": len(runs),
        "n": n,
        "mean": mean,
        "deviation": deviation,
        "difference": mean - mean_and_deviation(basic)[0] if basic else None,
        "paper_score": in_paper.get(paper_column_of(benchmark)),
    }


def _cell(row: Row | None) -> str:
    if row is None:
        return NOTHING
    scale, places = (PER_HUNDRED, 1) if row["measure"] == SHARE_RIGHT else (1, 4)
    text = f"{scale * row['mean']:.{places}f}"
    if row["deviation"] is not None:
        text += f" ± {scale * row['deviation']:.{places}f}"
    if row["difference"] is not None and row["composition"] != BASIC:
        text += f" ({scale * row['difference']:+.{places}f})"
    return text
