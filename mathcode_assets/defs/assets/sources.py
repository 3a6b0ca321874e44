"""source/*: what lies at the addresses of the sources file, observed; nothing is copied.

Observing lists the files, adds partitions for new ones, takes out what was made from files that are
gone, and tells Dagster each partition's fingerprint. What follows is a matter of data versions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from mathcode_assets.config import MAX_GROUPS, SOURCE_KEYS
from mathcode_assets.defs.assets.contamination import benchmark_partitions
from mathcode_assets.defs.assets.duplicates import duplicates_key
from mathcode_assets.defs.components import COMPONENT_TABLES, LISTING_KEY
from mathcode_assets.defs.partitions import partitions_def
from mathcode_assets.defs.resources import WorkspaceResource
from mathcode_assets.defs.table_assets import DATA_VERSION_TAG, LakeAsset, quarantine_key
from mathcode_assets.defs.withdrawal import FOUND_KEY, REQUESTS_KEY, UNDONE_KEY
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.sources.errors import SourceListingError
from mathcode_assets.storage.lake import WHOLE
from mathcode_assets.storage.manifest import digest

GROUP = "sources"
KIND = {"dagster/kind/source": ""}  # observable sources take kinds as tags
BENCHMARKS, LISTING = "benchmarks", LISTING_KEY.split("/")[-1]

# The data version of a table that was removed.
REMOVED = "removed"
# Keys of one statement: a database binds each as a variable, and SQLite as few as 999 of them.
PARTITIONS_A_CALL = 500
# Above, a source is warned of: a partition costs a run, and an evaluation of the conditions grows with their number.
MANY_PARTITIONS = MAX_GROUPS
# Above, it is refused: an evaluation takes longer than the time between two, and the UI stands still.
MAX_PARTITIONS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """Partitions of a source whose files are other than Dagster has recorded; names, sorted."""

    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.removed)

    def __str__(self) -> str:
        found = {"new": self.new, "changed": self.changed, "removed": self.removed}
        return ", ".join(f"{len(names)} {what}" for what, names in found.items() if names) or "nothing"


def versions_now(instance: dg.DagsterInstance, workspace: Workspace, source: str) -> dict[str, str]:
    """The version of each partition of a source as its files are now; of benchmarks and listing one, under WHOLE.

    Raises:
        SourceListingError: it cannot be listed, or has more partitions than can be served.
    """
    if source == BENCHMARKS:
        return {WHOLE: digest({found.key: found.fingerprint for found in benchmark_partitions(workspace)})}
    if source == LISTING:
        # Of the partitions that Dagster knows by now, so that nothing is joined before it can be made.
        return {WHOLE: digest({key: sorted(instance.get_dynamic_partitions(key)) for key in SOURCE_KEYS})}
    found = {name: partition.fingerprint for name, partition in workspace.partitions(source).items()}
    if len(found) > MAX_PARTITIONS:
        raise SourceListingError(f"{_too_many(source, len(found))}, and at most {MAX_PARTITIONS:,} can be served")
    return found


def warning_of(source: str, versions: Mapping[str, str]) -> str:
    """What to say of a source that has more partitions than it should; empty if it has not."""
    return _too_many(source, len(versions)) if len(versions) > MANY_PARTITIONS else ""


def _too_many(source: str, n: int) -> str:
    return f"sources.{source}: {n:,} partitions; group its files (groups: {MANY_PARTITIONS // 4} or so)"


def differences(instance: dg.DagsterInstance, source: str, versions: Mapping[str, str]) -> Differences:
    """What lies there now (`versions_now`), compared with what was observed of it last."""
    key = dg.AssetKey(["source", source])
    if source in (BENCHMARKS, LISTING):
        records = instance.fetch_observations(key, limit=1).records
        observed = records[0].asset_observation if records else None
        recorded = {} if observed is None else {WHOLE: observed.tags.get(DATA_VERSION_TAG, "")}
    else:
        tags = instance.event_log_storage.get_latest_tags_by_partition(
            key, dg.DagsterEventType.ASSET_OBSERVATION, tag_keys=[DATA_VERSION_TAG]
        )
        known = instance.get_dynamic_partitions(source)
        recorded = {name: tags.get(name, {}).get(DATA_VERSION_TAG, "") for name in known}
    return Differences(
        new=tuple(sorted(versions.keys() - recorded.keys())),
        changed=tuple(sorted(name for name in versions.keys() & recorded.keys() if versions[name] != recorded[name])),
        removed=tuple(sorted(recorded.keys() - versions.keys())),
    )


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
        found = versions_now(context.instance, opened, key)
        if warning := warning_of(key, found):
            context.log.warning(warning)
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
    """Make the dynamic partitions those of the listing, and remove what was made from files that are gone.

    Dagster is told that a table is gone as a version of its own: its record of a partition cannot be removed, and
    where the same file comes back, everything made of it would have the version that is on record already, so that
    the conditions would see no change.
    """
    known = set(instance.get_dynamic_partitions(source))
    new = sorted(set(fingerprints) - known)
    for first in range(0, len(new), PARTITIONS_A_CALL):
        instance.add_dynamic_partitions(source, new[first : first + PARTITIONS_A_CALL])
    for partition in sorted(known - set(fingerprints)):
        instance.delete_dynamic_partition(source, partition)
        seen = dg.AssetKey(["source", source])
        instance.report_runless_asset_event(
            dg.AssetObservation(asset_key=seen, partition=partition, tags={DATA_VERSION_TAG: REMOVED})
        )
    for key in [*tables, quarantine_key(f"raw/{source}")]:
        for partition in workspace.lake.partitions(key):
            if partition not in fingerprints:
                if key in tables:
                    instance.report_runless_asset_event(removal_of(key, partition))
                workspace.lake.remove(workspace.lake.table(key, partition))


def removal_of(key: str, partition: str) -> dg.AssetMaterialization:
    """What Dagster is told of a table whose source is gone."""
    return dg.AssetMaterialization(
        asset_key=dg.AssetKey(key.split("/")),
        partition=partition,
        description="Removed: the files it was made from are gone.",
        tags={DATA_VERSION_TAG: REMOVED},
    )


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
        return dg.DataVersion(versions_now(context.instance, opened, LISTING)[WHOLE])

    return observe


def _benchmarks() -> dg.SourceAsset:
    @dg.observable_source_asset(
        key=dg.AssetKey(["source", "benchmarks"]),
        group_name=GROUP,
        tags=KIND,
        description="The benchmark files of the sources file: test questions that must not be in the pile.",
    )
    def observe(context: dg.OpExecutionContext, workspace: WorkspaceResource) -> dg.DataVersion:
        return dg.DataVersion(versions_now(context.instance, workspace.open(), BENCHMARKS)[WHOLE])

    return observe
