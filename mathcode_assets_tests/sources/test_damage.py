"""Files and records that are broken, in every way known: what is good is kept, what is bad is named."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from mathcode_assets.sources.raw_records import ReadLimits
from mathcode_assets_tests.sources.conftest import Read, jsonl


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"id": "x"', "invalid_json"),
        (b'["text"]', "not_an_object"),
        (b'{"id": "x"}', "missing_field"),
        (b'{"Text": "x"}', "missing_field"),
        (b"{}", "missing_field"),
        (b'{"text": null}', "null_field"),
        (b'{"text": 3}', "wrong_type"),
        (b'{"text": ["a"]}', "wrong_type"),
        (b'{"text": {"a": "b"}}', "wrong_type"),
        (b'{"text": true}', "wrong_type"),
        (b'{"text": ""}', "empty_text"),
        (b'{"text": " \\n\\t\\u00a0\\u2028 "}', "empty_text"),
        (b'{"text": "a\\ud800b"}', "lone_surrogate"),
        (b'{"text": "a\\udc00b"}', "lone_surrogate"),
        (b'{"text": "a\xffb"}', "invalid_utf8"),
        (b'{"text": "' + b"x" * 2_000 + b'"}', "record_too_large"),
    ],
)
def test_each_bad_record_is_quarantined_and_its_neighbours_are_kept(
    tmp_path: Path, read: Read, line: bytes, reason: str
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "before"}\n' + line + b'\n{"text": "after"}\n')
    found = read(path, limits=ReadLimits(max_record_bytes=1_000))
    assert found.texts == ["before", "after"]
    assert found.reasons == [(1, reason)]
    assert found.rejected[0]["source_file"] == "a.jsonl"
    assert found.rejected[0]["payload"] == line
    assert found.rejected[0]["detail"]
    assert found.error is None


def test_a_bad_field_beside_a_good_text_does_not_cost_the_record(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b'{"id": "\\ud800", "text": "1"}\n{"id": 3.5, "text": "2"}\n{"id": "", "text": "3"}\n'
        b'{"id": true, "text": "4"}\n{"text": "5", "note": "\\udfff", "x": NaN}\n'
        b'{"text": "6", "url": 3, "license": []}\n{"text": "7", "metadata": "{bad"}\n'
    )
    found = read(path, licence="CC0-1.0")
    assert found.texts == list("1234567")
    assert [row["source_id"] for row in found.rows] == ["\\ud800", *(f"a.jsonl#{n}" for n in range(1, 7))]
    assert [row["source_uri"] for row in found.rows] == [f"a.jsonl#{n}" for n in range(7)]
    assert {row["licence"] for row in found.rows} == {"CC0-1.0"}
    metadata = [json.loads(row["source_metadata"]) for row in found.rows]
    assert metadata[1] == {"id": 3.5}
    assert metadata[3] == {"id": True}
    assert metadata[4] == {"note": "\udfff", "x": "nan"}
    assert metadata[6] == {"metadata": "{bad"}


def test_records_nested_to_any_depth_are_read_or_quarantined(tmp_path: Path, read: Read) -> None:
    """Depths around Python's recursion limit can be parsed, but not always be written again."""
    depths = range(880, 1_010)
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"text": "t", "m": {"[" * depth}{"]" * depth}}}\n' for depth in depths))
    found = read(path)
    assert found.report.n_records == len(depths)
    assert found.error is None
    assert set(found.report.n_quarantined) == {"invalid_json"}


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.zst", "a.jsonl.gz", "a.parquet", "a.json"])
def test_an_empty_file_has_no_records_and_says_so(tmp_path: Path, read: Read, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    found = read(tmp_path / name)
    assert (found.rows, found.rejected, found.error) == ([], [], None)
    assert found.report.summary() == f"0 records, 0 read, without a record: {name}"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jsonl.zst", zstandard.compress(b"")),
        ("a.jsonl.gz", gzip.compress(b"", mtime=0)),
        ("a.jsonl", b"\n \n\n"),
        ("a.jsonl", b"\xef\xbb\xbf"),
        ("a.json", b"[]"),
    ],
)
def test_a_file_with_nothing_in_it_is_empty_too(tmp_path: Path, read: Read, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    found = read(tmp_path / name)
    assert (found.rows, found.rejected, found.error) == ([], [], None)


@pytest.mark.parametrize("ending", ["zst", "gz"])
def test_a_truncated_file_gives_every_whole_record_before_the_cut_then_names_the_place(
    tmp_path: Path, read: Read, ending: str
) -> None:
    records = [{"text": f"record {number} " + str(number * 7919) * 50} for number in range(5_000)]
    pack = zstandard.compress if ending == "zst" else gzip.compress
    packed = pack(jsonl(*records))
    path = tmp_path / f"a.jsonl.{ending}"
    path.write_bytes(packed[: len(packed) * 2 // 3])
    found = read(path)
    assert 0 < len(found.rows) < 5_000
    assert found.texts == [record["text"] for record in records[: len(found.rows)]]
    assert not found.rejected  # the record the cut goes through is no bad record
    assert found.error is not None
    assert found.error.row == len(found.rows)
    assert str(found.error).startswith(f"a.jsonl.{ending}, record {len(found.rows)}: cut off: the ")


def test_a_truncated_array_gives_every_whole_record_then_names_the_place(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'[{"text": "one"}, {"text": "two"}, {"te')
    found = read(path)
    assert found.texts == ["one", "two"]
    assert str(found.error) == "a.json, record 2: cut off: the JSON array is not closed"


@pytest.mark.parametrize("ending", [".parquet", ".jsonl", ".jsonl.zst", ".jsonl.gz", ".json"])
def test_damage_anywhere_ends_in_rows_that_add_up_or_in_a_named_place(tmp_path: Path, read: Read, ending: str) -> None:
    records = [{"id": str(n), "text": f"text {n} é\u2028 " * (n % 9 + 1)} for n in range(200)]
    path = tmp_path / f"a{ending}"
    if ending == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), path, row_group_size=70)
    elif ending == ".json":
        path.write_text(json.dumps(records))
    else:
        pack = {".jsonl": bytes, ".jsonl.zst": zstandard.compress, ".jsonl.gz": gzip.compress}[ending]
        path.write_bytes(pack(jsonl(*records)))
    good = path.read_bytes()
    for seed in range(40):
        pick, data = random.Random(seed), bytearray(good)
        for _ in range(pick.choice([1, 2, 10])):
            place = pick.randrange(len(data))
            match pick.randrange(4):
                case 0:
                    data[place] ^= 1 << pick.randrange(8)
                case 1:
                    del data[place : place + pick.randrange(1, 40)]
                case 2:
                    data[place:place] = pick.randbytes(pick.randrange(1, 20))
                case 3:
                    data[place : place + 20] = bytes(20)
        path.write_bytes(data)
        found = read(path)  # which checks that rows add up
        assert "\n" not in str(found.error)
