"""The code location dies with -9 while it makes a partition for the daemon, and the daemon with it.

As in a deployment: queued runs, the default launcher, retries as infra/dagster/dagster.yaml sets them, and
infra/dagster/prepare.py around the start of the code location, which ends what its predecessor left. By hand:
`make test-servers` leaves it out, for it waits for several servers.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random
from typing import Any

import dagster as dg
import pytest
import yaml

from mathcode_assets.config import load_sources
from mathcode_assets.definitions import LAKE_ASSETS
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.storage.lake import WHOLE
from mathcode_assets_tests.browser.conftest import (
    BEFORE_THE_SCAN,
    FILES,
    READY_S,
    SCAN,
    WHOLESOME,
    Ui,
    free_port,
    server,
    wait_for_port,
)
from mathcode_assets_tests.conftest import REPOSITORY
from mathcode_assets_tests.mini_graph import MiniGraph, published, write_mini_graph

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(1800)]

N_ROUNDS = 3
PATIENCE_S = 1.0
LONGEST_DELAY_S = 3.0
ASSETS = {asset.key: asset for asset in LAKE_ASSETS}
# Those of a deployment that its other tests do not already set; polled faster, and on SQLite.
DEPLOYED = ("run_launcher", "run_retries", "telemetry", "nux")
LAUNCH = """mutation($given: ExecutionParams!) { launchPipelineExecution(executionParams: $given) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
RUNS = "{ runsOrError { ... on Runs { results { runId status parentRunId } } } }"


class Deployment:
    """Code location, daemon and webserver on one home; the first two can be killed and started again."""

    def __init__(self, folder: Path, graph: MiniGraph, stack: ExitStack) -> None:
        self.folder, self._stack = folder, stack
        self.home = folder / "home"
        self.home.mkdir()
        deployed = yaml.safe_load((REPOSITORY / "infra" / "dagster" / "dagster.yaml").read_text())
        settings = {name: deployed[name] for name in DEPLOYED} | {"run_monitoring": {"enabled": True}}
        coordinator = {"module": "dagster.core.run_coordinator", "class": "QueuedRunCoordinator"}
        settings["run_coordinator"] = coordinator | {"config": {"dequeue_interval_seconds": 1}}
        (self.home / "dagster.yaml").write_text(yaml.safe_dump(settings))
        self._code_port, port = free_port(), free_port()
        location = {"host": "127.0.0.1", "port": self._code_port, "location_name": "mathcode-assets"}
        (folder / "workspace.yaml").write_text(yaml.safe_dump({"load_from": [{"grpc_server": location}]}))
        self._environment = {
            "DAGSTER_HOME": str(self.home),
            "MATHCODE_SOURCES": str(graph.sources_file),
            "PYTHONPATH": str(REPOSITORY),
            "TMPDIR": str(folder),
        }
        self.processes: list[subprocess.Popen[bytes]] = []
        self.ui = Ui(url=f"http://127.0.0.1:{port}", workspace=Workspace(load_sources(graph.sources_file)))
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            instance.add_dynamic_partitions("synthetic", sorted(self.ui.workspace.partitions("synthetic")))
        self.start()
        self._serve(
            "web", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port), "-w", str(folder / "workspace.yaml")
        )
        query = "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }"
        self.ui.wait_for("code location", query, lambda answer: "LOADED" in str(answer))

    def start(self) -> None:
        """Code location and daemon, with what a deployment does around it."""
        self.prepare("before")
        code = ("api", "grpc", "-m", "mathcode_assets.definitions", "-h", "127.0.0.1", "-p", str(self._code_port))
        self.processes = [self._serve("code", "dagster", *code)]
        wait_for_port(self._code_port, self.folder / "code.log")
        workspace = str(self.folder / "workspace.yaml")
        self.processes.append(self._serve("daemon", "dagster._daemon", "run", "-w", workspace))
        self.prepare("after", "--port", str(self._code_port), "--patience-s", str(PATIENCE_S))

    def prepare(self, *arguments: str) -> None:
        command = [sys.executable, str(REPOSITORY / "infra" / "dagster" / "prepare.py"), *arguments]
        subprocess.run(command, env={**os.environ, **self._environment}, check=True, timeout=READY_S)

    def kill(self) -> None:
        """SIGKILL for the code location with its runs, and for the daemon."""
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def launch(self) -> str:
        """Ask for the scan of a shard; the id of the run."""
        selector = {
            "repositoryLocationName": "mathcode-assets",
            "repositoryName": "__repository__",
            "jobName": "__ASSET_JOB",
            "assetSelection": [{"path": SCAN.split("/")}],
        }
        tags = [{"key": "dagster/partition", "value": WHOLESOME}]
        given = {"selector": selector, "runConfigData": "{}", "executionMetadata": {"tags": tags}}
        found = self.ui.ask(LAUNCH, given=given)["launchPipelineExecution"]
        assert found["__typename"] == "LaunchRunSuccess", found
        return found["run"]["runId"]

    def wait_for_run(self, run_id: str, *wanted: str) -> dict[str, Any]:
        """The run or the last of its retries, once it has one of these states."""

        def found(answer: dict[str, Any]) -> Any:
            runs = {run["runId"]: run for run in answer["runsOrError"]["results"]}
            retries = {run["parentRunId"]: run for run in runs.values() if run["parentRunId"]}
            last = runs[run_id]
            while last["runId"] in retries:
                last = retries[last["runId"]]
            return last if last["status"] in wanted else None

        return self.ui.wait_for(f"run {' or '.join(wanted)}", RUNS, found, timeout_s=300)

    def _serve(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        return self._stack.enter_context(server(self.folder / f"{name}.log", *command, environment=self._environment))


@pytest.fixture
def graph(place: Path) -> MiniGraph:
    """Filtered shards that are not scanned yet."""
    graph = write_mini_graph(place / "graph", files=FILES)
    workspace = Workspace(load_sources(graph.sources_file))
    for key in BEFORE_THE_SCAN:
        source = ASSETS[key].partitioned_by
        for partition in workspace.partitions(source) if source else [WHOLE]:
            ASSETS[key].publish(workspace, partition)
    return graph


@pytest.fixture
def deployment(place: Path, graph: MiniGraph) -> Iterator[Deployment]:
    with ExitStack() as stack:
        yield Deployment(place, graph, stack)


def test_a_run_of_a_dead_code_location_is_retried_and_ends(deployment: Deployment, graph: MiniGraph) -> None:
    workspace = deployment.ui.workspace
    ASSETS[SCAN].publish(workspace, WHOLESOME)
    undisturbed = published(Path(graph.root))
    random = Random(int(os.environ.get("MATHCODE_KILL_SEED", "20")))
    for _ in range(N_ROUNDS):
        workspace.lake.remove(workspace.lake.table(SCAN, WHOLESOME))
        run_id = deployment.launch()
        deployment.wait_for_run(run_id, "STARTED", "SUCCESS")
        time.sleep(random.uniform(0.0, LONGEST_DELAY_S))  # into the run: no condition tells a random moment
        deployment.kill()
        deployment.start()
        ended = deployment.wait_for_run(run_id, "SUCCESS")
        print(f"run {run_id} ended as {ended['runId']}", flush=True)
        workspace.lake.clear_leftovers([SCAN])  # as the hourly observation of the listing does
        assert published(Path(graph.root)) == undisturbed
    with dg.DagsterInstance.from_config(str(deployment.home)) as instance:
        live = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.QUEUED]
        assert instance.get_runs(filters=dg.RunsFilter(statuses=live)) == []
