"""The output folder: locks, policy, and metrics cut where a resume starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mathcode_assets.training.run_folder import (
    RunFolder,
    RunFolderError,
    checkpoint_steps,
    claim,
    hash_files,
    is_intact,
    lock,
    prune,
    read_metrics,
    set_aside,
    sweep,
    truncate_metrics,
)
from mathcode_assets.training.spec import CheckpointSpec


def with_checkpoints(root: Path, *steps: int) -> RunFolder:
    folder = RunFolder(root)
    for step in steps:
        folder.checkpoint(step).mkdir(parents=True)
        (folder.checkpoint(step) / "done.json").write_text("{}")
    return folder


def test_one_process_at_a_time(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with lock(folder), pytest.raises(RunFolderError, match="another run is writing"):
        lock(folder)
    lock(folder).close()


def test_a_folder_is_of_one_configuration(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    claim(folder, config_hash="a" * 64, spec={})
    claim(folder, config_hash="a" * 64, spec={"other": "paths"})
    with pytest.raises(RunFolderError, match="holds a run with config aaaaaaaaaaaa, not bbbbbbbbbbbb"):
        claim(folder, config_hash="b" * 64, spec={})


def test_the_policy_keeps_the_last_and_the_multiples(tmp_path: Path) -> None:
    folder = with_checkpoints(tmp_path, 100, 200, 300, 400, 500)
    prune(folder, CheckpointSpec(keep_last=2, keep_every_steps=200))
    assert checkpoint_steps(folder) == [500, 400, 200]
    assert sorted(path.name for path in folder.checkpoints.iterdir()) == [f"step-{n:08d}" for n in (200, 400, 500)]


def test_half_written_checkpoints_do_not_count_and_are_swept(tmp_path: Path) -> None:
    folder = with_checkpoints(tmp_path, 100)
    half = folder.checkpoints / "step-00000200.partial"
    half.mkdir()
    (half / "done.json").write_text("{}")
    (folder.checkpoints / "step-00000300").mkdir()  # no done.json
    assert checkpoint_steps(folder) == [100]
    sweep(folder)
    assert not half.exists()


def test_damage_of_any_kind_is_seen(tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_bytes(b"0123456789")
    files = hash_files(tmp_path, ["weights.pt"])
    assert is_intact(tmp_path, files, ["weights.pt"])
    for damaged in (b"0123456780", b"012345678", b""):
        (tmp_path / "weights.pt").write_bytes(damaged)
        assert not is_intact(tmp_path, files, ["weights.pt"])
    (tmp_path / "weights.pt").unlink()
    assert not is_intact(tmp_path, files, ["weights.pt"])


def test_a_damaged_checkpoint_makes_room_for_its_step(tmp_path: Path) -> None:
    folder = with_checkpoints(tmp_path, 100, 200)
    set_aside(folder, 200)
    assert checkpoint_steps(folder) == [100]
    assert not folder.checkpoint(200).exists()


def test_metrics_are_cut_after_the_checkpoint_torn_line_and_all(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    lines = [json.dumps({"step": step, "loss": 1.0}) for step in range(1, 6)]
    folder.metrics.write_text("\n".join(lines) + '\n{"step": 6, "lo')
    assert [line["step"] for line in read_metrics(folder)] == [1, 2, 3, 4, 5]
    truncate_metrics(folder, 3)
    assert folder.metrics.read_text() == "\n".join(lines[:3]) + "\n"
    truncate_metrics(folder, 0)
    assert folder.metrics.read_text() == ""
