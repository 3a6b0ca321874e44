"""Rows come back from the bucket they were sent to, in the order they were sent."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathcode_assets.deduplication import exchange
from mathcode_assets.deduplication.exchange import Buckets, fixed_bytes

SCHEMA = pa.schema([("value", pa.int64())])


@settings(deadline=None, max_examples=30)
@given(
    sent=st.lists(st.lists(st.integers(0, 4), max_size=6), max_size=6),
    buffer_rows=st.integers(1, 8),
)
def test_each_bucket_holds_its_rows_in_order(
    sent: list[list[int]], buffer_rows: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("buckets") / "new"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exchange, "BUFFER_ROWS", buffer_rows)
        with Buckets(folder, SCHEMA, 5) as buckets:
            value = 0
            expected: list[list[int]] = [[] for _ in range(5)]
            for numbers in sent:
                values = list(range(value, value + len(numbers)))
                value += len(numbers)
                buckets.add(pa.record_batch([pa.array(values, pa.int64())], schema=SCHEMA), np.array(numbers, int))
                for number, sent_value in zip(numbers, values, strict=True):
                    expected[number].append(sent_value)
        assert [buckets.read(number).column("value").to_pylist() for number in range(5)] == expected


def test_fixed_bytes_of_a_slice() -> None:
    column = pa.array([b"ab", b"cd", b"ef"], pa.binary(2)).slice(1)
    assert fixed_bytes(column, 2).tobytes() == b"cdef"
    assert fixed_bytes(column.slice(2), 2).shape == (0, 2)
