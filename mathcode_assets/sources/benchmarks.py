r"""One benchmark item out of a record, in the field names of the public releases.

| release | question | answer | solution | options |
|---|---|---|---|---|
| this project's files | question | answer | solution | options |
| GSM8K | question | answer after `####` | answer | - |
| MATH | problem | last `\boxed{}` of the solution | solution | - |
| SVAMP | Body, Question | Answer | Equation | - |
| MMLU | question | answer (number of the choice) | - | choices |
| OlympiadBench | question | final_answer | solution (list) | - |
| HumanEval | prompt | canonical_solution | - | - |
| MBPP | text | code | - | - |
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mathcode_assets.sources.documents import encodable
from mathcode_assets.sources.fields import text_field
from mathcode_assets.sources.raw_records import Record

QUESTION_NAMES: tuple[str, ...] = ("question", "problem", "Question", "prompt", "text")
ANSWER_NAMES: tuple[str, ...] = ("answer", "final_answer", "Answer", "target", "canonical_solution", "code")
SOLUTION_NAMES: tuple[str, ...] = ("solution", "rationale", "Equation")
OPTION_NAMES: tuple[str, ...] = ("options", "choices")
BENCHMARK_FIELDS: tuple[str, ...] = (
    *QUESTION_NAMES,
    *ANSWER_NAMES,
    *SOLUTION_NAMES,
    *OPTION_NAMES,
    "idx",
    "Body",
)

_MAX_QUESTION_BYTES = 16 << 20
_MAX_INDEX = (1 << 31) - 1
# A first line that tells a model how to write its answer is no part of the question (paper-facts,
# section 4: every GSM8K row of the reference starts with one, so none could match).
_INSTRUCTION = re.compile(
    r"\A\s*(?:Solve|Answer|Please)\b[^\n]{0,80}\b(?:problem|question|step by step)\b[^\n]{0,120}"
    r"\\boxed\b[^\n]{0,80}\n+(?=\s*\S)"
)


def benchmark_row(record: Record, benchmark: str) -> dict[str, Any]:
    """One row of `records.BENCHMARK_ITEM`.

    Raises:
        FieldError: no usable question.
    """
    fields = record.fields
    _, question = text_field(fields, QUESTION_NAMES, _MAX_QUESTION_BYTES)
    body = fields.get("Body")
    if isinstance(body, str) and body.strip() and "question" not in fields:
        question = f"{body.strip()} {question.strip()}"
    answer, solution = _first(fields, ANSWER_NAMES), _first(fields, SOLUTION_NAMES)
    options = next((fields[name] for name in OPTION_NAMES if fields.get(name)), None)
    if isinstance(options, list):
        answer = _letter(answer) if isinstance(answer, int) else answer
        options = " ".join(f"{_letter(number)}) {_as_text(option)}" for number, option in enumerate(options))
    answer_text, solution_text = _as_text(answer), _as_text(solution)
    if not solution_text and "####" in answer_text:
        solution_text, answer_text = answer_text, answer_text.rpartition("####")[2].strip()
    if not answer_text and solution_text:
        answer_text = last_boxed(solution_text)
    return {
        "benchmark": benchmark,
        "question_index": _index(fields.get("idx"), record.row),
        "question": without_instruction(encodable(question)),
        "answer": encodable(answer_text),
        "solution": encodable(solution_text),
        "options": encodable(_as_text(options)),
    }


def without_instruction(question: str) -> str:
    r"""The question without a first line that only asks for the answer in ``\boxed{}``."""
    return _INSTRUCTION.sub("", question, count=1)


def last_boxed(solution: str) -> str:
    r"""What the last ``\boxed{...}`` of a solution holds; empty where there is none, or it is not closed."""
    start = solution.rfind("\\boxed{")
    if start < 0:
        return ""
    depth = 0
    for position in range(start + len("\\boxed"), len(solution)):
        depth += {"{": 1, "}": -1}.get(solution[position], 0)
        if depth == 0:
            return solution[start + len("\\boxed{") : position].strip()
    return ""


def _first(fields: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((fields[name] for name in names if fields.get(name) is not None), None)


def _as_text(value: Any) -> str:
    """A short answer as text: a list with one item is that item, 51.0 is 51."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(_as_text(item) for item in value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value)


def _letter(number: int) -> str:
    return chr(ord("A") + number) if 0 <= number < 26 else str(number)


def _index(value: Any, row: int) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_INDEX:
        return value
    return row
