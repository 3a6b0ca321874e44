"""From n-gram to the items that hold it: an open-addressing table over flat arrays.

An n-gram is looked up by its masked key. Where masking leaves too little, or a template so common that
it points at dozens of items, the exact key is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, uint64

from mathcode_assets.decontamination.config import GRAM, SHORT_GRAM, DecontaminationConfig
from mathcode_assets.decontamination.frequencies import OwnFrequencies
from mathcode_assets.decontamination.grams import Grams
from mathcode_assets.decontamination.items import PreparedItems

_BITS_PER_KEY = 16  # of the Bloom bitmap in front of the table: 6 % of foreign n-grams pass
_SHORT_WORDS = 1024  # of the bitmaps of very short items


@dataclass(frozen=True, slots=True, kw_only=True)
class Postings:
    """The n-gram table. A key is in slot ``key & (len(slot_key) - 1)`` or after it; 0 is an empty slot.

    In a bitmap bit ``key >> 40`` (modulo its size) is set for each key.
    """

    vocabulary: np.ndarray  # uint64 bitmap of the items' tokens, numbers left out
    bitmap: np.ndarray  # uint64 bitmap of the keys of five tokens
    short_last: np.ndarray  # uint64 bitmap of the last tokens of the keys of three
    short_bitmap: np.ndarray  # uint64 bitmap of the keys of three tokens
    slot_key: np.ndarray  # uint64
    slot_first: np.ndarray  # int32, into the postings
    slot_count: np.ndarray  # int32
    item: np.ndarray  # int32, item of each posting
    position: np.ndarray  # int32, token of the item at which the n-gram begins
    share: np.ndarray  # float32, part of the item's n-gram weight; sums to 1 for each item
    exact: np.ndarray  # uint64, exact hash of the n-gram

    @property
    def lookup(self) -> tuple[np.ndarray, ...]:
        """What both kernels read, in their order."""
        return (
            self.vocabulary, self.bitmap, self.short_last, self.short_bitmap, self.slot_key, self.slot_first,
            self.slot_count, self.item,
        )  # fmt: skip


def build_postings(
    items: PreparedItems, grams: Grams, frequencies: OwnFrequencies, importance: np.ndarray,
    config: DecontaminationConfig,
) -> tuple[Postings, np.ndarray]:  # fmt: skip
    """The table, and for each token the mean rarity in [0, 1] of the n-grams it is part of."""
    by_exact = grams.is_poor | grams.is_short | (grams.has_number & (frequencies.soft > config.max_gram_items))
    keys = np.where(by_exact, grams.exact, grams.soft)
    frequency = np.where(by_exact, frequencies.exact, frequencies.soft)
    n_items = frequencies.n_items[grams.owner]
    rarity = _rarity(frequency, n_items)
    # A number in a template is what makes the question that question, so it counts by its exact n-grams.
    token_rarity = np.where(
        items.numbers,
        _token_rarity(items.offsets, grams, _rarity(frequencies.exact, n_items)),
        _token_rarity(items.offsets, grams, rarity),
    )
    kept = frequency <= config.max_exact_items
    owner, position = grams.owner[kept], grams.position[kept]
    weight = rarity[kept] * importance[items.offsets[owner] + position]
    total = np.bincount(owner, weight, len(items))
    share = (weight / np.maximum(total[owner], 1e-9)).astype(np.float32)
    postings = _table_of(
        keys[kept], grams.exact[kept], owner, position, share, items.offsets, items.hashes, items.numbers
    )
    return postings, token_rarity


def selected(
    postings: Postings, items: np.ndarray, offsets: np.ndarray, hashes: np.ndarray, numbers: np.ndarray
) -> Postings:
    """The postings of some items (ascending), numbered anew; the token arrays are those of these items."""
    number = np.full(int(postings.item.max(initial=-1)) + 1, -1, np.int64)
    number[items[items < len(number)]] = np.arange(len(items))[items < len(number)]
    slots = np.flatnonzero(postings.slot_key)
    slots = slots[np.argsort(postings.slot_first[slots])]
    keys = np.repeat(postings.slot_key[slots], postings.slot_count[slots])
    kept = number[postings.item] >= 0
    return _table_of(
        keys[kept], postings.exact[kept], number[postings.item[kept]], postings.position[kept].astype(np.int64),
        postings.share[kept], offsets, hashes, numbers,
    )  # fmt: skip


def _table_of(keys, exact, owner, position, share, offsets, hashes, numbers) -> Postings:
    order = np.lexsort((position, owner, keys))
    keys, exact, owner, position, share = (a[order] for a in (keys, exact, owner, position, share))
    unique, first, count = np.unique(keys, return_index=True, return_counts=True)
    slot_key, slot_first, slot_count = _slots(unique, first, count)
    short = np.diff(offsets)[owner] < GRAM
    return Postings(
        vocabulary=_bitmap(np.unique(hashes[~numbers])),
        bitmap=_bitmap(keys[~short]),
        short_last=_bitmap(hashes[offsets[owner[short]] + SHORT_GRAM - 1], words=_SHORT_WORDS),
        short_bitmap=_bitmap(keys[short], words=_SHORT_WORDS),
        slot_key=slot_key, slot_first=slot_first, slot_count=slot_count,
        item=owner.astype(np.int32), position=position.astype(np.int32), share=share, exact=exact,
    )  # fmt: skip


def _rarity(frequency: np.ndarray, n_items: np.ndarray) -> np.ndarray:
    """Squared relative idf of each n-gram, in [0, 1]; squared, so that templates weigh little."""
    return (np.log((n_items + 1) / frequency) / np.log(n_items + 1)) ** 2


def _token_rarity(offsets: np.ndarray, grams: Grams, rarity: np.ndarray) -> np.ndarray:
    total, count = np.zeros(int(offsets[-1])), np.zeros(int(offsets[-1]))
    for step in range(GRAM):
        inside = ~grams.is_short | (step < SHORT_GRAM)
        at = (offsets[grams.owner] + grams.position + step)[inside]
        np.add.at(total, at, rarity[inside])
        np.add.at(count, at, 1.0)
    # Tokens outside every n-gram (the fourth of four) take full weight.
    return np.where(count > 0, total / np.maximum(count, 1), 1.0)


def _slots(unique: np.ndarray, first: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    size = 1 << max(4, int(2 * len(unique)).bit_length())
    slot_key = np.zeros(size, np.uint64)
    slot_first, slot_count = np.zeros(size, np.int32), np.zeros(size, np.int32)
    _fill(unique, first, count, slot_key, slot_first, slot_count)
    return slot_key, slot_first, slot_count


@njit(cache=True)
def _fill(unique, first, count, slot_key, slot_first, slot_count):
    mask = uint64(len(slot_key) - 1)
    for k in range(len(unique)):
        slot = unique[k] & mask
        while slot_key[slot] != 0:
            slot = (slot + uint64(1)) & mask
        slot_key[slot], slot_first[slot], slot_count[slot] = unique[k], first[k], count[k]


def _bitmap(keys: np.ndarray, words: int = 0) -> np.ndarray:
    words = words or 1 << max(4, int(len(keys) * _BITS_PER_KEY // 64).bit_length())
    bits = np.zeros(words, np.uint64)
    at = (keys >> np.uint64(40)) % np.uint64(words * 64)
    np.bitwise_or.at(bits, (at >> np.uint64(6)).astype(np.int64), np.uint64(1) << (at & np.uint64(63)))
    return bits
