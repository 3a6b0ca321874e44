"""The commands on files keep their contract: columns, verdicts, exit status, one clear line for bad input."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from mathcode_assets.cli import main
from mathcode_assets.sample import sample_dir

QUESTION = (
    "A gardener plants 14 rows of tulips with 23 bulbs in each row, and a neighbour gives her 17 more bulbs "
    "on Saturday. How many bulbs does the gardener have in the ground at the end of the weekend?"
)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    if path.name.endswith(".gz"):
        lines = gzip.compress(lines)
    elif path.name.endswith(".zst"):
        lines = zstandard.compress(lines)
    if path.name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_bytes(lines)
    return path


def read(path: Path) -> list[dict[str, Any]]:
    if path.name.endswith(".parquet"):
        return pq.read_table(path).to_pylist()
    content = path.read_bytes()
    if path.name.endswith(".gz"):
        content = gzip.decompress(content)
    elif path.name.endswith(".zst"):
        content = zstandard.ZstdDecompressor().decompressobj().decompress(content)
    return [json.loads(line) for line in content.split(b"\n") if line]


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "jsonl.zst", "parquet"])
def test_filter_code_adds_packages_and_keeps_the_other_columns(tmp_path: Path, ending: str) -> None:
    rows = [
        {"id": 1, "content": "import numpy as np, scipy as sp\n", "stars": 3},
        {"id": 2, "content": '"""import sympy"""\n', "stars": 4},
        {"id": 3, "content": "from sympy import pi; import statistics\n", "stars": 5},
    ]
    source, target = write(tmp_path / f"in.{ending}", rows), tmp_path / f"out.{ending}"
    assert main(["filter-code", "--input", str(source), "--output", str(target)]) == 0
    assert read(target) == [rows[0] | {"packages": ["scipy"]}, rows[2] | {"packages": ["statistics", "sympy"]}]


def test_dedup_keeps_the_first_copy_and_the_type_of_ids(tmp_path: Path) -> None:
    rows = [{"id": 7, "text": "one  text"}, {"id": "7", "text": "another"}, {"id": "x", "text": "one text\n"}]
    source, target = write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    assert main(["dedup", "--input", str(source), "--output", str(target), "--threshold", "0.8"]) == 0
    found = read(target)
    assert [(row["id"], row["verdict"], row["duplicate_of"]) for row in found] == [
        (7, "kept", None), ("7", "kept", None), ("x", "exact_duplicate", 7),
    ]  # fmt: skip
    assert found[0]["cluster"] == found[2]["cluster"] != found[1]["cluster"]


def test_dedup_finds_near_copies_down_to_the_threshold(tmp_path: Path) -> None:
    page = " ".join(f"word{n}" for n in range(100))
    rows = [{"id": 1, "text": page}, {"id": 2, "text": page.replace("word50", "other")}, {"id": 3, "text": page + "\n"}]
    source, target = write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"

    def verdicts(*options: str) -> list[tuple[str, int | None]]:
        assert main(["dedup", "--input", str(source), "--output", str(target), *options]) == 0
        return [(row["verdict"], row["duplicate_of"]) for row in read(target)]

    kept, exact = ("kept", None), ("exact_duplicate", 1)
    assert verdicts() == verdicts("--threshold", "0.9") == [kept, ("near_duplicate", 1), exact]
    assert verdicts("--threshold", "0.95") == verdicts("--exact") == [kept, kept, exact]
    assert main(["dedup", "--input", str(source), "--output", str(target), "--threshold", "80"]) == 2


def test_decontaminate_says_what_was_found_where(tmp_path: Path) -> None:
    benchmarks = tmp_path / "benchmarks"
    benchmarks.mkdir()
    write(benchmarks / "garden.jsonl", [{"idx": 4, "question": QUESTION, "answer": "339"}])
    prose = "The harbour office opens at eight and closes when the last boat is in. " * 20
    rows = [
        {"id": "clean", "text": prose},
        {"id": "planted", "text": f"{prose}\n\n{QUESTION}\n\n{prose}"},
        {"id": "renumbered", "text": f"{prose}\n\n{QUESTION.replace('14', '19').replace('23', '31')}\n\n{prose}"},
    ]
    source, target = write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    command = ["decontaminate", "--input", str(source), "--benchmarks", str(benchmarks), "--output", str(target)]
    assert main(command) == 0
    found = {row["id"]: row for row in read(target)}
    assert {key: row["verdict"] for key, row in found.items()} == {
        "clean": "clean", "planted": "contaminated", "renumbered": "near",
    }  # fmt: skip
    planted = found["planted"]
    assert (planted["benchmark"], planted["question_index"]) == ("garden", 4)
    assert "14 rows of tulips" in planted["evidence"]
    assert planted["matches"][0]["question_index"] == 4
    assert found["clean"]["matches"] == []


def test_ngram_overlap_prints_a_row_for_each_n(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    benchmarks = tmp_path / "benchmarks"
    benchmarks.mkdir()
    write(benchmarks / "garden.jsonl", [{"idx": 0, "question": QUESTION, "answer": "339"}])
    source = write(tmp_path / "in.jsonl", [{"id": 1, "text": QUESTION}])
    target = tmp_path / "overlap.jsonl"
    command = ["ngram-overlap", "--input", str(source), "--benchmarks", str(benchmarks), "--output", str(target)]
    assert main(command) == 0
    rows = read(target)
    assert [row["n"] for row in rows] == list(range(3, 14))
    assert capsys.readouterr().out.splitlines()[0].split("\t") == list(rows[0])


def test_classifier_trains_scores_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sums = [{"text": f"solve the equation {i} x + {i + 1} = {2 * i} for x", "label": "math"} for i in range(60)]
    soups = [{"text": f"stir the soup for {i} minutes and add salt", "label": "other"} for i in range(60)]
    source, model = write(tmp_path / "train.jsonl", sums + soups), tmp_path / "model"
    assert main(["classifier", "train", "--input", str(source), "--output", str(model)]) == 0
    assert "precision" in capsys.readouterr().out
    report = json.loads((model / "report.json").read_text())
    assert report["held_out"]["classes"]["math"]["recall"] is not None
    rows = [{"id": 1, "text": "solve the equation 5 x = 10"}, {"id": 2, "text": "stir and add salt"}]
    scored, target = write(tmp_path / "in.jsonl", rows), tmp_path / "scores.jsonl"
    command = ["classifier", "score", "--model", str(model), "--input", str(scored), "--output", str(target)]
    assert main(command) == 0
    found = read(target)
    assert [(row["id"], row["label"]) for row in found] == [(1, "math"), (2, "other")]
    assert 0 <= found[1]["score"] < 0.5 <= found[0]["score"] <= 1


def test_textbooks_says_what_becomes_of_each_pdf(tmp_path: Path) -> None:
    target = tmp_path / "books.jsonl"
    folder = sample_dir() / "data" / "textbooks"
    assert main(["textbooks", "--input", str(folder), "--output", str(target)]) == 0
    rows = {row["file"]: row for row in read(target)}
    statuses = sorted(row["status"] for row in rows.values())
    assert statuses == ["damaged", "duplicate", "kept", "kept", "kept", "not_math"]
    copy = next(row for row in rows.values() if row["status"] == "duplicate")
    assert copy["duplicate_of"] in {row["id"] for row in rows.values() if row["status"] == "kept"}
    assert all(row["n_pages"] > 0 and row["text"] for row in rows.values() if row["status"] == "kept")


class TestBadInput:
    """Bad records are counted and the rest is done (1); a bad input is one line (2)."""

    def test_bad_records_are_quarantined(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
        good = json.dumps({"id": 1, "text": "a\u2028b"}, ensure_ascii=False)
        source.write_text(
            f'{good}\n{{"id": 2}}\n[1]\nnot json\n{{"id": 3, "text": null}}\n{{"id": 4, "text": "\\ud800"}}\n'
        )
        assert main(["dedup", "--input", str(source), "--output", str(target)]) == 1
        assert [row["id"] for row in read(target)] == [1]
        printed = capsys.readouterr().err
        assert "5 records quarantined, 1 read" in printed
        assert "record 1: no field 'text'" in printed

    @pytest.mark.parametrize(
        "make, message",
        [
            (lambda folder: folder / "missing.jsonl", "missing.jsonl"),
            (lambda folder: write(folder / "in.txt", [{"id": 1}]), "in.txt"),
            (lambda folder: broken(folder / "in.parquet"), "in.parquet"),
            (lambda folder: broken(folder / "in.jsonl.zst"), "in.jsonl.zst"),
            (lambda folder: broken(folder / "in.jsonl.gz"), "in.jsonl.gz"),
        ],
    )
    def test_a_bad_input_is_one_line_and_leaves_no_output(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Any, message: str
    ) -> None:
        target = tmp_path / "out.jsonl"
        assert main(["dedup", "--input", str(make(tmp_path)), "--output", str(target)]) == 2
        error = capsys.readouterr().err.strip()
        assert message in error
        assert "\n" not in error
        assert not target.exists()

    def test_an_unknown_output_format(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        source = write(tmp_path / "in.jsonl", [{"id": 1, "text": "a"}])
        assert main(["dedup", "--input", str(source), "--output", str(tmp_path / "out.csv")]) == 2
        assert "unknown format" in capsys.readouterr().err

    def test_one_label_cannot_teach(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        source = write(tmp_path / "in.jsonl", [{"text": f"text {i}", "label": "math"} for i in range(9)])
        assert main(["classifier", "train", "--input", str(source), "--output", str(tmp_path / "m")]) == 2
        assert "two labels" in capsys.readouterr().err

    def test_a_mistake_in_the_sources_file(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "s.yaml").write_text("sources: {open_web_maths: {uri: x}}\n")
        assert main(["run", "--sources", str(tmp_path / "s.yaml")]) == 2
        assert "did you mean open_web_math?" in capsys.readouterr().err

    def test_a_source_that_is_not_there(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "s.yaml").write_text("sources: {cc_en: {uri: 'nowhere/*.jsonl'}}\n")
        assert main(["run", "--sources", str(tmp_path / "s.yaml")]) == 2
        assert "nowhere" in capsys.readouterr().err


def broken(path: Path) -> Path:
    """The first half of a good file of a hundred rows."""
    whole = write(path, [{"id": i, "text": f"text {i} " * 50} for i in range(100)]).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path
