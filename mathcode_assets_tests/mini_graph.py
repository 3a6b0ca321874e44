"""A graph that runs every stage but training in some seconds: the embedded sample, cut down.

    graph = write_mini_graph(tmp_path / "a")
    subprocess.run([sys.executable, "-m", "mathcode_assets", "run", "--sources", graph.sources_file])

Raw, attributes and filtered documents of each component (web pages by labels that the sample gives and small
fastText models, code, one textbook, synthetic sets), models trained and promoted, deduplication, decontamination,
translation by rules with execution in the sandbox and verification, mixture, tokens, packed sequences.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mathcode_assets.sample import sample_dir

FILES = (
    "open_web_math/train-00000-of-00002.parquet",
    "cc_en/cc_en.0000.jsonl.zst",
    "cc_en/labels.parquet",
    "starcoder/python/train-00000-of-00002.parquet",
    "starcoder/python/train-00001-of-00002.parquet",
    "textbooks/an-introduction-to-modular-arithmetic.pdf",
    "synthetic/maths_college.0000.jsonl.zst",
    "benchmarks/sample_word_problems.jsonl",
)
LEAKY_FILE = "leaky/education_college.leaky.jsonl.zst"
SOURCES: dict[str, Any] = {  # below the place of the data
    "open_web_math": {"uri": "open_web_math/*.parquet", "labels": "cc_en/labels.parquet"},
    "cc_en": {"uri": "cc_en/*.jsonl.zst", "labels": "cc_en/labels.parquet", "licence": "CC0-1.0"},
    "starcoder_python": {"uri": "starcoder/python/*.parquet"},
    "textbooks": {"uri": "textbooks/*.pdf", "groups": 1},
    "synthetic": {"uri": "synthetic/*.jsonl.zst"},
}
SETTINGS: dict[str, Any] = {
    # A shard holds a dozen documents, among them pages with a question on purpose (see the sample's sources file).
    "checks": {"max_contaminated_share": 0.25, "max_padding_share": 1.0},
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


@dataclass(frozen=True)
class MiniGraph:
    """Sources file and data in a folder of their own, and the root of the lake, which is not made yet."""

    folder: Path
    root: str

    @property
    def sources_file(self) -> Path:
        return self.folder / "sources.yaml"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def source_file(self, name: str) -> Path:
        """A file of the data, by its path below `data`."""
        return self.data / name


def write_mini_graph(
    folder: Path, *, root: str | None = None, files: tuple[str, ...] = FILES, leaky: bool = False
) -> MiniGraph:
    """Write sources file and data; the lake's root is `lake` in the folder unless another one is given.

    Args:
        folder: made where missing.
        root: a path or URI.
        files: of the sample's data.
        leaky: with a shard of benchmark solutions, so that its check turns red and no pile is built.
    """
    graph = MiniGraph(folder=folder, root=root or str(folder / "lake"))
    for name in (*files, *([LEAKY_FILE] if leaky else [])):
        target = graph.source_file(name.replace("leaky/", "synthetic/"))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(sample_dir() / "data" / name, target)
    here = {name: spec for name, spec in SOURCES.items() if list(graph.data.glob(spec["uri"]))}
    sources = {"root": graph.root} | sources_at("data", here)
    graph.sources_file.write_text(yaml.safe_dump(sources, sort_keys=False))
    return graph


def sources_at(place: str, sources: dict[str, Any] = SOURCES) -> dict[str, Any]:
    """A sources file over the data in a folder or bucket, without the root of a lake."""
    there = {
        key: {name: f"{place}/{value}" if name in ("uri", "labels") else value for name, value in spec.items()}
        for key, spec in sources.items()
    }
    return {"sources": there, "benchmarks": {"uri": f"{place}/benchmarks/*.jsonl"}, "settings": SETTINGS}


def published(root: Path) -> dict[str, bytes]:
    """Every file of a local lake by its path below the root, without Dagster's record and the SQL catalog."""
    files = [path for path in root.rglob("*") if path.is_file() or path.is_symlink()]
    names = {path.relative_to(root).as_posix(): path for path in files}
    return {
        name: path.read_bytes() for name, path in sorted(names.items()) if not name.startswith((".dagster/", "lake."))
    }
