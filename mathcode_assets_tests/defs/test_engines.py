"""A small lake built by every engine: the same bytes, the same runs, and what happens when a process is killed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from mathcode_assets.config import load_sources
from mathcode_assets.definitions import LAKE_ASSETS, build_definitions, opened_location
from mathcode_assets.defs.drive import Chain, Driver, DriveReport, chains, levels
from mathcode_assets.defs.graph import CORPUS
from mathcode_assets.defs.instance import open_instance
from mathcode_assets.defs.partition_runs import CodeLocation
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.engine.mapping import close_engines
from mathcode_assets.sample import sample_dir
from mathcode_assets.storage.lake import Lake
from mathcode_assets.storage.mapped import row_groups_of
from mathcode_assets_tests.defs.test_drive import contents
from mathcode_assets_tests.training.ray_cluster import ray_addresses

pytestmark = pytest.mark.engines

# A file of programs of two row groups, two thirds of which the filter keeps: two row groups for what follows as well.
N_PROGRAMS = 13_000


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sources file over some of the sample, textbooks in one group, and a file of many programs beside it."""
    folder = tmp_path_factory.mktemp("sources")
    chance = random.Random(3)
    with (folder / "programs.0000.jsonl").open("w") as file:
        for number in range(N_PROGRAMS):
            words = " ".join(f"v{chance.randrange(10**6)}" for _ in range(3))
            start = "" if number % 3 == 0 else "import sympy\n"
            file.write(json.dumps({"id": str(number), "content": f"{start}print({number})  # {words}\n"}) + "\n")
        file.write("not json\n")
    (folder / "programs.0001.jsonl").write_text(json.dumps({"id": "x", "content": "from scipy import stats\n"}) + "\n")
    sample = yaml.safe_load((sample_dir() / "sources.yaml").read_text())
    given = {name: dict(sample["sources"][name]) for name in ("textbooks",)}
    for spec in (*given.values(), sample["benchmarks"]):
        spec.update({name: str(sample_dir() / spec[name]) for name in ("uri", "labels") if name in spec})
    given["textbooks"]["groups"] = 1
    given["starcoder_python"] = {"uri": str(folder / "programs.*.jsonl")}
    settings = {name: sample["settings"][name] for name in ("checks", "self_test", "tokenizer", "tokenization")}
    path = folder / "sources.yaml"
    path.write_text(yaml.safe_dump(
        {"root": "lake", "sources": given, "benchmarks": sample["benchmarks"], "settings": settings}
    ))  # fmt: skip
    return path


def with_engine(sources: Path, folder: Path, **engine: Any) -> Path:
    given = yaml.safe_load(sources.read_text())
    given["settings"]["engine"] = engine
    path = folder / "sources.yaml"
    path.write_text(yaml.safe_dump(given))
    return path


def build(sources_file: Path, root: Path, *, by_partition: bool) -> DriveReport:
    """Build the corpus; by_partition: partitions side by side, else what is in them."""
    home = root / ".dagster"
    location = CodeLocation(open=opened_location, sources_file=str(sources_file), root=str(root), home=home)
    try:
        with open_instance(home) as instance:
            driver = Driver(
                definitions=build_definitions(sources_file, root=str(root)),
                assets=CORPUS,
                workspace=Workspace(load_sources(sources_file), str(root)),
                instance=instance,
                location=location if by_partition else None,
            )
            return driver.run()
    finally:
        close_engines()


Told = dict[tuple[str, str | None], tuple[str, ...]]


def events(root: Path) -> tuple[Told, Counter[str]]:
    """What Dagster knows: the data versions of every partition in the order told, and how its runs ended."""
    told: dict[tuple[str, str | None], list[str]] = {}
    with open_instance(root / ".dagster") as instance:
        for asset in CORPUS:
            for record in instance.fetch_materializations(asset.asset_key, limit=1000, ascending=True).records:
                made = record.asset_materialization
                assert made is not None and made.tags is not None
                told.setdefault((asset.key, record.partition_key), []).append(made.tags["dagster/data_version"])
        return {key: tuple(found) for key, found in told.items()}, Counter(r.status.value for r in instance.get_runs())


