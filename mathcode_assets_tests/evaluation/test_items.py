"""Items, prompts and tasks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from mathcode_assets.evaluation.benchmarks import BENCHMARKS, LIKELIHOOD, PROGRAM, WITH_ITEMS, Benchmark
from mathcode_assets.evaluation.harness import answered, asked, fitted, task_config, task_rows, write_tasks
from mathcode_assets.evaluation.items import ItemsError, choose, hub_items, item_of, local_items, options_of
from mathcode_assets.evaluation.prompts import exemplars_of, prompt_of, stops_of
from mathcode_assets_tests.evaluation.small_benchmarks import FILES, write_benchmarks

OURS = [benchmark for benchmark in BENCHMARKS.values() if benchmark.kind in WITH_ITEMS]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_benchmarks(tmp_path / "benchmarks")


@pytest.mark.parametrize("benchmark", OURS, ids=lambda each: each.name)
def test_every_item_of_a_local_file_is_read(benchmark: Benchmark, data: Path) -> None:
    loaded = local_items(benchmark, data)
    assert len(loaded.items) == len(FILES[benchmark.file])
    assert not loaded.unusable


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ("A) 3 B) 5", ("3", "5")),
        ("A. 1,190 B. 1,900 C. 2,900 D. 19,000", ("1,190", "1,900", "2,900", "19,000")),
        ("A) figure B. is bigger B) (C) is C) neither", ("figure B. is bigger", "(C) is", "neither")),
        ("(A) yes (B) no", ("yes", "no")),
        (["6", "8"], ("6", "8")),
        ("no options", ()),
        ("", ()),
        (None, ()),
    ],
)
def test_options(given: object, options: tuple[str, ...]) -> None:
    assert options_of(given) == options


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("mmlu_math", {"question": "Which?", "answer": "B"}, "no options"),
        ("sat_math", {"question": "Which?", "answer": "E", "options": "A) 1 B) 2"}, "letter of no option"),
        ("gsm8k", {"question": "How many?", "answer": ""}, "no reference answer"),
        ("humaneval", {"question": "def f():", "answer": "pass"}, "no tests"),
    ],
)
def test_items_that_cannot_be_asked(name: str, fields: dict, message: str) -> None:
    with pytest.raises(ItemsError, match=message):
        item_of(BENCHMARKS[name], 0, fields)


def test_items_without_options_are_counted_not_guessed(data: Path) -> None:
    rows = [*FILES["sat_math"], {"question": "Which?", "answer": "A"}]
    (data / "sat_math.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    loaded = local_items(BENCHMARKS["sat_math"], data)
    assert (len(loaded.items), loaded.unusable) == (2, {"no options beside the question": 1})
    (data / "sat_math.jsonl").write_text(json.dumps(rows[-1]))
    with pytest.raises(ItemsError, match="none of 1 items can be used: no options"):
        local_items(BENCHMARKS["sat_math"], data)


@pytest.mark.parametrize("text", ["not json\n", "[1]\n", "", "\ud800".encode("utf-8", "surrogatepass")])
def test_files_that_cannot_be_read(tmp_path: Path, text: str | bytes) -> None:
    path = tmp_path / "gsm8k.jsonl"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ItemsError, match=r"^gsm8k: "):
        local_items(BENCHMARKS["gsm8k"], tmp_path)
    with pytest.raises(ItemsError, match=r"svamp\.jsonl cannot be read"):
        local_items(BENCHMARKS["svamp"], tmp_path)


def test_a_benchmark_without_an_open_copy_says_so() -> None:
    with pytest.raises(ItemsError, match=r"local ocw\.jsonl"):
        hub_items(BENCHMARKS["ocw"])


def test_public_field_names() -> None:
    item = item_of(BENCHMARKS["gsm8k"], 3, {"question": "How many?", "answer": "2 + 2 = 4\n#### 4"})
    assert (item.question_index, item.answer) == (3, "4")
    item = item_of(BENCHMARKS["math"], 0, {"problem": "Add.", "solution": "So $\\boxed{\\frac{1}{2}}$."})
    assert item.answer == "\\frac{1}{2}"
    item = item_of(BENCHMARKS["mmlu_math"], 0, {"question": "Which?", "answer": 0, "choices": ["a", "b"]})
    assert (item.answer, item.options) == ("A", ("a", "b"))


def test_the_choice_depends_on_the_seed_alone(data: Path) -> None:
    items = [item_of(BENCHMARKS["gsm8k"], index, {"question": f"{index}?", "answer": "1"}) for index in range(100)]
    first = [item.question_index for item in choose(items, limit=10, seed=0)]
    assert first == sorted(first) == [item.question_index for item in choose(items[::-1], limit=10, seed=0)][::-1]
    assert first != [item.question_index for item in choose(items, limit=10, seed=1)]
    assert set(first) <= {item.question_index for item in choose(items, limit=20, seed=0)}
    assert choose(items, limit=None, seed=0) == items == choose(items, limit=1000, seed=0)


@pytest.mark.parametrize("n_shots", range(5))
def test_prompts_show_the_exemplars_and_end_before_the_answer(data: Path, n_shots: int) -> None:
    for benchmark in OURS:
        for item in local_items(benchmark, data).items:
            prompt = prompt_of(item, benchmark, n_shots)
            assert item.question in prompt
            if benchmark.kind != PROGRAM:
                assert prompt.count("Problem: ") == n_shots + 1
                assert prompt.endswith("\nAnswer:" if benchmark.kind == LIKELIHOOD else "\nSolution:")
    with pytest.raises(ValueError, match="5 exemplars"):
        exemplars_of(BENCHMARKS["gsm8k"], 5)


def test_tasks_are_valid_and_hold_every_prompt(data: Path, tmp_path: Path) -> None:
    requests = [
        asked(benchmark, local_items(benchmark, data).items, n_shots=4, max_new_tokens=100) for benchmark in OURS
    ]
    files = write_tasks(requests, tmp_path / "tasks")
    assert len(set(files)) == len(OURS)
    for request, path in zip(requests, files, strict=True):
        config = yaml.safe_load(path.read_text())
        rows_file = Path(config["dataset_kwargs"]["data_files"]["test"])
        assert config == task_config(request, rows_file)
        rows = [json.loads(line) for line in rows_file.read_text().splitlines()]
        assert rows == task_rows(request)
        assert [row["prompt"] for row in rows] == list(request.prompts)
        assert {config["doc_to_text"], config["doc_to_target"]} <= rows[0].keys()
        if request.benchmark.kind == LIKELIHOOD:
            assert config["output_type"] == "multiple_choice"
            assert all(row["choices"][row["target"]] == row["answer"] for row in rows)
        else:
            assert config["generation_kwargs"]["do_sample"] is False
            assert 0 < config["generation_kwargs"]["max_gen_toks"] <= 100


def test_a_short_context_keeps_half_for_the_prompt(data: Path) -> None:
    request = asked(BENCHMARKS["math"], local_items(BENCHMARKS["math"], data).items, n_shots=0, max_new_tokens=None)
    assert fitted(request, 256).max_new_tokens == 128
    assert fitted(request, None) == request == fitted(request, 8192)


def test_the_completions_protocol_takes_the_stops() -> None:
    """It takes four, and the harness adds one: a server answered 400 to five."""
    assert all(0 < len(stops_of(benchmark)) <= 3 for benchmark in OURS)


def test_logged_samples_become_answers() -> None:
    sample = {
        "doc_id": 0,
        "doc": {"question_index": 5, "choices": ["A", "B"]},
        "filtered_resps": [(-2.0, False), (-1.0, True)],
    }
    assert answered(BENCHMARKS["sat_math"], sample).completion == "B"
    sample = {"doc_id": 0, "doc": {"question_index": 5}, "resps": [["so 4"]]}
    assert (answered(BENCHMARKS["gsm8k"], sample).question_index, answered(BENCHMARKS["gsm8k"], sample).completion) == (
        5,
        "so 4",
    )
    sample = {"doc_id": 3, "target": "1", "acc_norm": 1.0, "acc": 0.0}
    assert answered(BENCHMARKS["hellaswag"], sample).is_right is True
