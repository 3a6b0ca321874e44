"""The items of a benchmark, from a local file or the hub, and the seeded choice of some of them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mathcode_assets.evaluation.benchmarks import LIKELIHOOD, OPTION_LETTER, PROGRAM, Benchmark
from mathcode_assets.sources.benchmarks import benchmark_row
from mathcode_assets.sources.fields import FieldError
from mathcode_assets.sources.raw_records import Record

# "A) first B) second" or "A. first B. second": a letter with a bracket or a full stop, after a space.
_OPTION = re.compile(r"(?:\A|\s)\(?([A-Z])([).])\s*")
_OPTION_KINDS = (LIKELIHOOD, OPTION_LETTER)


class ItemsError(ValueError):
    """The items of a benchmark cannot be read or used; one line, naming the benchmark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question.

    Attributes:
        benchmark: name in BENCHMARKS.
        question_index: idx, else the record's number: the index of the contamination tables.
        question: without the options.
        answer: reference answer; the letter where there are options.
        options: in order, empty where there are none.
        tests: of a program: Python that raises where it is wrong.
        entry_point: of a program: the function that is asked for, empty where unknown.
        task_id: of a program: the benchmark's own id.
    """

    benchmark: str
    question_index: int
    question: str
    answer: str
    options: tuple[str, ...] = ()
    tests: str = ""
    entry_point: str = ""
    task_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The items of a benchmark that can be asked and judged, and how often there was which reason for others."""

    items: tuple[Item, ...]
    unusable: Mapping[str, int]


def local_items(benchmark: Benchmark, folder: Path) -> Loaded:
    """The items of `<folder>/<file>.jsonl`.

    Raises:
        ItemsError: there is no such file, or no usable item in it.
    """
    path = folder / f"{benchmark.file}.jsonl"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ItemsError(f"{benchmark.name}: {path.name} cannot be read: {error}") from error
    return usable(benchmark, _lines(benchmark, text))


def _lines(benchmark: Benchmark, text: str) -> Iterator[Mapping[str, Any]]:
    # Only a line feed ends a record: questions hold U+2028 and form feeds.
    for number, line in enumerate(text.split("\n")):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except ValueError as error:
            raise ItemsError(f"{benchmark.name}: line {number + 1} is not JSON") from error
        if not isinstance(fields, Mapping):
            raise ItemsError(f"{benchmark.name}: line {number + 1} is no object")
        yield fields


def hub_items(benchmark: Benchmark) -> Loaded:
    """The items of the data set on the hub; needs the network and `datasets`.

    Raises:
        ItemsError: no data set is known, or it has no usable item.
    """
    if benchmark.hub is None:
        raise ItemsError(f"{benchmark.name}: no openly readable data set is known; give a local {benchmark.file}.jsonl")
    from datasets import load_dataset

    rows: list[Mapping[str, Any]] = []
    for config in benchmark.hub.configs:
        rows.extend(load_dataset(benchmark.hub.path, config or None, split=benchmark.hub.split))
    return usable(benchmark, rows)


def usable(benchmark: Benchmark, rows: Iterable[Mapping[str, Any]]) -> Loaded:
    """The items that can be asked and judged, in order.

    Raises:
        ItemsError: there is none, with the commonest reason.
    """
    items: list[Item] = []
    problems: dict[str, int] = {}
    for number, fields in enumerate(rows):
        try:
            items.append(item_of(benchmark, number, fields))
        except (ItemsError, FieldError) as error:
            problems[str(error)] = problems.get(str(error), 0) + 1
    if not items:
        reason = max(problems, key=lambda problem: problems[problem]) if problems else "the file is empty"
        raise ItemsError(f"{benchmark.name}: none of {sum(problems.values())} items can be used: {reason}")
    return Loaded(items=tuple(items), unusable=problems)


def item_of(benchmark: Benchmark, number: int, fields: Mapping[str, Any]) -> Item:
    """One record as an item.

    Args:
        benchmark: decides what an item needs.
        number: 0-based number of the record.
        fields: of this project's files or of the public release.

    Raises:
        ItemsError: it has no reference answer, no options where there must be some, or no tests.
        FieldError: it has no question.
    """
    row = benchmark_row(Record(row=number, fields=fields), benchmark.name)
    item = Item(
        benchmark=benchmark.name,
        question_index=row["question_index"],
        question=row["question"].strip(),
        answer=row["answer"].strip(),
        options=options_of(fields.get("options") or fields.get("choices")) if benchmark.kind in _OPTION_KINDS else (),
        tests=tests_of(fields) if benchmark.kind == PROGRAM else "",
        entry_point=str(fields.get("entry_point") or ""),
        task_id=str(fields.get("task_id", "")),
    )
    if benchmark.kind == PROGRAM:
        if not item.tests:
            raise ItemsError("no tests")
        return item
    if not item.answer:
        raise ItemsError("no reference answer")
    if benchmark.kind in _OPTION_KINDS:
        if len(item.options) < 2:
            raise ItemsError("no options beside the question")
        if item.answer not in letters(item):
            raise ItemsError("the answer is the letter of no option")
    return item


def options_of(given: Any) -> tuple[str, ...]:
    """Options of a list, or of text like `A) 3 B) 5`; empty where neither can be read."""
    if isinstance(given, list | tuple):
        return tuple(str(option).strip() for option in given)
    if not isinstance(given, str):
        return ()
    # In order of the alphabet and with one mark, so that "figure B." or "(C)" inside an option separates nothing.
    found: list[re.Match[str]] = []
    for match in _OPTION.finditer(given):
        if match[1] == chr(ord("A") + len(found)) and (not found or match[2] == found[0][2]):
            found.append(match)
    if not found:
        return ()
    ends = [match.start() for match in found[1:]] + [len(given)]
    return tuple(given[match.end() : end].strip() for match, end in zip(found, ends, strict=True))


def tests_of(fields: Mapping[str, Any]) -> str:
    """The tests of HumanEval (`test` with `entry_point`) or MBPP (`test_list`) as one program's end."""
    if isinstance(fields.get("test"), str) and fields.get("entry_point"):
        return f"{fields['test']}\ncheck({fields['entry_point']})\n"
    listed = fields.get("test_list")
    if isinstance(listed, list | tuple) and listed:
        setup = fields.get("test_setup_code") or ""
        return "\n".join([str(setup), *map(str, listed)]).strip() + "\n"
    return ""


def letters(item: Item) -> tuple[str, ...]:
    """The letters of an item's options."""
    return tuple(chr(ord("A") + number) for number in range(len(item.options)))


def choose(items: Sequence[Item], *, limit: int | None, seed: int) -> list[Item]:
    """At most `limit` items, in their order: the same ones for the same seed, whatever else is in the file.

    The first items of a file are no sample of it: MMLU's come subject by subject.
    """
    if limit is None or limit >= len(items):
        return list(items)

    def rank(item: Item) -> bytes:
        return hashlib.sha256(f"{seed}:{item.benchmark}:{item.question_index}".encode()).digest()

    chosen = {item.question_index for item in sorted(items, key=rank)[:limit]}
    return [item for item in items if item.question_index in chosen]
