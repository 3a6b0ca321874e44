"""Launchers: the same job here and as a Ray job, cancelled, and failing."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mathcode_assets.training.launchers import (
    TOKEN_VARIABLE,
    LocalLauncher,
    RayLauncher,
    TrainingCancelled,
    TrainingFailed,
    processes_with,
)
from mathcode_assets.training.run_folder import RunFolder, read_metrics, write_json
from mathcode_assets.training.spec import parse_spec
from mathcode_assets_tests.training.jobs import STEPS, curve, job

pytestmark = pytest.mark.train

ENVIRONMENT = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])}
TWO = {"processes_per_node": 2}


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


def test_failure_has_the_workers_error(packed: Path, tmp_path: Path) -> None:
    shape = {"hidden_size": 32, "n_layers": 2, "n_heads": 2, "ffn_size": 64, "vocab_size": 50}
    spec = parse_spec(job(packed, tmp_path / "run", model={"shape": shape}))
    with pytest.raises(TrainingFailed, match="exit status 1, SpecError: model: has a vocabulary of 50"):
        LocalLauncher(ENVIRONMENT).launch(spec, lambda _: None)


@pytest.fixture(scope="module")
def ray_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Ray cluster of one node on the loopback interface, ended by the pids that it started."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("needs ray: pip install 'mathcode-assets[ray]'")
    ports = [free_port() for _ in range(2)]
    temporary = Path("/tmp") / f"mathcode-ray-{os.getpid()}"  # Ray's socket paths must stay under 108 bytes
    token = f"ray-{os.getpid()}-{time.monotonic_ns()}"
    environment = {
        **os.environ,
        **ENVIRONMENT,
        TOKEN_VARIABLE: token,
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    command = [
        str(Path(sys.executable).with_name("ray")),
        "start",
        "--head",
        "--port",
        str(ports[0]),
        "--num-cpus",
        "2",
    ]
    command += ["--node-ip-address", "127.0.0.1", "--dashboard-host", "127.0.0.1", "--dashboard-port", str(ports[1])]
    command += ["--temp-dir", str(temporary), "--object-store-memory", str(100 << 20), "--disable-usage-stats"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        yield f"http://127.0.0.1:{ports[1]}"
    finally:
        while left := processes_with(token):
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)


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
def test_a_cancelled_ray_job_leaves_no_worker(ray_address: str, packed: Path, tmp_path: Path) -> None:
    launcher = RayLauncher(ray_address, ENVIRONMENT, python=sys.executable)
    given = job(packed, tmp_path / "run", resources=TWO, duration={"steps": 100_000})
    threading.Timer(PATIENCE_S, launcher.cancel).start()
    with pytest.raises(TrainingCancelled):
        launcher.launch(parse_spec(given), lambda _: launcher.cancel())
    wait_for(lambda: not any(str(tmp_path / "run").encode() in command_line(pid) for pid in all_processes()))


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


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]
