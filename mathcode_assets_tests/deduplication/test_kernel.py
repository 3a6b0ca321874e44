"""Small compiled parts: numbers each once, and which keys are among others."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mathcode_assets.deduplication import kernel
from mathcode_assets.deduplication.signatures import BAND_BYTES, BANDS
from mathcode_assets.deduplication.texts import ascending

# Keys that begin at one place of a table, or just before its end, and run into each other.
KEYS = st.builds(lambda low, high: high << 32 | low, st.sampled_from([0, 5, 62, 63, 2**32 - 1]), st.integers(0, 255))


@settings(deadline=None)
@given(st.lists(st.integers(0, 20)))
def test_numbers_come_in_order_and_once(numbers: list[int]) -> None:
    assert ascending(np.array(numbers, np.uint64)).tolist() == sorted(set(numbers))
    assert ascending(np.array(numbers, np.int64)).tolist() == sorted(set(numbers))


@settings(deadline=None, max_examples=25)
@given(wanted=st.lists(KEYS, max_size=40), rows=st.lists(st.lists(KEYS, min_size=BANDS, max_size=BANDS), max_size=4))
def test_entries_are_those_whose_key_is_wanted(wanted: list[int], rows: list[list[int]]) -> None:
    bands = np.frombuffer(b"".join(key.to_bytes(BAND_BYTES, "little") for row in rows for key in row), np.uint8)
    table = kernel.key_table(np.array(wanted, np.uint64))
    bands = bands.reshape(len(rows), BANDS * BAND_BYTES)
    every_other = np.arange(0, len(rows), 2)
    found, keys = kernel.entries_among(bands, every_other, table)
    expected = [(number, key) for number in every_other.tolist() for key in rows[number] if key in wanted]
    assert kernel.rows_with_words(bands, every_other).tolist() == [row for row in every_other if any(rows[row])]
    assert list(zip(found.tolist(), keys.tolist(), strict=True)) == expected
