"""Daily: what should be made and is not, though nothing will ask for it any more.

Conditions see events, and an event can be missed: partitions that were there at the first look, a change in
the very tick of a request, a run that died after publishing, settings that nobody observes. So once a day
every partition of every automatic asset is compared with the recipe it would be made by now, with Dagster's
record of it, and with its blocking checks. Of each chain the first that is not as it should be, with inputs
that are, is asked for again; from there the conditions go on. Nothing lost, nothing asked. Decision 0026.

The runs are asked for as one backfill, so that the UI shows them together and the daemon makes each
partition in a run of its own.
"""

# No postponed annotations: Dagster reads the type of the resource.
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
from dagster._core.definitions.partitions.subset import DefaultPartitionsSubset
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus, PartitionBackfill
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES

from mathcode_assets.config import SOURCE_KEYS
from mathcode_assets.defs.assets.sources import BENCHMARKS, LISTING, differences, versions_now
from mathcode_assets.defs.automation import SECTION, AutomationSettings
from mathcode_assets.defs.currency import Recorded, WorkspaceSnapshot, name_of, why_behind
from mathcode_assets.defs.drive import chains
from mathcode_assets.defs.graph import PROMOTED
from mathcode_assets.defs.previews import markdown_table
from mathcode_assets.defs.recorded import is_on_record, versions_on_record
from mathcode_assets.defs.resources import WorkspaceResource
from mathcode_assets.defs.table_assets import LakeAsset
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.sources.errors import SourceListingError
from mathcode_assets.storage.lake import WHOLE, Table

