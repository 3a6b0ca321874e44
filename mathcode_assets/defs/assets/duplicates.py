"""Deduplication across all components: fingerprints by shard, one global index, verdicts by shard.

The index reads fingerprints alone, so a new shard costs its own fingerprints and one pass over
small rows. A shard's verdicts have their own data version: only shards whose verdicts really
changed are cleaned again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mathcode_assets.deduplication.exact import ExactConfig, fingerprint_documents, resolve
from mathcode_assets.defs.assets.consolidated import counted, input_versions, verdict_counts
from mathcode_assets.defs.automation import BUILD_WHEN_CHANGED
from mathcode_assets.defs.checks import DUPLICATE_SHARE, rows_add_up, rows_of
from mathcode_assets.defs.components import COMPONENT_TABLES, ComponentTable
from mathcode_assets.defs.previews import decisions_preview
from mathcode_assets.defs.table_assets import FolderBuild, LakeAsset, TableBuild
from mathcode_assets.defs.workspace import Workspace, config_dict
from mathcode_assets.records import DUPLICATE_ATTRIBUTES, FINGERPRINT
from mathcode_assets.storage.filesystem import Location
from mathcode_assets.storage.lake import Table
from mathcode_assets.storage.manifest import Accounting, Recipe
from mathcode_assets.storage.shards import read_batches

CODE_VERSION = "1"
INDEX_KEY = "index/duplicates"


def fingerprints_key(name: str) -> str:
    """Key of a component's fingerprints."""
    return f"attributes/fingerprints/{name}"


def duplicates_key(name: str) -> str:
    """Key of a component's duplicate verdicts."""
    return f"attributes/duplicates/{name}"


def _fingerprints(component: ComponentTable) -> Callable[[Workspace, str], TableBuild]:
    def build(workspace: Workspace, partition: str) -> TableBuild:
        """A hash of each document's normalised text: all that the global deduplication needs to know of it."""
        documents = workspace.lake.table(f"filtered/{component.name}", partition)
        config = workspace.settings("deduplication", ExactConfig)
        kind = config.kind_of(component.name)
        return TableBuild(
            recipe=Recipe(code_version=CODE_VERSION, inputs=input_versions(documents), config={"kind": kind.name}),
            batches=lambda: fingerprint_documents(documents.batches(columns=["doc_id", "text"]), kind),
        )

    return build


def _index(workspace: Workspace, partition: str) -> FolderBuild:
    """Which copy of each text stays, over all components and shards (the paper removes no duplicates).

    A folder with one file of verdicts for each shard. Near duplicates are not looked for yet.
    """
    config = workspace.settings("deduplication", ExactConfig)
    tables = [
        (component, table)
        for component in COMPONENT_TABLES
        for table in workspace.tables(fingerprints_key(component.name), component.source)
        if table.find_manifest() is not None
    ]

    def make(folder: Path) -> tuple[Accounting, Mapping[str, Any]]:
        streams = ((component.name, table.partition, table.batches()) for component, table in tables)
        n_documents = n_kept = 0
        with workspace.work_folder() as scratch:
            for verdicts in resolve(streams, work_dir=scratch, config=config):
                target = folder / verdicts.component / f"{verdicts.partition}.parquet"
                target.parent.mkdir(parents=True, exist_ok=True)
                counts: dict[str, dict[str, int]] = {}
                _write(target, counted(verdicts.batches, ["verdict"], counts))
                n_documents += sum(counts.get("verdict", {}).values())
                n_kept += counts.get("verdict", {}).get("kept", 0)
        dropped = {"exact_duplicate": n_documents - n_kept}
        accounting = Accounting(n_in=n_documents, n_kept=n_kept, dropped=dropped)
        return accounting, {"documents_indexed": n_documents, "duplicates": n_documents - n_kept}

    recipe = Recipe(
        code_version=CODE_VERSION,
        inputs=input_versions(*(table for _, table in tables)),
        config={
            name: list(value) if isinstance(value, tuple) else value for name, value in config_dict(config).items()
        },
    )
    return FolderBuild(recipe=recipe, make=make)


def _write(path: Path, batches: Iterator[pa.RecordBatch]) -> None:
    with pq.ParquetWriter(path, DUPLICATE_ATTRIBUTES, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)


def _verdict_file(index: Table, component: str, partition: str) -> tuple[Location, str]:
    """The file of the index with a shard's verdicts, and its content hash.

    Raises:
        LookupError: the index has not seen the shard.
    """
    wanted = f"{component}/{partition}.parquet"
    for published in index.manifest().files:
        if published.name.split("/", 1)[1] == wanted:
            location = index.location
            for part in published.name.split("/"):
                location = location / part
            return location, published.sha256
    raise LookupError(f"{INDEX_KEY} has not seen {component}[{partition}]: materialize it again")


def _duplicates(component: ComponentTable) -> Callable[[Workspace, str], TableBuild]:
    def build(workspace: Workspace, partition: str) -> TableBuild:
        """The verdict on each document of the shard: kept, or a copy of which other document."""
        documents = workspace.lake.table(f"filtered/{component.name}", partition)
        index = workspace.lake.table(INDEX_KEY)
        location, sha256 = _verdict_file(index, component.name, partition)

        def batches() -> Iterator[pa.RecordBatch]:
            with location.open() as stream:
                yield from read_batches(stream)

        counts: dict[str, dict[str, int]] = {}
        return TableBuild(
            recipe=Recipe(
                code_version=CODE_VERSION,
                inputs=input_versions(documents) | {f"{INDEX_KEY}:{component.name}[{partition}]": sha256[:32]},
            ),
            batches=lambda: counted(batches(), ["verdict"], counts),
            facts=lambda: verdict_counts(counts),
        )

    return build


def _duplicates_preview(component: ComponentTable) -> Callable[[Workspace, Table], dict[str, Any]]:
    def preview(workspace: Workspace, table: Table) -> dict[str, Any]:
        documents = workspace.lake.table(f"filtered/{component.name}", table.partition)
        return decisions_preview(workspace, table, documents)

    return preview


ASSETS: list[LakeAsset] = [
    *(
        LakeAsset(
            key=fingerprints_key(component.name),
            build=_fingerprints(component),
            group="deduplication",
            schema=FINGERPRINT,
            partitioned_by=component.source,
            deps=[f"filtered/{component.name}"],
            checks=[rows_add_up(FINGERPRINT, rows_of(f"filtered/{component.name}"))],
            kinds=frozenset({"parquet"}),
            automation=BUILD_WHEN_CHANGED,
        )
        for component in COMPONENT_TABLES
    ),
    LakeAsset(
        key=INDEX_KEY,
        build=_index,
        group="deduplication",
        deps=[fingerprints_key(component.name) for component in COMPONENT_TABLES],
        kinds=frozenset({"parquet"}),
        automation=BUILD_WHEN_CHANGED,
    ),
    *(
        LakeAsset(
            key=duplicates_key(component.name),
            build=_duplicates(component),
            group="deduplication",
            schema=DUPLICATE_ATTRIBUTES,
            partitioned_by=component.source,
            deps=[f"filtered/{component.name}", INDEX_KEY],
            checks=[rows_add_up(DUPLICATE_ATTRIBUTES, rows_of(f"filtered/{component.name}")), DUPLICATE_SHARE],
            kinds=frozenset({"parquet"}),
            automation=BUILD_WHEN_CHANGED,
            preview=_duplicates_preview(component),
        )
        for component in COMPONENT_TABLES
    ),
]
