"""Documents and attributes are joined by position, checked by id, and every row is counted."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathcode_assets.storage.consolidate import NotCopartitioned, Tally, keep_rows

DROP = frozenset({"dropped"})


def cut(rows: list[dict[str, str]], size: int, names: list[str]) -> list[pa.RecordBatch]:
    schema = pa.schema([(name, pa.string()) for name in names])
    return [pa.RecordBatch.from_pylist(rows[i : i + size], schema) for i in range(0, len(rows), size)]


def documents(n: int, size: int = 10**6) -> list[pa.RecordBatch]:
    return cut([{"doc_id": str(i), "text": f"text {i}"} for i in range(n)], size, ["doc_id", "text"])


def attributes(verdicts: list[str], size: int = 10**6) -> list[pa.RecordBatch]:
    rows = [{"doc_id": str(i), "verdict": v, "reason": f"r{i % 2}"} for i, v in enumerate(verdicts)]
    return cut(rows, size, ["doc_id", "verdict", "reason"])


@given(
    verdicts=st.lists(st.sampled_from(["kept", "dropped"]), max_size=40),
    d=st.integers(1, 50),
    a=st.integers(1, 50),
)
@settings(max_examples=60, deadline=None)
def test_kept_and_counted_whatever_the_batches(verdicts: list[str], d: int, a: int) -> None:
    tally = Tally()
    kept = keep_rows(
        documents(len(verdicts), d),
        attributes(verdicts, a),
        drop_verdicts=DROP,
        tally=tally,
        reason_column="reason",
    )
    ids = [i for batch in kept for i in batch.column("doc_id").to_pylist()]
    assert ids == [str(i) for i, v in enumerate(verdicts) if v == "kept"]
    accounting = tally.accounting(len(ids))
    assert accounting.n_in == len(verdicts)
    assert accounting.n_dropped == verdicts.count("dropped")
    assert accounting.dropped.get("r0", 0) == sum(v == "dropped" for v in verdicts[::2])


@pytest.mark.parametrize("n_attributes, message", [(2, "end at row 2"), (4, "more attributes than the 3")])
def test_another_number_of_rows_is_an_error(n_attributes: int, message: str) -> None:
    with pytest.raises(NotCopartitioned, match=message):
        list(keep_rows(documents(3), attributes(["kept"] * n_attributes), drop_verdicts=DROP, tally=Tally()))


def test_other_documents_are_an_error() -> None:
    swapped = attributes(["kept"] * 3)[0].take(pa.array([1, 0, 2]))
    with pytest.raises(NotCopartitioned, match=r"rows 0\.\.2"):
        list(keep_rows(documents(3), [swapped], drop_verdicts=DROP, tally=Tally()))
