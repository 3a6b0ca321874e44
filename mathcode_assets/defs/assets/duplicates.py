"""Deduplication across all components: fingerprints by shard, one global step, verdicts by shard.

Translated documents have a global step of their own: they are made of documents that came out of the
first one, so they cannot be in it.

The global step reads fingerprints, and the texts of those documents alone that may be near copies. What it compared
it keeps, so a new shard costs its own fingerprints, its own comparisons and one pass over small rows. It publishes the
verdicts of each shard as a partition of attributes/duplicates/*, and only those that changed get a new data version:
those shards are cleaned again, the others are not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from mathcode_assets.deduplication.config import DeduplicationConfig
from mathcode_assets.deduplication.fingerprints import fingerprint_documents
from mathcode_assets.deduplication.resolution import ShardVerdicts, resolve
from mathcode_assets.deduplication.texts import Shard, texts_of_file
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
from mathcode_assets.defs.workspace import Withheld, Workspace, config_dict
from mathcode_assets.records import DUPLICATE_ATTRIBUTES, EXACT_DUPLICATE, FINGERPRINT, KEPT, NEAR_DUPLICATE
from mathcode_assets.storage.lake import NotPublished, Table
from mathcode_assets.storage.manifest import Accounting, Manifest, ManifestError, Recipe

CODE_VERSION = "3"  # of the fingerprints
INDEX_CODE_VERSION = "3"
INDEX_KEY = "index/duplicates"
TRANSLATED_INDEX_KEY = "index/translated_duplicates"
PREVIOUS = "previous"
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
        """A hash of each document's normalised text and its MinHash bands: all that it takes to find its copies."""
        documents = workspace.lake.table(component.documents, partition)
        config = workspace.settings("deduplication", DeduplicationConfig)
        kind = config.kind_of(component.name)
        return TableBuild(
            recipe=Recipe(code_version=CODE_VERSION, inputs=input_versions(documents), config={"kind": kind.name}),
            batches=lambda: workspace.map_rows(
                documents, partial(fingerprint_documents, kind=kind), columns=["doc_id", "text"]
            ),
        )

    return build


def _index(key: str, components: Sequence[ComponentTable]) -> Callable[[Workspace, str], FolderBuild]:
    def build(workspace: Workspace, partition: str) -> FolderBuild:
        """Which copy of each text stays, exact and near ones, over all components and shards.

        Publishes attributes/duplicates/*: for each shard, the verdict on each of its documents. Keeps every pair of
        texts it compared, so a new shard costs its own comparisons; the result is that of a full rebuild.
        (The paper removes no duplicates.)
        """
        config = workspace.settings("deduplication", DeduplicationConfig)
        shards = [
            (component, table)
            for component in components
            for table in workspace.tables(fingerprints_key(component.name), component.source)
            if table.find_manifest() is not None
        ]
        published: list[Table] = []

        def make(folder: Path) -> tuple[Accounting, Mapping[str, Any]]:
            counts: Counter[str] = Counter()
            with workspace.work_folder() as scratch:
                (scratch / PREVIOUS).mkdir()
                given = [_shard(workspace, component, table) for component, table in shards]
                previous = _previous(workspace, key, scratch / PREVIOUS)
                for verdicts in resolve(given, work_dir=scratch, config=config, previous=previous, index=folder):
                    manifest = _publish_verdicts(workspace, verdicts)
                    published.append(workspace.lake.table(manifest.key, manifest.partition))
                    counts.update(manifest.facts["verdict"])
            dropped = {verdict: counts[verdict] for verdict in (EXACT_DUPLICATE, NEAR_DUPLICATE)}
            n_in, n_kept = counts.total(), counts[KEPT]
            return Accounting(n_in=n_in, n_kept=n_kept, dropped=dropped), {
                "documents_compared": n_in,
                "duplicates": n_in - n_kept,
                "near_duplicates": counts[NEAR_DUPLICATE],
            }

        recipe = Recipe(
            code_version=INDEX_CODE_VERSION,
            inputs=input_versions(*(table for _, table in shards)),
            config={name: list(v) if isinstance(v, tuple) else v for name, v in config_dict(config).items()},
        )
        expected = [workspace.lake.table(duplicates_key(c.name), table.partition) for c, table in shards]
        return FolderBuild(recipe=recipe, make=make, published=published, expected=expected)

    return build


def _shard(workspace: Workspace, component: ComponentTable, fingerprints: Table) -> Shard:
    """The fingerprints of a partition with a way to its texts.

    Raises:
        Withheld: the documents were made again since, so their rows may be others; or the fingerprints are of an
            earlier version of the code, whose signatures tell nothing beside those of this one.
    """
    documents = workspace.lake.table(component.documents, fingerprints.partition)
    manifest = fingerprints.manifest()
    if manifest.recipe.inputs != input_versions(documents):
        raise Withheld(f"{component.name}[{fingerprints.partition}]: the documents are newer than their fingerprints")
    if manifest.recipe.code_version != CODE_VERSION:
        raise Withheld(f"{component.name}[{fingerprints.partition}]: the fingerprints are of an earlier version")
    return Shard(
        component=component.name,
        partition=fingerprints.partition,
        version=manifest.data_version,
        fingerprints=lambda columns: fingerprints.batches(columns=columns),
        texts=lambda rows: _texts(documents, rows),
    )


def _texts(documents: Table, rows: np.ndarray) -> Iterator[pa.Array]:
    """The texts of these rows (ascending) of a partition."""
    first = 0
    for published, location in zip(documents.manifest().files, documents.files(), strict=True):
        end = first + (published.n_rows or 0)
        here = rows[(rows >= first) & (rows < end)] - first
        first = end
        if not len(here):
            continue
        if location.is_local:
            yield from texts_of_file(Path(location.path), here)
        else:
            with location.open() as stream:
                yield from texts_of_file(stream, here)


def _previous(workspace: Workspace, key: str, into: Path) -> Path | None:
    """The index as it was published last, in a local folder; None where there is none that can be read."""
    table = workspace.lake.table(key)
    try:
        table.verify()
        return workspace.lake.fetch_folder(table, into)
    except (NotPublished, ManifestError):
        return None


def _publish_verdicts(workspace: Workspace, verdicts: ShardVerdicts) -> Manifest:
    """The verdicts of one shard as a partition of attributes/duplicates/<component>, unless they are there already."""
    counts: dict[str, dict[str, int]] = {}
    fingerprints = workspace.lake.table(fingerprints_key(verdicts.component), verdicts.partition)
    table = workspace.lake.table(duplicates_key(verdicts.component), verdicts.partition)
    # With the digest in it: what counts is what the table holds, not what an index of another moment says of it.
    config = {"verdicts": verdicts.digest}
    recipe = Recipe(code_version=INDEX_CODE_VERSION, inputs=input_versions(fingerprints), config=config)
    if workspace.lake.is_current(table, recipe):
        return table.manifest()
    return workspace.lake.publish(
        table,
        schema=DUPLICATE_ATTRIBUTES,
        recipe=recipe,
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
            build=_index(key, components),
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
