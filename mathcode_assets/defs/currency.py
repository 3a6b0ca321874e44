"""Whether a table may be trained on: made from what is there now, and every blocking check passed on it.

    version = require_current(workspace, "tokens/packed", instance=context.instance)

Conditions see events, and events come late or never: a source changes an hour before it is observed again,
and a run that dies after publishing tells nobody. What costs days of machines asks storage itself before it
begins. Decision 0020 says why in this way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus, AssetCheckPartitionInfo

from mathcode_assets.config import SourcesFileError
from mathcode_assets.defs.assets.clean import RESIDUAL_CHECK, residual_outcome
from mathcode_assets.defs.graph import CORPUS, PROMOTED, lineage
from mathcode_assets.defs.recorded import versions_on_record
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
            if problem := why_behind(snapshot, asset, table):
                problems.append(f"{name_of(table)}: {problem}")
    return problems


def why_behind(snapshot: WorkspaceSnapshot, asset: LakeAsset, table: Table) -> str:
    """Why a partition is not what would be made of its inputs now; empty if it is."""
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
            return f"files of {name_of(published)} are missing or cut short"
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
        if not blocking_checks(asset):
            continue
        recorded = Recorded.of(instance, asset)
        for table in snapshot.tables_of(asset):
            problems += [f"{name_of(table)}: {problem}" for problem, _ in recorded.problems(table)]
    return problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What Dagster has recorded of an asset's partitions; None is the partition of a whole table.

    Attributes:
        versions: data version of the latest materialization, by partition.
        blocking: names of its blocking checks.
        checks: their latest runs, by name and partition.
    """

    versions: Mapping[str | None, str]
    blocking: Sequence[str]
    checks: Mapping[tuple[str, str | None], AssetCheckPartitionInfo]

    @classmethod
    def of(cls, instance: dg.DagsterInstance, asset: LakeAsset) -> Recorded:
        """Read the record of one asset, in two queries."""
        names = blocking_checks(asset)
        keys = [dg.AssetCheckKey(asset.asset_key, name) for name in names]
        infos = instance.event_log_storage.get_asset_check_partition_info(keys) if keys else []
        return cls(
            versions=versions_on_record(instance, asset.asset_key, is_partitioned=asset.partitioned_by is not None),
            blocking=names,
            checks={(info.check_key.name, info.partition_key): info for info in infos},
        )

    def problems(self, table: Table) -> list[tuple[str, bool]]:
        """Why what the lake holds is not recorded as good, each with whether a check has found it bad.

        Raises:
            NotPublished: the lake holds nothing.
        """
        partition = None if table.partition == WHOLE else table.partition
        if self.versions.get(partition) != table.manifest().data_version:
            return [("Dagster has no record of the version in the lake", False)]
        found = []
        for name in self.blocking:
            info = self.checks.get((name, partition))
            if info is None or not info.is_current:
                found.append((f"check {name} has not run on it", False))
            elif info.latest_execution_status != AssetCheckExecutionRecordStatus.SUCCEEDED:
                is_red = info.latest_execution_status == AssetCheckExecutionRecordStatus.FAILED
                found.append((f"check {name} is {info.latest_execution_status.value.lower()}", is_red))
        return found


def evaluated_red(workspace: Workspace, key: str, *, assets: Sequence[LakeAsset] = CORPUS) -> Iterator[str]:
    """Blocking checks of a table's lineage that do not pass, evaluated on the published tables: reads them all."""
    snapshot = workspace if isinstance(workspace, WorkspaceSnapshot) else WorkspaceSnapshot(workspace)
    for asset in lineage(key, assets):
        if not blocking_checks(asset):
            continue
        for table in snapshot.tables_of(asset):
            for check in asset.checks:
                if check.blocking:
                    outcome = check.evaluate(snapshot, table, table.manifest())
                    if not outcome.passed:
                        yield f"{name_of(table)}: {check.name}: {outcome.description}"
            if RESIDUAL_CHECK in asset.separate_checks:
                outcome = residual_outcome(snapshot, table)
                if not outcome.passed:
                    yield f"{name_of(table)}: {RESIDUAL_CHECK}: {outcome.description}"


def blocking_checks(asset: LakeAsset) -> list[str]:
    """Names of an asset's blocking checks."""
    return [*(check.name for check in asset.checks if check.blocking), *asset.separate_checks]


def name_of(table: Table) -> str:
    """A partition as messages name it."""
    return table.key if table.partition == WHOLE else f"{table.key}[{table.partition}]"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - INPUTS_SHOWN} more" if len(names) > INPUTS_SHOWN else ""
    return ", ".join(name.removesuffix(f"[{WHOLE}]") for name in names[:INPUTS_SHOWN]) + more


def _in_short(error: BaseException) -> str:
    # A KeyError, which LookupError includes, shows its message in quotes; ours carry sentences.
    text = " ".join(str(error.args[0] if error.args else error).split())
    return text if len(text) <= REASON_LENGTH else text[:REASON_LENGTH] + " ..."
