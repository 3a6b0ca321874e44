"""The scores of the checkpoint: asked once, marked by what is in the pile, checked, and shown."""

from __future__ import annotations

import gzip
import importlib.util
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mathcode_assets.config import SourcesFileError
from mathcode_assets.defs.assets.checkpoint import CHECKPOINT_KEY
from mathcode_assets.defs.assets.contamination import contamination_key
from mathcode_assets.defs.assets.mixture import PILE_KEY
from mathcode_assets.defs.assets.scores import (
    EVALUATION_KEY,
    ITEMS_KEY,
    SCORED,
    SCORES_KEY,
    UNVERIFIABLE_SHARE,
    evaluation,
    items,
    items_in_pile,
    score_preview,
    scores,
)
from mathcode_assets.defs.evaluating import EvaluationSettings, questions, result_facts, write_items
from mathcode_assets.evaluation.benchmarks import Benchmark
from mathcode_assets.evaluation.harness import Answered, Asked
from mathcode_assets.evaluation.process import EvaluationFailed
from mathcode_assets.evaluation.spec import EvaluationSpec
from mathcode_assets.evaluation.worker import Answers, evaluate
from mathcode_assets.records import CONTAMINATED, NEAR
from mathcode_assets.sample import sample_dir
from mathcode_assets_tests.defs.evaluated_lake import (
    PARTITION,
    EvaluatedLake,
    contamination,
    pile_documents,
    random_checkpoint,
)

EXAM = [{"question": f"What is {n} + {n}?", "answer": str(2 * n)} for n in range(6)]
LIKE = {"our_exam": "gsm8k"}


@pytest.fixture
def lake(tmp_path: Path) -> EvaluatedLake:
    """Six questions of our own, a checkpoint that nobody loads, and a pile with one look-alike of question 1."""
    made = EvaluatedLake(tmp_path).configure(evaluation={"like": LIKE}).benchmark("our_exam", EXAM)
    made.publish_folder(CHECKPOINT_KEY, {"config.json": b"{}"})
    made.publish(PILE_KEY, pile_documents(["in-1", "in-2"]))
    found = {
        "in-1": [("our_exam", 1, NEAR), ("elsewhere", 0, NEAR)],
        "in-2": [],
        "left-out": [("our_exam", 2, CONTAMINATED)],
    }
    made.publish(contamination_key("open_web_math"), contamination(found), partition=PARTITION)
    return made


def answers(lake: EvaluatedLake, tmp_path: Path, wrong: dict[int, str] | None = None) -> None:
    """Publish scores/evaluation as a model leaves it that knows all, but for some answers."""
    workspace = lake.workspace
    asked = questions(workspace, workspace.settings("evaluation", EvaluationSettings))
    assert asked.spec is not None
    folder = tmp_path / "answers"
    data = str(lake.folder / "benchmarks")
    spec = replace(asked.spec, data=data, output=str(folder), label="mathcode_pile", n_workers=1)

    def model(spec: EvaluationSpec, requests: Sequence[Asked], own: Sequence[Benchmark]) -> Answers:
        found = {
            request.benchmark.name: [
                Answered(
                    question_index=item.question_index,
                    completion=f"The answer is {(wrong or {}).get(item.question_index, item.answer)}.",
                )
                for item in request.items
            ]
            for request in requests
        }
        return Answers(by_benchmark=found, n_cut=dict.fromkeys(found, 0), max_new_tokens=dict.fromkeys(found, 64))

    result = evaluate(spec, model)
    files = {name: (folder / name).read_bytes() for name in ("result.json", "items.jsonl")}
    lake.publish_folder(EVALUATION_KEY, files, **result_facts(result, asked.tasks))


