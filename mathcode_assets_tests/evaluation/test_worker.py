"""The worker from specification to result, with scripted answers in the model's place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from mathcode_assets.cli.main import main as cli
from mathcode_assets.evaluation.benchmarks import PROGRAM, Benchmark
from mathcode_assets.evaluation.checkpoints import STAMP_FILE, fingerprint
from mathcode_assets.evaluation.contaminated import contaminated_items, read_contaminated, write_contaminated
from mathcode_assets.evaluation.harness import Answered, Asked
from mathcode_assets.evaluation.items import Item, ItemsError
from mathcode_assets.evaluation.spec import EvaluationSpec, SpecError, parse_spec
from mathcode_assets.evaluation.tables import item_batches, paper_table, score_rows
from mathcode_assets.evaluation.worker import ITEMS_FILE, RESULT_FILE, Answers, evaluate, main
from mathcode_assets.records import CONTAMINATED, CONTAMINATION_ATTRIBUTES, NEAR, batch_of
from mathcode_assets_tests.evaluation.small_benchmarks import write_benchmarks

TASKS = ["gsm8k", "math", "olympiadbench", "sat_math", "sat_math_written", "mmlu_math", "humaneval", "mbpp", "piqa"]


def right_answer(benchmark: Benchmark, item: Item) -> str:
    if benchmark.kind == PROGRAM:
        return "    return 3 * n\n" if item.entry_point else item.answer
    if benchmark.kind == "likelihood":
        return item.answer
    return f" One sees it at once. The answer is {item.answer}.\n"


def knows_all_but_the_first(spec: EvaluationSpec, requests: Sequence[Asked], own: Sequence[Benchmark]) -> Answers:
    """Right everywhere but on the first item of each benchmark of several."""
    found = {benchmark.name: [Answered(question_index=0, completion="", is_right=True)] for benchmark in own}
    for request in requests:
        items = request.items
        found[request.benchmark.name] = [
            Answered(
                question_index=item.question_index,
                completion="" if item is items[0] and len(items) > 1 else right_answer(request.benchmark, item),
            )
            for item in reversed(items)
        ]
    names = [request.benchmark.name for request in requests]
    return Answers(by_benchmark=found, n_cut=dict.fromkeys(names, 0), max_new_tokens=dict.fromkeys(names, 64))


@pytest.fixture
def spec(tmp_path: Path) -> EvaluationSpec:
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text("{}")
    (checkpoint / STAMP_FILE).write_text(json.dumps({"corpus_fingerprint": "c0ffee", "lineage": {"pile": "v1"}}))
    write_contaminated(tmp_path / "found.jsonl", {("gsm8k", 1), ("sat_math", 0), ("humaneval", 99)})
    return parse_spec(
        {
            "model": {"path": str(checkpoint)},
            "tasks": TASKS,
            "data": str(write_benchmarks(tmp_path / "benchmarks")),
            "contaminated": str(tmp_path / "found.jsonl"),
            "output": str(tmp_path / "out"),
            "n_workers": 1,
        }
    )


def test_from_specification_to_result(spec: EvaluationSpec) -> None:
    result = evaluate(spec, knows_all_but_the_first)
    scores = {score["benchmark"]: score for score in result["scores"]}
    assert list(scores) == TASKS
    rights = {name: (score["all"]["n_right"], score["all"]["n"]) for name, score in scores.items()}
    assert rights == {
        "gsm8k": (2, 3),
        "math": (1, 2),
        "olympiadbench": (1, 1),
        "sat_math": (1, 2),
        "sat_math_written": (1, 2),
        "mmlu_math": (1, 1),
        "humaneval": (1, 1),
        "mbpp": (1, 1),
        "piqa": (1, 1),
    }
    # Item 1 of gsm8k is right and contaminated; item 0 of sat_math is wrong and contaminated, in both its tasks.
    assert (scores["gsm8k"]["clean"]["n_right"], scores["gsm8k"]["clean"]["n"]) == (1, 2)
    assert [scores[name]["contaminated"]["n"] for name in ("sat_math", "sat_math_written", "humaneval")] == [1, 1, 0]
    assert scores["gsm8k"]["paper_score"] == 69.9
    assert (result["model"]["corpus_fingerprint"], result["model"]["lineage"]) == ("c0ffee", {"pile": "v1"})
    output = Path(spec.output)
    assert json.loads((output / RESULT_FILE).read_text()) == json.loads(json.dumps(result))
    assert sum(batch.num_rows for batch in item_batches(output / ITEMS_FILE)) == 14
    assert (output / "evalplus_mbpp.jsonl").is_file()
    assert not [path for path in output.iterdir() if path.name.startswith("tmp")]
    assert "| checkpoint | 50.0 [" in paper_table(score_rows(result))


def test_the_same_answers_give_the_same_bytes(spec: EvaluationSpec) -> None:
    spec = replace(spec, tasks=("gsm8k", "sat_math", "piqa"))
    files = [Path(spec.output) / name for name in (RESULT_FILE, ITEMS_FILE)]
    evaluate(spec, knows_all_but_the_first)
    first = [path.read_bytes() for path in files]
    evaluate(spec, knows_all_but_the_first)
    assert [path.read_bytes() for path in files] == first


def test_an_old_result_does_not_outlive_a_failed_run(spec: EvaluationSpec) -> None:
    spec = replace(spec, tasks=("sat_math",))
    evaluate(spec, knows_all_but_the_first)

    def fails(*_: object) -> Answers:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        evaluate(spec, fails)
    assert not (Path(spec.output) / RESULT_FILE).exists()


def test_an_item_without_an_answer_is_an_error(spec: EvaluationSpec) -> None:
    def forgets(spec: EvaluationSpec, requests: Sequence[Asked], own: Sequence[Benchmark]) -> Answers:
        return Answers(by_benchmark={task: [] for task in spec.tasks}, n_cut={}, max_new_tokens={})

    with pytest.raises(ItemsError, match="gsm8k: 3 items came back without an answer, first 0"):
        evaluate(spec, forgets)


def test_fingerprints_follow_the_files(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    first = fingerprint(tmp_path)
    (tmp_path / "notes.md").write_text("anything")
    assert fingerprint(tmp_path) == first
    (tmp_path / "model.safetensors").write_bytes(b"Weights")
    assert fingerprint(tmp_path) != first
    assert fingerprint(tmp_path / "nowhere") is None


def test_contaminated_items_come_from_the_documents_that_were_trained_on() -> None:
    def match(benchmark: str, index: int, verdict: str) -> dict:
        return {"benchmark": benchmark, "question_index": index, "verdict": verdict, "score": 0.9, "evidence": "..."}

    def row(doc_id: str, *matches: dict) -> dict:
        strongest = {"benchmark": None, "question_index": None, "evidence": None, "score": 0.0}
        return {"doc_id": doc_id, "verdict": "clean", "matches": list(matches), **strongest}

    batches: list[pa.RecordBatch] = [
        batch_of(
            [
                row("a", match("math", 1, CONTAMINATED), match("gsm8k", 2, NEAR)),
                row("b", match("math", 3, CONTAMINATED)),
                row("c"),
            ],
            CONTAMINATION_ATTRIBUTES,
        )
    ]
    assert contaminated_items(batches) == {("math", 1), ("math", 3)}
    assert contaminated_items(batches, doc_ids={"a"}) == {("math", 1)}
    assert contaminated_items(batches, verdicts=(CONTAMINATED, NEAR), doc_ids={"a"}) == {("math", 1), ("gsm8k", 2)}


def test_a_broken_list_of_contaminated_items_is_named(tmp_path: Path) -> None:
    path = tmp_path / "found.jsonl"
    path.write_text('{"benchmark": "math", "question_index": 1}\n{"benchmark": "math"}\n')
    with pytest.raises(SpecError, match=r"found\.jsonl:2"):
        read_contaminated(path)


def test_the_command_line_of_the_worker(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    (tmp_path / "spec.json").write_text("{}")
    assert main([str(tmp_path / "spec.json")]) == 2
    assert "model: is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --spec, or --model, --tasks, --output"),
        (["--model", "x", "--tasks", "gsm9k", "--output", "out"], "tasks: gsm9k"),
        (["--model", "x", "--tasks", "gsm8k", "--output", "out", "--limit", "0"], "limit: wants at least 1"),
        (["--model", "x", "--tasks", "gsm8k", "--output", "out", "--python", "nowhere"], "no interpreter there"),
        (["--model", "x", "--tasks", "gsm8k", "--output", "out", "--server", "http://127.0.0.1/v1"], "model.tokenizer"),
        (["--spec", "nowhere.yaml"], "No such file"),
    ],
)
def test_usage_errors_of_the_command(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli(["evaluate", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
