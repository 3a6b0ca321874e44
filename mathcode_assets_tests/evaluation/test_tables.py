"""Intervals, scores and tables against values that can be checked by hand."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mathcode_assets.evaluation import paper
from mathcode_assets.evaluation.ablation_scores import DifferentItems, ablation_rows, ablation_table
from mathcode_assets.evaluation.benchmarks import BENCHMARKS, PAPER_TABLE
from mathcode_assets.evaluation.held_out import DocumentLoss, HeldOutLoss
from mathcode_assets.evaluation.intervals import mean_and_deviation, wilson
from mathcode_assets.evaluation.scoring import JudgedItem, marked, rescored, score_benchmark, score_held_out
from mathcode_assets.evaluation.tables import columns_of, item_batches, paper_table, score_batch, score_table
from mathcode_assets.records import ABLATION_SCORE, REFUTED, SCORE, UNVERIFIABLE, VERIFIED, batch_of


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


def row(benchmark: str, score: float | None, **more) -> dict:
    values = {
        "model": "tiny",
        "benchmark": benchmark,
        "composition": "",
        "score": score,
        "low": (score or 0.0) / 2,
        "high": min(1.0, (score or 0.5) * 2),
        "n": 100,
        "n_shots": 4,
        "seed": 0,
        "perplexity": None,
        "bits_per_byte": None,
        "bits_per_byte_error": None,
        "paper_score": None,
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
    found = ablation_rows(rows)
    assert batch_of(found, ABLATION_SCORE).num_rows == 2
    assert [row["difference"] for row in found] == pytest.approx([0.0, 0.08])
    assert (found[0]["deviation"], found[1]["deviation"]) == (pytest.approx(0.02), None)
    assert [row["paper_score"] for row in found] == [None, 17.8]
    assert ablation_table(found).splitlines()[:6] == [
        "| data | runs | MATH |",
        "|---|---|---|",
        "| basic | 3 | 12.0 ± 2.0 |",
        "| basic+paired | 1 | 20.0 (+8.0) |",
        "| basic+separated (paper) | 1 | 17.0 |",
        "| basic+paired (paper) | 1 | 17.8 |",
    ]


def test_held_out_text_is_compared_in_bits_per_byte() -> None:
    rows = [
        row("perplexity", None, composition=composition, seed=seed, perplexity=8.0, bits_per_byte=bits, n=20)
        for composition, seed, bits in (("basic", 1, 1.25), ("basic", 2, 1.75), ("minus code", 1, 2.0))
    ]
    found = ablation_rows(rows)
    assert {row["measure"] for row in found} == {"perplexity", "bits_per_byte"}
    lines = ablation_table(found).splitlines()
    assert lines[2:4] == ["| basic | 2 | 1.5000 ± 0.3536 |", "| minus code | 1 | 2.0000 (+0.5000) |"]
    assert "less is better" in lines[-1]


def test_runs_asked_other_items_are_not_compared() -> None:
    rows = [row("math", 0.1, composition="basic", n=100), row("math", 0.1, composition="basic+paired", n=99)]
    with pytest.raises(DifferentItems, match="math: 100 items with 4 exemplars in basic seed 0, 99 with 4"):
        ablation_rows(rows)


def test_the_table_of_one_model() -> None:
    loss = HeldOutLoss(sha256="", window=8, documents=(DocumentLoss(n_tokens=4, n_bytes=8, nats=8.0),) * 2)
    held_out = row("perplexity", None, n=2, perplexity=loss.perplexity, bits_per_byte=loss.bits_per_byte)
    held_out["bits_per_byte_error"] = loss.bits_per_byte_error
    rows = [held_out, row("gsm8k", 0.25, n_contaminated=4, score_clean=0.2, paper_score=69.9), row("our_exam", 0.5)]
    lines = score_table(rows).splitlines()
    assert lines[2:5] == [
        "| GSM8K | 25.0 | 12.5 to 50.0 | 100 | 69.9 (MathCoder2-Llama-3-8B) | 20.0 on 96 items |",
        "| our_exam | 50.0 | 25.0 to 100.0 | 100 | – | – |",
        "| held-out text | perplexity 7.39 | 1.4427 ± 0.0000 bits per byte | 2 documents | – | – |",
    ]


def test_scores_are_counted_again_for_other_marks() -> None:
    from dataclasses import asdict

    unmarked = marked(ITEMS, set())
    before = asdict(score_benchmark("gsm8k", unmarked, paper_model="Llama-3-8B", n_prompts_cut=1))
    loss = HeldOutLoss(sha256="", window=8, documents=(DocumentLoss(n_tokens=4, n_bytes=8, nats=8.0),))
    held_out = asdict(score_held_out(loss, paper_model="Llama-3-8B"))
    again = marked(unmarked, {("gsm8k", 0), ("gsm8k", 1), ("math", 2)})
    [found, kept] = rescored([before, held_out], again, paper_model="Llama-3-8B")
    assert found == asdict(score_benchmark("gsm8k", ITEMS, paper_model="Llama-3-8B", n_prompts_cut=1))
    assert kept == held_out


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
