"""In how many benchmark items a token or an n-gram occurs: what is common, and so says little.

A table is counted once over a collection of benchmarks and then stays put, like a model in use: with it
the weights of a benchmark's items depend on that benchmark alone, so another one can come or go and
what was scanned before still holds (docs/decisions/0023). What the table does not know is counted
within the benchmark itself, so that a new benchmark's own templates are seen as templates.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mathcode_assets.decontamination.config import DecontaminationConfig
from mathcode_assets.decontamination.grams import Grams, grams_of_items
from mathcode_assets.decontamination.items import PreparedItems

FORMAT = 1
MIN_ITEMS = 1000  # a collection of two items says nothing about language: at least so many are assumed
ARRAYS_FILE, META_FILE = "frequencies.npz", "frequencies.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frequencies:
    """Token hashes and n-gram keys with the number of items that hold them."""

    n_items: int
    key: np.ndarray  # uint64, ascending: what two items or more have in common
    count: np.ndarray  # int32

    def of(self, keys: np.ndarray) -> np.ndarray:
        """Number of items for each key, int64; 0 where the table does not know it."""
        if not len(self.key):
            return np.zeros(len(keys), np.int64)
        at = np.minimum(np.searchsorted(self.key, keys), len(self.key) - 1)
        return np.where(self.key[at] == keys, self.count[at], 0).astype(np.int64)

    @property
    def version(self) -> str:
        """32 hex digits over all of it."""
        digest = hashlib.sha256(f"frequencies {FORMAT} {self.n_items}\n".encode())
        digest.update(self.key.tobytes())
        digest.update(self.count.tobytes())
        return digest.hexdigest()[:32]

    def save(self, folder: Path) -> None:
        """Write the table to a folder; the same table gives the same bytes."""
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / ARRAYS_FILE, key=self.key, count=self.count)
        meta = {"format": FORMAT, "n_items": self.n_items, "keys": len(self.key), "version": self.version}
        (folder / META_FILE).write_text(json.dumps(meta, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def load_frequencies(folder: Path) -> Frequencies:
    """The table saved in a folder.

    Raises:
        FileNotFoundError: the folder holds none.
        ValueError: it was written by another format.
    """
    meta = json.loads((folder / META_FILE).read_text(encoding="utf-8"))
    if meta["format"] != FORMAT:
        raise ValueError(f"frequencies {folder} have format {meta['format']}, this code reads {FORMAT}")
    with np.load(folder / ARRAYS_FILE) as stored:
        return Frequencies(n_items=meta["n_items"], key=stored["key"], count=stored["count"])


def count_frequencies(items: PreparedItems, config: DecontaminationConfig | None = None) -> Frequencies:
    """Frequencies of tokens, masked n-grams and exact n-grams over all items."""
    grams = grams_of_items(items, config or DecontaminationConfig())
    whole = np.zeros(len(items), np.int64)
    keys, counts = [], []
    for key, owner in _columns(items, grams):
        unique, count = _counted(key, owner, whole)[:2]
        keys.append(unique[count > 1])
        counts.append(count[count > 1])
    key, count = np.concatenate(keys), np.concatenate(counts).astype(np.int32)
    order = np.argsort(key, kind="stable")
    return Frequencies(n_items=len(items), key=key[order], count=count[order])


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFrequencies:
    """Frequencies as the items of one index see them: the larger of the table's and the benchmark's own."""

    token: np.ndarray  # of each token of the items
    soft: np.ndarray  # of each n-gram, masked ...
    exact: np.ndarray  # ... and exact
    n_items: np.ndarray  # of each item: size of the collection it is judged by


def own_frequencies(items: PreparedItems, grams: Grams, table: Frequencies) -> OwnFrequencies:
    """Frequencies for every token and n-gram of the items."""
    token, soft, exact = (
        np.maximum(table.of(key), _counted(key, owner, items.benchmark)[2]) for key, owner in _columns(items, grams)
    )
    sizes = np.bincount(items.benchmark, minlength=1)[items.benchmark]
    return OwnFrequencies(
        token=token, soft=soft, exact=exact, n_items=np.maximum(np.maximum(sizes, table.n_items), MIN_ITEMS)
    )


def _columns(items: PreparedItems, grams: Grams) -> list[tuple[np.ndarray, np.ndarray]]:
    """Tokens, masked n-grams and exact n-grams, each with the items they are in."""
    token_owner = np.repeat(np.arange(len(items)), np.diff(items.offsets))
    return [(items.hashes, token_owner), (grams.soft, grams.owner), (grams.exact, grams.owner)]


def _counted(keys: np.ndarray, owner: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keys, in how many items of a group each occurs (of one group), and that number for each row.

    The first two are per key and group, in the order of keys.
    """
    if not len(keys):
        return keys, np.zeros(0, np.int64), np.zeros(0, np.int64)
    unique, number = np.unique(keys, return_inverse=True)
    n_groups, n_items = int(group.max()) + 1, len(group)
    pairs = np.unique(number.astype(np.int64) * n_items + owner)
    cell = (pairs // n_items) * n_groups + group[pairs % n_items]
    cells, count = np.unique(cell, return_counts=True)
    own = count[np.searchsorted(cells, number.astype(np.int64) * n_groups + group[owner])]
    return unique[cells // n_groups], count, own