def test_items_that_the_pile_matches_stand_apart(lake: EvaluatedLake, tmp_path: Path) -> None:
    answers(lake, tmp_path, wrong={1: "77", 2: "77"})
    lake.make(scores)
    [row] = lake.rows(SCORES_KEY)
    assert (row["benchmark"], row["n"], row["n_right"]) == ("our_exam", 6, 4)
    # Question 1 is like a document of the pile; what matches question 2 was dropped on the way to it.
    assert (row["n_contaminated"], row["n_right_contaminated"], row["score_clean"]) == (1, 0, 0.8)
    lake.make(items)
    assert [item["is_contaminated"] for item in lake.rows(ITEMS_KEY)] == [False, True, *[False] * 4]
    facts = lake.workspace.lake.table(SCORES_KEY).manifest().facts
    assert (facts["items_in_pile"], facts["answers_to_them"], facts["tasks"]) == (2, 1, ["our_exam"])


def test_a_new_scan_marks_anew_and_asks_nothing(lake: EvaluatedLake, tmp_path: Path) -> None:
    answers(lake, tmp_path)
    lake.make(scores)
    assert lake.make(scores).reused
    found = {"in-1": [], "in-2": [("our_exam", n, NEAR) for n in range(6)]}
    lake.publish(contamination_key("open_web_math"), contamination(found), partition=PARTITION)
    assert items_in_pile(lake.workspace) == {("our_exam", n) for n in range(6)}
    assert not lake.make(scores).reused
    [row] = lake.rows(SCORES_KEY)
    assert (row["score"], row["n_contaminated"], row["score_clean"]) == (1.0, 6, None)


def test_the_preview_has_interval_paper_and_clean_score(lake: EvaluatedLake, tmp_path: Path) -> None:
    lake.configure(evaluation={"tasks": ["gsm8k"], "paper_model": "Mistral-7B"}).benchmark("gsm8k", EXAM)
    found = {"in-1": [("gsm8k", 0, NEAR)]}
    lake.publish(contamination_key("open_web_math"), contamination(found), partition=PARTITION)
    answers(lake, tmp_path, wrong={0: "99"})
    lake.make(scores)
    table = lake.workspace.lake.table(SCORES_KEY)
    lines = score_preview(lake.workspace, table)["scores"].value.splitlines()
    assert lines[2] == "| GSM8K | 83.3 | 43.6 to 97.0 | 6 | 52.2 (Mistral-7B) | 100.0 on 5 items |"


class TestChecks:
    def test_every_task_has_a_score(self, lake: EvaluatedLake, tmp_path: Path) -> None:
        answers(lake, tmp_path)
        lake.make(scores)
        table = lake.workspace.lake.table(SCORES_KEY)
        manifest = table.manifest()
        assert SCORED.blocking and SCORED.evaluate(lake.workspace, table, manifest).passed
        more = replace(manifest, facts={**manifest.facts, "tasks": ["our_exam", "math"]})
        outcome = SCORED.evaluate(lake.workspace, table, more)
        assert (outcome.passed, outcome.description) == (False, "no score: math")

    def test_answers_that_cannot_be_decided_are_told(self, lake: EvaluatedLake, tmp_path: Path) -> None:
        lake.configure(evaluation={"like": {"our_exam": "math"}})
        strange = {n: r"\operatorname{lcm}_{k \in \mathbb{N}} f(k) \oplus \heartsuit" for n in range(3)}
        answers(lake, tmp_path, wrong=strange)
        lake.make(scores)
        table = lake.workspace.lake.table(SCORES_KEY)
        assert lake.rows(SCORES_KEY)[0]["n_unverifiable"] == 3
        outcome = UNVERIFIABLE_SHARE.evaluate(lake.workspace, table, table.manifest())
        assert (outcome.passed, UNVERIFIABLE_SHARE.blocking) == (False, False)
        assert "3 of 6 answers could not be decided" in outcome.description
        lake.configure(evaluation={"like": {"our_exam": "math"}}, checks={"max_unverifiable_share": 0.5})
        assert UNVERIFIABLE_SHARE.evaluate(lake.workspace, table, table.manifest()).passed


