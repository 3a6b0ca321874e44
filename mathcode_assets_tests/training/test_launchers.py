"""Launchers: the same job here and as a Ray job, cancelled, and failing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mathcode_assets.training.launchers import (
    Follower,
    LocalLauncher,
    RayLauncher,
    TrainingCancelled,
    TrainingFailed,
)
from mathcode_assets.training.processes import TOKEN_VARIABLE, processes_with
from mathcode_assets.training.run_folder import RunFolder, lock, read_metrics, truncate_metrics, write_json
from mathcode_assets.training.spec import SpecError, parse_spec
from mathcode_assets_tests.training.jobs import STEPS, curve, job
from mathcode_assets_tests.training.ray_cluster import ENVIRONMENT, ray_cluster

pytestmark = pytest.mark.train

TWO = {"processes_per_node": 2}
NODES = {"nodes": 2, "processes_per_node": 1}


@pytest.fixture(scope="module")
def local_run(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, list[Mapping[str, Any]]]:
    output = tmp_path_factory.mktemp("local") / "run"
    events: list[Mapping[str, Any]] = []
    result = LocalLauncher(ENVIRONMENT).launch(parse_spec(job(packed, output, resources=TWO)), events.append)
    assert result.folder == output and (result.export / "model.safetensors").is_file()
    assert result.result["world_size"] == 2
    return RunFolder(output), events


def test_local_tells_each_step_once(local_run: tuple[RunFolder, list[Mapping[str, Any]]]) -> None:
    folder, events = local_run
    assert events == read_metrics(folder)
    assert [event["step"] for event in events] == list(range(1, STEPS + 1))


def test_cancel_leaves_no_process(packed: Path, tmp_path: Path) -> None:
    launcher = LocalLauncher(ENVIRONMENT)
    tokens: set[str] = set()

    def on_event(metrics: Mapping[str, Any]) -> None:
        tokens.update(children_tokens())
        launcher.cancel()

    spec = parse_spec(job(packed, tmp_path / "run", resources=TWO, duration={"steps": 100_000}))
    with pytest.raises(TrainingCancelled, match="cancelled after step"):
        launcher.launch(spec, on_event)
    assert len(tokens) == 1
    assert processes_with(tokens.pop()) == []
    assert not RunFolder(tmp_path / "run").result.exists()


def test_workers_die_with_a_launcher_that_is_killed(packed: Path, tmp_path: Path) -> None:
    given = job(packed, tmp_path / "run", resources=TWO, duration={"steps": 100_000})
    write_json(tmp_path / "job.json", given)
    command = [sys.executable, "-m", "mathcode_assets", "train", "--spec", str(tmp_path / "job.json")]
    with subprocess.Popen(command, env={**os.environ, **ENVIRONMENT}, stdout=subprocess.DEVNULL) as process:
        folder = RunFolder(tmp_path / "run")
        wait_for(lambda: len(read_metrics(folder)) >= 1)
        workers = [pid for pid in all_processes() if str(folder.root).encode() in command_line(pid)]
        assert len(workers) == 3  # torchrun and two workers
        process.send_signal(signal.SIGKILL)
    wait_for(lambda: not any(str(folder.root).encode() in command_line(pid) for pid in workers))


def test_the_local_launcher_refuses_several_nodes(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"resources\.nodes: 2, but the local launcher has this machine alone"):
        LocalLauncher(ENVIRONMENT).launch(parse_spec(job(packed, tmp_path / "run", resources=NODES)), lambda _: None)


def test_failure_has_the_workers_error(packed: Path, tmp_path: Path) -> None:
    shape = {"hidden_size": 32, "n_layers": 2, "n_heads": 2, "ffn_size": 64, "vocab_size": 50}
    spec = parse_spec(job(packed, tmp_path / "run", model={"shape": shape}))
    with pytest.raises(TrainingFailed, match="exit status 1, SpecError: model: has a vocabulary of 50") as failed:
        LocalLauncher(ENVIRONMENT).launch(spec, lambda _: None)
    assert "\n" not in failed.value.reason and "Traceback" in failed.value.log


def test_what_a_start_could_not_say_is_found_in_its_log(packed: Path, tmp_path: Path) -> None:
    spec = parse_spec(job(packed, tmp_path / "run"))
    with lock(RunFolder(tmp_path / "run")), pytest.raises(TrainingFailed) as failed:
        LocalLauncher(ENVIRONMENT).launch(spec, lambda _: None)
    assert failed.value.reason.endswith(f"RunFolderError: {tmp_path / 'run'}: another run is writing this folder")


def test_steps_made_again_after_a_resume_are_told_again(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    told: list[int] = []
    follower = Follower(folder, lambda metrics: told.append(metrics["step"]))
    folder.metrics.write_text("".join(f'{{"step": {step}}}\n' for step in (1, 2, 3, 4)) + '{"st')
    follower.poll()
    follower.poll()
    assert told == [1, 2, 3, 4]
    truncate_metrics(folder, 2)
    follower.poll()
    with folder.metrics.open("a") as file:
        file.write('{"step": 3}\n{"step": 4}\n{"step": 5}\n')
    follower.poll()
    assert told == [1, 2, 3, 4, 3, 4, 5]


@pytest.fixture(scope="module")
def ray_address() -> Iterator[str]:
    with ray_cluster() as address:
        yield address


@pytest.mark.slow
def test_ray_gives_the_losses_of_the_local_launcher(
    ray_address: str, local_run: tuple[RunFolder, list[Mapping[str, Any]]], packed: Path, tmp_path: Path
) -> None:
    launcher = RayLauncher(ray_address, ENVIRONMENT, python=sys.executable)
    events: list[Mapping[str, Any]] = []
    result = launcher.launch(parse_spec(job(packed, tmp_path / "run", resources=TWO)), events.append)
    assert curve(RunFolder(result.folder)) == curve(local_run[0])
    assert [event["step"] for event in events] == list(range(1, STEPS + 1))


@pytest.mark.slow
def test_ray_train_over_nodes_gives_the_losses_of_the_local_launcher(
    ray_address: str, local_run: tuple[RunFolder, list[Mapping[str, Any]]], packed: Path, tmp_path: Path
) -> None:
    launcher = RayLauncher(ray_address, python=sys.executable)
    result = launcher.launch(parse_spec(job(packed, tmp_path / "run", resources=NODES)), lambda _: None)
    assert result.result["world_size"] == 2
    assert curve(RunFolder(result.folder)) == curve(local_run[0])


@pytest.mark.slow
def test_a_failure_under_ray_train_has_the_workers_error(ray_address: str, packed: Path, tmp_path: Path) -> None:
    shape = {"hidden_size": 32, "n_layers": 2, "n_heads": 2, "ffn_size": 64, "vocab_size": 50}
    spec = parse_spec(job(packed, tmp_path / "run", model={"shape": shape}, resources=NODES))
    with pytest.raises(TrainingFailed) as failed:
        RayLauncher(ray_address, python=sys.executable).launch(spec, lambda _: None)
    assert "SpecError: model: has a vocabulary of 50" in failed.value.reason
    assert "\n" not in failed.value.reason


@pytest.mark.slow
def test_a_job_that_cannot_begin_says_why(ray_address: str, packed: Path, tmp_path: Path) -> None:
    launcher = RayLauncher(ray_address, {"PYTHONPATH": "/nowhere"}, python="/nowhere/python")
    with pytest.raises(TrainingFailed, match="exit status 127, no result file"):
        launcher.launch(parse_spec(job(packed, tmp_path / "run")), lambda _: None)


@pytest.mark.slow
def test_a_job_whose_launcher_died_is_followed_and_not_submitted_again(
    ray_address: str, packed: Path, tmp_path: Path
) -> None:
    from ray.job_submission import JobSubmissionClient

    spec = parse_spec(job(packed, tmp_path / "run"))
    jobs: list[str] = []
    results = []
    second = RayLauncher(ray_address, python=sys.executable, on_submitted=jobs.append)

    def on_submitted(submitted: str) -> None:
        jobs.append(submitted)
        thread.start()

    thread = threading.Thread(target=lambda: results.append(second.launch(spec, lambda _: None)))
    first = RayLauncher(ray_address, python=sys.executable, on_submitted=on_submitted)
    results.append(first.launch(spec, lambda _: None))
    thread.join(PATIENCE_S)
    assert len(results) == len(jobs) == 2 and jobs[0] == jobs[1]
    same = [job for job in JobSubmissionClient(ray_address).list_jobs() if job.metadata.get("output") == spec.output]
    assert len(same) == 1


@pytest.mark.slow
@pytest.mark.parametrize("resources", [TWO, NODES], ids=["torchrun", "ray_train"])
def test_a_cancelled_ray_job_leaves_no_worker(
    ray_address: str, packed: Path, tmp_path: Path, resources: dict[str, int]
) -> None:
    launcher = RayLauncher(ray_address, ENVIRONMENT, python=sys.executable)
    given = job(packed, tmp_path / "run", resources=resources, duration={"steps": 100_000})
    threading.Timer(PATIENCE_S, launcher.cancel).start()
    with pytest.raises(TrainingCancelled):
        launcher.launch(parse_spec(given), lambda _: launcher.cancel())
    wait_for(lambda: not any(str(tmp_path / "run").encode() in command_line(pid) for pid in all_processes()))
    steps = len(read_metrics(RunFolder(tmp_path / "run")))
    wait_for(lambda: b"ray::RayTrainWorker" not in b"".join(map(command_line, all_processes())))
    assert len(read_metrics(RunFolder(tmp_path / "run"))) <= steps + 1


PATIENCE_S = 120.0


def wait_for(reached: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def all_processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if int(path.name) != os.getpid()]


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def children_tokens() -> set[str]:
    """Launch tokens of the processes that this one has started."""
    found = set()
    for child in Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split():
        for variable in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
            if variable.startswith(TOKEN_VARIABLE.encode() + b"="):
                found.add(variable.decode().split("=", 1)[1])
    return found
