"""Whether a table may be trained on: made from what is there now, and every blocking check passed on it.

    version = require_current(workspace, "tokens/packed", instance=context.instance)

Conditions see events, and events come late or never: a source changes an hour before it is observed again,
and a run that dies after publishing tells nobody. What costs days of machines asks storage itself before it
begins. Decision 0020 says why in this way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from mathcode_assets.config import SourcesFileError
from mathcode_assets.defs.assets.clean import RESIDUAL_CHECK, residual_outcome
from mathcode_assets.defs.graph import CORPUS, PROMOTED, lineage
from mathcode_assets.defs.table_assets import FolderBuild, LakeAsset
from mathcode_assets.defs.workspace import Withheld, Workspace
from mathcode_assets.sources.errors import SourceListingError
from mathcode_assets.sources.partitions import Partition
from mathcode_assets.storage.lake import WHOLE, Table
from mathcode_assets.storage.manifest import ManifestError, Recipe, digest
from mathcode_assets.storage.snapshot import LakeSnapshot

# Problems that the message names, inputs that one problem names, characters of an error.
SHOWN = 10
INPUTS_SHOWN = 3
REASON_LENGTH = 300
DATA_VERSION_TAG = "dagster/data_version"

# What a build function raises where something that it reads is gone, damaged or refused.
_REFUSALS = (LookupError, OSError, ManifestError, SourceListingError, SourcesFileError, Withheld)


class WorkspaceSnapshot(Workspace):
    """The workspace as it is now: each source listed once, each manifest read once."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace.sources, workspace.lake.root.uri)
        self.lake: LakeSnapshot = LakeSnapshot(workspace.lake)
        self._partitions: dict[str, dict[str, Partition]] = {}

    def partitions(self, source: str) -> dict[str, Partition]:
        """As `Workspace.partitions`."""
        if source not in self._partitions:
            self._partitions[source] = super().partitions(source)
        return self._partitions[source]

    def tables_of(self, asset: LakeAsset) -> list[Table]:
        """The partitions that an asset should have, published or not."""
        if asset.partitioned_by is None:
            return [self.lake.table(asset.key)]
        return self.tables(asset.key, asset.partitioned_by)


def require_current(
    workspace: Workspace,
    key: str,
    *,
    instance: dg.DagsterInstance | None = None,
    assets: Sequence[LakeAsset] = CORPUS,
) -> str:
    """Data version of a table that is current, with all that it is made from; read that version and no other.

    Args:
        workspace: the lake and its sources, as the sources file is now.
        key: of the table, whole (not partitioned).
        instance: whose records say which blocking checks passed: seconds. Without one the checks are
            evaluated on the tables, which reads every byte of them.
        assets: the graph.

    Raises:
        Withheld: something is behind, missing or damaged, or a blocking check is not passed. Names up to ten.
        KeyError: no asset of this key.
    """
    snapshot = WorkspaceSnapshot(workspace)
    problems = behind(snapshot, key, assets=assets)
    if not problems:
        # Only now: a check on a table that is behind says nothing of the table to come.
        if instance is None:
            problems = list(evaluated_red(snapshot, key, assets=assets))
        else:
            problems = recorded_red(snapshot, key, instance, assets=assets)
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise Withheld(f"{key} may not be used: " + "; ".join(problems[:SHOWN]) + more)
    return snapshot.version(key)


def behind(workspace: Workspace, key: str, *, assets: Sequence[LakeAsset] = CORPUS) -> list[str]:
    """What of a table's lineage would be made otherwise now, sources' tables first; empty if nothing.

    Every partition of every table on the way is compared with the recipe that it would be made by now. A
    table made from one that is behind is not named itself: it becomes behind when that one is made again.

    Raises:
        KeyError: no asset of this key.
    """
    snapshot = workspace if isinstance(workspace, WorkspaceSnapshot) else WorkspaceSnapshot(workspace)
    problems = []
    for asset in lineage(key, assets):
        if asset.key.startswith(PROMOTED):
            continue  # in use until a person promotes another; what was scored by another is behind
        try:
            tables = snapshot.tables_of(asset)
        except SourceListingError as error:
            problems.append(f"{asset.key}: {_in_short(error)}")
            continue
        for table in tables:
            if problem := _behind(snapshot, asset, table):
                problems.append(f"{_name(table)}: {problem}")
    return problems


def _behind(snapshot: WorkspaceSnapshot, asset: LakeAsset, table: Table) -> str:
    """Why a partition is not what would be made now; empty if it is."""
    try:
        manifest = table.find_manifest()
        if manifest is None:
            return "not made yet"
        build = asset.build(snapshot, table.partition)
    except _REFUSALS as error:
        return _in_short(error)
    if manifest.recipe.fingerprint != build.recipe.fingerprint:
        return "; ".join(_differences(manifest.recipe, build.recipe))
    others = build.expected if isinstance(build, FolderBuild) else ()
    for published in (table, *others):
        if published.find_manifest() is None or not snapshot.lake.is_whole(published):
            return f"files of {_name(published)} are missing or cut short"
    return ""