def recipe(lake: EvaluatedLake) -> str:
    return evaluation.build(lake.workspace, "all").recipe.fingerprint


def test_what_makes_it_ask_again(lake: EvaluatedLake, tmp_path: Path) -> None:
    first = recipe(lake)
    for same in ({"paper_model": "Mistral-7B"}, {"python": sys.executable}, {"n_workers": 1}):
        assert recipe(lake.configure(evaluation={"like": LIKE, **same})) == first
    for other in ({"limit": 3}, {"seed": 1}, {"n_shots": 0}, {"max_new_tokens": 9}, {"model": {"dtype": "float32"}}):
        assert recipe(lake.configure(evaluation={"like": LIKE, **other})) != first
    lake.configure(evaluation={"like": LIKE})
    lake.benchmark("math", EXAM)
    assert recipe(lake) != first  # one more file, one more task
    (lake.folder / "benchmarks" / "math.jsonl").unlink()
    assert recipe(lake) == first
    lake.publish_folder(CHECKPOINT_KEY, {"config.json": b"{ }"})
    assert recipe(lake) != first


def test_tasks_are_what_there_are_files_of(lake: EvaluatedLake) -> None:
    def tasks(**settings: Any) -> tuple[str, ...]:
        workspace = lake.configure(evaluation=settings).workspace
        return questions(workspace, workspace.settings("evaluation", EvaluationSettings)).tasks

    assert tasks() == ()
    assert tasks(like=LIKE, held_out="pages.jsonl") == ("our_exam", "perplexity")
    lake.benchmark("sat_math", EXAM).benchmark("gsm8k", EXAM)
    assert tasks(like=LIKE) == ("gsm8k", "sat_math", "our_exam")
    assert tasks(tasks=["sat_math_written"]) == ("sat_math_written",)
    (lake.folder / "mine").mkdir()
    (lake.folder / "mine" / "svamp.jsonl").write_text("{}\n")
    assert tasks(data="mine") == ("svamp",)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tasks": ["gsm9k"]}, r"settings\.evaluation\.tasks: gsm9k; known are"),
        ({"tasks": ["math"]}, r"settings\.evaluation\.tasks: math: there is no local file math"),
        ({"tasks": ["our_exam"], "like": {"our_exam": "piqa"}}, r"like\.our_exam: wants a new name"),
        ({"tasks": ["our_exam"], "like": {"our_exam": "gsm8k", "math": "gsm8k"}}, r"like\.math: wants a new name"),
        ({"like": LIKE, "held_out": "nowhere.jsonl"}, r"held_out: .*nowhere"),
        ({"data": "nowhere"}, r"data: .*nowhere is no folder"),
        ({"like": LIKE, "model": {"dtyp": "float32"}}, r"evaluation\.model\.dtyp: unknown key"),
        ({"like": LIKE, "n_shots": 9}, r"n_shots: wants 0 to 4"),
        ({"shots": 3}, r"settings\.evaluation\.shots: unknown"),
    ],
)
def test_mistakes_in_the_settings_are_named(lake: EvaluatedLake, settings: dict[str, Any], message: str) -> None:
    lake.configure(evaluation=settings)
    with pytest.raises(SourcesFileError, match=message):
        recipe(lake)


def test_without_benchmarks_nothing_is_asked(lake: EvaluatedLake) -> None:
    lake.configure(evaluation={"python": "/nowhere/python"})
    lake.make(evaluation)
    lake.make(scores)
    lake.make(items)
    assert lake.rows(SCORES_KEY) == lake.rows(ITEMS_KEY) == []
    table = lake.workspace.lake.table(SCORES_KEY)
    outcome = SCORED.evaluate(lake.workspace, table, table.manifest())
    assert outcome.passed and "nothing is asked" in outcome.description


