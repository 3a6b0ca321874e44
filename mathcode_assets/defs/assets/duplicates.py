"""Deduplication across all components: fingerprints by shard, one global step, verdicts by shard.

Translated documents have a global step of their own: they are made of documents that came out of the
first one, so they cannot be in it.

The global step reads fingerprints alone, so a new shard costs its own fingerprints and one pass over
small rows. It publishes the verdicts of each shard as a partition of attributes/duplicates/*, and
only those that changed get a new data version: those shards are cleaned again, the others are not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from mathcode_assets.deduplication.exact import ExactConfig, PartitionVerdicts, fingerprint_documents, resolve
from mathcode_assets.defs.assets.consolidated import counted, input_versions, verdict_counts
from mathcode_assets.defs.automation import BUILD_WHEN_CHANGED
from mathcode_assets.defs.checks import rows_add_up, rows_of
from mathcode_assets.defs.components import (
    COMPONENT_TABLES,
    FILTERED_TABLES,
    LISTING_KEY,
    TRANSLATED_TABLES,
    ComponentTable,
)
from mathcode_assets.defs.partitions import partitions_def
from mathcode_assets.defs.table_assets import OWNER, FolderBuild, LakeAsset, TableBuild, layer_of
from mathcode_assets.defs.workspace import Workspace, config_dict
from mathcode_assets.records import DUPLICATE_ATTRIBUTES, EXACT_DUPLICATE, FINGERPRINT, KEPT
from mathcode_assets.storage.lake import Table
from mathcode_assets.storage.manifest import Accounting, Manifest, Recipe

CODE_VERSION = "1"
INDEX_KEY = "index/duplicates"
TRANSLATED_INDEX_KEY = "index/translated_duplicates"
SHARDS_FILE = "shards.json"
INDEXES: dict[str, tuple[ComponentTable, ...]] = {
    INDEX_KEY: FILTERED_TABLES,
    TRANSLATED_INDEX_KEY: TRANSLATED_TABLES,
}


def fingerprints_key(name: str) -> str:
    """Key of a component's fingerprints."""
    return f"attributes/fingerprints/{name}"


def duplicates_key(name: str) -> str:
    """Key of a component's duplicate verdicts."""
    return f"attributes/duplicates/{name}"


def _fingerprints(component: ComponentTable) -> Callable[[Workspace, str], TableBuild]:
    def build(workspace: Workspace, partition: str) -> TableBuild:
        """A hash of each document's normalised text: all that the global deduplication needs to know of it."""
        documents = workspace.lake.table(component.documents, partition)
        config = workspace.settings("deduplication", ExactConfig)
        kind = config.kind_of(component.name)
        return TableBuild(
            recipe=Recipe(code_version=CODE_VERSION, inputs=input_versions(documents), config={"kind": kind.name}),
            batches=lambda: fingerprint_documents(documents.batches(columns=["doc_id", "text"]), kind),
        )

    return build


def _index(components: Sequence[ComponentTable]) -> Callable[[Workspace, str], FolderBuild]:
    def build(workspace: Workspace, partition: str) -> FolderBuild:
        """Which copy of each text stays, over all components and shards (the paper removes no duplicates).

        Publishes attributes/duplicates/*: for each shard, the verdict on each of its documents. Near
        duplicates are not looked for yet.
        """
        config = workspace.settings("deduplication", ExactConfig)
        fingerprints = [
            (component, table)
            for component in components
            for table in workspace.tables(fingerprints_key(component.name), component.source)
            if table.find_manifest() is not None
        ]
        published: list[Table] = []

        def make(folder: Path) -> tuple[Accounting, Mapping[str, Any]]:
            streams = ((component.name, table.partition, table.batches()) for component, table in fingerprints)
            n_in = n_kept = 0
            with workspace.work_folder() as scratch:
                for verdicts in resolve(streams, work_dir=scratch, config=config):
                    manifest = _publish_verdicts(workspace, verdicts)
                    published.append(workspace.lake.table(manifest.key, manifest.partition))
                    n_in += manifest.n_rows
                    n_kept += manifest.facts["verdict"].get(KEPT, 0)
            # What it published, so that its own data version changes when a shard's verdicts do.
            shards = {f"{table.key}[{table.partition}]": table.manifest().data_version for table in published}
            (folder / SHARDS_FILE).write_text(json.dumps(shards, indent=1, sort_keys=True) + "\n")
            return Accounting(n_in=n_in, n_kept=n_kept, dropped={EXACT_DUPLICATE: n_in - n_kept}), {
                "documents_compared": n_in,
                "duplicates": n_in - n_kept,
            }

        recipe = Recipe(
            code_version=CODE_VERSION,
            inputs=input_versions(*(table for _, table in fingerprints)),
            config={name: list(v) if isinstance(v, tuple) else v for name, v in config_dict(config).items()},
        )
        expected = [workspace.lake.table(duplicates_key(c.name), table.partition) for c, table in fingerprints]
        return FolderBuild(recipe=recipe, make=make, published=published, expected=expected)

    return build


def _publish_verdicts(workspace: Workspace, verdicts: PartitionVerdicts) -> Manifest:
    """The verdicts of one shard as a partition of attributes/duplicates/<component>."""
    counts: dict[str, dict[str, int]] = {}
    fingerprints = workspace.lake.table(fingerprints_key(verdicts.component), verdicts.partition)
    return workspace.lake.publish(
        workspace.lake.table(duplicates_key(verdicts.component), verdicts.partition),
        schema=DUPLICATE_ATTRIBUTES,
        recipe=Recipe(code_version=CODE_VERSION, inputs=input_versions(fingerprints)),
        batches=counted(verdicts.batches, ["verdict"], counts),
        accounting=lambda n_rows: Accounting(n_in=n_rows, n_kept=n_rows),
        facts=lambda: {"verdict": {}, **verdict_counts(counts)},
    )


ASSETS: list[LakeAsset] = [
    *(
        LakeAsset(
            key=fingerprints_key(component.name),
            build=_fingerprints(component),
            group="deduplication",
            schema=FINGERPRINT,
            partitioned_by=component.source,
            deps=[component.documents],
            checks=[rows_add_up(FINGERPRINT, rows_of(component.documents))],
            kinds=frozenset({"parquet"}),
            automation=BUILD_WHEN_CHANGED,
        )
        for component in COMPONENT_TABLES
    ),
    *(
        LakeAsset(
            key=key,
            build=_index(components),
            group="deduplication",
            publishes=[duplicates_key(component.name) for component in components],
            deps=[LISTING_KEY, *(fingerprints_key(component.name) for component in components)],
            kinds=frozenset({"parquet"}),
            automation=BUILD_WHEN_CHANGED,
        )
        for key, components in INDEXES.items()
    ),
]

# Materialized by the step of index/duplicates, so they are never asked for by themselves.
SPECS: list[dg.AssetSpec] = [
    dg.AssetSpec(
        key=dg.AssetKey(duplicates_key(component.name).split("/")),
        deps=[dg.AssetKey(fingerprints_key(component.name).split("/")), dg.AssetKey(index_key.split("/"))],
        group_name="deduplication",
        description=(
            "The verdict on each document of the shard: kept, or a copy of which other document. "
            f"Published by {index_key}."
        ),
        owners=[OWNER],
        kinds={layer_of(duplicates_key(component.name)), "parquet"},
        partitions_def=partitions_def(component.source),
    )
    for index_key, components in INDEXES.items()
    for component in components
]
