from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mathcode_assets.records import DOCUMENT
from mathcode_assets.sources.listing import local_file
from mathcode_assets.sources.quarantine import Quarantine, ReadReport
from mathcode_assets.sources.raw_records import ReadLimits
from mathcode_assets.sources.readers import read_documents, read_labels
from mathcode_assets_tests.sources.conftest import Read

VALID_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda text: not text.isspace()
)


def jsonl(*records: Any) -> bytes:
    return b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)


# One record of each original format, and what its document is.

FORMATS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "open_web_math": (
        "open_web_math",
        {
            "url": "https://example.org/page?x=1",
            "text": "Let $x$ be given.",
            "date": "2023-01-02T03:04:05",
            "metadata": '{"info": {"found_math": true}, "provenance": {"license": "CC-BY-SA-3.0"}}',
        },
        {
            "source_id": "f#0",
            "source_uri": "https://example.org/page?x=1",
            "licence": "CC-BY-SA-3.0",
            "source_metadata": {
                "date": "2023-01-02T03:04:05",
                "metadata": {
                    "info": {"found_math": True},
                    "provenance": {"license": "CC-BY-SA-3.0"},
                },
            },
        },
    ),
    "matrix": (
        "cc_en",
        {"id": "BkiUd3c4", "text": "Words."},
        {"source_id": "BkiUd3c4", "source_uri": "f#0", "licence": "unknown", "source_metadata": {}},
    ),
    "starcoder_python": (
        "starcoder_python",
        {
            "max_stars_repo_path": "src/a b.py",
            "max_stars_repo_name": "owner/name",
            "max_stars_count": None,
            "id": "17",
            "content": "import sympy\n",
        },
        {
            "source_id": "17",
            "source_uri": "github.com/owner/name/src/a b.py",
            "licence": "unknown",
            "source_metadata": {
                "max_stars_count": None,
                "max_stars_repo_name": "owner/name",
                "max_stars_repo_path": "src/a b.py",
            },
        },
    ),
    "starcoder_jupyter_scripts": (
        "starcoder_jupyter_scripts",
        {
            "hexsha": "ab12",
            "ext": "py",
            "lang": "Python",
            "max_stars_repo_path": "n.ipynb",
            "max_stars_repo_name": "owner/name",
            "avg_line_length": 20.5,
            "alphanum_fraction": 0.5,
            "size": 14,
            "id": "3",
            "content": "import sympy\n",
        },
        {
            "source_id": "3",
            "source_uri": "github.com/owner/name/n.ipynb",
            "licence": "unknown",
            "source_metadata": {
                "hexsha": "ab12",
                "ext": "py",
                "lang": "Python",
                "max_stars_repo_path": "n.ipynb",
                "max_stars_repo_name": "owner/name",
                "avg_line_length": 20.5,
                "alphanum_fraction": 0.5,
                "size": 14,
            },
        },
    ),
    "starcoder_jupyter_structured": (
        "starcoder_jupyter_structured",
        {
            "license": "MIT",
            "path": "a/n.ipynb",
            "repo_name": "owner/name",
            "chain_length": 4,
            "size": 14,
            "id": "3",
            "content": "<jupyter_start><jupyter_code>import sympy",
        },
        {
            "source_id": "3",
            "source_uri": "github.com/owner/name/a/n.ipynb",
            "licence": "MIT",
            "source_metadata": {
                "license": "MIT",
                "path": "a/n.ipynb",
                "repo_name": "owner/name",
                "chain_length": 4,
                "size": 14,
            },
        },
    ),
    "maths_college": (
        "synthetic",
        {"idx": 5, "model": "m-1", "text": "Question: 1+1?\nAnswer: 2"},
        {"source_id": "5", "source_uri": "f#0", "licence": "unknown", "source_metadata": {"model": "m-1"}},
    ),
    "prompt_and_text": (
        "synthetic",
        {"prompt": "Write about groups.", "text": "A group is a set."},
        {
            "source_id": "f#0",
            "source_uri": "f#0",
            "licence": "unknown",
            "source_metadata": {"prompt": "Write about groups."},
        },
    ),
}


