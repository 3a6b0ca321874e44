"""Code location, daemon and webserver as processes over one Dagster home, and what a person clicks there."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

REPOSITORY = Path(__file__).resolve().parents[2]
LOCATION, REPOSITORY_NAME = "mathcode-assets", "__repository__"
HOST = "127.0.0.1"
# For a chain of runs to come true: a minute on a quiet machine, ten on one that does ten other things.
PATIENCE_S = 900.0
POLL_S = 0.3

INSTANCE = """\
telemetry: {enabled: false}
nux: {enabled: false}
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config: {dequeue_interval_seconds: 1, max_concurrent_runs: 3}
sensors: {use_threads: true, num_workers: 4}
"""


class Servers:
    """The three processes; `stop` ends them and all that they started.

    Args:
        folder: an empty folder for the Dagster home and the logs.
        environment: variables of all three.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        (self.home / "dagster.yaml").write_text(INSTANCE)
        # Two processes that make the same tables at once once corrupted them.
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            instance.get_runs_count()
            instance.all_instigator_state()
            instance.get_dynamic_partitions("none")
        self._environment = {
            **os.environ,
            **environment,
            "DAGSTER_HOME": str(self.home),
            "PYTHONPATH": str(REPOSITORY),
            "OMP_NUM_THREADS": "1",
            "NUMBA_NUM_THREADS": "1",
            "FRESHNESS_DAEMON_INTERVAL_SECONDS": "2",
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.port = free_port()

    def start(self) -> None:
        """Start all three, and wait until the webserver shows the code location."""
        location_port = free_port()
        workspace = self.folder / "workspace.yaml"
        server = f"{{host: {HOST}, port: {location_port}, location_name: {LOCATION}}}"
        workspace.write_text(f"load_from:\n  - grpc_server: {server}\n")
        place = ["--host", HOST, "--port", str(location_port), "--location-name", LOCATION]
        tests = "mathcode_assets_tests.live"
        self._start("code_location", f"{tests}.code_location", *place, "--module-name", "mathcode_assets.definitions")
        self.wait_for("the code location", lambda: is_open(location_port))
        self._start("daemon", f"{tests}.daemon", "--workspace", str(workspace))
        self._start(
            "webserver", "dagster_webserver", "--host", HOST, "--port", str(self.port), "--workspace", str(workspace)
        )
        self.wait_for("the webserver", lambda: is_open(self.port))
        loaded = "query { workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }"
        self.wait_for("the definitions", lambda: "LOADED" in json.dumps(self.ask(loaded)))

    def _start(self, name: str, module: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env=self._environment,
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self) -> None:
        """End all three with their children, by pid; those that do not listen at once are killed."""
        pids = [pid for process in self._processes.values() for pid in [process.pid, *descendants(process.pid)]]
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def wait_for(self, what: str, reached: Callable[[], Any], *, patience_s: float = PATIENCE_S) -> Any:
        """What the function returns once that is true; fails if a process ends or patience does."""
        deadline = time.monotonic() + patience_s
        while True:
            with contextlib.suppress(OSError):  # a server that does not answer yet
                if found := reached():
                    return found
            for name, process in self._processes.items():
                assert process.poll() is None, f"{name} has ended while waiting for {what}:\n{self.log(name)}"
            assert time.monotonic() < deadline, f"waited for {what} in vain:\n{self.log('daemon')}"
            time.sleep(POLL_S)

    def log(self, name: str) -> str:
        """The end of what a process has written."""
        return (self.folder / f"{name}.log").read_text(errors="replace")[-4000:]

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """GraphQL, as the UI asks it."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://{HOST}:{self.port}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = json.loads(answer.read())
        assert not found.get("errors"), found["errors"]
        return found["data"]

    def turn_on(self, sensor: str) -> None:
        """What the switch of a sensor does."""
        selector = {"repositoryLocationName": LOCATION, "repositoryName": REPOSITORY_NAME, "sensorName": sensor}
        query = """mutation ($selector: SensorSelector!) {
          startSensor(sensorSelector: $selector) { __typename ... on PythonError { message } } }"""
        found = self.ask(query, selector=selector)["startSensor"]
        assert found["__typename"] == "Sensor", found

    def launch(self, job: str) -> str:
        """What the button of a job does; the id of the run."""
        selector = {"repositoryLocationName": LOCATION, "repositoryName": REPOSITORY_NAME, "pipelineName": job}
        query = """mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
          __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
        params = {"selector": selector, "runConfigData": {}, "mode": "default"}
        found = self.ask(query, params=params)["launchRun"]
        assert found["__typename"] == "LaunchRunSuccess", found
        return found["run"]["runId"]

    def backfill(self, key: str, partitions: Sequence[str]) -> str:
        """What the button of a backfill does; its id."""
        query = """mutation ($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
          __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
        params = {"assetSelection": [{"path": key.split("/")}], "partitionNames": list(partitions)}
        found = self.ask(query, params=params)["launchPartitionBackfill"]
        assert found["__typename"] == "LaunchBackfillSuccess", found
        return found["backfillId"]


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def is_open(port: int) -> bool:
    """Whether somebody listens on the port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def descendants(pid: int) -> list[int]:
    """All processes below one."""
    parents: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found, waiting = [], [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found
