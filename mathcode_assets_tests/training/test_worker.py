"""Whole runs of the worker: ZeRO stages, world sizes, deaths, resumes, damaged checkpoints."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest

from mathcode_assets.training.run_folder import RunFolder, checkpoint_steps, lock, read_metrics
from mathcode_assets_tests.training.jobs import STEPS, Workers, curve, job, losses, run

pytestmark = pytest.mark.train

# Of a loss near 4 in fp32: other orders of summation, nothing else.
FP32_TOLERANCE = 2e-6
BF16_TOLERANCE = 5e-4


@pytest.fixture(scope="module")
def undisturbed(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return run(job(packed, tmp_path_factory.mktemp("undisturbed") / "run"))


def test_loss_falls_and_the_result_says_what_was_trained(undisturbed: RunFolder, packed: Path) -> None:
    result = json.loads(undisturbed.result.read_text())
    assert result["status"] == "succeeded" and result["steps"] == STEPS
    assert result["final_loss"] < result["first_loss"] - 0.2
    assert result["corpus_fingerprint"] == json.loads((packed / "packing.json").read_text())["corpus_fingerprint"]
    assert result["lineage"] == {"pile": "version 7"}
    assert [line["step"] for line in read_metrics(undisturbed)] == list(range(1, STEPS + 1))


def test_the_optimiser_used_the_schedule_that_was_asked_for(undisturbed: RunFolder) -> None:
    # The preset: cosine from 0.003 to a tenth, 5 steps of warm-up, 12 steps in all.
    warmup = [0.003 * step / 6 for step in range(1, 6)]
    decay = [0.003 * (0.1 + 0.9 * (1 + math.cos(math.pi * step / 7)) / 2) for step in range(7)]
    assert [line[2] for line in curve(undisturbed)] == pytest.approx(warmup + decay, rel=1e-12)


def test_checkpoints_by_policy_with_stamps(undisturbed: RunFolder) -> None:
    assert checkpoint_steps(undisturbed) == [12, 9]
    done = json.loads((undisturbed.checkpoint(12) / "done.json").read_text())
    result = json.loads(undisturbed.result.read_text())
    for name in ("config_hash", "corpus_fingerprint", "lineage"):
        assert done[name] == result[name]


@pytest.mark.parametrize(("stage", "precision"), [(0, "fp32"), (1, "fp32"), (3, "fp32")])
def test_zero_stages_agree(stage: int, precision: str, undisturbed: RunFolder, packed: Path, tmp_path: Path) -> None:
    found = run(job(packed, tmp_path / "run", deepspeed={"zero_stage": stage, "precision": precision}))
    assert losses(found) == pytest.approx(losses(undisturbed), rel=FP32_TOLERANCE)
    norms = [line[3] for line in curve(found)]
    assert norms == pytest.approx([line[3] for line in curve(undisturbed)], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_bf16_stays_near_fp32(stage: int, undisturbed: RunFolder, packed: Path, tmp_path: Path) -> None:
    found = run(job(packed, tmp_path / "run", deepspeed={"zero_stage": stage, "precision": "bf16"}))
    assert losses(found) == pytest.approx(losses(undisturbed), rel=BF16_TOLERANCE)


NO_DROPOUT = {"shape": {"hidden_size": 32, "n_layers": 2, "n_heads": 2, "ffn_size": 64, "max_positions": 64}}


def test_accumulation_and_world_size_do_not_change_the_loss(packed: Path, tmp_path: Path) -> None:
    one = run(job(packed, tmp_path / "one", model=NO_DROPOUT, batch={"micro_per_gpu": 8}))
    four = run(job(packed, tmp_path / "four", model=NO_DROPOUT, batch={"micro_per_gpu": 2}))
    two_processes = run(job(packed, tmp_path / "two", model=NO_DROPOUT, batch={"micro_per_gpu": 2}), world_size=2)
    assert losses(four) == pytest.approx(losses(one), rel=FP32_TOLERANCE)
    assert losses(two_processes) == pytest.approx(losses(one), rel=FP32_TOLERANCE)


# Stage 3 is the one where DeepSpeed loads the step counter and weight decay wrongly.
@pytest.mark.parametrize("stage", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_goes_on_with_another_world_size(stage: int, packed: Path, tmp_path: Path) -> None:
    settings = {"zero_stage": stage}
    whole = run(job(packed, tmp_path / "whole", model=NO_DROPOUT, deepspeed=settings))
    given = job(packed, tmp_path / "run", model=NO_DROPOUT, deepspeed=settings)
    workers = Workers(given, world_size=2)
    workers.kill_when(lambda: len(read_metrics(workers.folder)) >= 7)
    assert len(read_metrics(workers.folder)) < STEPS
    found = run(given, world_size=1)
    assert [line["step"] for line in read_metrics(found)] == list(range(1, STEPS + 1))
    assert losses(found) == pytest.approx(losses(whole), rel=FP32_TOLERANCE)
    assert not list(found.checkpoints.glob("*.universal*"))


def seeded_points(n_points: int) -> list[tuple[int, float]]:
    """Steps after which, and how many seconds later, a run is killed."""
    draw = random.Random(3407)
    return [(draw.randrange(0, STEPS), draw.uniform(0.0, 0.12)) for _ in range(n_points)]


@pytest.mark.parametrize(
    ("step", "delay_s"),
    [
        pytest.param(*point, marks=[pytest.mark.slow] if number >= 2 else [])
        for number, point in enumerate(seeded_points(20))
    ],
)
def test_killed_at_any_point_it_goes_on_bit_equal(
    step: int, delay_s: float, undisturbed: RunFolder, packed: Path, tmp_path: Path
) -> None:
    given = job(packed, tmp_path / "run")
    workers = Workers(given)
    workers.kill_when(lambda: len(read_metrics(workers.folder)) >= step, delay_s=delay_s)
    assert curve(run(given)) == curve(undisturbed)


def test_killed_while_it_saves_it_goes_on_bit_equal(undisturbed: RunFolder, packed: Path, tmp_path: Path) -> None:
    given = job(packed, tmp_path / "run")
    workers = Workers(given)
    second = workers.folder.checkpoint(6).with_name("step-00000006.partial")
    workers.kill_when(second.exists)
    found = run(given)
    assert curve(found) == curve(undisturbed)
    assert not list(found.checkpoints.glob("*.partial"))


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "precision"), [(0, "bf16"), (1, "bf16"), (2, "bf16"), (3, "bf16"), (3, "fp32")])
def test_other_stages_and_bf16_go_on_bit_equal(stage: int, precision: str, packed: Path, tmp_path: Path) -> None:
    settings = {"zero_stage": stage, "precision": precision}
    whole = run(job(packed, tmp_path / "whole", deepspeed=settings), world_size=2)
    given = job(packed, tmp_path / "run", deepspeed=settings)
    workers = Workers(given, world_size=2)
    workers.kill_when(lambda: len(read_metrics(workers.folder)) >= 8)
    assert curve(run(given, world_size=2)) == curve(whole)


def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(
    undisturbed: RunFolder, packed: Path, tmp_path: Path
) -> None:
    given = job(packed, tmp_path / "run", checkpoints={"every_steps": 3, "keep_last": 4})
    workers = Workers(given)
    workers.kill_when(lambda: 6 in checkpoint_steps(workers.folder))
    newest = workers.folder.checkpoint(checkpoint_steps(workers.folder)[0])
    weights = newest / "mp_rank_00_model_states.pt"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    found = run(given)
    assert curve(found) == curve(undisturbed)
    assert newest.with_name(newest.name + ".damaged").is_dir()


def test_never_two_runs_in_one_folder(packed: Path, tmp_path: Path) -> None:
    given = job(packed, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    with lock(folder):
        workers = Workers(given)
        assert workers.wait() == [1]
    assert "another run is writing" in workers.log.read_text()
    assert not folder.metrics.exists() and not folder.failure.exists()


def test_another_configuration_is_refused_and_the_same_not_trained_again(undisturbed: RunFolder, packed: Path) -> None:
    before = undisturbed.metrics.stat().st_mtime_ns, undisturbed.result.stat().st_mtime_ns
    run(job(packed, undisturbed.root))
    other = Workers(job(packed, undisturbed.root, optimizer={"learning_rate": 1e-3}))
    assert other.wait() == [1]
    assert "each run has a folder of its own" in other.log.read_text()
    assert (undisturbed.metrics.stat().st_mtime_ns, undisturbed.result.stat().st_mtime_ns) == before


def test_a_run_that_fails_says_why(packed: Path, tmp_path: Path) -> None:
    given = job(
        packed, tmp_path / "run", optimizer={"learning_rate": 1e38}, schedule={"kind": "constant", "warmup_steps": 0}
    )
    workers = Workers(given)
    assert workers.wait() == [1]
    assert "without overflow" in json.loads(workers.folder.failure.read_text())["error"]
    assert not workers.folder.result.exists()
