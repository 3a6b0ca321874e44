"""Jobs of a very small model, and worker processes that run them.

Workers call the very `worker.main` that torchrun starts, but are forked from a process that has imported
torch, transformers and deepspeed: half a second instead of eight.
"""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.context
import multiprocessing.process
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mathcode_assets.training.run_folder import RunFolder, read_metrics

PATIENCE_S = 120.0
SHAPE = {"hidden_size": 32, "n_layers": 2, "n_heads": 2, "ffn_size": 64, "max_positions": 64, "attention_dropout": 0.1}
STEPS = 12


def job(data: Path, output: Path, **sections: Any) -> dict[str, Any]:
    """A job of 12 steps with dropout, a checkpoint every third; sections replace those here key by key."""
    base: dict[str, Any] = {
        "preset": "tiny",
        "model": {"shape": SHAPE},
        "data": str(data),
        "output": str(output),
        "duration": {"steps": STEPS},
        "batch": {"sequences": 8, "micro_per_gpu": 2},
        "deepspeed": {"zero_stage": 2, "precision": "fp32", "bucket_elements": 100_000},
        "checkpoints": {"every_steps": 3},
        "lineage": {"pile": "version 7"},
    }
    for name, section in sections.items():
        base[name] = {**base[name], **section} if isinstance(base.get(name), Mapping) else section
    return base


def forkserver() -> multiprocessing.context.ForkServerContext:
    """Where processes are forked from."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mathcode_assets_tests.training.preload"])
    return context


class Workers:
    """The processes of one run.

    Args:
        given: the job, as a specification file has it.
        world_size: processes.
    """

    def __init__(self, given: Mapping[str, Any], *, world_size: int = 1) -> None:
        context = forkserver()
        self.folder = RunFolder(Path(given["output"]))
        self.folder.root.mkdir(parents=True, exist_ok=True)
        spec = self.folder.root.with_name(f"{self.folder.root.name}-{time.monotonic_ns()}.json")
        spec.write_text(json.dumps(given))
        self.log = spec.with_suffix(".log")
        port = str(_free_port()) if world_size > 1 else "0"
        self.processes: list[multiprocessing.process.BaseProcess] = []
        for rank in range(world_size):
            environment = {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(world_size),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": port,
                "GLOO_SOCKET_IFNAME": "lo",
            }
            process = context.Process(target=_run_rank, args=(str(spec), environment, str(self.log)))
            process.start()
            self.processes.append(process)

    def wait(self) -> list[int | None]:
        """Exit codes, once all have ended."""
        deadline = time.monotonic() + PATIENCE_S
        for process in self.processes:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                self.kill()
                pytest.fail(f"a worker hangs:\n{self.log.read_text()[-3000:]}")
        return [process.exitcode for process in self.processes]

    def kill(self) -> None:
        """kill -9 all of them."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.join()

    def kill_when(self, reached: Callable[[], bool], *, delay_s: float = 0.0) -> None:
        """kill -9 when something is true, and so much later; at once when all have ended by themselves."""
        deadline = time.monotonic() + PATIENCE_S
        while not reached() and any(process.is_alive() for process in self.processes):
            assert time.monotonic() < deadline, f"never reached:\n{self.log.read_text()[-3000:]}"
            time.sleep(0.001)
        time.sleep(delay_s)
        self.kill()


def run(given: Mapping[str, Any], *, world_size: int = 1) -> RunFolder:
    """Run a job to its end; it must succeed."""
    workers = Workers(given, world_size=world_size)
    codes = workers.wait()
    assert codes == [0] * world_size, workers.log.read_text()[-6000:]
    assert workers.folder.result.exists()
    return workers.folder


def curve(folder: RunFolder) -> list[tuple[int, float, float, float]]:
    """Step, loss, learning rate and gradient norm of each metrics line: no clock in it."""
    return [(line["step"], line["loss"], line["learning_rate"], line["gradient_norm"]) for line in read_metrics(folder)]


def losses(folder: RunFolder) -> list[float]:
    return [line["loss"] for line in read_metrics(folder)]


def _run_rank(spec: str, environment: dict[str, str], log: str) -> None:
    os.environ.update(environment)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    from mathcode_assets.training import worker

    sys.exit(worker.main([spec]))


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]
