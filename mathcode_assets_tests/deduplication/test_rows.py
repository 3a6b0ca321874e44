"""The command's rows, and the labelled copies of real pages."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import zstandard

from mathcode_assets.deduplication.config import DeduplicationConfig
from mathcode_assets.deduplication.exact import CODE, PROSE, content_hash
from mathcode_assets.deduplication.rows import deduplicate_rows
from mathcode_assets_tests.deduplication.shards import jaccard, words


def test_rows_keep_order_and_ids(tmp_path: Path) -> None:
    rows = [{"id": 7, "text": "a b"}, {"id": "x", "text": "c"}, {"id": "7", "text": "a\nb"}]
    cluster = content_hash("a b", PROSE).hex()
    assert list(deduplicate_rows(rows, work_dir=tmp_path)) == [
        {"id": 7, "verdict": "kept", "duplicate_of": None, "cluster": cluster},
        {"id": "x", "verdict": "kept", "duplicate_of": None, "cluster": None},
        {"id": "7", "verdict": "exact_duplicate", "duplicate_of": 7, "cluster": cluster},
    ]


def test_no_rows_are_no_rows(tmp_path: Path) -> None:
    assert list(deduplicate_rows([], work_dir=tmp_path)) == []


def test_near_rows_are_found_across_batches(tmp_path: Path) -> None:
    rows = [{"id": n, "text": words(1000 * n, 60)} for n in range(2500)]
    rows.append({"id": "near", "text": words(2001, 60)})
    found = {row["id"]: row for row in deduplicate_rows(rows, work_dir=tmp_path)}
    assert (found["near"]["verdict"], found["near"]["duplicate_of"]) == ("near_duplicate", 2)
    assert found["near"]["cluster"] == found[2]["cluster"]
    assert sum(row["verdict"] == "kept" for row in found.values()) == 2500


def test_code_is_compared_by_its_own_words(tmp_path: Path) -> None:
    body = "".join(f"    total += weight_{n}*value[{n}]\n" for n in range(40))
    rows = [{"id": 1, "text": f"def f():\n{body}"}, {"id": 2, "text": f"def g():\n{body}".replace("*", " * ")}]
    assert [row["verdict"] for row in deduplicate_rows(rows, work_dir=tmp_path, kind=CODE)] == [
        "kept",
        "near_duplicate",
    ]


@pytest.mark.shared_data
def test_every_labelled_copy_of_real_pages_is_found(shared_data: Path, tmp_path: Path) -> None:
    labels = pq.read_table(shared_data / "cc_en" / "labels.shards-0000-0003.parquet").to_pylist()
    lines = itertools.chain.from_iterable(
        zstandard.open(path, "rb").read().split(b"\n") for path in sorted((shared_data / "cc_en").glob("*.zst"))
    )
    rows = [json.loads(line) for line in lines if line]
    texts = {row["id"]: row["text"] for row in rows}
    threshold = DeduplicationConfig().threshold
    found = {row["id"]: row for row in deduplicate_rows(rows, work_dir=tmp_path)}
    for label in labels:
        if label["duplicate_of"]:
            one, other = found[label["id"]], found[label["duplicate_of"]]
            is_copy = label["duplicate_kind"] == "exact" or jaccard(texts[one["id"]], texts[other["id"]]) >= threshold
            assert (one["cluster"] == other["cluster"] and one["cluster"] is not None) == is_copy
    for row in found.values():
        if row["verdict"] == "near_duplicate":
            assert jaccard(texts[row["id"]], texts[row["duplicate_of"]]) >= threshold
            assert found[row["duplicate_of"]]["verdict"] == "kept"