@pytest.mark.parametrize("ending", [".parquet", ".jsonl", ".jsonl.zst", ".jsonl.gz", ".json"])
@pytest.mark.parametrize("name", FORMATS)
def test_each_original_format_in_each_container(tmp_path: Path, read: Read, name: str, ending: str) -> None:
    source, record, expected = FORMATS[name]
    path = tmp_path / f"f{ending}"
    if ending == ".parquet":
        pq.write_table(pa.Table.from_pylist([record]), path)
    elif ending == ".json":
        path.write_text(json.dumps([record], indent=1))
    else:
        pack = {".jsonl": bytes, ".jsonl.zst": zstandard.compress, ".jsonl.gz": gzip.compress}[ending]
        path.write_bytes(pack(jsonl(record)))
    (row,) = read(path, source=source).rows
    file = local_file(path)
    assert row["text"] == record.get("text", record.get("content"))
    assert row["source"] == source
    assert row["source_id"] == expected["source_id"].replace("f#", f"f{ending}#")
    assert row["source_uri"] == expected["source_uri"].replace("f#", f"f{ending}#")
    assert row["licence"] == expected["licence"]
    assert json.loads(row["source_metadata"]) == expected["source_metadata"]
    assert (row["source_file"], row["source_row"], row["source_revision"]) == (f"f{ending}", 0, file.revision)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"])), VALID_TEXT), max_size=8))
def test_any_text_comes_back_exactly_from_jsonl_zst(
    tmp_path: Path, read: Read, pairs: list[tuple[str, str]]
) -> None:
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(zstandard.compress(jsonl(*({"id": own, "text": text} for own, text in pairs))))
    found = read(path)
    assert found.texts == [text for _, text in pairs]
    assert not found.rejected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(VALID_TEXT, min_size=1, max_size=8))
def test_any_text_comes_back_exactly_from_parquet(tmp_path: Path, read: Read, texts: list[str]) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": texts}), path)
    assert read(path).texts == texts


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


def test_good_text_that_looks_strange_is_kept_as_it_is(tmp_path: Path, read: Read) -> None:
    texts = [
        "a\u2028b",
        "a\u0085b",
        "a\x0cb",
        "nul\0nul",
        "\ufeffmark",
        "pair \U0001d538",
        "\u200b",
        "\r\n x",
        "\ufffe",
    ]
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        jsonl(*({"text": text} for text in texts))
        + b'{"text": "raw \x00 \x0c \t"}\n{"text": "\\ud835\\udd38"}\n'
    )
    assert read(path).texts == [*texts, "raw \x00 \x0c \t", "\U0001d538"]


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


@pytest.mark.parametrize(
    ("record", "licence"),
    [
        ({"license": "MIT"}, "MIT"),
        ({"license": " "}, "from-file"),
        ({"license": None}, "from-file"),
        ({"licence": "MIT"}, "MIT"),
        ({"max_stars_repo_licenses": ["MIT", "Apache-2.0"]}, "MIT, Apache-2.0"),
        ({"metadata": {"license": "MIT"}}, "MIT"),
        ({"metadata": '{"license": "MIT"}'}, "MIT"),
        ({}, "from-file"),
    ],
)
def test_the_licence_is_the_records_else_the_files(
    tmp_path: Path, read: Read, record: dict[str, Any], licence: str
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(jsonl({"text": "t", **record}))
    assert read(path, licence="from-file").rows[0]["licence"] == licence


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
        ("a.jsonl.gz", gzip.compress(b"")),
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


def test_an_array_is_no_record_in_a_file_of_lines(tmp_path: Path, read: Read) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'[{"text": "one"}]\n{"text": "two"}\n')
    found = read(tmp_path / "a.jsonl")
    assert found.texts == ["two"]
    assert found.reasons == [(0, "not_an_object")]


def test_a_json_file_of_lines_is_read_as_lines(tmp_path: Path, read: Read) -> None:
    (tmp_path / "a.json").write_bytes(b'{"text": "one"}\n{"text": "two"}\n')
    assert read(tmp_path / "a.json").texts == ["one", "two"]


