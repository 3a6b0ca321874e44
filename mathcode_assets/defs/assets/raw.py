"""raw/*: the records of each source as documents, with where they came from; bad ones quarantined."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa

from mathcode_assets.defs.automation import BUILD_WHEN_CHANGED
from mathcode_assets.defs.checks import QUARANTINED_SHARE, rows_add_up
from mathcode_assets.defs.previews import document_preview
from mathcode_assets.defs.table_assets import LakeAsset, TableBuild
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.records import DOCUMENT
from mathcode_assets.sources.partitions import Partition
from mathcode_assets.sources.quarantine import Quarantine, ReadReport
from mathcode_assets.sources.reading import DocumentReading, read_files
from mathcode_assets.storage.manifest import Accounting, Recipe

CODE_VERSION = "1"

# What the group of each source is called in the UI, and what one of its records is.
SOURCES: dict[str, tuple[str, str]] = {
    "open_web_math": ("open_web_math", "a web page of OpenWebMath (paper §2.1)"),
    "cc_en": ("cc_en_math", "a page of the English Common Crawl part of Matrix (paper §2.1)"),
    "synthetic": ("synthetic", "a question with its answer, or a passage of a synthetic book (paper §2.1)"),
    "starcoder_python": ("code", "a Python file of StarCoderData (paper §2.1)"),
    "starcoder_jupyter_scripts": ("code", "a notebook as a script, of StarCoderData (paper §2.1)"),
    "starcoder_jupyter_structured": ("code", "a notebook as cells, of StarCoderData (paper §2.1)"),
}


def partition_of(workspace: Workspace, source: str, partition: str) -> Partition:
    """The files of a partition as they are now.

    Raises:
        LookupError: the source has no such partition (any more).
    """
    partitions = workspace.partitions(source)
    if partition not in partitions:
        raise LookupError(f"source {source} has no partition {partition!r}; it has {', '.join(partitions) or 'none'}")
    return partitions[partition]


def source_recipe(workspace: Workspace, source: str, partition: Partition, code_version: str) -> Recipe:
    """What a raw partition is made from: the files' fingerprints and the licence the sources file states."""
    spec = workspace.sources.sources[source]
    return Recipe(
        code_version=code_version,
        inputs={f"{source}:{file.relative_path}": file.fingerprint for file in partition.files},
        config={"licence": spec.licence},
    )


def _raw_build(source: str, record: str) -> Callable[[Workspace, str], TableBuild]:
    def build(workspace: Workspace, partition: str) -> TableBuild:
        files = partition_of(workspace, source, partition)
        licence = workspace.sources.sources[source].licence
        quarantine, report = Quarantine(source=source), ReadReport()

        def batches() -> Iterator[pa.RecordBatch]:
            yield from read_files(
                files.files,
                DocumentReading(source=source, licence=licence),
                quarantine=quarantine,
                report=report,
                engine=workspace.engine(),
                work=workspace.exchange_folder,
            )

        return TableBuild(
            recipe=source_recipe(workspace, source, files, CODE_VERSION),
            batches=batches,
            accounting=lambda n_rows: Accounting(
                n_in=report.n_records, n_kept=n_rows, quarantined=dict(sorted(report.n_quarantined.items()))
            ),
            facts=lambda: {"source_files": len(files.files), "read": report.summary()},
            quarantine=quarantine.batches,
        )

    build.__doc__ = (
        f"One row is {record}, as its file has it, with its address, revision and licence.\n\n"
        "Records that cannot be read are kept under quarantine/ with the reason."
    )
    return build


ASSETS = [
    LakeAsset(
        key=f"raw/{source}",
        build=_raw_build(source, record),
        group=group,
        schema=DOCUMENT,
        partitioned_by=source,
        deps=[f"source/{source}"],
        checks=[rows_add_up(DOCUMENT), QUARANTINED_SHARE],
        kinds=frozenset({"parquet"}),
        automation=BUILD_WHEN_CHANGED,
        preview=document_preview,
    )
    for source, (group, record) in SOURCES.items()
]
