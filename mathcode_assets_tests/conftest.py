"""Fixtures every test module may use."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # tests of a model run in an environment without Dagster
    from mathcode_assets.defs.drive import DriveReport
    from mathcode_assets.defs.workspace import Workspace

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data, or a skip that says where it was looked for."""
    path = Path(os.environ.get("MATHCODE_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"real data not found at {path} (set MATHCODE_SHARED_DATA)")
    return path


@dataclass(frozen=True)
class BuiltLake:
    """A lake built by the driver, with the folder of its sources file."""

    root: Path
    sources_file: Path
    workspace: Workspace
    report: DriveReport


def drive(sources_file: Path, root: Path, *, corpus_only: bool = True) -> BuiltLake:
    """Build a lake as `mathcode run` does, in the lake's own Dagster home; by default up to the packed pile."""
    from mathcode_assets.config import load_sources
    from mathcode_assets.definitions import LAKE_ASSETS, build_definitions
    from mathcode_assets.defs.drive import Driver
    from mathcode_assets.defs.graph import CORPUS
    from mathcode_assets.defs.instance import open_instance
    from mathcode_assets.defs.workspace import Workspace

    workspace = Workspace(load_sources(sources_file), str(root))
    with open_instance(root / ".dagster") as instance:
        driver = Driver(
            definitions=build_definitions(sources_file, root=str(root)),
            assets=CORPUS if corpus_only else LAKE_ASSETS,
            workspace=workspace,
            instance=instance,
        )
        report = driver.run()
    return BuiltLake(root=root, sources_file=sources_file, workspace=workspace, report=report)


@pytest.fixture(scope="session")
def sample_lake(tmp_path_factory: pytest.TempPathFactory) -> BuiltLake:
    """The embedded sample, built once for all tests that only read it, and once for all of pytest's workers."""
    from filelock import FileLock

    from mathcode_assets.config import load_sources
    from mathcode_assets.defs.workspace import Workspace
    from mathcode_assets.sample import sample_dir

    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "sample"
    sources, root, kept = sample_dir() / "sources.yaml", shared / "lake", shared / "report.pickle"
    with FileLock(f"{shared}.lock"):
        if not kept.exists():
            kept.parent.mkdir(exist_ok=True)
            kept.write_bytes(pickle.dumps(drive(sources, root).report))
    return BuiltLake(
        root=root,
        sources_file=sources,
        workspace=Workspace(load_sources(sources), str(root)),
        report=pickle.loads(kept.read_bytes()),
    )


@pytest.fixture
def sample_copy(sample_lake: BuiltLake, tmp_path: Path) -> Iterator[Callable[[], BuiltLake]]:
    """A copy of the built sample and of its sources, to change: call it to drive the copy again."""
    from mathcode_assets.sample import sample_dir

    shutil.copytree(sample_dir() / "data", tmp_path / "data")
    shutil.copy(sample_dir() / "sources.yaml", tmp_path / "sources.yaml")
    shutil.copytree(sample_lake.root, tmp_path / "lake")
    yield lambda: drive(tmp_path / "sources.yaml", tmp_path / "lake")
