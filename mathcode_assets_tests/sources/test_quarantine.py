from __future__ import annotations

from mathcode_assets.records import QUARANTINE
from mathcode_assets.sources.quarantine import MAX_DETAIL_CHARS, MAX_PAYLOAD_BYTES, Quarantine, ReadReport


def add(quarantine: Quarantine, row: int, payload: bytes = b"p", reason: str = "invalid_json") -> None:
    quarantine.add(source_file="a.jsonl", source_row=row, reason=reason, detail=f"d{row}", payload=payload)


def rows_of(quarantine: Quarantine) -> list[int]:
    return [row for batch in quarantine.batches() for row in batch.column("source_row").to_pylist()]


def test_records_come_back_in_order_and_again() -> None:
    quarantine = Quarantine(source="cc_en")
    assert list(quarantine.batches()) == []
    for row in range(700):
        add(quarantine, row)
    assert rows_of(quarantine) == list(range(700))
    add(quarantine, 700)
    assert rows_of(quarantine) == list(range(701))
    batch = next(quarantine.batches())
    assert batch.schema.equals(QUARANTINE, check_metadata=True)
    assert batch.slice(0, 1).to_pylist() == [
        {
            "source": "cc_en",
            "source_file": "a.jsonl",
            "source_row": 0,
            "reason": "invalid_json",
            "detail": "d0",
            "payload": b"p",
        }
    ]


def test_records_may_be_added_while_others_are_taken() -> None:
    quarantine = Quarantine(source="cc_en")
    for row in range(600):
        add(quarantine, row)
    for number, _ in enumerate(quarantine.batches()):
        for row in range(300):
            add(quarantine, 1_000 + number * 300 + row)
    assert len(rows_of(quarantine)) == 600 + 3 * 300


def test_payload_and_detail_are_cut_and_always_storable() -> None:
    quarantine = Quarantine(source="cc_en")
    quarantine.add(
        source_file="\ud800.jsonl",
        source_row=0,
        reason="x",
        detail="\udfff" * 2_000,
        payload=b"\xff" * 100_000,
    )
    (row,) = next(quarantine.batches()).to_pylist()
    assert len(row["payload"]) == MAX_PAYLOAD_BYTES
    assert row["detail"] == "\\udfff" * MAX_DETAIL_CHARS
    assert row["source_file"] == "\\ud800.jsonl"


def test_counts_by_reason() -> None:
    quarantine = Quarantine(source="cc_en")
    for reason in ("a", "b", "a"):
        add(quarantine, 0, reason=reason)
    assert quarantine.counts == {"a": 2, "b": 1}
    assert len(quarantine) == 3


def test_the_report_in_one_line() -> None:
    report = ReadReport(n_records=1_003, n_read=1_000, files={"a.jsonl": 1_003, "b.jsonl": 0})
    report.n_quarantined.update({"invalid_json": 2, "empty_text": 1})
    assert report.summary() == (
        "1,003 records, 1,000 read, 3 quarantined (empty_text 1, invalid_json 2), without a record: b.jsonl"
    )
    assert ReadReport(n_records=1, n_read=1, files={"a": 1}).summary() == "1 records, 1 read"
