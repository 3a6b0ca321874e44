from __future__ import annotations

import datetime
import decimal
import json
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mathcode_assets.config import SourceSpec
from mathcode_assets.sources.errors import UnreadableSource
from mathcode_assets.sources.listing import list_files, local_file
from mathcode_assets.sources.quarantine import Quarantine, ReadReport
from mathcode_assets.sources.raw_records import ReadLimits
from mathcode_assets.sources.readers import read_labels
from mathcode_assets_tests.sources.conftest import Read


def bad_strings(values: list[bytes], dtype: pa.DataType | None = None) -> pa.Array:
    """A column of strings that holds bytes that are not UTF-8, as a careless writer makes it."""
    column = pa.array(values, type=pa.large_binary() if dtype == pa.large_string() else pa.binary())
    return column.view(dtype or pa.string())


@pytest.mark.parametrize("dtype", [pa.string(), pa.large_string()])
def test_bytes_that_are_not_utf8_cost_their_own_record_only(tmp_path: Path, read: Read, dtype: pa.DataType) -> None:
    texts = bad_strings([b"one", b"bad \xff", "größe".encode(), b"\xed\xa0\x80"], dtype)
    pq.write_table(pa.table({"text": texts, "id": ["1", "2", "3", "4"]}), tmp_path / "a.parquet")
    found = read(tmp_path / "a.parquet")
    assert found.texts == ["one", "größe"]
    assert found.reasons == [(1, "invalid_utf8"), (3, "invalid_utf8")]
    assert b"bad" in found.rejected[0]["payload"]


def test_bytes_that_are_not_utf8_beside_a_good_text_are_escaped(tmp_path: Path, read: Read) -> None:
    table = pa.table(
        {
            "text": ["one", "two"],
            "url": bad_strings([b"http://x/\xff", b"u"]),
            "note": bad_strings([b"\xfe", b"n"]),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    rows = read(tmp_path / "a.parquet").rows
    assert rows[0]["source_uri"] == "http://x/\\xff"
    assert json.loads(rows[0]["source_metadata"])["note"] == "\\xfe"
    assert rows[1]["source_uri"] == "u"


def test_bytes_that_are_not_utf8_deep_in_another_column_are_escaped(tmp_path: Path, read: Read) -> None:
    deep = pa.StructArray.from_arrays([bad_strings([b"\xff", b"n"]), pa.array([1, 2])], names=["s", "n"])
    listed = pa.ListArray.from_arrays([0, 1, 2], bad_strings([b"\xfe", b"m"]))
    pq.write_table(pa.table({"text": ["one", "two"], "deep": deep, "list": listed}), tmp_path / "a.parquet")
    rows = read(tmp_path / "a.parquet").rows
    assert [json.loads(row["source_metadata"]) for row in rows] == [
        {"deep": {"s": "\\xff", "n": 1}, "list": ["\\xfe"]},
        {"deep": {"s": "n", "n": 2}, "list": ["m"]},
    ]


def test_null_empty_and_blank_texts(tmp_path: Path, read: Read) -> None:
    pq.write_table(pa.table({"text": ["one", None, "", " \n\u2003", "two"]}), tmp_path / "a.parquet")
    found = read(tmp_path / "a.parquet")
    assert found.texts == ["one", "two"]
    assert found.reasons == [(1, "null_field"), (2, "empty_text"), (3, "empty_text")]


def test_a_column_of_nothing_but_nulls_is_quarantined_row_by_row(tmp_path: Path, read: Read) -> None:
    pq.write_table(pa.table({"text": pa.nulls(3)}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet").report.n_quarantined == {"null_field": 3}


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["t"], type=pa.large_string()),
        pa.array(["t"], type=pa.string_view()),
        pa.array([b"t"], type=pa.binary()),
        pa.array(["t"]).dictionary_encode(),
    ],
    ids=["large_string", "string_view", "binary", "dictionary"],
)
def test_every_kind_of_text_column_is_read(tmp_path: Path, read: Read, column: pa.Array) -> None:
    pq.write_table(pa.table({"content": column}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet", source="starcoder_python").texts == ["t"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"Text": ["a"], "id": [1]}, "no column text or content; found: Text (string), id (int64)"),
        ({"text": [1]}, "column text is not text; found: text (int64)"),
        ({"text": [["a"]]}, "column text is not text; found: text (list<element: string>)"),
        ({"text": [3], "content": ["a"]}, "column text is not text; found: text (int64), content (string)"),
    ],
)
def test_a_missing_or_wrong_column_names_file_and_columns(
    tmp_path: Path, read: Read, table: dict[str, list[object]], said: str
) -> None:
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    found = read(tmp_path / "a.parquet")
    assert found.rows == []
    assert str(found.error) == f"a.parquet: {said}"


def test_labels_want_an_id_of_any_type(tmp_path: Path) -> None:
    def read(table: pa.Table) -> list[dict[str, str]]:
        pq.write_table(table, tmp_path / "l.parquet")
        batches = read_labels(
            local_file(tmp_path / "l.parquet"), quarantine=Quarantine(source="cc_en"), report=ReadReport()
        )
        return [row for batch in batches for row in batch.to_pylist()]

    assert read(pa.table({"id": [7], "label": ["math"]})) == [{"source_id": "7", "label": "math", "split": "train"}]
    with pytest.raises(UnreadableSource, match=r"no column source_id or id; found: label \(string\)"):
        read(pa.table({"label": ["math"]}))
    with pytest.raises(UnreadableSource, match=r"column label is not text"):
        read(pa.table({"id": ["a"], "label": [1]}))


def test_other_columns_of_any_type_go_into_the_metadata(tmp_path: Path, read: Read) -> None:
    table = pa.table(
        {
            "text": ["t"],
            "day": [datetime.date(2024, 5, 6)],
            "nano": pa.array([1_700_000_000_123_456_789], type=pa.timestamp("ns")),
            "zone": pa.array([1_700_000_000], type=pa.timestamp("s", tz="UTC")),
            "price": [decimal.Decimal("1.50")],
            "raw": [b"\x00\xff"],
            "tree": [{"list": [1, None], "nan": float("nan")}],
            "mapped": pa.array([[("k", 1)]], type=pa.map_(pa.string(), pa.int64())),
            "none": pa.nulls(1),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    (row,) = read(tmp_path / "a.parquet").rows
    assert json.loads(row["source_metadata"]) == {
        "day": "2024-05-06",
        "nano": "2023-11-14 22:13:20.123456789",
        "zone": "2023-11-14 22:13:20.000Z",
        "price": "1.50",
        "raw": "\0\\xff",
        "tree": {"list": [1, None], "nan": "nan"},
        "mapped": [["k", 1]],
        "none": None,
    }


@pytest.mark.parametrize("share", [0.001, 0.3, 0.999])
def test_a_truncated_file_is_named(tmp_path: Path, read: Read, share: float) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"record {n}" for n in range(1_000)]}), path)
    data = path.read_bytes()
    path.write_bytes(data[: max(5, int(len(data) * share))])
    found = read(path)
    assert found.rows == []
    assert str(found.error).startswith("a.parquet: not a whole parquet file: ")
    assert "\n" not in str(found.error)


