"""All of the real data: every record read, none quarantined, the counts its README gives."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from mathcode_assets.config import SourcesFile, parse_sources
from mathcode_assets.sources.listing import list_files, list_label_files
from mathcode_assets.sources.partitions import list_partitions, partition_key
from mathcode_assets.sources.quarantine import Quarantine, ReadReport
from mathcode_assets.sources.readers import read_benchmark_items, read_documents, read_labels

pytestmark = pytest.mark.shared_data

SOURCES = """
sources:
  open_web_math: {uri: "open_web_math/data/*.parquet"}
  cc_en: {uri: "cc_en/*.jsonl.zst", labels: "cc_en/labels.shards-0000-0003.parquet"}
  starcoder_python: {uri: "starcoder/python/*.parquet"}
  starcoder_jupyter_scripts: {uri: "starcoder/jupyter-scripts-dedup-filtered/*.parquet"}
  starcoder_jupyter_structured: {uri: "starcoder/jupyter-structured-clean-dedup/*.parquet"}
  textbooks: {uri: "textbooks/pdf/*.pdf"}
  synthetic: {uri: "synthetic/*.jsonl.zst", accept_contaminated: ["education_college.contaminated_sample"]}
benchmarks: {uri: "benchmarks/*.jsonl"}
"""


@pytest.fixture(scope="module")
def sources(shared_data: Path) -> SourcesFile:
    return parse_sources(SOURCES, folder=shared_data)


@pytest.mark.parametrize(
    ("key", "n_partitions", "n_documents"),
    [
        ("open_web_math", 5, 7_266),
        ("cc_en", 8, 15_324),
        ("starcoder_python", 6, 6_000),
        ("starcoder_jupyter_scripts", 2, 771),
        ("starcoder_jupyter_structured", 2, 771),
        ("synthetic", 3, 1_942),
    ],
)
def test_every_document_is_read(sources: SourcesFile, key: str, n_partitions: int, n_documents: int) -> None:
    partitions = list_partitions(sources.sources[key])
    quarantine, report, ids = Quarantine(source=key), ReadReport(), Counter()
    for partition in partitions:
        for file in partition.files:
            for batch in read_documents(file, source=key, quarantine=quarantine, report=report):
                ids.update(batch.column("doc_id").to_pylist())
    assert len(partitions) == n_partitions
    assert (report.n_records, report.n_read) == (n_documents, n_documents)
    assert not quarantine.counts
    assert len(ids) == n_documents


def test_textbooks_are_spread_over_their_groups(sources: SourcesFile) -> None:
    partitions = list_partitions(sources.sources["textbooks"])
    assert [partition.key for partition in partitions] == [f"group-{number:04d}" for number in range(4)]
    assert sum(len(partition.files) for partition in partitions) == 32


def test_every_benchmark_item_is_read(sources: SourcesFile) -> None:
    assert sources.benchmarks is not None
    quarantine, report, counts = Quarantine(source="benchmarks"), ReadReport(), Counter()
    for file in list_files(sources.benchmarks):
        benchmark = partition_key(file.relative_path)
        for batch in read_benchmark_items(file, benchmark=benchmark, quarantine=quarantine, report=report):
            rows = batch.to_pylist()
            counts[benchmark] += len(rows)
            assert not any(row["question"].startswith("Solve the problem and put") for row in rows)
    assert counts == {
        "gsm8k": 1_319,
        "humaneval": 164,
        "hungarian": 33,
        "math": 5_000,
        "mathematics": 1_000,
        "mbpp": 974,
        "minif2f": 244,
        "mmlu_math": 964,
        "ocw": 272,
        "olympiadbench": 675,
        "sat_math": 32,
        "svamp": 1_000,
    }
    assert not quarantine.counts


def test_every_label_is_read_and_names_a_document(sources: SourcesFile) -> None:
    spec = sources.sources["cc_en"]
    quarantine, report, labels = Quarantine(source="cc_en"), ReadReport(), {}
    for file in list_label_files(spec):
        for batch in read_labels(file, quarantine=quarantine, report=report):
            labels.update((row["source_id"], (row["label"], row["split"])) for row in batch.to_pylist())
    assert len(labels) == report.n_read == 7_664
    assert {label for label, _ in labels.values()} == {"math", "other"}
    assert {split for _, split in labels.values()} == {"train", "test"}
    found = {
        own
        for file in list_files(spec)[:4]
        for batch in read_documents(file, source="cc_en", quarantine=quarantine, report=report)
        for own in batch.column("source_id").to_pylist()
    }
    assert labels.keys() == found