JOB, OP = "reconcile", "compare_and_ask"
SCHEDULE = "reconcile_daily"
CRON = "41 4 * * *"
BACKFILL_TAG = "mathcode/reconcile"
SOURCE = "source/"
# Days of machines: asked for by the gate of training, or by a person.
NEVER_ASKED = ("checkpoint/", "models/", PROMOTED)
SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A partition that is not as it should be.

    problem: what is wrong with it. waits_for: why it is not asked for now; empty: it is.
    """

    asset: str
    partition: str
    problem: str
    waits_for: str = ""

    @property
    def name(self) -> str:
        """As messages name it."""
        return self.asset if self.partition == WHOLE else f"{self.asset}[{self.partition}]"


def find(
    workspace: Workspace,
    instance: dg.DagsterInstance,
    assets: Sequence[LakeAsset],
    *,
    now: float,
    settings: AutomationSettings | None = None,
) -> list[Finding]:
    """Compare everything that is made automatically with storage and with Dagster's record.

    Args:
        workspace: the lake and its sources, as the sources file is now.
        instance: Dagster's record.
        assets: of the code location; those without a condition are only inputs.
        now: seconds since the epoch, to tell what changed just now.
        settings: default: those of the sources file.

    Returns:
        What is not as it should be, in the order of the graph, at most `reconcile_partitions` of them to be asked for.
    """
    return _Comparison(
        WorkspaceSnapshot(workspace),
        instance,
        assets,
        settings or workspace.settings(SECTION, AutomationSettings),
        now,
    ).findings()


class _Comparison:
    def __init__(
        self,
        workspace: WorkspaceSnapshot,
        instance: dg.DagsterInstance,
        assets: Sequence[LakeAsset],
        settings: AutomationSettings,
        now: float,
    ) -> None:
        self._workspace = workspace
        self._instance = instance
        self._settings = settings
        self._since = now - settings.reconcile_after_s
        self._automatic = [a for a in assets if a.automation is not None and a.is_wanted(workspace)]
        self._makers = {key: asset for asset in self._automatic for key in (asset.key, *asset.publishes)}
        self._under_way = _under_way(instance)
        self._unobserved: dict[str, dict[str, str]] = {}
        self._wrong: dict[str, dict[str, str]] = {}  # by asset and partition
        self._promoted: dict[str, str] = {}

    def findings(self) -> list[Finding]:
        found: list[Finding] = []
        n_asked = 0
        for asset in (member for chain in chains(self._automatic) for member in chain.assets):
            self._wrong[asset.key] = {}
            for table, problem, is_red in self._problems(asset):
                self._wrong[asset.key][table.partition] = problem
                waits_for = "a red check, which wants a person" if is_red else self._waits_for(asset, table)
                if not waits_for and n_asked >= self._settings.reconcile_partitions:
                    waits_for = f"the next reconciliation (reconcile_partitions: {n_asked})"
                n_asked += not waits_for
                found.append(Finding(asset=asset.key, partition=table.partition, problem=problem, waits_for=waits_for))
        return found

    def _problems(self, asset: LakeAsset) -> Iterable[tuple[Table, str, bool]]:
        """Partitions that are not as they should be, with the problem and whether a check is red."""
        try:
            tables = self._workspace.tables_of(asset)
        except SourceListingError:
            return  # what lies there is not known; `_observed` says so of the source
        recorded = Recorded.of(self._instance, asset)
        for table in tables:
            if problem := why_behind(self._workspace, asset, table):
                yield table, problem, False
            elif problems := recorded.problems(table):
                yield table, "; ".join(text for text, _ in problems), any(is_red for _, is_red in problems)
            elif missing := self._unrecorded(asset, table):
                yield table, f"Dagster has no record of {missing}, which it publishes", False

    def _unrecorded(self, asset: LakeAsset, table: Table) -> str:
        """Of the tables that an asset's step publishes besides, the first that Dagster does not know as it is."""
        others = asset.published_besides(self._workspace, table.partition)
        return next((name_of(other) for other in others if not is_on_record(self._instance, other)), "")

    def _waits_for(self, asset: LakeAsset, table: Table) -> str:
        """Why a partition that is not as it should be is not asked for; empty: it is to be."""
        if asset.key.startswith(NEVER_ASKED):
            return "the gate of training, or a person"
        partition = None if table.partition == WHOLE else table.partition
        if (asset.key, partition) in self._under_way or (asset.key, "") in self._under_way:
            return "a run or a backfill of it that is under way"
        for dep in asset.deps:
            if reason := self._input(asset, dep, table.partition):
                return reason
        if self._is_new(asset, table):
            return "automation: an input changed a moment ago"
        return ""

    def _input(self, asset: LakeAsset, dep: str, partition: str) -> str:
        """What is wrong with an input of a partition; empty if nothing is."""
        if dep.startswith(SOURCE):
            source = dep.removeprefix(SOURCE)
            wrong = self._observed(source)
            is_same = asset.partitioned_by == source and dep not in asset.whole_deps
        elif dep.startswith(PROMOTED):
            return self._is_promoted(dep)
        elif dep in self._makers:
            maker = self._makers[dep]
            wrong = self._wrong[maker.key]
            is_same = maker.partitioned_by is not None and maker.partitioned_by == asset.partitioned_by
            is_same = is_same and dep not in asset.whole_deps
        else:
            return ""  # made on request only
        names = [partition] if is_same else sorted(wrong)
        return next((f"{dep}[{name}]: {wrong[name]}".replace(f"[{WHOLE}]", "") for name in names if name in wrong), "")

    def _observed(self, source: str) -> dict[str, str]:
        """Partitions of a source whose record is not what lies there; all of them where it cannot be listed."""
        if source not in self._unobserved:
            if source not in (*SOURCE_KEYS, BENCHMARKS, LISTING):
                return {}
            try:
                found = differences(self._instance, source, versions_now(self._instance, self._workspace, source))
            except SourceListingError as error:
                names = [WHOLE, *self._instance.get_dynamic_partitions(source)]
                self._unobserved[source] = dict.fromkeys(names, str(error))
            else:
                groups = {"new": found.new, "changed": found.changed, "removed": found.removed}
                self._unobserved[source] = {
                    name: f"{what}, and not observed yet" for what, names in groups.items() for name in names
                }
        return self._unobserved[source]

    def _is_promoted(self, key: str) -> str:
        if key not in self._promoted:
            manifest = self._workspace.lake.table(key).find_manifest()
            version = versions_on_record(self._instance, dg.AssetKey(key.split("/")), is_partitioned=False)[None]
            if manifest is None:
                self._promoted[key] = f"{key}: nothing is promoted"
            else:
                is_known = version == manifest.data_version
                self._promoted[key] = "" if is_known else f"{key}: Dagster has no record of the version in use"
        return self._promoted[key]

    def _is_new(self, asset: LakeAsset, table: Table) -> bool:
        """Whether an input's latest event is so young that the conditions may be about to ask for the partition."""
        for dep in asset.deps:
            key = dg.AssetKey(dep.split("/"))
            whole = asset.partitioned_by is None or dep in asset.whole_deps or not self._shares(asset, dep)
            wanted = dg.AssetRecordsFilter(
                asset_key=key, asset_partitions=None if whole else [table.partition], after_timestamp=self._since
            )
            fetch = (
                self._instance.fetch_observations if dep.startswith(SOURCE) else self._instance.fetch_materializations
            )
            if fetch(wanted, limit=1).records:
                return True
        return False

    def _shares(self, asset: LakeAsset, dep: str) -> bool:
        """Whether an input has the partitions of the asset."""
        if dep.startswith(SOURCE):
            return dep.removeprefix(SOURCE) == asset.partitioned_by
        if dep in self._makers and self._makers[dep].key == dep:
            return self._makers[dep].partitioned_by == asset.partitioned_by
        return dep in self._makers  # published besides, a table a partition


