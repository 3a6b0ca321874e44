"""The benchmark index: every question as weighted n-grams, with what alignment needs.

Saved to one folder, byte-identical for the same items whatever their order: ``items.arrow`` (who is
who), ``arrays.npz`` (tokens, n-gram table, postings), ``index.json`` (versions, hygiene report).

An index is made of parts, one a benchmark. A part depends on its own items and the table of
frequencies, on no other part, so what a document was found to hold of one benchmark stays true when
another is added (docs/decisions/0023).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mathcode_assets.decontamination.config import DecontaminationConfig
from mathcode_assets.decontamination.frequencies import Frequencies, count_frequencies, own_frequencies
from mathcode_assets.decontamination.grams import grams_of_items
from mathcode_assets.decontamination.hygiene import HygieneReport
from mathcode_assets.decontamination.items import PreparedItems, prepare_items
from mathcode_assets.decontamination.language import capped
from mathcode_assets.decontamination.postings import Postings, build_postings, selected

FORMAT = 2  # of the saved folder; also part of the version, so a changed kernel gives a new version
_TOKEN_ARRAYS = ("offsets", "token_hash", "token_number", "token_word", "token_core", "token_weight")
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
    parts: Mapping[str, str]  # benchmark -> hash of all that decides what is found of it
    version: str  # hash of the parts

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
            "parts": dict(self.parts),
            "hygiene": asdict(self.hygiene),
        }
        (folder / META_FILE).write_text(json.dumps(meta, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    def select(self, benchmarks: Collection[str]) -> BenchmarkIndex:
        """The index of some of the benchmarks; a scan with it finds of them what one with all of it finds."""
        names = self.items["benchmark"].to_pylist()
        items = np.array([k for k, name in enumerate(names) if name in benchmarks], np.int64)
        lengths = np.diff(self.offsets)
        tokens = np.repeat(np.isin(np.arange(len(self)), items), lengths)
        arrays = {name: getattr(self, name)[tokens] for name in _TOKEN_ARRAYS[1:]}
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths[items])])
        parts = {name: version for name, version in self.parts.items() if name in benchmarks}
        postings = selected(self.postings, items, offsets, arrays["token_hash"], arrays["token_number"])
        return BenchmarkIndex(
            items=self.items.take(pa.array(items)), offsets=offsets, postings=postings, hygiene=self.hygiene,
            parts=parts, version=_version(parts), **arrays,
        )  # fmt: skip


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
    return BenchmarkIndex(
        items=items, postings=postings, hygiene=hygiene, parts=meta["parts"], version=meta["version"], **arrays
    )


def build_index(
    items: Iterable[pa.RecordBatch],
    config: DecontaminationConfig | None = None,
    frequencies: Frequencies | None = None,
) -> BenchmarkIndex:
    """The index of benchmark items, whatever order they come in.

    Args:
        items: batches of `records.BENCHMARK_ITEM`.
        config: which n-grams are too common, what counts as an instruction.
        frequencies: the table in use; by default it is counted over these items, and then another
            benchmark changes the weights of all.

    Raises:
        SchemaMismatch: a batch is not of that schema.
        ValueError: two items share benchmark and question_index.
    """
    config = config or DecontaminationConfig()
    prepared = prepare_items(items, config)
    table = count_frequencies(prepared, config) if frequencies is None else frequencies
    grams = grams_of_items(prepared, config)
    own = own_frequencies(prepared, grams, table)
    importance = np.where(prepared.core, 1.0, _FIGURE_WEIGHT)
    postings, rarity = build_postings(prepared, grams, own, importance, config)
    n_items = np.repeat(own.n_items, np.diff(prepared.offsets))
    idf = np.log((n_items + 1) / own.token) if len(own.token) else np.zeros(0)
    information = capped(idf, prepared.hashes, prepared.numbers, prepared.widths)
    arrays: dict[str, Any] = {
        "offsets": prepared.offsets,
        "token_hash": prepared.hashes,
        "token_number": prepared.numbers,
        "token_word": ~prepared.numbers & (prepared.widths > 1),
        "token_core": prepared.core,
        "token_weight": (information * rarity * importance).astype(np.float32),
    }
    parts = _parts(prepared, postings, arrays)
    return BenchmarkIndex(
        items=prepared.table,
        postings=postings,
        hygiene=prepared.hygiene,
        parts=parts,
        version=_version(parts),
        **arrays,
    )


def _arrays(index: BenchmarkIndex) -> dict[str, np.ndarray]:
    arrays = {name: getattr(index, name) for name in _TOKEN_ARRAYS}
    return arrays | {f"postings_{name}": getattr(index.postings, name) for name in Postings.__dataclass_fields__}


def _parts(items: PreparedItems, postings: Postings, arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
    """A hash for each benchmark over its items, their weights and their n-grams."""
    names = items.table["benchmark"].to_pylist()
    order = np.lexsort((postings.position, postings.item))
    slots = np.flatnonzero(postings.slot_key)
    slots = slots[np.argsort(postings.slot_first[slots])]
    columns = (np.repeat(postings.slot_key[slots], postings.slot_count[slots]), postings.exact, postings.share)
    borders = np.searchsorted(postings.item[order], np.arange(len(names) + 1))
    parts = {}
    for benchmark in sorted(set(names)):
        first = names.index(benchmark)
        last = first + names.count(benchmark)
        digest = hashlib.sha256(f"benchmark part {FORMAT}\n".encode())
        for row in items.table.slice(first, last - first).to_pylist():
            digest.update(json.dumps(row, sort_keys=True, ensure_ascii=True).encode())
        tokens = slice(int(items.offsets[first]), int(items.offsets[last]))
        for name in _TOKEN_ARRAYS[1:]:
            digest.update(np.ascontiguousarray(arrays[name][tokens]).tobytes())
        rows = order[borders[first] : borders[last]]
        digest.update((postings.item[rows] - first).astype(np.int64).tobytes())
        digest.update(postings.position[rows].tobytes())
        for column in columns:
            digest.update(column[rows].tobytes())
        parts[benchmark] = digest.hexdigest()[:32]
    return parts


def _version(parts: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps([FORMAT, *sorted(parts.items())]).encode()).hexdigest()[:32]
