"""The mini graph with its sources in a bucket, driven here or in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mathcode_assets.config import load_sources
from mathcode_assets.definitions import build_definitions
from mathcode_assets.defs.drive import Driver, DriveReport
from mathcode_assets.defs.graph import CORPUS
from mathcode_assets.defs.instance import open_instance
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.sample import sample_dir
from mathcode_assets_tests.conftest import REPOSITORY
from mathcode_assets_tests.mini_graph import FILES, sources_at

DRIVE_S = 1200


@dataclass(frozen=True, slots=True)
class SmallGraph:
    """A lake, its sources file and its Dagster home."""

    root: str
    sources_file: Path
    home: Path

    @property
    def workspace(self) -> Workspace:
        return Workspace(load_sources(self.sources_file), self.root)

    def drive(self) -> DriveReport:
        """As `mathcode run`, up to the packed pile."""
        with open_instance(self.home) as instance:
            return Driver(
                definitions=build_definitions(self.sources_file, root=self.root),
                assets=CORPUS,
                workspace=self.workspace,
                instance=instance,
            ).run()

    @contextmanager
    def driven_meanwhile(self) -> Iterator[None]:
        """The same in a process of its own while the block runs: two graphs on two cores take as long as one."""
        with self.driving() as process:
            yield
            assert process.wait(DRIVE_S) == 0, "the other graph was not driven"

    @contextmanager
    def driving(self) -> Iterator[subprocess.Popen[bytes]]:
        """A process in a group of its own that drives the graph; gone after the block."""
        command = [sys.executable, "-m", __name__, self.root, str(self.sources_file), str(self.home)]
        process = subprocess.Popen(command, start_new_session=True, cwd=REPOSITORY)
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def put_sources(client: Any, bucket: str, sources_file: Path) -> None:
    """The files into the bucket, and the sources file that names them there."""
    for name in FILES:
        client.put_object(Bucket=bucket, Key=name, Body=(sample_dir() / "data" / name).read_bytes())
    sources_file.write_text(yaml.safe_dump(sources_at(f"s3://{bucket}"), sort_keys=False))


if __name__ == "__main__":
    report = SmallGraph(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])).drive()
    sys.exit(0 if report.is_complete else f"{report.failures} {[check for check in report.checks if not check.passed]}")