def _differences(made: Recipe, now: Recipe) -> Iterator[str]:
    if made.code_version != now.code_version:
        yield f"made by code version {made.code_version}, now {now.code_version}"
    changed, added, gone = _changes(made.inputs, now.inputs)
    for what, names in (("from another", changed), ("without", added), ("from what is gone:", gone)):
        if names:
            yield f"made {what} {_listed(names)}"
    for name in sorted(made.models.keys() | now.models.keys()):
        if (before := made.models.get(name, "none")) != (after := now.models.get(name, "none")):
            yield f"made with {name} {before}, now {after}"
    if settings := [name for names in _changes(made.config, now.config) for name in names]:
        yield f"made with other settings: {_listed(sorted(settings))}"


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[list[str], list[str], list[str]]:
    """Names whose values differ, are new, and are gone; values as JSON, for a manifest holds no tuples."""
    changed = [name for name in before if name in after and digest(before[name]) != digest(after[name])]
    return sorted(changed), sorted(after.keys() - before.keys()), sorted(before.keys() - after.keys())


def recorded_red(
    workspace: Workspace, key: str, instance: dg.DagsterInstance, *, assets: Sequence[LakeAsset] = CORPUS
) -> list[str]:
    """Blocking checks of a table's lineage that Dagster does not record as passed on what the lake holds now."""
    snapshot = workspace if isinstance(workspace, WorkspaceSnapshot) else WorkspaceSnapshot(workspace)
    problems = []
    for asset in lineage(key, assets):
        names = _blocking(asset)
        if not names:
            continue
        versions = _recorded_versions(instance, asset)
        infos = instance.event_log_storage.get_asset_check_partition_info(
            [dg.AssetCheckKey(asset.asset_key, name) for name in names]
        )
        found = {(info.check_key.name, info.partition_key): info for info in infos}
        for table in snapshot.tables_of(asset):
            partition = None if table.partition == WHOLE else table.partition
            if versions.get(partition) != table.manifest().data_version:
                problems.append(f"{_name(table)}: Dagster has no record of the version in the lake")
                continue
            for name in names:
                info = found.get((name, partition))
                if info is None or not info.is_current:
                    problems.append(f"{_name(table)}: check {name} has not run on it")
                elif info.latest_execution_status.value != "SUCCEEDED":
                    problems.append(f"{_name(table)}: check {name} is {info.latest_execution_status.value.lower()}")
    return problems


def _recorded_versions(instance: dg.DagsterInstance, asset: LakeAsset) -> dict[str | None, str]:
    """The data version of each partition's latest materialization, by partition; None for a whole table."""
    if asset.partitioned_by is None:
        event = instance.get_latest_materialization_event(asset.asset_key)
        tags = (event.asset_materialization.tags or {}) if event and event.asset_materialization else {}
        return {None: tags.get(DATA_VERSION_TAG, "")}
    by_partition = instance.event_log_storage.get_latest_tags_by_partition(
        asset.asset_key, dg.DagsterEventType.ASSET_MATERIALIZATION, tag_keys=[DATA_VERSION_TAG]
    )
    return {partition: tags.get(DATA_VERSION_TAG, "") for partition, tags in by_partition.items()}


def evaluated_red(workspace: Workspace, key: str, *, assets: Sequence[LakeAsset] = CORPUS) -> Iterator[str]:
    """Blocking checks of a table's lineage that do not pass, evaluated on the published tables: reads them all."""
    snapshot = workspace if isinstance(workspace, WorkspaceSnapshot) else WorkspaceSnapshot(workspace)
    for asset in lineage(key, assets):
        if not _blocking(asset):
            continue
        for table in snapshot.tables_of(asset):
            for check in asset.checks:
                if check.blocking:
                    outcome = check.evaluate(snapshot, table, table.manifest())
                    if not outcome.passed:
                        yield f"{_name(table)}: {check.name}: {outcome.description}"
            if RESIDUAL_CHECK in asset.separate_checks:
                outcome = residual_outcome(snapshot, table)
                if not outcome.passed:
                    yield f"{_name(table)}: {RESIDUAL_CHECK}: {outcome.description}"


def _blocking(asset: LakeAsset) -> list[str]:
    return [*(check.name for check in asset.checks if check.blocking), *asset.separate_checks]


def _name(table: Table) -> str:
    return table.key if table.partition == WHOLE else f"{table.key}[{table.partition}]"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - INPUTS_SHOWN} more" if len(names) > INPUTS_SHOWN else ""
    return ", ".join(name.removesuffix(f"[{WHOLE}]") for name in names[:INPUTS_SHOWN]) + more


def _in_short(error: BaseException) -> str:
    # A KeyError, which LookupError includes, shows its message in quotes; ours carry sentences.
    text = " ".join(str(error.args[0] if error.args else error).split())
    return text if len(text) <= REASON_LENGTH else text[:REASON_LENGTH] + " ..."
