"""The n-grams of benchmark items, masked and exact.

Each n-gram of a question can be looked up by one of two keys. The *masked* key, with every number
replaced by one mark, also finds the question with other numbers in it; the *exact* key does not.
Questions of fewer than five tokens have their first three as their only n-gram.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mathcode_assets.decontamination.config import GRAM, SHORT_GRAM, DecontaminationConfig
from mathcode_assets.decontamination.items import PreparedItems
from mathcode_assets.text.ngrams import EXACT_SALT, gram_hashes, masked

# Information of a token in a masked n-gram; an n-gram below two is looked up exactly.
_NUMBER, _LETTER, _WORD = 0.0, 0.5, 1.0
_MIN_GRAM_INFORMATION = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Grams:
    """One row an n-gram, in the order of items and positions."""

    soft: np.ndarray  # uint64, masked key
    exact: np.ndarray  # uint64, exact key
    owner: np.ndarray  # int64, its item
    position: np.ndarray  # int64, token of the item at which it begins
    has_number: np.ndarray  # bool
    is_poor: np.ndarray  # bool, masking its numbers leaves too little: `x 2 + 3 y`
    is_short: np.ndarray  # bool, three tokens instead of five


def grams_of_items(items: PreparedItems, config: DecontaminationConfig) -> Grams:
    """Every n-gram of every item that is long enough to have one."""
    mask = masked(items.hashes, items.numbers)
    information = np.where(items.numbers, _NUMBER, np.where(items.widths == 1, _LETTER, _WORD))
    columns: list[list[np.ndarray]] = [[] for _ in range(7)]
    for item in range(len(items)):
        first, last = int(items.offsets[item]), int(items.offsets[item + 1])
        n = GRAM if last - first >= GRAM else SHORT_GRAM
        if last - first < max(config.min_tokens, n):
            continue
        exact = gram_hashes(items.hashes[first:last], n) ^ EXACT_SALT
        soft = gram_hashes(mask[first:last], n)
        if n == SHORT_GRAM:
            exact, soft = exact[:1], soft[:1]
        sums = np.convolve(information[first:last], np.ones(n), "valid")[: len(exact)]
        has_number = np.convolve(items.numbers[first:last].astype(float), np.ones(n), "valid")[: len(exact)] > 0
        rows = (
            soft, exact, np.full(len(exact), item), np.arange(len(exact)), has_number,
            has_number & (sums < _MIN_GRAM_INFORMATION), np.full(len(exact), n == SHORT_GRAM),
        )  # fmt: skip
        for column, values in zip(columns, rows, strict=True):
            column.append(values)
    dtypes = (np.uint64, np.uint64, np.int64, np.int64, np.bool_, np.bool_, np.bool_)
    soft, exact, owner, position, has_number, is_poor, is_short = (
        np.concatenate([np.zeros(0, dtype), *column]).astype(dtype)
        for column, dtype in zip(columns, dtypes, strict=True)
    )
    return Grams(
        soft=soft, exact=exact, owner=owner, position=position, has_number=has_number, is_poor=is_poor,
        is_short=is_short,
    )  # fmt: skip
