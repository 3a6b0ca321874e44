"""Start the worker, follow it, cancel it: on this machine, or as a job of a Ray cluster.

    launcher = LocalLauncher()
    result = launcher.launch(spec, on_event=print)     # another thread may call launcher.cancel()

Both run the same worker on the same specification, so they give equal losses. Both follow metrics.jsonl
in the output folder, which with Ray must be on a file system that the cluster and the caller share.
A run has succeeded only with result.json of this very configuration AND exit status 0.

On one node the workers are started by torchrun, on several by Ray Train (ray_train.py). Without Ray: start
the command of `worker_command` on each node with torchrun's --rdzv-endpoint, as a Slurm job does.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mathcode_assets.training.packed import packing_info
from mathcode_assets.training.processes import TOKEN_VARIABLE, die_with_parent, end_processes
from mathcode_assets.training.run_folder import RunFolder, write_json
from mathcode_assets.training.spec import JobSpec, SpecError, config_hash, spec_to_dict

WORKER_MODULE = "mathcode_assets.training.worker"
NODES_MODULE = "mathcode_assets.training.ray_train"
POLL_S = 0.2
LOG_TAIL_CHARS = 4000
REASON_CHARS = 600
# A training of days must outlive a restart of the dashboard, which is all that the caller talks to.
RAY_PATIENCE_S = 600.0
# Ray gives a stopped job 3 s between SIGTERM and SIGKILL.
RAY_STOP_S = 60.0
# How long a head node that has just started may be without the agent that starts jobs.
AGENT_S = 60.0
# The worker's error in its log: `ValueError: ...`, with or without torchrun's prefix.
_ERROR_LINE = re.compile(r"^(?:\[[^\]]*\]:? ?)*((?:\w+\.)*\w*(?:Error|Exception)\b: .*)$", re.MULTILINE)

OnEvent = Callable[[Mapping[str, Any]], None]


class TrainingFailed(RuntimeError):
    """The run ended without success.

    Attributes:
        reason: the worker's error, on one line with the folder and the exit status.
        log: the end of the worker's output.
    """

    def __init__(self, reason: str, log: str = "") -> None:
        super().__init__(f"{reason}\n{log}".rstrip())
        self.reason = reason
        self.log = log


class TrainingCancelled(RuntimeError):
    """`cancel` was called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """A run that has succeeded.

    Attributes:
        folder: its output folder.
        export: directory with the trained model.
        result: result.json.
    """

    folder: Path
    export: Path
    result: Mapping[str, Any]


class Launcher(Protocol):
    """What runs a job somewhere."""

    def launch(self, spec: JobSpec, on_event: OnEvent) -> TrainingResult:
        """Run the job to its end; `on_event` gets each metrics line.

        Raises:
            TrainingFailed: no result file, another run's, or an exit status that is not 0.
            TrainingCancelled: `cancel` was called meanwhile.
        """
        ...

    def cancel(self) -> None:
        """End the run; when `launch` has raised, no process of it is left."""
        ...


