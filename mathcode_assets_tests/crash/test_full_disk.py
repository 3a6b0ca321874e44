"""A disk that is full: told by table, partition and place, nothing half published, and nothing to mend by hand.

The lake and Dagster's home are on small file systems of their own (tmpfs in a mount namespace), filled by ballast.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mathcode_assets.storage.catalog import iter_manifests
from mathcode_assets.storage.lake import Lake
from mathcode_assets_tests.conftest import REPOSITORY
from mathcode_assets_tests.crash.conftest import RUN_TIMEOUT_S, Undisturbed
from mathcode_assets_tests.mini_graph import MiniGraph, published, write_mini_graph

pytestmark = [pytest.mark.crash, pytest.mark.timeout(1800)]

DISK_BYTES = 128 << 20
# Less than the smallest table: a Parquet file of no rows has a footer of some kilobytes.
ROOM_BYTES = 1 << 10


@dataclass(frozen=True)
class Disks:
    """Two small disks that only processes started by `run` see under `lake` and `home`."""

    keeper: subprocess.Popen[bytes]
    lake: Path
    home: Path

    def outside(self, place: Path) -> Path:
        """The place as this process may open it."""
        return Path(f"/proc/{self.keeper.pid}/root{place}")

    def run(self, command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command that sees the disks."""
        enter = ["nsenter", f"--target={self.keeper.pid}", "--user", "--mount", "--preserve-credentials"]
        return subprocess.run(
            [*enter, f"--wd={REPOSITORY}", *command],
            env={**os.environ, "COLUMNS": "400", "PYTHONPATH": str(REPOSITORY), **environment},
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT_S,
            check=False,
        )

    def fill(self, disk: Path) -> None:
        """Leave next to nothing free."""
        place = self.outside(disk)
        with (place / "ballast").open("wb", buffering=0) as ballast:
            while (free := shutil.disk_usage(place).free) > ROOM_BYTES:
                try:
                    ballast.write(bytes(min(free - ROOM_BYTES, 1 << 20)))
                except OSError:  # the last page
                    return

    def empty(self, disk: Path) -> None:
        """Make room again."""
        (self.outside(disk) / "ballast").unlink()


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[Disks]:
    places = [tmp_path / "lake-disk", tmp_path / "home-disk"]
    mounts = "".join(f"mount -t tmpfs -o size={DISK_BYTES} tmpfs {place} && " for place in places)
    for place in places:
        place.mkdir()
    keeper = subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f"{mounts} echo ready && exec sleep infinity"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        assert keeper.stdout is not None
        said = keeper.stdout.readline()
        assert said == b"ready\n", f"no namespace to mount a small disk in: {said.decode()}"
        yield Disks(keeper, *places)
    finally:
        os.killpg(keeper.pid, signal.SIGKILL)
        keeper.wait()


def test_a_full_disk_is_told_and_nothing_is_half_published(
    undisturbed: Undisturbed, without_files: MiniGraph, disks: Disks, tmp_path: Path
) -> None:
    graph = write_mini_graph(tmp_path / "graph", root=str(disks.lake / "lake"))
    root = disks.outside(disks.lake) / "lake"
    shutil.copytree(without_files.root, root, ignore=shutil.ignore_patterns(".dagster", "lake.duckdb"))
    before = published(root)
    home = disks.home / "dagster"
    command = [sys.executable, "-m", "mathcode_assets", "run", "--sources", str(graph.sources_file)]

    disks.fill(disks.lake)
    lake_is_full = disks.run(command, DAGSTER_HOME=str(home))
    disks.empty(disks.lake)
    assert lake_is_full.returncode == 1, lake_is_full.stdout + lake_is_full.stderr
    told = lake_is_full.stderr
    assert "failed raw/starcoder_python[train-00001-of-00002]: FullDisk:" in told, told
    assert f"no space left on the disk of {disks.lake}" in told
    assert "bytes are free" in told and "Nothing was published; make room and run again" in told
    # Every partition that was there still is, to the byte, and nothing else came.
    assert published(root) == before

    disks.fill(disks.home)
    record_is_full = disks.run(command, DAGSTER_HOME=str(home))
    disks.empty(disks.home)
    assert record_is_full.returncode == 2, record_is_full.stdout + record_is_full.stderr
    assert len(record_is_full.stderr.splitlines()) == 1 and str(home) in record_is_full.stderr, record_is_full.stderr
    assert "disk is full" in record_is_full.stderr
    lake = Lake(root)
    for manifest in iter_manifests(lake):
        lake.table(manifest.key, manifest.partition).verify()

    ended = disks.run(command, DAGSTER_HOME=str(home))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert published(root) == undisturbed.files
