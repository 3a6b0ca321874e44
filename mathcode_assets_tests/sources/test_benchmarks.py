from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mathcode_assets.records import BENCHMARK_ITEM
from mathcode_assets.sources.benchmarks import last_boxed, without_instruction
from mathcode_assets.sources.listing import local_file
from mathcode_assets.sources.quarantine import Quarantine, ReadReport
from mathcode_assets.sources.readers import read_benchmark_items


def read(path: Path, *records: Any) -> tuple[list[dict[str, Any]], Quarantine]:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    quarantine, report = Quarantine(source="benchmarks"), ReadReport()
    batches = list(read_benchmark_items(local_file(path), benchmark="b", quarantine=quarantine, report=report))
    assert all(batch.schema.equals(BENCHMARK_ITEM, check_metadata=True) for batch in batches)
    assert report.n_records == report.n_read + quarantine.counts.total()
    return [row for batch in batches for row in batch.to_pylist()], quarantine


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"idx": 7, "question": "Q", "answer": "A"}, {"question_index": 7, "answer": "A"}),
        ({"question": "Q", "answer": "2 + 2 = 4\n#### 4"}, {"answer": "4", "solution": "2 + 2 = 4\n#### 4"}),
        ({"problem": "Q", "solution": r"so \boxed{\frac{1}{2}}."}, {"answer": r"\frac{1}{2}"}),
        (
            {"Body": "Two apples.", "Question": "How many?", "Answer": 2.0},
            {"question": "Two apples. How many?", "answer": "2"},
        ),
        ({"question": "Q", "choices": ["1", "2"], "answer": 1}, {"answer": "B", "options": "A) 1 B) 2"}),
        ({"question": "Q", "options": "A) 1 B) 2", "answer": "B"}, {"answer": "B", "options": "A) 1 B) 2"}),
        ({"question": "Q", "final_answer": ["3"], "solution": ["s"]}, {"answer": "3", "solution": "s"}),
        ({"question": "Q", "answer": ["1", "2"]}, {"answer": "1, 2"}),
        ({"task_id": "HumanEval/0", "prompt": "Q", "canonical_solution": "return 1"}, {"answer": "return 1"}),
        ({"task_id": 11, "text": "Q", "code": "x = 1"}, {"answer": "x = 1"}),
        ({"question": "Q", "answer": 0.5}, {"answer": "0.5"}),
        ({"question": "Q", "answer": None}, {"answer": ""}),
        ({"question": "Q", "idx": "12"}, {"question_index": 12}),
        ({"question": "Q", "idx": -1}, {"question_index": 0}),
        ({"question": "Q", "idx": 1 << 40}, {"question_index": 0}),
        ({"question": "Q", "answer": "\ud800"}, {"answer": "\\ud800"}),
    ],
)
def test_an_item_in_the_fields_of_each_release(
    tmp_path: Path, record: dict[str, Any], expected: dict[str, Any]
) -> None:
    (row,), _ = read(tmp_path / "b.jsonl", record)
    assert {name: row[name] for name in expected} == expected
    assert row["question"] == expected.get("question", "Q")
    assert row["benchmark"] == "b"


def test_without_an_index_the_number_of_the_record_counts(tmp_path: Path) -> None:
    rows, _ = read(tmp_path / "b.jsonl", {"question": "P"}, {"question": "Q"})
    assert [row["question_index"] for row in rows] == [0, 1]


def test_an_item_without_a_question_is_quarantined(tmp_path: Path) -> None:
    rows, quarantine = read(
        tmp_path / "b.jsonl", {"answer": "A"}, {"question": " "}, {"question": None}, {"question": "Q"}
    )
    assert [row["question_index"] for row in rows] == [3]
    assert quarantine.counts == {"missing_field": 1, "empty_text": 1, "null_field": 1}


@pytest.mark.parametrize(
    "instruction",
    [
        "Solve the problem and put your answer in '\\boxed{}'. \n",
        "Please reason step by step, and put your final answer within \\boxed{}.\n\n",
        "Answer the following question. Write the answer in $\\boxed{}$.\r\n",
    ],
)
def test_an_instruction_before_the_question_is_no_part_of_it(instruction: str) -> None:
    """Every GSM8K row of the reference starts with one, so no document could match."""
    assert without_instruction(instruction + "Ann has 3 eggs.") == "Ann has 3 eggs."


@pytest.mark.parametrize(
    "question",
    [
        "Solve for $x$: $x + 1 = 2$.\nGive your answer in \\boxed{}.",
        "Find $\\boxed{x}$ in the figure.",
        "What is in \\boxed{A}?\nChoose.",
        "Solve the problem \\boxed{1}\n",
        "Solve $x^2 = 1$ and write the larger root in \\boxed{}.\nThen square it.",
    ],
)
def test_what_looks_like_an_instruction_but_is_the_question_stays(question: str) -> None:
    assert without_instruction(question) == question


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        (r"\boxed{1} then \boxed{ 2 }", "2"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{1", ""),
        ("none", ""),
    ],
)
def test_the_last_box_of_a_solution(solution: str, answer: str) -> None:
    assert last_boxed(solution) == answer