@dataclass(slots=True)
class LocalLauncher:
    """torchrun on this machine, in a process group of its own that dies with this process.

    Args:
        environment: variables added for the workers (Dagster Pipes' for example).
        python: interpreter with torch and DeepSpeed.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    python: str = sys.executable
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def launch(self, spec: JobSpec, on_event: OnEvent) -> TrainingResult:
        """Run the job here; its output goes to worker.log in the output folder."""
        if spec.resources.nodes != 1:
            raise SpecError(f"resources.nodes: {spec.resources.nodes}, but the local launcher has this machine alone")
        self._cancelled.clear()
        folder, spec_file = prepare(spec)
        token = uuid.uuid4().hex
        environment = {**os.environ, **worker_environment(spec), **self.environment, TOKEN_VARIABLE: token}
        environment.setdefault("GLOO_SOCKET_IFNAME", "lo")
        log_path = folder.root / "worker.log"
        follower = Follower(folder, on_event)
        with log_path.open("ab") as log:
            log_start = log.tell()
            process = subprocess.Popen(
                [self.python, *worker_command(spec, spec_file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
            try:
                while process.poll() is None and not self._cancelled.is_set():
                    follower.poll()
                    self._cancelled.wait(POLL_S)
            finally:
                end_processes(process, token)
        follower.poll()
        if self._cancelled.is_set():
            raise TrainingCancelled(f"{folder.root}: cancelled after step {follower.last_step}")
        log_text = log_path.read_bytes()[log_start:].decode(errors="replace")
        return judge(spec, folder, exit_code=process.returncode, log=log_text)

    def cancel(self) -> None:
        """End the run."""
        self._cancelled.set()


@dataclass(slots=True)
class RayLauncher:
    """A job of a Ray cluster through its Jobs API: torchrun inside the job, or Ray Train over several nodes.

    A job of this very run that is still there, because the process that submitted it died, is followed
    instead of submitting another.

    Args:
        address: of the dashboard, `http://127.0.0.1:8265`.
        environment: variables added for the workers.
        python: interpreter on the cluster; None: the one Ray runs its jobs with.
        on_submitted: called with the job's id before it is waited for.
    """

    address: str
    environment: Mapping[str, str] = field(default_factory=dict)
    python: str | None = None
    on_submitted: Callable[[str], None] | None = None
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def launch(self, spec: JobSpec, on_event: OnEvent) -> TrainingResult:
        """Run the job on the cluster; where it asks for more than is free, it waits its turn there."""
        from ray.job_submission import JobStatus, JobSubmissionClient

        self._cancelled.clear()
        client = JobSubmissionClient(self.address)
        folder = RunFolder(Path(spec.output))
        job = self._running(client, spec) or self._submit(client, spec)
        follower = Follower(folder, on_event)
        try:
            if self.on_submitted is not None:
                self.on_submitted(job)
            while not (status := _patiently(lambda: client.get_job_status(job))).is_terminal():
                follower.poll()
                if self._cancelled.wait(POLL_S):
                    status = _stop(client, job)
                    break
        except BaseException:
            _stop(client, job)
            raise
        follower.poll()
        if status == JobStatus.STOPPED:
            raise TrainingCancelled(f"{folder.root}: stopped after step {follower.last_step}")
        info, log = _patiently(lambda: (client.get_job_info(job), client.get_job_logs(job)))
        if info.driver_exit_code is None and status != JobStatus.SUCCEEDED:  # it never began
            raise TrainingFailed(f"{folder.root}: {' '.join(info.message.split())[:REASON_CHARS]}", log=log)
        return judge(spec, folder, exit_code=info.driver_exit_code or 0, log=log)

    def cancel(self) -> None:
        """End the run."""
        self._cancelled.set()

    def _submit(self, client: Any, spec: JobSpec) -> str:
        _, spec_file = prepare(spec)
        resources = spec.resources
        # On several nodes Ray Train asks for the workers' resources; the driver needs next to nothing.
        workers = resources.processes_per_node if resources.nodes == 1 else 0
        command = worker_command(spec, spec_file) if resources.nodes == 1 else ["-m", NODES_MODULE, str(spec_file)]
        give_up = time.monotonic() + AGENT_S
        while True:
            try:
                return client.submit_job(
                    entrypoint=shlex.join([self.python or "python", *command]),
                    entrypoint_num_gpus=workers * resources.gpus_per_process,
                    entrypoint_num_cpus=workers * resources.cpus_per_process,
                    runtime_env={"env_vars": {**worker_environment(spec), **self.environment}},
                    metadata=_job_metadata(spec),
                )
            except RuntimeError as error:
                if "No available agent" not in str(error) or time.monotonic() > give_up:
                    raise
                time.sleep(1.0)

    def _running(self, client: Any, spec: JobSpec) -> str | None:
        wanted = _job_metadata(spec)
        for job in client.list_jobs():
            if job.metadata == wanted and not job.status.is_terminal():
                return job.submission_id
        return None


class Follower:
    """The new whole lines of metrics.jsonl at each poll; steps made again after a resume are told again.

    Args:
        folder: of the run.
        on_event: called with each line; lines there before are told too.
    """

    def __init__(self, folder: RunFolder, on_event: OnEvent) -> None:
        self.folder = folder
        self.on_event = on_event
        self.last_step = 0
        self._seen: tuple[int, int] | None = None  # inode and size of what was read last

    def poll(self) -> None:
        """Tell what is new."""
        with contextlib.suppress(FileNotFoundError):
            found = self.folder.metrics.stat()
            if self._seen == (found.st_ino, found.st_size):
                return
            lines = self._lines()
            if self._seen is not None and self._seen[0] != found.st_ino and lines:
                # A worker that starts replaces the file by one cut at its checkpoint.
                self.last_step = min(self.last_step, lines[-1]["step"])
            self._seen = (found.st_ino, found.st_size)
            for metrics in lines:
                if metrics["step"] > self.last_step:
                    self.last_step = metrics["step"]
                    self.on_event(metrics)

    def _lines(self) -> list[dict[str, Any]]:
        # The file is small (200 bytes a step) and may have been cut at a resume: read it whole.
        found = []
        for line in self.folder.metrics.read_bytes().split(b"\n")[:-1]:
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found


def prepare(spec: JobSpec) -> tuple[RunFolder, Path]:
    """Make the output folder and write the specification that the worker reads.

    Raises:
        SpecError: there is no packed folder where the specification says.
    """
    packing_info(Path(spec.data))
    folder = RunFolder(Path(spec.output))
    folder.root.mkdir(parents=True, exist_ok=True)
    folder.failure.unlink(missing_ok=True)  # of an earlier start: not the reason of what happens now
    # Named by its content, so that a launch for another run cannot change this one's.
    path = folder.root / f"job-{_config_hash(spec)[:16]}-{uuid.uuid4().hex[:8]}.json"
    write_json(path, spec_to_dict(spec))
    return folder, path


def worker_command(spec: JobSpec, spec_file: Path) -> list[str]:
    """Arguments after the interpreter. torchrun prefix-matches options after the script: it gets a file alone."""
    torchrun = [
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        str(spec.resources.processes_per_node),
    ]
    return [*torchrun, "-m", WORKER_MODULE, str(spec_file)]


def worker_environment(spec: JobSpec) -> dict[str, str]:
    """Variables that the workers need."""
    threads = str(spec.resources.cpus_per_process)
    return {"OMP_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"} | (
        {} if spec.resources.gpus_per_process else {"DS_ACCELERATOR": "cpu"}
    )


def judge(spec: JobSpec, folder: RunFolder, *, exit_code: int, log: str) -> TrainingResult:
    """The result of a run that has ended.

    Raises:
        TrainingFailed: no result file, another run's, or an exit status that is not 0.
    """
    result = json.loads(folder.result.read_text(encoding="utf-8")) if folder.result.exists() else None
    if exit_code == 0 and result is not None and result["config_hash"] == _config_hash(spec):
        return TrainingResult(folder=folder.root, export=folder.root / result["export"], result=result)
    reason = "no result file" if result is None else "the result is another run's"
    if folder.failure.exists():
        reason = json.loads(folder.failure.read_text(encoding="utf-8"))["error"]
    elif exit_code != 0:
        errors = [line for line in _ERROR_LINE.findall(log) if "ChildFailedError" not in line]
        reason = errors[-1] if errors else reason
    raise TrainingFailed(
        f"{folder.root}: exit status {exit_code}, {' '.join(reason.split())}", log=log[-LOG_TAIL_CHARS:]
    )


def finished(spec: JobSpec, folder: RunFolder) -> TrainingResult | None:
    """The result of this very run where the folder has it with its export; then nothing is left to do.

    Where the export is gone, so is the result afterwards: a start then exports the last checkpoint again.
    """
    if not folder.result.exists():
        return None
    result = json.loads(folder.result.read_text(encoding="utf-8"))
    if result["config_hash"] != _config_hash(spec):
        return None
    if not (folder.root / result["export"]).is_dir():
        folder.result.unlink()
        return None
    return TrainingResult(folder=folder.root, export=folder.root / result["export"], result=result)


def _job_metadata(spec: JobSpec) -> dict[str, str]:
    """What tells the job of a run from others, kept by Ray."""
    return {"config_hash": _config_hash(spec), "output": spec.output}


def _patiently(ask: Callable[[], Any]) -> Any:
    """The answer of Ray's dashboard, which may be away for a while.

    Raises:
        RuntimeError, OSError: it was away for RAY_PATIENCE_S, or does not know the job.
    """
    deadline = time.monotonic() + RAY_PATIENCE_S
    while True:
        try:
            return ask()
        except (RuntimeError, OSError) as error:  # a status other than 200; no connection
            if "does not exist" in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(10 * POLL_S)


def _stop(client: Any, job: str) -> Any:
    """Stop a job and wait until it has ended; its last status."""
    deadline = time.monotonic() + RAY_STOP_S
    client.stop_job(job)  # SIGTERM to the job, later SIGKILL; its workers die with it
    while not (status := client.get_job_status(job)).is_terminal() and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return status


def _config_hash(spec: JobSpec) -> str:
    return config_hash(spec, corpus_fingerprint=packing_info(Path(spec.data))["corpus_fingerprint"])
