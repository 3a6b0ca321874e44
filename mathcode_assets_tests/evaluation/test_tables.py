"""Intervals, scores and tables against values that can be checked by hand."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mathcode_assets.evaluation import paper
from mathcode_assets.evaluation.benchmarks import BENCHMARKS, PAPER_TABLE
from mathcode_assets.evaluation.intervals import mean_and_deviation, wilson
from mathcode_assets.evaluation.scoring import JudgedItem, score_benchmark
from mathcode_assets.evaluation.tables import ablation_table, columns_of, item_batches, paper_table, score_batch
from mathcode_assets.records import REFUTED, SCORE, UNVERIFIABLE, VERIFIED


@pytest.mark.parametrize(
    ("n_right", "n", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17:857, Table I, method 3 (Wilson's score without correction).
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_known_values(n_right: int, n: int, low: float, high: float) -> None:
    assert wilson(n_right, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_of_nothing_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="3 right of 2"):
        wilson(3, 2)


@given(st.integers(0, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_and_mirrors(pair: tuple[int, int]) -> None:
    n_right, n = pair
    low, high = wilson(n_right, n)
    assert 0 <= low <= (n_right / n if n else 0.5) <= high <= 1
    assert wilson(n - n_right, n) == pytest.approx((1 - high, 1 - low))


def test_mean_and_deviation() -> None:
    assert mean_and_deviation([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]) == pytest.approx((5.0, 2.13809), abs=1e-5)
    assert mean_and_deviation([3.0]) == (3.0, None)


def judged(index: int, verdict: str, *, is_contaminated: bool = False, answer: str = "1") -> JudgedItem:
    return JudgedItem(
        benchmark="gsm8k",
        question_index=index,
        completion="The answer is 1.",
        answer=answer,
        gold="1",
        found_by="stated",
        verdict=verdict,
        method="exact_integer",
        evidence="",
        is_contaminated=is_contaminated,
    )


ITEMS = [
    judged(0, VERIFIED, is_contaminated=True),
    judged(1, VERIFIED, is_contaminated=True),
    judged(2, VERIFIED),
    judged(3, REFUTED),
    judged(4, UNVERIFIABLE),
    judged(5, UNVERIFIABLE, answer=""),
]


def test_contaminated_items_are_counted_apart() -> None:
    score = score_benchmark("gsm8k", ITEMS, paper_model="Llama-3-8B")
    assert (score.all.n_right, score.all.n) == (3, 6)
    assert (score.clean.n_right, score.clean.n) == (1, 4)
    assert (score.contaminated.n_right, score.contaminated.n) == (2, 2)
    assert (score.n_no_answer, score.n_unverifiable) == (1, 1)
    assert score.paper_score == 54.8


def test_a_benchmark_of_nothing_has_no_score() -> None:
    score = score_benchmark("humaneval", [], paper_model="Llama-3-8B")
    assert (score.all.score, score.all.low, score.all.high, score.paper_score) == (None, 0.0, 1.0, None)


def row(benchmark: str, score: float, **more) -> dict:
    values = {
        "model": "tiny",
        "benchmark": benchmark,
        "composition": "",
        "score": score,
        "low": score / 2,
        "high": min(1.0, score * 2),
        "n": 100,
        "n_contaminated": 0,
        "score_clean": score,
        "n_prompts_cut": 0,
        "paper_model": "MathCoder2-Llama-3-8B",
    }
    return values | more


def test_the_table_has_the_papers_shape() -> None:
    rows = [row("svamp", 0.2), row("gsm8k", 0.25, n_contaminated=4, score_clean=0.2), row("math", 0.1, n_prompts_cut=3)]
    lines = paper_table(rows).splitlines()
    assert lines[0] == "| model | MATH | GSM8K | SVAMP |"
    assert lines[2] == (
        "| tiny | 10.0 [5.0, 20.0] of 100 | 25.0 [12.5, 50.0] of 100; 20.0 without 4 contaminated "
        "| 20.0 [10.0, 40.0] of 100 |"
    )
    assert lines[3] == "| MathCoder2-Llama-3-8B (paper) | 38.4 | 69.9 | – |"
    assert "3 prompts were longer" in lines[-1]


def test_the_ablation_has_mean_and_deviation_over_seeds() -> None:
    rows = [
        row("math", score, composition=composition, seed=seed)
        for composition, scores in (("basic", (0.10, 0.12, 0.14)), ("basic+paired", (0.2,)))
        for seed, score in enumerate(scores)
    ]
    lines = ablation_table(rows).splitlines()
    assert lines[:4] == [
        "| data | runs | MATH |",
        "|---|---|---|",
        "| basic | 3 | 12.0 ± 2.0 |",
        "| basic+paired | 1 | 20.0 |",
    ]
    assert lines[4:] == ["| basic+separated (paper) | 1 | 17.0 |", "| basic+paired (paper) | 1 | 17.8 |"]


def test_columns_come_in_the_papers_order() -> None:
    assert columns_of([row(name, 0.5) for name in reversed(BENCHMARKS)])[:5] == list(PAPER_TABLE)


def test_every_column_of_the_paper_is_asked_by_a_benchmark() -> None:
    asked = {benchmark.paper_column for benchmark in BENCHMARKS.values()}
    assert {column for scores in paper.SCORES.values() for column in scores} <= asked


def test_a_result_becomes_rows_of_the_schema(tmp_path) -> None:
    from dataclasses import asdict

    score = score_benchmark("gsm8k", ITEMS, paper_model="Llama-3-8B", n_prompts_cut=0)
    result = {
        "model": {"name": "tiny", "fingerprint": "ab", "corpus_fingerprint": None},
        "spec": {"seed": 1, "n_shots": 4, "lineage": {"composition": "basic", "seed": 3407}},
        "scores": [asdict(score)],
    }
    batch = score_batch([result])
    assert batch.schema == SCORE
    [found] = batch.to_pylist()
    assert (found["composition"], found["seed"], found["n_contaminated"], found["score_clean"]) == (
        "basic",
        3407,
        2,
        0.25,
    )
    items = tmp_path / "items.jsonl"
    items.write_text("".join(json.dumps(asdict(item)) + "\n" for item in ITEMS))
    [batch] = item_batches(items)
    assert batch.num_rows == len(ITEMS)