def test_parquet_under_another_name_is_read_as_parquet(tmp_path: Path, read: Read) -> None:
    pq.write_table(pa.table({"text": ["one"]}), tmp_path / "a.jsonl")
    assert read(tmp_path / "a.jsonl").texts == ["one"]


def test_a_text_of_50_mb_passes(tmp_path: Path, read: Read) -> None:
    text = "x\u2028y = 1\n" * 5_000_000
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(zstandard.compress(jsonl({"text": "before"}, {"text": text}, {"text": "after"})))
    found = read(path)
    assert [len(row) for row in found.texts] == [6, len(text), 5]
    assert found.texts[1] == text


@pytest.mark.parametrize("ending", [".parquet", ".jsonl", ".jsonl.zst", ".jsonl.gz", ".json"])
def test_damage_anywhere_ends_in_rows_that_add_up_or_in_a_named_place(
    tmp_path: Path, read: Read, ending: str
) -> None:
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


def test_the_same_file_gives_the_same_rows_in_any_folder(tmp_path: Path, read: Read) -> None:
    rows = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.jsonl").write_bytes(jsonl({"id": "1", "text": "t", "z": 1, "a": 2}))
        rows.append(read(tmp_path / folder / "a.jsonl").rows)
    assert rows[0] == rows[1]


def test_batches_have_the_schema_and_a_bounded_size(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        jsonl(*({"text": "t" * 100_000} for _ in range(200))) + jsonl(*({"text": "t"} for _ in range(2_500)))
    )
    quarantine, report = Quarantine(source="cc_en"), ReadReport()
    batches = list(read_documents(local_file(path), source="cc_en", quarantine=quarantine, report=report))
    assert all(batch.schema.equals(DOCUMENT, check_metadata=True) for batch in batches)
    assert max(batch.num_rows for batch in batches) <= 1_000
    assert max(batch.nbytes for batch in batches) < 10 << 20
    assert sum(batch.num_rows for batch in batches) == 2_700


def labels_of(path: Path) -> tuple[list[dict[str, Any]], Quarantine]:
    quarantine = Quarantine(source="cc_en")
    batches = read_labels(local_file(path), quarantine=quarantine, report=ReadReport())
    return [row for batch in batches for row in batch.to_pylist()], quarantine


def test_labels_from_each_container(tmp_path: Path) -> None:
    records = [
        {"id": "a", "label": "math", "split": "test", "extra": 1},
        {"id": "b", "label": "other", "split": None, "extra": 2},
    ]
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "l.parquet")
    (tmp_path / "l.jsonl").write_bytes(jsonl(*records))
    (tmp_path / "l.csv").write_bytes(b"\xef\xbb\xbfid,extra,label,split\r\na,1,math,test\r\nb,2,other,\r\n")
    expected = [
        {"source_id": "a", "label": "math", "split": "test"},
        {"source_id": "b", "label": "other", "split": "train"},
    ]
    for name in ("l.parquet", "l.jsonl", "l.csv"):
        found, quarantine = labels_of(tmp_path / name)
        assert found == expected
        assert not quarantine.counts


def test_bad_labels_are_quarantined(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_bytes(
        b'id,label\na,math\nb\nc,\xff\n,math\n"d\nd",other\ne,\n\nf,"other, quoted"\n'
    )
    found, quarantine = labels_of(tmp_path / "l.csv")
    assert [row["source_id"] for row in found] == ["a", "d\nd", "f"]
    assert found[2]["label"] == "other, quoted"
    assert quarantine.counts == {"invalid_csv": 1, "invalid_utf8": 1, "missing_field": 1, "empty_text": 1}
    (tmp_path / "l.jsonl").write_bytes(
        jsonl({"id": 7, "label": "math"}, {"id": "a", "label": 1}, {"source_id": "b"})
    )
    found, quarantine = labels_of(tmp_path / "l.jsonl")
    assert found == [{"source_id": "7", "label": "math", "split": "train"}]
    assert quarantine.counts == {"wrong_type": 1, "missing_field": 1}
