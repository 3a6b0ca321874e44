"""Commands on a built lake: export, trace, catalog; and the table that sample prints."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from mathcode_assets.cli import main
from mathcode_assets.cli.graph import print_components
from mathcode_assets.storage.lake import Lake
from mathcode_assets.storage.manifest import Accounting, Recipe
from mathcode_assets_tests.conftest import BuiltLake


def test_export_writes_a_hub_shaped_data_set(sample_lake: BuiltLake, tmp_path: Path) -> None:
    assert main(["export", "--lake", str(sample_lake.root), "--output", str(tmp_path / "hub")]) == 0
    card = (tmp_path / "hub" / "README.md").read_text()
    assert card.startswith("---\n")
    assert "filtered-OpenWebMath" in card
    pile = sample_lake.workspace.lake.table("mixture/mathcode_pile").manifest()
    files = sorted((tmp_path / "hub" / "data").rglob("train-*.parquet"))
    assert sum(pq.read_metadata(file).num_rows for file in files) == pile.n_rows
    components = {"open_web_math", "cc_en_math", "synthetic", "code", "textbooks", "mathematical_code"}
    assert {file.parent.name for file in files} == components


def test_trace_tells_a_kept_documents_way(sample_lake: BuiltLake, capsys: pytest.CaptureFixture[str]) -> None:
    row = next(sample_lake.workspace.lake.table("mixture/mathcode_pile").batches()).to_pylist()[0]
    assert main(["trace", row["doc_id"], "--lake", str(sample_lake.root)]) == 0
    printed = capsys.readouterr().out
    assert row["source_uri"] in printed
    assert row["source_revision"][:12] in printed
    assert "mathcode_pile" in printed


def test_trace_tells_why_a_document_was_dropped(sample_lake: BuiltLake, capsys: pytest.CaptureFixture[str]) -> None:
    dropped = next(
        row
        for batch in sample_lake.workspace.lake.table("attributes/code_python", "train-00000-of-00002").batches()
        for row in batch.to_pylist()
        if row["verdict"] == "dropped"
    )
    assert main(["trace", dropped["doc_id"], "--lake", str(sample_lake.root)]) == 0
    assert "no_math_package" in capsys.readouterr().out


def test_trace_of_nothing_is_an_error(sample_lake: BuiltLake, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "no-such-document", "--lake", str(sample_lake.root)]) == 2
    assert "no document 'no-such-document'" in capsys.readouterr().err


def test_catalog_is_there_for_ones_own_sql(sample_lake: BuiltLake) -> None:
    assert main(["catalog", "--lake", str(sample_lake.root)]) == 0
    with duckdb.connect(str(sample_lake.root / "lake.duckdb"), read_only=True) as connection:
        rows = connection.sql("SELECT component, sum(n_tokens) FROM mixture__mathcode_pile GROUP BY 1").fetchall()
    assert len(rows) == 6


def test_the_table_names_the_tokenizer_and_the_reasons(
    sample_lake: BuiltLake, capsys: pytest.CaptureFixture[str]
) -> None:
    print_components(sample_lake.workspace)
    printed = capsys.readouterr().out
    assert "tokenizer@" in printed
    assert "few_dollar_signs 6" in printed


def test_export_of_a_lake_without_a_pile_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--lake", str(tmp_path), "--output", str(tmp_path / "hub")]) == 2
    assert "mixture/mathcode_pile has no published partition" in capsys.readouterr().err


def test_export_writes_the_trained_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = Lake(tmp_path / "lake")
    made = tmp_path / "made"
    made.mkdir()
    (made / "config.json").write_text("{}")
    (made / "model.safetensors").write_bytes(b"weights")
    lake.publish_folder(
        lake.table("checkpoint/mathcode_pile"),
        folder=made,
        recipe=Recipe(code_version="1", inputs={}),
        accounting=Accounting(n_in=1, n_kept=1),
        facts={"steps": 20, "corpus_fingerprint": "0123456789abcdef"},
    )
    command = ["export", "--model", "--lake", str(tmp_path / "lake"), "--output", str(tmp_path / "model")]
    assert main(command) == 0
    assert "20 steps on 0123456789ab" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == {
        "config.json": b"{}", "model.safetensors": b"weights",
    }  # fmt: skip
    assert main(command) == 2
    assert "is there already" in capsys.readouterr().err
