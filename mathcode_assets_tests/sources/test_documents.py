from __future__ import annotations

import datetime
import decimal
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mathcode_assets.records import DOCUMENT, batch_of
from mathcode_assets.sources.documents import (
    DocumentBatches,
    canonical_json,
    doc_id_of,
    document_row,
    encodable,
)
from mathcode_assets.sources.listing import SourceFile

FILE = SourceFile(
    relative_path="sub/a.jsonl",
    uri="/d/sub/a.jsonl",
    address="d/sub/a.jsonl",
    size_bytes=1,
    revision="r",
    fingerprint="f",
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ANY_TEXT = st.text(st.characters())  # lone surrogates too


def test_the_id_is_the_start_of_a_hash_anyone_can_repeat() -> None:
    parts = [b"cc_en", b"id-1", "größer\n".encode()]
    data = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    assert doc_id_of("cc_en", "id-1", "größer\n") == hashlib.sha256(data).hexdigest()[:32]


@given(TEXT, TEXT, TEXT, TEXT)
def test_ids_differ_where_any_part_does(source: str, own: str, text: str, more: str) -> None:
    assert doc_id_of(source, own + more, text) != doc_id_of(source, own, more + text) or not more
    assert doc_id_of(source, own, text) == doc_id_of(source, own, text)


def test_a_row_with_nothing_of_its_own() -> None:
    row = document_row(source="cc_en", file=FILE, source_row=7, text="t")
    assert row["source_id"] == "sub/a.jsonl#7"
    assert row["source_uri"] == "d/sub/a.jsonl#7"
    assert row["source_file"] == "sub/a.jsonl"
    assert (row["source_revision"], row["licence"], row["source_metadata"]) == ("r", "unknown", "{}")
    assert batch_of([row], DOCUMENT).num_rows == 1


def test_a_lone_surrogate_in_the_text_is_refused_and_elsewhere_escaped() -> None:
    with pytest.raises(UnicodeEncodeError):
        document_row(source="cc_en", file=FILE, source_row=0, text="\ud800")
    row = document_row(
        source="cc_en", file=FILE, source_row=0, text="t", source_id="\ud800", metadata={"k": ["\udfff"]}
    )
    assert row["source_id"] == "\\ud800"
    assert row["source_metadata"] == '{"k":["\\udfff"]}'
    assert json.loads(row["source_metadata"]) == {"k": ["\udfff"]}


@given(st.recursive(st.none() | st.booleans() | st.integers() | ANY_TEXT, lambda x: st.dictionaries(ANY_TEXT, x)))
def test_canonical_json_is_lossless_and_storable(value: Any) -> None:
    text = canonical_json(value)
    assert json.loads(text.encode("utf-8")) == value
    assert canonical_json(json.loads(text)) == text


def test_canonical_json_writes_what_json_lacks_as_strings() -> None:
    value = {
        "b": float("nan"),
        "a": [float("inf"), -float("inf"), 1.5],
        "d": datetime.datetime(2024, 1, 2, 3, 4),
        "c": b"by\xfftes",
        "e": decimal.Decimal("1.10"),
        "ü": "ü",
    }
    assert canonical_json(value) == (
        '{"a":["inf","-inf",1.5],"b":"nan","c":"by\\\\xfftes","d":"2024-01-02T03:04:00","e":"1.10","ü":"ü"}'
    )


@given(ANY_TEXT)
def test_encodable_changes_lone_surrogates_only(text: str) -> None:
    encodable(text).encode("utf-8")
    if not any("\ud800" <= mark <= "\udfff" for mark in text):
        assert encodable(text) == text


def test_batches_are_bounded_in_rows_and_bytes() -> None:
    batches = DocumentBatches(rows=3, n_bytes=100)
    sizes = []
    for number in range(8):
        row = document_row(source="cc_en", file=FILE, source_row=number, text="t")
        sizes += [batch.num_rows for batch in batches.add(row, 90 if number == 4 else 20)]
    sizes += [batch.num_rows for batch in batches.rest()]
    assert sizes == [3, 2, 3]
    assert list(batches.rest()) == []