def _under_way(instance: dg.DagsterInstance) -> set[tuple[str, str | None]]:
    """Assets and partitions that some run or backfill is about; "" stands for any partition."""
    found: set[tuple[str, str | None]] = set()
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=IN_PROGRESS_RUN_STATUSES)):
        for key in run.asset_selection or ():
            found.add((key.to_user_string(), run.tags.get("dagster/partition")))
    for backfill in instance.get_backfills(filters=BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED])):
        found |= {(key.to_user_string(), "") for key in backfill.asset_selection or ()}
    return found


def request(instance: dg.DagsterInstance, findings: Sequence[Finding], *, now: float) -> str:
    """Ask for what is to be asked for, as one backfill; its id, empty where there is nothing to ask for."""
    asked = [finding for finding in findings if not finding.waits_for]
    if not asked:
        return ""
    partitions: dict[dg.AssetKey, set[str]] = {}
    whole: set[dg.AssetKey] = set()
    for finding in asked:
        key = dg.AssetKey(finding.asset.split("/"))
        if finding.partition == WHOLE:
            whole.add(key)
        else:
            partitions.setdefault(key, set()).add(finding.partition)
    subset = AssetGraphSubset(
        partitions_subsets_by_asset_key={key: DefaultPartitionsSubset(names) for key, names in partitions.items()},
        non_partitioned_asset_keys=whole,
    )
    backfill = PartitionBackfill.from_asset_graph_subset(
        backfill_id=uuid.uuid4().hex[:8],
        backfill_timestamp=now,
        tags={BACKFILL_TAG: "true"},
        dynamic_partitions_store=instance,
        asset_graph_subset=subset,
        title="What no tick asked for",
        description=f"{len(asked)} partitions that reconciliation found not to be as they should be.",
        run_config=None,
    )
    instance.add_backfill(backfill)
    return backfill.backfill_id


def reconcile_job(assets: Sequence[LakeAsset]) -> dg.JobDefinition:
    """The job over the assets of a code location."""

    @dg.op(name=OP, out=dg.Out(list, description="A line for each partition that is not as it should be."))
    def reconcile(context: dg.OpExecutionContext, workspace: WorkspaceResource) -> list[str]:
        now = time.time()
        findings = find(workspace.open(), context.instance, assets, now=now)
        backfill = request(context.instance, findings, now=now)
        lines = [_line(finding) for finding in findings]
        for line in lines:
            context.log.info(line)
        n_asked = sum(not finding.waits_for for finding in findings)
        rows = [(f.name, f.problem, f.waits_for or "asked for") for f in findings[:SHOWN]]
        context.add_output_metadata(
            {
                "found": len(findings),
                "asked_for": n_asked,
                "backfill": backfill or "none",
                "findings": dg.MetadataValue.md(markdown_table(["what", "problem", "waits for"], rows)),
            }
        )
        return lines

    @dg.job(
        name=JOB,
        description="Finds what no tick asked for, and asks for it: every automatic partition is compared with the "
        "lake, with Dagster's record and with its checks. Trains and promotes nothing.",
    )
    def job() -> None:
        reconcile()

    return job


def reconcile_schedule(job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Once a day, off until somebody turns it on."""
    return dg.ScheduleDefinition(
        name=SCHEDULE, job=job, cron_schedule=CRON, description="Where nothing was lost, nothing is asked for."
    )


def _line(finding: Finding) -> str:
    return f"{finding.name}: {finding.problem}" + (
        f" (waits for {finding.waits_for})" if finding.waits_for else ": asked for"
    )