def test_a_worker_that_dies_fails_the_step_with_its_last_lines(lake: EvaluatedLake) -> None:
    script = lake.folder / "python"
    script.write_text("#!/bin/sh\nfor n in 1 2 3; do echo line $n; done\necho 'CUDA out of memory' >&2\nexit 7\n")
    script.chmod(0o755)
    lake.configure(evaluation={"like": LIKE, "python": str(script)})
    with pytest.raises(EvaluationFailed, match=r"status 7:\nline 1\nline 2\nline 3\nCUDA out of memory"):
        lake.make(evaluation)
    assert lake.workspace.lake.table(EVALUATION_KEY).find_manifest() is None
    lake.configure(evaluation={"like": LIKE, "python": "/nowhere/python"})
    with pytest.raises(EvaluationFailed, match="/nowhere/python: No such file"):
        lake.make(evaluation)


def test_benchmarks_of_any_format_keep_their_numbers(lake: EvaluatedLake) -> None:
    rows = [*(json.dumps(row) for row in EXAM[:2]), "no json", json.dumps(EXAM[3] | {"idx": 44}), json.dumps(EXAM[4])]
    (lake.folder / "benchmarks" / "our_exam.jsonl").unlink()
    (lake.folder / "benchmarks" / "our_exam.jsonl.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    workspace = lake.workspace
    asked = questions(workspace, workspace.settings("evaluation", EvaluationSettings))
    assert asked.files is not None
    [partition] = asked.files
    write_items(partition, lake.folder / "our_exam.jsonl")
    written = [json.loads(line) for line in (lake.folder / "our_exam.jsonl").read_text().splitlines()]
    assert [row["idx"] for row in written] == [0, 1, 44, 4]


@pytest.mark.evaluation
@pytest.mark.timeout(600)
@pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason="lm-eval is not installed here")
def test_a_real_model_is_asked_once_and_gives_the_same_bytes_twice(tmp_path: Path) -> None:
    """The sample's benchmarks and held-out text, a Llama of random weights."""
    settings = {
        "data": str(sample_dir() / "data" / "benchmarks"),
        "like": {"sample_word_problems": "gsm8k", "sample_multiple_choice": "sat_math"},
        "held_out": str(sample_dir() / "data" / "held_out.jsonl"),
        "limit": 3,
        "n_shots": 0,
        "max_new_tokens": 4,
        "model": {"dtype": "float32", "batch_size": 3},
    }
    lake = EvaluatedLake(tmp_path).configure(evaluation=settings)
    lake.publish_folder(CHECKPOINT_KEY, random_checkpoint(tmp_path / "model"))
    lake.publish(PILE_KEY, pile_documents(["a"]))
    first = lake.make(evaluation)
    assert lake.make(evaluation).reused
    lake.make(scores)
    lake.make(items)
    rows = {row["benchmark"]: row for row in lake.rows(SCORES_KEY)}
    assert {name: row["n"] for name, row in rows.items()} == {
        "sample_multiple_choice": 3,
        "sample_word_problems": 3,
        "perplexity": 22,
    }
    held_out = rows["perplexity"]
    # Random weights: some 8 bits for one of 257 bytes.
    assert 7.5 < held_out["bits_per_byte"] < 8.6 and held_out["score"] is None
    assert held_out["corpus_fingerprint"] == "c0ffee" and held_out["model"] == "mathcode_pile"
    assert len(lake.rows(ITEMS_KEY)) == 6
    published = b"".join(location.read_bytes() for location in lake.workspace.lake.table(EVALUATION_KEY).files())
    assert str(tmp_path).encode() not in published
    table = lake.workspace.lake.table(SCORES_KEY)
    assert "perplexity" in score_preview(lake.workspace, table)["scores"].value
    lake.workspace.lake.remove(lake.workspace.lake.table(EVALUATION_KEY))
    again = lake.make(evaluation)
    assert not again.reused and again.manifest.data_version == first.manifest.data_version
