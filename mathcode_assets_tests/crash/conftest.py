"""The mini graph undisturbed, and `mathcode run` in processes of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from mathcode_assets_tests.conftest import REPOSITORY, BuiltLake, drive
from mathcode_assets_tests.crash.doomed import STRUCK, Strike
from mathcode_assets_tests.mini_graph import FILES, MiniGraph, published, write_mini_graph

RUN_TIMEOUT_S = 900
MEMORY_BYTES = 1 << 30
# A shard of several, and two whole sources, which leave the sources file too: one that lists nothing is an error.
REMOVED = (
    "starcoder/python/train-00001-of-00002.parquet",
    "textbooks/an-introduction-to-modular-arithmetic.pdf",
    "synthetic/maths_college.0000.jsonl.zst",
)


@dataclass(frozen=True)
class Undisturbed:
    """The mini graph built once by a process that nobody disturbed."""

    graph: MiniGraph
    files: dict[str, bytes]
    counts: dict[str, int]

    @property
    def root(self) -> Path:
        return Path(self.graph.root)


@dataclass(frozen=True)
class Ended:
    """A run that ended, or was ended; `struck` are the processes below it at that moment, None without a strike."""

    code: int
    stdout: str
    stderr: str
    struck: tuple[int, ...] | None

    @property
    def was_killed(self) -> bool:
        return self.code == -signal.SIGKILL


def run_graph(graph: MiniGraph, folder: Path, *, strike: Strike | None = None) -> tuple[Ended, dict[str, int]]:
    """`mathcode run` in a process group of its own; the counts of its steps where nothing was to strike it.

    Args:
        graph: what to build.
        folder: for the strike, and for the temporary files of the run.
        strike: see `doomed`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plan = folder / "strike.json"
    plan.write_text(strike.to_json() if strike else "")
    command = [sys.executable, "-m", "mathcode_assets_tests.crash.doomed", str(plan), graph.root]
    command += ["run", "--sources", str(graph.sources_file)]
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(REPOSITORY), "COLUMNS": "200"}
    environment.pop("DAGSTER_HOME", None)
    with ended_process(command, environment, folder) as process:
        process.wait(timeout=RUN_TIMEOUT_S)
    told = folder / STRUCK
    ended = Ended(
        code=process.returncode,
        stdout=(folder / "stdout").read_text(errors="replace"),
        stderr=(folder / "stderr").read_text(errors="replace"),
        struck=tuple(map(int, told.read_text().split())) if told.exists() else None,
    )
    told.unlink(missing_ok=True)
    return ended, json.loads(plan.read_text()) if strike is None and plan.stat().st_size else {}


@contextmanager
def ended_process(command: list[str], environment: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose group is gone afterwards, its output in files."""
    with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, start_new_session=True, stdout=stdout, stderr=stderr
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Path]]:
    """New folders; in memory where there is room: SIGKILL loses nothing of either, and fsync takes time on a disk."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or shutil.disk_usage(memory).free < MEMORY_BYTES:
        yield lambda: tmp_path_factory.mktemp("crash")
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="crash-tests-") as folder:
        yield lambda: Path(tempfile.mkdtemp(dir=folder))


@pytest.fixture
def place(places: Callable[[], Path]) -> Path:
    """A new folder."""
    return places()


@pytest.fixture(scope="session")
def undisturbed(places: Callable[[], Path]) -> Undisturbed:
    """The mini graph built by one `mathcode run`."""
    folder = places()
    graph = write_mini_graph(folder / "graph")
    ended, counts = run_graph(graph, folder / "run")
    assert ended.code == 0, ended.stdout + ended.stderr
    return Undisturbed(graph=graph, files=published(Path(graph.root)), counts=counts)


@pytest.fixture(scope="session")
def without_files(undisturbed: Undisturbed, places: Callable[[], Path]) -> MiniGraph:
    """The built mini graph, some of its files removed, and built again."""
    graph = write_mini_graph(places() / "graph", files=tuple(name for name in FILES if name not in REMOVED))
    shutil.copytree(undisturbed.root, graph.root)
    without = build(graph)
    assert without.report.is_complete, without.report.failures
    return graph


@pytest.fixture
def copied(without_files: MiniGraph, place: Path) -> MiniGraph:
    """A copy of that, to change."""
    shutil.copytree(without_files.folder, place / "graph")
    return MiniGraph(folder=place / "graph", root=str(place / "graph" / "lake"))


def build(graph: MiniGraph) -> BuiltLake:
    """`mathcode run` in this process."""
    return drive(graph.sources_file, Path(graph.root))
