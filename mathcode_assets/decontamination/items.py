"""Benchmark items made ready for the index: in order, without their instructions, as tokens."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mathcode_assets.decontamination.config import DecontaminationConfig
from mathcode_assets.decontamination.hygiene import HygieneReport, find_instructions, find_shared
from mathcode_assets.records import BENCHMARK_ITEM, check_batch
from mathcode_assets.text.normalise import Tokens, tokenise

# A page that quotes a question shows its figure as an image: the figure's code must not be missed in it.
_FIGURE = re.compile(rb"\[asy\].*?(?:\[/asy\]|\Z)|\\begin\{tikzpicture\}.*?(?:\\end\{tikzpicture\}|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedItems:
    """Items in the order (benchmark, question_index), and their tokens one after the other."""

    table: pa.Table  # BENCHMARK_ITEM, questions without their instruction
    benchmark: np.ndarray  # int64[n_items], number of the benchmark in the order of names
    offsets: np.ndarray  # int64[n_items + 1] into the token arrays
    hashes: np.ndarray  # uint64
    numbers: np.ndarray  # bool
    widths: np.ndarray  # int64, bytes
    core: np.ndarray  # bool, false inside the code of a figure
    hygiene: HygieneReport

    def __len__(self) -> int:
        return self.table.num_rows


def prepare_items(items: Iterable[pa.RecordBatch], config: DecontaminationConfig) -> PreparedItems:
    """The items, whatever order they come in.

    Raises:
        SchemaMismatch: a batch is not of `records.BENCHMARK_ITEM`.
        ValueError: two items share benchmark and question_index.
    """
    table = _sorted_items(items)
    tokens = [tokenise(question) for question in table["question"].to_pylist()]
    tokens, table, instructions = _without_instructions(table, tokens, config)
    lengths = np.array([len(own) for own in tokens], np.int64)
    questions = table["question"].to_pylist()
    hygiene = HygieneReport(
        instructions=instructions,
        without_content=_names(table, np.flatnonzero(lengths < config.min_tokens)),
        shared=find_shared(table, tokens),
    )
    names = table["benchmark"].to_pylist()
    return PreparedItems(
        table=table,
        benchmark=np.unique(np.array(names, np.str_), return_inverse=True)[1].astype(np.int64),
        offsets=np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]),
        hashes=_joined([own.hashes for own in tokens], np.uint64),
        numbers=_joined([own.is_number for own in tokens], np.bool_),
        widths=_joined([own.stops - own.starts for own in tokens], np.int64),
        core=_joined([_outside_figures(q, own) for q, own in zip(questions, tokens, strict=True)], np.bool_),
        hygiene=hygiene,
    )


def _sorted_items(batches: Iterable[pa.RecordBatch]) -> pa.Table:
    checked = []
    for batch in batches:
        check_batch(batch, BENCHMARK_ITEM)
        checked.append(batch)
    table = pa.Table.from_batches(checked, BENCHMARK_ITEM)
    table = table.sort_by([("benchmark", "ascending"), ("question_index", "ascending")]).combine_chunks()
    keys = list(zip(table["benchmark"].to_pylist(), table["question_index"].to_pylist(), strict=True))
    for one, other in itertools.pairwise(keys):
        if one == other:
            raise ValueError(f"benchmark {one[0]} has two items with question_index {one[1]}")
    return table


def _without_instructions(
    table: pa.Table, tokens: list[Tokens], config: DecontaminationConfig
) -> tuple[list[Tokens], pa.Table, dict[str, list[str]]]:
    """Tokens and questions without the words every question of a benchmark begins or ends with."""
    benchmarks, questions = table["benchmark"].to_pylist(), table["question"].to_pylist()
    found: dict[str, list[str]] = {}
    for benchmark in sorted(set(benchmarks)):
        members = [k for k, name in enumerate(benchmarks) if name == benchmark]
        instructions = find_instructions([questions[k] for k in members], [tokens[k] for k in members], config)
        if not instructions:
            continue
        found[benchmark] = [instruction.text for instruction in instructions]
        for k in members:
            for instruction in instructions:
                questions[k], changed = instruction.strip(questions[k], tokens[k])
                tokens[k] = tokenise(questions[k]) if changed else tokens[k]
    column = table.schema.get_field_index("question")
    table = table.set_column(column, table.schema.field(column), pa.array(questions, pa.large_string()))
    return tokens, table, found


def _outside_figures(question: str, tokens: Tokens) -> np.ndarray:
    """Which tokens are not code of a figure; all of them where nothing else is there."""
    outside = np.ones(len(tokens), np.bool_)
    for figure in _FIGURE.finditer(question.encode()):
        outside &= (tokens.starts < figure.start()) | (tokens.starts >= figure.end())
    return outside if outside.any() else ~outside


def _joined(arrays: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype), *arrays]).astype(dtype)


def _names(table: pa.Table, rows: np.ndarray) -> list[str]:
    benchmarks, numbers = table["benchmark"].to_pylist(), table["question_index"].to_pylist()
    return [f"{benchmarks[k]}/{numbers[k]}" for k in rows.tolist()]
