"""source/*: what lies at the addresses of the sources file, observed; nothing is copied.

Observing lists the files, adds partitions for new ones, takes out what was made from files that are
gone, and tells Dagster each partition's fingerprint. What follows is a matter of data versions.
"""

from collections.abc import Mapping, Sequence

import dagster as dg

from mathcode_assets.config import SOURCE_KEYS
from mathcode_assets.defs.assets.contamination import benchmark_partitions
from mathcode_assets.defs.assets.duplicates import duplicates_key
from mathcode_assets.defs.components import COMPONENT_TABLES, LISTING_KEY
from mathcode_assets.defs.partitions import partitions_def
from mathcode_assets.defs.resources import WorkspaceResource
from mathcode_assets.defs.table_assets import LakeAsset, quarantine_key
from mathcode_assets.defs.withdrawal import FOUND_KEY, REQUESTS_KEY, UNDONE_KEY
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.storage.manifest import digest

GROUP = "sources"
KIND = {"dagster/kind/source": ""}  # observable sources take kinds as tags


def source_definitions(lake_assets: Sequence[LakeAsset]) -> list[dg.SourceAsset]:
    """The observable sources; `lake_assets` are what a removed partition is taken out of."""
    return [*(_source(key, lake_assets) for key in SOURCE_KEYS), _benchmarks(), _listing(lake_assets)]


def _source(key: str, lake_assets: Sequence[LakeAsset]) -> dg.SourceAsset:
    tables = [asset.key for asset in lake_assets if asset.partitioned_by == key]
    tables += [duplicates_key(table.name) for table in COMPONENT_TABLES if table.source == key]

    @dg.observable_source_asset(
        key=dg.AssetKey(["source", key]),
        group_name=GROUP,
        tags=KIND,
        partitions_def=partitions_def(key),
        description=f"The files of `{key}` in the sources file. One partition is a group of files, by fingerprint.",
        metadata={"sources_key": key},
    )
    def observe(context: dg.OpExecutionContext, workspace: WorkspaceResource) -> dg.DataVersionsByPartition:
        opened = workspace.open()
        found = {name: partition.fingerprint for name, partition in opened.partitions(key).items()}
        synchronise(context.instance, opened, source=key, fingerprints=found, tables=tables)
        return dg.DataVersionsByPartition(found)

    return observe


def synchronise(
    instance: dg.DagsterInstance,
    workspace: Workspace,
    *,
    source: str,
    fingerprints: Mapping[str, str],
    tables: Sequence[str],
) -> None:
    """Make the dynamic partitions those of the listing, and remove what was made from files that are gone."""
    known = set(instance.get_dynamic_partitions(source))
    instance.add_dynamic_partitions(source, sorted(set(fingerprints) - known))
    for partition in sorted(known - set(fingerprints)):
        instance.delete_dynamic_partition(source, partition)
    for key in [*tables, quarantine_key(f"raw/{source}")]:
        for partition in workspace.lake.partitions(key):
            if partition not in fingerprints:
                workspace.lake.remove(workspace.lake.table(key, partition))


def _listing(lake_assets: Sequence[LakeAsset]) -> dg.SourceAsset:
    tables = {key for asset in lake_assets for key in (asset.key, *asset.publishes)}
    tables |= {quarantine_key(key) for key in tables if key.startswith("raw/")} | {REQUESTS_KEY, FOUND_KEY, UNDONE_KEY}

    @dg.observable_source_asset(
        key=dg.AssetKey(LISTING_KEY.split("/")),
        group_name=GROUP,
        tags=KIND,
        description=(
            "Which partitions each source has: changes when a file comes or goes, not when one changes. Looking "
            "also clears away what killed runs left in the lake."
        ),
    )
    def observe(context: dg.OpExecutionContext, workspace: WorkspaceResource) -> dg.DataVersion:
        opened = workspace.open()
        if n_removed := opened.lake.clear_leftovers(sorted(tables)):
            context.log.info(f"{n_removed} files and folders that killed runs left were removed")
        return dg.DataVersion(digest({key: sorted(opened.partitions(key)) for key in SOURCE_KEYS}))

    return observe


def _benchmarks() -> dg.SourceAsset:
    @dg.observable_source_asset(
        key=dg.AssetKey(["source", "benchmarks"]),
        group_name=GROUP,
        tags=KIND,
        description="The benchmark files of the sources file: test questions that must not be in the pile.",
    )
    def observe(workspace: WorkspaceResource) -> dg.DataVersion:
        found = benchmark_partitions(workspace.open())
        return dg.DataVersion(digest({partition.key: partition.fingerprint for partition in found}))

    return observe
