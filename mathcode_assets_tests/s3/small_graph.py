"""The embedded sample cut down to what every stage needs, with its sources in a bucket."""

from __future__ import annotations

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

# Below the sample's data folder. Two shards of one source, so that one can change and the other stay.
FILES = (
    "open_web_math/train-00000-of-00002.parquet",
    "cc_en/cc_en.0000.jsonl.zst",
    "cc_en/labels.parquet",
    "starcoder/python/*",
    "starcoder/jupyter-structured-clean-dedup/*",
    "textbooks/an-introduction-to-modular-arithmetic.pdf",
    "synthetic/book_math.0000.jsonl.zst",
    "synthetic/maths_college.0000.jsonl.zst",
    "benchmarks/*",
)
# What asks for a model, or for folders of this machine.
LEFT_OUT = ("training", "evaluation")


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


def put_sources(client: Any, bucket: str, sources_file: Path) -> None:
    """The files into the bucket, and the sources file that names them there."""
    data = sample_dir() / "data"
    for pattern in FILES:
        for path in sorted(data.glob(pattern)):
            client.put_object(Bucket=bucket, Key=path.relative_to(data).as_posix(), Body=path.read_bytes())
    written = yaml.safe_load((sample_dir() / "sources.yaml").read_text())
    present = {pattern.rsplit("/", 1)[0] for pattern in FILES}
    specs = {key: spec for key, spec in written["sources"].items() if _folder(spec["uri"]) in present}
    there = f"s3://{bucket}/"
    for spec in [*specs.values(), written["benchmarks"]]:
        for name in ("uri", "labels"):
            if name in spec:
                spec[name] = there + spec[name].removeprefix("data/")
    written["sources"] = specs
    written["settings"] = {name: section for name, section in written["settings"].items() if name not in LEFT_OUT}
    sources_file.write_text(yaml.safe_dump(written, sort_keys=False))


def _folder(uri: str) -> str:
    return uri.removeprefix("data/").rsplit("/", 1)[0]
