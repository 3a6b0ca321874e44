"""The benchmark index: every question as weighted n-grams, with what alignment needs.

Saved to one folder, byte-identical for the same items whatever their order: ``items.arrow`` (who is
who), ``arrays.npz`` (tokens, n-gram table, postings), ``index.json`` (version, hygiene report).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mathcode_assets.decontamination.config import DecontaminationConfig
from mathcode_assets.decontamination.hygiene import HygieneReport, find_instructions, find_shared
from mathcode_assets.decontamination.language import capped
from mathcode_assets.decontamination.postings import Postings, build_postings
from mathcode_assets.records import BENCHMARK_ITEM, check_batch
from mathcode_assets.text.normalise import Tokens, tokenise

FORMAT = 1  # of the saved folder; also part of the version, so a changed kernel gives a new version
_TOKEN_ARRAYS = ("offsets", "token_hash", "token_number", "token_word", "token_core", "token_weight")
# A page that quotes a question shows its figure as an image: the figure's code must not be missed in it.
_FIGURE = re.compile(rb"\[asy\].*?(?:\[/asy\]|\Z)|\\begin\{tikzpicture\}.*?(?:\\end\{tikzpicture\}|\Z)", re.DOTALL)
_FIGURE_WEIGHT = 0.05
ITEMS_FILE, ARRAYS_FILE, META_FILE = "items.arrow", "arrays.npz", "index.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkIndex:
    """Items in the order (benchmark, question_index), and the arrays the scan reads."""

    items: pa.Table  # BENCHMARK_ITEM, questions without their instruction prefix
    offsets: np.ndarray  # int64[n_items + 1] into the token arrays
    token_hash: np.ndarray  # uint64
    token_number: np.ndarray  # bool
    token_word: np.ndarray  # bool, two letters or more
    token_core: np.ndarray  # bool, false inside the code of a figure
    token_weight: np.ndarray  # float32, nats: idf of the token times the rarity of the n-grams around it
    postings: Postings
    hygiene: HygieneReport
    version: str  # hash of everything above

    def __len__(self) -> int:
        return self.items.num_rows

    def save(self, folder: Path) -> None:
        """Write the index to a folder; the same index gives the same bytes."""
        folder.mkdir(parents=True, exist_ok=True)
        with (
            pa.OSFile(str(folder / ITEMS_FILE), "wb") as sink,
            pa.ipc.new_file(sink, self.items.schema) as writer,
        ):
            writer.write_table(self.items)
        # np.savez stamps its members with the fixed date of the zip format, so it is reproducible.
        np.savez(folder / ARRAYS_FILE, **_arrays(self))
        meta = {
            "format": FORMAT,
            "version": self.version,
            "items": len(self),
            "hygiene": asdict(self.hygiene),
        }
        (folder / META_FILE).write_text(json.dumps(meta, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def load(folder: Path) -> BenchmarkIndex:
    """The index saved in a folder.

    Raises:
        FileNotFoundError: the folder holds no index.
        ValueError: it was written by another format.
    """
    meta = json.loads((folder / META_FILE).read_text(encoding="utf-8"))
    if meta["format"] != FORMAT:
        raise ValueError(f"benchmark index {folder} has format {meta['format']}, this code reads {FORMAT}")
    with pa.memory_map(str(folder / ITEMS_FILE)) as source:
        items = pa.ipc.open_file(source).read_all()
    with np.load(folder / ARRAYS_FILE) as stored:
        arrays = {name: stored[name] for name in stored.files}
    postings = Postings(**{name: arrays.pop(f"postings_{name}") for name in Postings.__dataclass_fields__})
    hygiene = HygieneReport.from_json(meta["hygiene"])
    return BenchmarkIndex(items=items, postings=postings, hygiene=hygiene, version=meta["version"], **arrays)


def build_index(items: Iterable[pa.RecordBatch], config: DecontaminationConfig | None = None) -> BenchmarkIndex:
    """The index of benchmark items, whatever order they come in.

    Args:
        items: batches of `records.BENCHMARK_ITEM`.
        config: which n-grams are too common, what counts as an instruction.

    Raises:
        SchemaMismatch: a batch is not of that schema.
        ValueError: two items share benchmark and question_index.
    """
    config = config or DecontaminationConfig()
    table = _sorted_items(items)
    tokens = [tokenise(question) for question in table["question"].to_pylist()]
    tokens, table, instructions = _without_instructions(table, tokens, config)
    lengths = np.array([len(t) for t in tokens], np.int64)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    hashes = _joined([t.hashes for t in tokens], np.uint64)
    numbers = _joined([t.is_number for t in tokens], np.bool_)
    widths = _joined([t.stops - t.starts for t in tokens], np.int64)
    core = _joined([_outside_figures(q, t) for q, t in zip(_questions(table), tokens, strict=True)], np.bool_)
    importance = np.where(core, 1.0, _FIGURE_WEIGHT)
    postings, rarity = build_postings(offsets, hashes, numbers, widths, importance, config)
    information = capped(_token_idf(offsets, hashes), hashes, numbers, widths)
    weight = (information * rarity * importance).astype(np.float32)
    hygiene = HygieneReport(
        instructions=instructions,
        without_content=_names(table, np.flatnonzero(lengths < config.min_tokens)),
        shared=find_shared(table, tokens),
    )
    parts: dict[str, Any] = {
        "offsets": offsets, "token_hash": hashes, "token_number": numbers,
        "token_word": ~numbers & (widths > 1), "token_core": core, "token_weight": weight,
        "postings": postings, "hygiene": hygiene,
    }  # fmt: skip
    return BenchmarkIndex(items=table, version=_version(table, parts), **parts)


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


def _questions(table: pa.Table) -> list[str]:
    return table["question"].to_pylist()


def _outside_figures(question: str, tokens: Tokens) -> np.ndarray:
    """Which tokens are not code of a figure; all of them where nothing else is there."""
    outside = np.ones(len(tokens), np.bool_)
    for figure in _FIGURE.finditer(question.encode()):
        outside &= (tokens.starts < figure.start()) | (tokens.starts >= figure.end())
    return outside if outside.any() else ~outside


def _token_idf(offsets: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Inverse document frequency of each token over the items, nats."""
    n_items = len(offsets) - 1
    if not len(hashes):
        return np.zeros(0)
    owner = np.repeat(np.arange(n_items), np.diff(offsets))
    _, token = np.unique(hashes, return_inverse=True)
    pairs = np.unique(token.astype(np.int64) * n_items + owner)
    frequency = np.bincount(pairs // n_items)
    # A collection of two items says nothing about language: at least a thousand are assumed.
    return np.log((max(n_items, 1000) + 1) / frequency)[token]


def _joined(arrays: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype), *arrays]).astype(dtype)


def _names(table: pa.Table, rows: np.ndarray) -> list[str]:
    benchmarks, numbers = table["benchmark"].to_pylist(), table["question_index"].to_pylist()
    return [f"{benchmarks[k]}/{numbers[k]}" for k in rows.tolist()]


def _arrays(index: BenchmarkIndex) -> dict[str, np.ndarray]:
    arrays = {name: getattr(index, name) for name in _TOKEN_ARRAYS}
    return arrays | {f"postings_{name}": getattr(index.postings, name) for name in Postings.__dataclass_fields__}


def _version(table: pa.Table, parts: dict[str, Any]) -> str:
    digest = hashlib.sha256(f"benchmark index {FORMAT}\n".encode())
    for row in table.to_pylist():
        digest.update(json.dumps(row, sort_keys=True, ensure_ascii=True).encode())
    for name in _TOKEN_ARRAYS:
        digest.update(np.ascontiguousarray(parts[name]).tobytes())
    for name in Postings.__dataclass_fields__:
        digest.update(np.ascontiguousarray(getattr(parts["postings"], name)).tobytes())
    return digest.hexdigest()[:32]
