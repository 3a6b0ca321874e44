"""`mathcode tokenize` and `mathcode pack` on files."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mathcode_assets.cli.main import main
from mathcode_assets.tokenization.sequences import IGNORED, PackedDataset
from mathcode_assets_tests.tokenization.small_tokenizers import LINES, tokenizer_json


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tokenizer.json").write_bytes(tokenizer_json("llama3"))
    rows = [{"id": f"a{number}", "text": line} for number, line in enumerate(LINES)]
    for name, part in (("one.jsonl", rows[:2]), ("two.jsonl", rows[2:])):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_text("".join(json.dumps(row) + "\n" for row in part))
    return tmp_path


def tokenize(folder: Path, *more: str) -> int:
    places = ["--tokenizer", f"{folder}/tokenizer.json", "--input", f"{folder}/in", "--output", f"{folder}/out"]
    return main(["tokenize", *places, *more])


def pack(folder: Path, length: int) -> int:
    return main(["pack", "--length", str(length), "--input", f"{folder}/out", "--output", f"{folder}/packed"])


def test_text_to_sequences(folder: Path) -> None:
    assert tokenize(folder) == 0
    index = json.loads((folder / "out" / "tokenization.json").read_text())
    assert index["partitions"] == ["one", "two"]
    assert index["n_documents"] == len(LINES)
    [shard] = (folder / "out" / "tokens" / "one").glob("*.parquet")
    rows = pq.read_table(shard).to_pylist()
    assert [row["doc_id"] for row in rows] == ["a0", "a1"]
    for row in rows:
        assert row["n_tokens"] == len(row["tokens"])
        # The tokenizer's own post-processor adds a begin, too: there is one.
        assert (row["tokens"][0], row["tokens"][-1]) == (index["bos_id"], index["eos_id"])
        assert row["tokens"].count(index["bos_id"]) == row["tokens"].count(index["eos_id"]) == 1
    assert pack(folder, 64) == 0
    dataset = PackedDataset(folder / "packed")
    assert dataset.packing["n_tokens"] == index["n_tokens"]
    assert dataset.corpus_fingerprint == index["corpus_fingerprint"]
    first = dataset[0]
    assert first["labels"][0] == IGNORED and first["position_ids"][0] == 0


def test_what_is_done_is_not_done_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run that was killed after its first file goes on with the second."""
    (folder / "in" / "two.jsonl").rename(folder / "two.jsonl")
    tokenize(folder)
    (folder / "two.jsonl").rename(folder / "in" / "two.jsonl")
    (folder / "out" / "tokenization.json").unlink()
    capsys.readouterr()
    assert tokenize(folder) == 0
    said = capsys.readouterr().err
    assert "two.jsonl" in said and "one.jsonl" not in said
    before = {path: path.read_bytes() for path in sorted((folder / "out").rglob("*")) if path.is_file()}
    assert tokenize(folder) == 0
    assert "jsonl" not in capsys.readouterr().err
    assert {path: path.read_bytes() for path in sorted((folder / "out").rglob("*")) if path.is_file()} == before


def test_changed_input_and_another_begin_are_tokenised_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokenize(folder)
    first = json.loads((folder / "out" / "tokenization.json").read_text())
    (folder / "in" / "one.jsonl").write_text(json.dumps({"id": 1, "text": "other"}) + "\n")
    capsys.readouterr()
    tokenize(folder)
    assert "two.jsonl" not in capsys.readouterr().err
    second = json.loads((folder / "out" / "tokenization.json").read_text())
    tokenize(folder, "--add-bos", "no")
    third = json.loads((folder / "out" / "tokenization.json").read_text())
    assert len({index["corpus_fingerprint"] for index in (first, second, third)}) == 3
    assert third["n_tokens"] == second["n_tokens"] - second["n_documents"]


def test_the_library_alone_gives_the_same(folder: Path) -> None:
    tokenize(folder)
    fast = json.loads((folder / "out" / "tokenization.json").read_text())
    out = folder / "out"
    out.rename(folder / "fast")
    tokenize(folder, "--no-fast")
    assert json.loads((out / "tokenization.json").read_text()) == fast


def test_the_library_takes_over_where_the_encoders_differ(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mathcode_assets.tokenization import fast

    tokenize(folder)
    right = json.loads((folder / "out" / "tokenization.json").read_text())
    (folder / "out").rename(folder / "right")
    monkeypatch.setattr(fast.FastEncoder, "encode", lambda self, text: self._scratch[:1].copy())
    assert tokenize(folder) == 0
    assert "differs from the library" in capsys.readouterr().err
    assert json.loads((folder / "out" / "tokenization.json").read_text()) == right


def test_bad_rows_are_counted_and_bad_arguments_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (folder / "in" / "two.jsonl").open("a") as stream:
        stream.write('{"id": 9}\nnot json\n')
    assert tokenize(folder) == 1
    assert tokenize(folder) == 1  # also where nothing is left to do
    assert pack(folder, 1) == 2
    assert pack(folder / "in", 64) == 2
    assert main(["tokenize", "--tokenizer", "nowhere", "--input", f"{folder}/in", "--output", f"{folder}/x"]) == 2
    assert tokenize(folder, "--eos-token", "<nope>") == 2
    assert "<nope>" in capsys.readouterr().err
