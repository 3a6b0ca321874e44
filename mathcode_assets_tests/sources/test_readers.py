from __future__ import annotations

import gzip
import json
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
from mathcode_assets.sources.readers import read_documents
from mathcode_assets_tests.sources.conftest import Read, jsonl

VALID_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: not text.isspace())


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
def test_any_text_comes_back_exactly_from_jsonl_zst(tmp_path: Path, read: Read, pairs: list[tuple[str, str]]) -> None:
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
        jsonl(*({"text": text} for text in texts)) + b'{"text": "raw \x00 \x0c \t"}\n{"text": "\\ud835\\udd38"}\n'
    )
    assert read(path).texts == [*texts, "raw \x00 \x0c \t", "\U0001d538"]


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
