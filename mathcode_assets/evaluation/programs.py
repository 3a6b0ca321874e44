"""HumanEval and MBPP: programs out of completions, and the files and commands of EvalPlus.

The base tests run in this project's sandbox. The extended tests (HumanEval+, MBPP+) are EvalPlus's own: it runs in an
environment of its own and isolates nothing, so its command is meant for a throwaway container without network.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mathcode_assets.evaluation.items import Item
from mathcode_assets.evaluation.prompts import PROGRAM_STOPS, program_prompt

# What ends a program: a test, a call at the left margin, the end of a fenced block.
_ENDS = (*PROGRAM_STOPS, "\n```", '\n"""')
# Where the prompt began the function, the next definition or comment at the left margin ends it too, as Codex has it.
_ENDS_OF_FUNCTION = (*_ENDS, "\nclass ", "\ndef ", "\n#")
# Lines at the end of a completion that may be an unfinished function.
MAX_LEFT_OUT = 60
_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:\n```|\Z)", re.DOTALL)


def solution_of(item: Item, completion: str) -> str:
    """The program a completion makes of its prompt: a fenced block as it stands, else the prompt continued."""
    fenced = _FENCE.search(completion)
    if fenced and "def " in fenced[1]:
        preamble = item.question if item.entry_point and f"def {item.entry_point}" not in fenced[1] else ""
        return f"{preamble}\n{fenced[1]}\n"
    # Asked for the rest of a function, some models write the whole of it once more.
    is_whole = re.match(rf"\s*def {re.escape(item.entry_point)}\b", completion) if item.entry_point else True
    text = completion.lstrip("\n") if is_whole else completion
    return finished(program_prompt(item), cut(text, is_continued=not is_whole)) + "\n"


def finished(prompt: str, completion: str) -> str:
    """Both together without the last lines that do not parse: a completion may end in the middle of a function."""
    lines = completion.split("\n")
    for n_left_out in range(min(len(lines), MAX_LEFT_OUT)):
        text = prompt + "\n".join(lines[: len(lines) - n_left_out])
        try:
            ast.parse(text)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            continue
        return text
    return prompt + completion


def cut(completion: str, *, is_continued: bool) -> str:
    """The completion up to its first end.

    Args:
        completion: as generated.
        is_continued: whether the prompt began the function; where not, definitions belong to the answer.
    """
    stops = _ENDS_OF_FUNCTION if is_continued else _ENDS
    found = [position for stop in stops if (position := completion.find(stop)) >= 0]
    return completion[: min(found)] if found else completion


def program_of(item: Item, completion: str) -> str:
    """The solution with the benchmark's tests after it: it raises where the solution is wrong.

    Its last line prints `passed_mark`, which is reached only where no test raised and the solution did not leave
    with exit status 0 before them.
    """
    return f"{solution_of(item, completion)}\n{item.tests}\nprint({passed_mark(item, completion)!r})\n"


def passed_mark(item: Item, completion: str) -> str:
    """What a program prints that went through all tests; a completion cannot hold the hash of itself."""
    return hashlib.sha256(f"{item.benchmark}\0{item.task_id}\0{completion}".encode("utf-8", "replace")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalPlusCommand:
    """How EvalPlus is started: a pure description."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]


def write_evalplus_samples(path: Path, solutions: Iterable[tuple[Item, str]]) -> int:
    """Write EvalPlus's `samples.jsonl` of items and completions; how many were written."""
    rows = [{"task_id": evalplus_id(item), "solution": solution_of(item, completion)} for item, completion in solutions]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return len(rows)


def evalplus_id(item: Item) -> str:
    """HumanEval/0 as it is, MBPP's number as Mbpp/2."""
    return item.task_id if "/" in item.task_id else f"Mbpp/{item.task_id}"


def evalplus_command(
    dataset: Literal["humaneval", "mbpp"], samples: Path, *, python: str, tests: Path | None = None
) -> EvalPlusCommand:
    """The command that scores a file of samples with the extended tests.

    Args:
        dataset: whose tests.
        samples: of `write_evalplus_samples`.
        python: interpreter of the environment with evalplus 0.3.1 (infra/evaluation/evalplus.txt).
        tests: local HumanEvalPlus.jsonl or MbppPlus.jsonl; None: EvalPlus downloads it.
    """
    override = {} if tests is None else {f"{dataset.upper()}_OVERRIDE_PATH": str(tests)}
    return EvalPlusCommand(
        arguments=(
            python,
            "-m",
            "evalplus.evaluate",
            "--dataset",
            dataset,
            "--samples",
            str(samples),
            "--i-just-wanna-run",
        ),
        environment={"OMP_NUM_THREADS": "1", **override},
    )
