"""Which packed sequences and which models hold a document: a lake with two packings and four models."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mathcode_assets.provenance.usage import CONTAINS, FREE, UNKNOWN, render_usage, usage_of
from mathcode_assets.records import PACKED_PIECE
from mathcode_assets.storage.filesystem import locate
from mathcode_assets.storage.lake import Lake
from mathcode_assets.storage.manifest import Accounting, Recipe

OLD, NEW, LOST = "a" * 32, "b" * 32, "c" * 32


def write_packing(folder: Path, corpus: str, *pieces: tuple[int, str]) -> Path:
    """A packed folder of which only the side table matters here: (sequence, doc_id)."""
    folder.mkdir(parents=True)
    rows = [{"sequence": number, "piece": 0, "doc_id": doc_id, "start": 0} for number, doc_id in pieces]
    pq.write_table(pa.Table.from_pylist(rows, schema=PACKED_PIECE), folder / "documents-00000.parquet")
    (folder / "packing.json").write_text(json.dumps({"corpus_fingerprint": corpus}))
    return folder


def publish(lake: Lake, key: str, folder: Path, **facts: object) -> None:
    lake.publish_folder(
        lake.table(key),
        folder=folder,
        recipe=Recipe(code_version="1"),
        accounting=Accounting(n_in=1, n_kept=1),
        facts=facts,
    )


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """The pile was packed twice: `gone` was in the old packing, `stays` is in both."""
    lake = Lake(tmp_path / "lake")
    new = write_packing(tmp_path / "new", NEW, (0, "stays"), (1, "stays"), (1, "fresh"))
    publish(lake, "tokens/packed", new, corpus_fingerprint=NEW)
    model = tmp_path / "model"
    model.mkdir()
    (model / "training.json").write_text("{}")
    publish(lake, "checkpoint/mathcode_pile", model, corpus_fingerprint=NEW, steps=200)
    runs = tmp_path / "lake" / ".training"
    write_packing(runs / "data" / "0123", OLD, (4, "gone"), (2, "gone"), (3, "stays"))
    for name, written, content in (
        ("first", "result.json", {"corpus_fingerprint": OLD, "steps": 100}),
        ("second", "run.json", {"spec": {"corpus_fingerprint": OLD}}),
        ("lost", "result.json", {"corpus_fingerprint": LOST, "steps": 5}),
    ):
        (runs / "runs" / name).mkdir(parents=True)
        (runs / "runs" / name / written).write_text(json.dumps(content))
    (runs / "runs" / "torn").mkdir()
    (runs / "runs" / "torn" / "run.json").write_text('{"spec": ')
    return lake


def models(lake: Lake, doc_id: str) -> dict[str, str]:
    return {model.name: verdict for model, verdict in usage_of(lake, [doc_id]).of(doc_id)}


def test_each_model_is_asked_by_the_corpus_it_was_trained_on(lake: Lake) -> None:
    old = {"runs/first": CONTAINS, "runs/second": CONTAINS, "runs/lost": UNKNOWN}
    assert models(lake, "stays") == old | {"checkpoint/mathcode_pile": CONTAINS}
    assert models(lake, "gone") == old | {"checkpoint/mathcode_pile": FREE}
    not_old = {"runs/first": FREE, "runs/second": FREE, "runs/lost": UNKNOWN}
    assert models(lake, "fresh") == not_old | {"checkpoint/mathcode_pile": CONTAINS}
    assert models(lake, "never") == not_old | {"checkpoint/mathcode_pile": FREE}


def test_the_sequences_of_each_packing(lake: Lake) -> None:
    found = usage_of(lake, ["stays", "gone"]).sequences
    assert found == {"tokens/packed": {"stays": (0, 1)}, "data/0123": {"gone": (2, 4), "stays": (3,)}}


def test_what_is_printed(lake: Lake) -> None:
    told = render_usage(usage_of(lake, ["gone"]), "gone").splitlines()
    assert [line.split("  ", 1)[1].strip() for line in told] == [
        "data/0123  sequence 2, 4",
        "checkpoint/mathcode_pile  200 steps: not trained on it",
        "runs/first  100 steps: trained on it",
        "runs/lost  5 steps: unknown: its packed corpus is gone",
        "runs/second  unfinished: trained on it",
    ]


def test_run_folders_elsewhere(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "lake" / ".training").rename(tmp_path / "runs")
    assert set(models(lake, "gone")) == {"checkpoint/mathcode_pile"}
    usage = usage_of(lake, ["gone"], runs=locate(tmp_path / "runs"))
    assert ("runs/first", CONTAINS) in [(model.name, verdict) for model, verdict in usage.of("gone")]


def test_a_lake_without_training(tmp_path: Path) -> None:
    usage = usage_of(Lake(tmp_path / "none"), ["a"])
    assert (usage.models, usage.sequences, render_usage(usage, "a")) == ((), {}, "")
