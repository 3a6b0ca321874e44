"""Dagster's webserver, daemon and code location on a temporary home, over a lake with a leaky shard."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from mathcode_assets.config import load_sources
from mathcode_assets.definitions import LAKE_ASSETS
from mathcode_assets.defs.assets.contamination import INDEX_KEY
from mathcode_assets.defs.table_assets import materialization_of
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.storage.lake import WHOLE
from mathcode_assets_tests.conftest import REPOSITORY
from mathcode_assets_tests.mini_graph import write_mini_graph

FILES = (
    "synthetic/maths_college.0000.jsonl.zst",
    "benchmarks/sample_word_problems.jsonl",
    "benchmarks/sample_competition.jsonl",
    "benchmarks/sample_multiple_choice.jsonl",
)
LEAKY, WHOLESOME = "education_college.leaky", "maths_college.0000"
SCAN = "attributes/contamination/synthetic"
# What the scan is made from; the page makes the rest.
BEFORE_THE_SCAN = (
    "raw/synthetic", "models/synthetic_books", "promoted/synthetic_books", "attributes/synthetic",
    "filtered/synthetic", "models/benchmark_frequencies", "promoted/benchmark_frequencies", "index/benchmarks",
)  # fmt: skip
HOME = {
    "run_coordinator": {"module": "dagster.core.run_coordinator", "class": "DefaultRunCoordinator"},
    "telemetry": {"enabled": False},
    "nux": {"enabled": False},
}
READY_S = 180.0


@dataclass(frozen=True)
class Ui:
    """The running UI and the workspace behind it."""

    url: str
    workspace: Workspace

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The answer to a GraphQL query."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            found = json.load(answer)
        assert "errors" not in found, found
        return found["data"]

    def wait_for(
        self, what: str, query: str, found: Callable[[dict[str, Any]], Any], timeout_s: float = READY_S
    ) -> Any:
        """Ask until there is something to be found in the answer."""
        deadline = time.monotonic() + timeout_s
        while True:
            answer: dict[str, Any] = {}
            with suppress(urllib.error.URLError, ConnectionError):
                answer = self.ask(query)
                if result := found(answer):
                    return result
            assert time.monotonic() < deadline, f"no {what} within {timeout_s:.0f} s: {answer}"
            time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(log: Path, *command: str, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A server in a process group of its own, which is ended afterwards."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=REPOSITORY,
            env={**os.environ, **environment},
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="session")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """The UI of a lake whose shards are filtered and not scanned yet."""
    folder = tmp_path_factory.mktemp("browser")
    graph = write_mini_graph(folder / "graph", files=FILES, leaky=True)
    workspace = Workspace(load_sources(graph.sources_file))
    assets = {asset.key: asset for asset in LAKE_ASSETS}
    for key in BEFORE_THE_SCAN:
        source = assets[key].partitioned_by
        for partition in workspace.partitions(source) if source else [WHOLE]:
            assets[key].publish(workspace, partition)
    home = folder / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(yaml.safe_dump(HOME))
    prepare(workspace, home)
    code_port, port = free_port(), free_port()
    location = {"host": "127.0.0.1", "port": code_port, "location_name": "mathcode-assets"}
    (folder / "workspace.yaml").write_text(yaml.safe_dump({"load_from": [{"grpc_server": location}]}))
    environment = {
        "DAGSTER_HOME": str(home),
        "MATHCODE_SOURCES": str(graph.sources_file),
        "PYTHONPATH": str(REPOSITORY),
    }
    code = ("dagster", "api", "grpc", "-m", "mathcode_assets.definitions", "-h", "127.0.0.1", "-p", str(code_port))
    serving = ("-w", str(folder / "workspace.yaml"))
    found = Ui(url=f"http://127.0.0.1:{port}", workspace=workspace)
    with ExitStack() as stack:
        stack.enter_context(server(folder / "code.log", *code, environment=environment))
        wait_for_port(code_port, folder / "code.log")
        web = ("dagster_webserver", "-h", "127.0.0.1", "-p", str(port), *serving)
        stack.enter_context(server(folder / "web.log", *web, environment=environment))
        stack.enter_context(server(folder / "daemon.log", "dagster._daemon", "run", *serving, environment=environment))
        query = "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }"
        found.wait_for("code location", query, lambda answer: "LOADED" in json.dumps(answer))
        yield found


def prepare(workspace: Workspace, home: Path) -> None:
    """Have the instance know the shards, and what the scan is made from.

    The first to open a home makes its databases: servers that do so at once would get in each other's way.
    """
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.add_dynamic_partitions("synthetic", sorted(workspace.partitions("synthetic")))
        for key, partition in [("filtered/synthetic", LEAKY), ("filtered/synthetic", WHOLESOME), (INDEX_KEY, WHOLE)]:
            instance.report_runless_asset_event(materialization_of(workspace.lake.table(key, partition)))


def wait_for_port(port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while True:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
