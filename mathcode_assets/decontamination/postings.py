"""From n-gram to the items that hold it: an open-addressing table over flat arrays.

Each n-gram of a question is looked up by one of two keys. The *masked* key, with every number
replaced by one mark, also finds the question with other numbers in it. Where masking leaves too
little (``x 2 + 3 y``), or a template so common that it points at hundreds of items, the *exact* key is
used. Questions of fewer than five tokens are looked up by their first three.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mathcode_assets.decontamination.config import GRAM, SHORT_GRAM, DecontaminationConfig
from mathcode_assets.text.ngrams import EXACT_SALT, gram_hashes, masked

# Information of a token in a masked n-gram; an n-gram below two is looked up exactly.
_NUMBER, _LETTER, _WORD = 0.0, 0.5, 1.0
_MIN_GRAM_INFORMATION = 2.0
_BITS_PER_KEY = 16  # of the Bloom bitmap in front of the table: 6 % of foreign n-grams pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Postings:
    """The n-gram table. A key is in slot ``key & (len(slot_key) - 1)`` or after it; 0 is an empty slot."""

    bitmap: np.ndarray  # uint64, bit ``key >> 40`` (modulo its size) is set for each key
    slot_key: np.ndarray  # uint64
    slot_first: np.ndarray  # int32, into the postings
    slot_count: np.ndarray  # int32
    item: np.ndarray  # int32, item of each posting
    position: np.ndarray  # int32, token of the item at which the n-gram begins
    share: np.ndarray  # float32, part of the item's n-gram weight; sums to 1 for each item
    exact: np.ndarray  # uint64, exact hash of the n-gram
    short_bitmap: np.ndarray  # uint64[1024], the same for the keys of very short items


def build_postings(
    offsets: np.ndarray,
    hashes: np.ndarray,
    numbers: np.ndarray,
    widths: np.ndarray,
    importance: np.ndarray,
    config: DecontaminationConfig,
) -> tuple[Postings, np.ndarray]:
    """The table, and for each token the mean rarity in [0, 1] of the n-grams it is part of."""
    keys, exact, owner, position, rarity, gram = _grams(offsets, hashes, numbers, widths, config)
    # A number in a template is what makes the question that question, so it counts by its exact n-grams.
    token_rarity = np.where(
        numbers,
        _token_rarity(offsets, owner, position, _rarity(exact, owner, len(offsets) - 1), gram),
        _token_rarity(offsets, owner, position, rarity, gram),
    )
    frequency = _frequency(keys, owner)
    kept = frequency <= config.max_exact_items
    keys, exact, owner, position, rarity = (a[kept] for a in (keys, exact, owner, position, rarity))
    weight = rarity * importance[offsets[owner] + position]
    total = np.bincount(owner, weight, len(offsets) - 1)
    share = (weight / np.maximum(total[owner], 1e-9)).astype(np.float32)
    order = np.lexsort((position, owner, keys))
    keys, exact, owner, position, share = (a[order] for a in (keys, exact, owner, position, share))
    unique, first, count = np.unique(keys, return_index=True, return_counts=True)
    slot_key, slot_first, slot_count = _table(unique, first, count)
    short = gram[kept][order] == SHORT_GRAM
    return Postings(
        bitmap=_bitmap(keys[~short]), slot_key=slot_key, slot_first=slot_first, slot_count=slot_count,
        item=owner.astype(np.int32), position=position.astype(np.int32), share=share, exact=exact,
        short_bitmap=_bitmap(keys[short], words=1024),
    ), token_rarity  # fmt: skip


def _grams(offsets, hashes, numbers, widths, config):
    """Key, exact hash, item, position, rarity and length of every n-gram of every item."""
    mask = masked(hashes, numbers)
    information = np.where(numbers, _NUMBER, np.where(widths == 1, _LETTER, _WORD))
    columns: list[list[np.ndarray]] = [[] for _ in range(6)]
    for item in range(len(offsets) - 1):
        first, last = int(offsets[item]), int(offsets[item + 1])
        n = GRAM if last - first >= GRAM else SHORT_GRAM
        if last - first < max(config.min_tokens, n):
            continue
        whole = gram_hashes(hashes[first:last], n) ^ EXACT_SALT
        soft = gram_hashes(mask[first:last], n)
        if n == SHORT_GRAM:
            whole, soft = whole[:1], soft[:1]
        sums = np.convolve(information[first:last], np.ones(n), "valid")[: len(whole)]
        has_number = np.convolve(numbers[first:last].astype(float), np.ones(n), "valid")[: len(whole)] > 0
        for column, values in zip(
            columns,
            (soft, whole, np.full(len(whole), item), np.arange(len(whole)),
             has_number & (sums < _MIN_GRAM_INFORMATION), np.full(len(whole), n)),
            strict=True,
        ):  # fmt: skip
            column.append(values)
    dtypes = (np.uint64, np.uint64, np.int64, np.int64, np.bool_, np.int64)
    soft, whole, owner, position, poor, gram = (
        np.concatenate([np.zeros(0, d), *c]).astype(d) for c, d in zip(columns, dtypes, strict=True)
    )
    frequency = _frequency(soft, owner)
    by_exact = poor | (gram == SHORT_GRAM)
    with_number = _with_number(owner, position, gram, offsets, numbers)
    by_exact |= with_number & (frequency > config.max_gram_items)
    keys = np.where(by_exact, whole, soft)
    return keys, whole, owner, position, _rarity(keys, owner, len(offsets) - 1), gram


def _rarity(keys: np.ndarray, owner: np.ndarray, n_items: int) -> np.ndarray:
    """Squared relative idf of each n-gram, in [0, 1]; squared, so that templates weigh little."""
    n_items = max(n_items, 1000)  # two items say nothing about language
    return (np.log((n_items + 1) / _frequency(keys, owner)) / np.log(n_items + 1)) ** 2


def _with_number(owner, position, gram, offsets, numbers):
    running = np.concatenate([np.zeros(1, np.int64), np.cumsum(numbers)])
    first = offsets[owner] + position
    return running[first + gram] > running[first]


def _frequency(keys: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """In how many items the n-gram of each row occurs."""
    if not len(keys):
        return np.zeros(0)
    _, gram = np.unique(keys, return_inverse=True)
    pairs = np.unique(gram.astype(np.int64) * (int(owner.max()) + 1) + owner)
    return np.bincount(pairs // (int(owner.max()) + 1))[gram]


def _token_rarity(offsets, owner, position, rarity, gram):
    total, count = np.zeros(int(offsets[-1])), np.zeros(int(offsets[-1]))
    for step in range(GRAM):
        inside = step < gram
        at = (offsets[owner] + position + step)[inside]
        np.add.at(total, at, rarity[inside])
        np.add.at(count, at, 1.0)
    # Tokens outside every n-gram (the fourth of four) take full weight.
    return np.where(count > 0, total / np.maximum(count, 1), 1.0)


def _table(unique: np.ndarray, first: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    size = 1 << max(4, int(2 * len(unique)).bit_length())
    slot_key, slot_first, slot_count = (
        np.zeros(size, np.uint64),
        np.zeros(size, np.int32),
        np.zeros(size, np.int32),
    )
    for key, start, number in zip(unique.tolist(), first.tolist(), count.tolist(), strict=True):
        slot = key & (size - 1)
        while slot_key[slot]:
            slot = (slot + 1) & (size - 1)
        slot_key[slot], slot_first[slot], slot_count[slot] = key, start, number
    return slot_key, slot_first, slot_count


def _bitmap(keys: np.ndarray, words: int = 0) -> np.ndarray:
    words = words or 1 << max(4, int(len(keys) * _BITS_PER_KEY // 64).bit_length())
    bits = np.zeros(words, np.uint64)
    at = (keys >> np.uint64(40)) % np.uint64(words * 64)
    np.bitwise_or.at(bits, (at >> np.uint64(6)).astype(np.int64), np.uint64(1) << (at & np.uint64(63)))
    return bits