@pytest.fixture(scope="module")
def serial(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("serial") / "lake"
    report = build(sources, root, by_partition=False)
    assert is_whole(report), [*report.failures, *(c for c in report.checks if not c.passed and c.is_blocking)]
    lake = Lake(root)
    counts = {
        key: len(row_groups_of(lake.table(key, "programs.0000")))
        for key in ("raw/starcoder_python", "filtered/code_python")
    }
    assert counts == {"raw/starcoder_python": 2, "filtered/code_python": 2}
    assert lake.table("mixture/mathcode_pile").manifest().n_rows > 8192  # two row groups
    return root


def is_whole(report: DriveReport) -> bool:
    """All is made but the classifiers of pages, of which there are none here."""
    red = [check for check in report.checks if check.is_blocking and not check.passed]
    return not red and all(failure.asset.startswith("models/") for failure in report.failures)


@pytest.mark.parametrize("by_partition", [True, False], ids=["partitions", "inside"])
def test_local_gives_the_bytes_and_events_of_one_process(
    serial: Path, sources: Path, tmp_path: Path, by_partition: bool
) -> None:
    given = with_engine(sources, tmp_path, kind="local", workers=2)
    report = build(given, tmp_path / "lake", by_partition=by_partition)
    assert is_whole(report)
    assert contents(tmp_path / "lake") == contents(serial)
    assert events(tmp_path / "lake") == events(serial)
    again = build(given, tmp_path / "lake", by_partition=by_partition)
    assert again.materialized == 0 and again.unchanged >= 30


def test_a_process_that_is_killed_costs_a_run_and_nothing_else(serial: Path, sources: Path, tmp_path: Path) -> None:
    given = with_engine(sources, tmp_path, kind="local", workers=2)
    killed: list[int] = []

    def kill_one() -> None:
        runs = tmp_path / "lake" / ".dagster" / "history" / "runs"
        deadline = time.monotonic() + 120
        while not killed and time.monotonic() < deadline:
            mine = [pid for pid in workers() if writes_below(pid, runs)]
            if mine:
                os.kill(mine[0], signal.SIGKILL)
                killed.append(mine[0])
            time.sleep(0.01)

    thread = threading.Thread(target=kill_one)
    thread.start()
    report = build(given, tmp_path / "lake", by_partition=True)
    thread.join()
    assert killed and is_whole(report)
    assert contents(tmp_path / "lake") == contents(serial)
    statuses = events(tmp_path / "lake")[1]
    assert set(statuses) == {"SUCCESS", "FAILURE"}  # none is left as if it were still running


def workers() -> list[int]:
    """Worker processes that this one started."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"mathcode_assets.engine.worker" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return found


def writes_below(pid: int, folder: Path) -> bool:
    """Whether the process has the file of a run open: it is in the middle of one, or between two."""
    with contextlib.suppress(OSError):
        opened = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]
        return any(name.startswith(str(folder)) and not name.startswith(str(folder / "index")) for name in opened)
    return False


def test_ray_gives_the_bytes_of_one_process(serial: Path, sources: Path, tmp_path: Path) -> None:
    with ray_addresses(has_dashboard=False) as (address, _):
        given = with_engine(sources, tmp_path, kind="ray", ray_address=address, cpus_per_task=0.5)
        report = build(given, tmp_path / "lake", by_partition=True)
        assert is_whole(report)
    assert contents(tmp_path / "lake") == contents(serial)


def test_levels_hold_every_chain_after_what_it_is_made_from() -> None:
    ordered = chains(LAKE_ASSETS)
    found = levels(ordered)
    assert sorted(id(chain) for level in found for chain in level) == sorted(map(id, ordered))
    made: set[str] = set()
    keys = {key for asset in LAKE_ASSETS for key in (asset.key, *asset.publishes)}
    for level in found:
        for chain in level:
            own = {key for asset in chain.assets for key in (asset.key, *asset.publishes)}
            assert {dep for asset in chain.assets for dep in asset.deps if dep in keys} <= made | own
        made |= {key for chain in level for asset in chain.assets for key in (asset.key, *asset.publishes)}
    assert isinstance(found[0][0], Chain) and len(found) < len(ordered)
