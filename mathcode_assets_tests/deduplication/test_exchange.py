"""Keys come back in order with the documents they were sent with, one bucket of equal first bytes after another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathcode_assets.deduplication import exchange
from mathcode_assets.deduplication.exchange import KeyBuckets, keys_of

KEYS = st.integers(0, (1 << 40) - 1)


@settings(deadline=None, max_examples=30)
@given(
    sent=st.lists(st.lists(st.tuples(KEYS, st.integers(0, (1 << 32) - 1)), max_size=6), max_size=6),
    buffer_entries=st.integers(1, 8),
)
def test_each_bucket_holds_its_entries_in_order(
    sent: list[list[tuple[int, int]]], buffer_entries: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("buckets") / "new"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exchange, "BUFFER_ENTRIES", buffer_entries)
        with KeyBuckets(folder) as buckets:
            for entries in sent:
                keys, numbers = np.array(entries, np.uint64).reshape(-1, 2).T
                buckets.add(keys, numbers)
        found = [list(zip(keys.tolist(), numbers.tolist(), strict=True)) for keys, numbers in buckets]
    assert [entry for entries in found for entry in entries] == sorted(entry for entries in sent for entry in entries)
    assert all(len({key >> 32 for key, _ in entries}) <= 1 for entries in found if len(found) > 1)


def test_keys_are_five_bytes_each_lowest_first() -> None:
    bands = np.frombuffer(bytes([1, 0, 0, 0, 0, 0, 1, 0, 0, 255]), np.uint8).reshape(1, 10)
    assert keys_of(bands, 2).tolist() == [[1, 256 + (255 << 32)]]
