"""The embedded sample cut down to what every stage needs, with its sources in a bucket."""

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

DRIVE_S = 1200
# Below the sample's data folder.
FILES = (
    "open_web_math/train-00000-of-00002.parquet",
    "cc_en/cc_en.0000.jsonl.zst",
    "cc_en/labels.parquet",
    "starcoder/python/train-00000-of-00002.parquet",
    "textbooks/an-introduction-to-modular-arithmetic.pdf",
    "synthetic/maths_college.0000.jsonl.zst",
    "benchmarks/sample_word_problems.jsonl",
)
SOURCES: dict[str, Any] = {
    "open_web_math": {"uri": "{}/open_web_math/*.parquet", "labels": "{}/cc_en/labels.parquet"},
    "cc_en": {"uri": "{}/cc_en/*.jsonl.zst", "labels": "{}/cc_en/labels.parquet"},
    "starcoder_python": {"uri": "{}/starcoder/python/*.parquet"},
    "textbooks": {"uri": "{}/textbooks/*.pdf", "groups": 1},
    "synthetic": {"uri": "{}/synthetic/*.jsonl.zst"},
}
# Small models, and limits for shards of a dozen documents (see the sample's own sources file).
SETTINGS: dict[str, Any] = {
    "checks": {"max_contaminated_share": 0.3, "max_padding_share": 1.0},
    "self_test": {
        "max_false_positive_share": 0.5,
        "plants_per_kind": 1,
        "max_hosts": 8,
        "min_recall": {"verbatim": 0.5},
    },
    "classifiers": {"dim": 8, "bucket": 2_000, "min_example_passes": 2_000, "folds": 2},
    "tokenizer": {"vocab_size": 512},
    "tokenization": {"length": 256},
    "execution": {"n_workers": 1},
    "verification": {"n_workers": 1},
}


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
        command = [sys.executable, "-m", __name__, self.root, str(self.sources_file), str(self.home)]
        process = subprocess.Popen(command, start_new_session=True, cwd=REPOSITORY)
        try:
            yield
            assert process.wait(DRIVE_S) == 0, "the other graph was not driven"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def put_sources(client: Any, bucket: str, sources_file: Path) -> None:
    """The files into the bucket, and the sources file that names them there."""
    data = sample_dir() / "data"
    for name in FILES:
        client.put_object(Bucket=bucket, Key=name, Body=(data / name).read_bytes())
    there = f"s3://{bucket}"
    sources = {
        key: {name: value.format(there) if isinstance(value, str) else value for name, value in spec.items()}
        for key, spec in SOURCES.items()
    }
    written = {"sources": sources, "benchmarks": {"uri": f"{there}/benchmarks/*.jsonl"}, "settings": SETTINGS}
    sources_file.write_text(yaml.safe_dump(written, sort_keys=False))


if __name__ == "__main__":
    report = SmallGraph(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])).drive()
    sys.exit(0 if report.is_complete else f"{report.failures} {[check for check in report.checks if not check.passed]}")