def test_something_else_under_the_name_of_parquet_is_named(tmp_path: Path, read: Read) -> None:
    (tmp_path / "a.parquet").write_bytes(b'{"text": "json"}\n')
    assert str(read(tmp_path / "a.parquet").error).startswith("a.parquet: not a whole parquet file: ")


def test_damage_in_a_later_row_group_keeps_the_rows_before_and_names_the_row(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "a.parquet"
    texts = [f"record {n} {n * 7919}" for n in range(3_000)]
    pq.write_table(pa.table({"text": texts}), path, row_group_size=1_000, use_dictionary=False, compression="zstd")
    column = pq.ParquetFile(path).metadata.row_group(1).column(0)
    data = bytearray(path.read_bytes())
    middle = column.data_page_offset + column.total_compressed_size // 2
    data[middle - 50 : middle + 50] = bytes(100)
    path.write_bytes(bytes(data))
    found = read(path)
    assert found.texts == texts[:1_000]
    assert found.error is not None
    assert found.error.row == 1_000
    assert str(found.error).startswith("a.parquet, record 1000: damaged parquet: ")


def test_rows_are_numbered_across_row_groups(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [str(n) for n in range(10)]}), path, row_group_size=3)
    assert [row["source_row"] for row in read(path).rows] == list(range(10))


def test_no_rows_is_empty(tmp_path: Path, read: Read) -> None:
    pq.write_table(pa.table({"text": pa.array([], type=pa.string())}), tmp_path / "a.parquet")
    found = read(tmp_path / "a.parquet")
    assert (found.rows, found.error) == ([], None)


def test_a_text_above_the_limit_is_quarantined_with_its_first_bytes(tmp_path: Path, read: Read) -> None:
    pq.write_table(pa.table({"text": ["one", "x" * 200_000, "two"]}), tmp_path / "a.parquet")
    found = read(tmp_path / "a.parquet", limits=ReadLimits(max_record_bytes=1_000))
    assert found.texts == ["one", "two"]
    assert found.reasons == [(1, "record_too_large")]
    assert len(found.rejected[0]["payload"]) == 64 << 10


def test_a_text_of_50_mb_passes(tmp_path: Path, read: Read) -> None:
    pq.write_table(pa.table({"text": ["a", "x" * 50_000_000, "b"]}), tmp_path / "a.parquet")
    assert [len(text) for text in read(tmp_path / "a.parquet").texts] == [1, 50_000_000, 1]


def test_from_another_file_system(tmp_path: Path, read: Read, memory_folder: str) -> None:
    pq.write_table(pa.table({"text": ["one", "two"]}), tmp_path / "a.parquet")
    fsspec.filesystem("memory").pipe("/sources-test/a.parquet", (tmp_path / "a.parquet").read_bytes())
    (file,) = list_files(SourceSpec(key="cc_en", uris=(memory_folder,)))
    assert read(file).texts == ["one", "two"]
