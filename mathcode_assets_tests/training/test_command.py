"""`mathcode train`: the dry run without torch, and mistakes in one line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from mathcode_assets.cli.main import main
from mathcode_assets_tests.training.jobs import job


def write_job(path: Path, **sections: object) -> str:
    path.write_text(json.dumps(sections))
    return str(path)


def test_dry_run_of_the_papers_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = write_job(tmp_path / "job.json", preset="llama-3-8b", data="nowhere", output="run")
    assert main(["train", "--spec", spec, "--dry-run", "--tokens", "19184073343"]) == 0
    said = capsys.readouterr().out
    assert "13,721 steps of 4,194,304 tokens" in said
    assert "6,171.8 GPU-hours" in said
    assert not (tmp_path / "run").exists()


def test_dry_run_reads_the_packed_folder_and_needs_no_torch(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = write_job(tmp_path / "job.json", **job(packed, tmp_path / "run"))
    before = "torch" in sys.modules
    assert main(["train", "--spec", spec, "--dry-run"]) == 0
    assert "64 sequences of 32 tokens" in capsys.readouterr().out
    assert ("torch" in sys.modules) == before


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"preset": "tiny", "data": "d", "output": "o", "optimiser": {}},
            "optimiser: unknown key; did you mean optimizer",
        ),
        ({"preset": "tiny", "data": "d", "output": "o"}, "is no packed folder"),
        ({"preset": "tiny", "output": "o"}, "data: is missing"),
    ],
)
def test_a_mistake_is_one_line(
    sections: dict[str, object], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--spec", write_job(tmp_path / "job.json", **sections), "--dry-run"]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
