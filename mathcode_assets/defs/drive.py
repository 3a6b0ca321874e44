"""The whole graph from one process: what `mathcode sample` and `mathcode run` do.

Each partition is one Dagster run, as in the daemon, so the UI shows the same events; only what is
not current is run. A partition that fails stops what is made from it, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import dagster as dg

from mathcode_assets.defs.ablating import partition_keys
from mathcode_assets.defs.currency import WorkspaceSnapshot
from mathcode_assets.defs.dead_runs import registered
from mathcode_assets.defs.jobs import OBSERVED, observe_job_name
from mathcode_assets.defs.recorded import Record
from mathcode_assets.defs.table_assets import LakeAsset, TableCheck, materialization_of, quarantine_key
from mathcode_assets.defs.workspace import Withheld, Workspace
from mathcode_assets.storage.lake import WHOLE

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRecord:
    """The last result of one check on one partition."""

    asset: str
    partition: str
    name: str
    passed: bool
    is_blocking: bool
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A partition that could not be made, and why, in one line."""

    asset: str
    partition: str
    reason: str


@dataclass(slots=True)
class DriveReport:
    """What a drive did. `materialized` counts partitions of tables that were made or made again."""

    materialized: int = 0
    unchanged: int = 0
    failures: list[Failure] = field(default_factory=list)
    checks: list[CheckRecord] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Everything was made and no blocking check is red."""
        return not self.failures and all(check.passed or not check.is_blocking for check in self.checks)


# The error's class with its modules, before its message.
_CLASS_PATH = re.compile(r"^(?:\w+\.)*(\w+): ")

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Assets of one source that can be made partition by partition in one run each, in this order."""

    source: str | None
    assets: tuple[LakeAsset, ...]


def chains(assets: Sequence[LakeAsset]) -> list[Chain]:
    """The graph in an order in which every chain finds its inputs made.

    Raises:
        ValueError: the assets depend on each other in a circle.
    """
    keys = {key for asset in assets for key in (asset.key, *asset.publishes)}
    waiting = list(assets)
    done: set[str] = set()
    ordered: list[Chain] = []

    def is_ready(asset: LakeAsset, also: set[str]) -> bool:
        return all(dep in done or dep in also or dep not in keys for dep in asset.deps)

    while waiting:
        first = next((asset for asset in waiting if is_ready(asset, set())), None)
        if first is None:
            raise ValueError(f"assets depend on each other in a circle: {[asset.key for asset in waiting]}")
        members = [first]
        if first.partitioned_by is not None:
            members += _followers(first, waiting, is_ready)
        ordered.append(Chain(source=first.partitioned_by, assets=tuple(members)))
        done |= {key for asset in members for key in (asset.key, *asset.publishes)}
        waiting = [asset for asset in waiting if asset.key not in done]
    return ordered


def _followers(
    first: LakeAsset, waiting: Sequence[LakeAsset], is_ready: Callable[[LakeAsset, set[str]], bool]
) -> list[LakeAsset]:
    members: list[LakeAsset] = []
    taken = {first.key}
    grown = True
    while grown:
        grown = False
        for asset in waiting:
            if asset.key not in taken and asset.partitioned_by == first.partitioned_by and is_ready(asset, taken):
                members.append(asset)
                taken.add(asset.key)
                grown = True
    return members


class Driver:
    """Makes the graph of one code location, in process.

    Args:
        definitions: the code location.
        assets: its lake assets.
        workspace: where they are published.
        instance: Dagster's record of events; the UI reads the same one.
        progress: called with one line for each chain.
    """

    def __init__(
        self,
        *,
        definitions: dg.Definitions,
        assets: Sequence[LakeAsset],
        workspace: Workspace,
        instance: dg.DagsterInstance,
        progress: Progress = lambda line: None,
    ) -> None:
        self._job = definitions.resolve_implicit_global_asset_job_def()
        self._observe_jobs = [definitions.resolve_job_def(observe_job_name(source)) for source in OBSERVED]
        self._assets = assets
        self._workspace = workspace
        self._instance = instance
        self._progress = progress
        self._record = Record(instance)
        self._tags: Mapping[str, str] = {}
        self._seen = WorkspaceSnapshot(workspace)

    def run(self) -> DriveReport:
        """Observe the sources, then make everything that is not current, models included where none is promoted.

        Raises:
            SourceListingError: a source cannot be listed at all.
        """
        with registered(self._instance) as self._tags:
            for job in self._observe_jobs:
                job.execute_in_process(instance=self._instance, run_config=_QUIET, tags=self._tags)
            self._record = Record(self._instance)
            # Whether a partition is current is asked of all of them, and each asks for its inputs: read once a drive.
            self._seen = WorkspaceSnapshot(self._workspace)
            return self._make_all()

    def _make_all(self) -> DriveReport:
        report = DriveReport()
        failed: set[tuple[str, str]] = set()
        for chain in chains(self._assets):
            if all(_is_settled_model(self._workspace, asset) for asset in chain.assets):
                self._tell_of(chain)
                continue
            chain = replace(chain, assets=tuple(a for a in chain.assets if a.is_wanted(self._workspace)))
            if not chain.assets:
                continue
            names = partition_keys(self._seen, chain.source) if chain.source else [WHOLE]
            before = report.materialized
            for partition in names:
                self._make(chain, partition, failed, report)
            self._progress(_chain_line(chain, len(names), report.materialized - before))
        return report

    def _make(self, chain: Chain, partition: str, failed: set[tuple[str, str]], report: DriveReport) -> None:
        """Make the members of a chain that are not current, from the first such member on."""
        members = list(chain.assets)
        while members and self._is_recorded(members[0], partition, report):
            members.pop(0)
            report.unchanged += 1
        members = self._unblocked(members, partition, chain, failed)
        if not members:
            return
        result = self._job.execute_in_process(
            instance=self._instance,
            partition_key=partition if chain.source else None,
            asset_selection=[member.asset_key for member in members],
            run_config=_QUIET,
            tags=self._tags,
            raise_on_error=False,
        )
        self._forget(members, partition)
        made = {event.asset_key for event in result.get_asset_materialization_events() if event.asset_key}
        report.materialized += len(made)
        checks = _checks_of_run(members, partition, result)
        report.checks.extend(checks)
        failed |= {(check.asset, partition) for check in checks if check.is_blocking and not check.passed}
        steps = _failed_steps(members, result)
        report.failures += [Failure(asset=asset.key, partition=partition, reason=reason) for asset, reason in steps]
        failed |= {(asset.key, partition) for asset, _ in steps}
        failed |= {(member.key, partition) for member in members if member.asset_key not in made}

    def _forget(self, members: Sequence[LakeAsset], partition: str) -> None:
        """What a run may have published is read again when it is asked for."""
        for member in members:
            self._seen.lake.forget(member.key, partition)
            self._seen.lake.forget(quarantine_key(member.key), partition)
            for key in member.publishes:
                self._seen.lake.forget(key)

    def _unblocked(
        self, members: list[LakeAsset], partition: str, chain: Chain, failed: set[tuple[str, str]]
    ) -> list[LakeAsset]:
        """The members none of whose inputs failed in this partition; the others count as failed too."""
        able: list[LakeAsset] = []
        for member in members:
            if any((dep, partition) in failed for dep in member.deps):
                failed.add((member.key, partition))
            else:
                able.append(member)
        return able

    def _is_recorded(self, asset: LakeAsset, partition: str, report: DriveReport) -> bool:
        """Whether the partition is current on storage, Dagster knows just that, and its blocking checks hold."""
        try:
            if not asset.is_current(self._seen, partition):
                return False
        except (LookupError, Withheld):
            return False  # an input is not there, or may not be used
        if not self._is_known(asset, partition):
            return False
        table = self._seen.lake.table(asset.key, partition)
        records = []
        for check in asset.checks:
            outcome = check.evaluate(self._seen, table, table.manifest())
            records.append(_check_record(asset, partition, check, outcome.passed, outcome.description))
        if not all(record.passed for record in records if record.is_blocking):
            return False
        report.checks.extend(records)
        return True

    def _is_known(self, asset: LakeAsset, partition: str) -> bool:
        """Whether Dagster has what was published on record, with every check: also one that newer code brings."""
        table = self._workspace.lake.table(asset.key, partition)
        names = [*(check.name for check in asset.checks), *asset.separate_checks]
        published = [table, *asset.published_besides(self._workspace, partition)]
        return all(map(self._record.has, published)) and self._record.has_checked(table, names)

    def _tell_of(self, chain: Chain) -> None:
        """Have Dagster know of models that are in use: their steps do not run again, or they might change."""
        for asset in chain.assets:
            table = self._workspace.lake.table(asset.key)
            if table.find_manifest() is not None and not self._record.has(table):
                self._instance.report_runless_asset_event(materialization_of(table))


def _check_record(asset: LakeAsset, partition: str, check: TableCheck, passed: bool, description: str) -> CheckRecord:
    return CheckRecord(
        asset=asset.key,
        partition=partition,
        name=check.name,
        passed=passed,
        is_blocking=check.blocking,
        description=description,
    )


def _checks_of_run(
    members: Sequence[LakeAsset], partition: str, result: dg.ExecuteInProcessResult
) -> list[CheckRecord]:
    by_key = {member.asset_key: member for member in members}
    records = []
    for event in result.all_events:
        if event.event_type_value != "ASSET_CHECK_EVALUATION":
            continue
        found = event.asset_check_evaluation_data
        member = by_key.get(found.asset_key)
        if member is not None:
            blocking = {check.name: check.blocking for check in member.checks} | {
                name: True for name in member.separate_checks
            }
            record = CheckRecord(
                asset=member.key,
                partition=partition,
                name=found.check_name,
                passed=found.passed,
                is_blocking=blocking[found.check_name],
                description=found.description or "",
            )
            records.append(record)
    return records


def _failed_steps(members: Sequence[LakeAsset], result: dg.ExecuteInProcessResult) -> list[tuple[LakeAsset, str]]:
    """The assets whose own step failed, with what their step raised, in one line."""
    by_step = {member.key.replace("/", "__"): member for member in members}
    found = []
    for event in result.all_events:
        if event.event_type_value == "STEP_FAILURE" and event.step_key in by_step:
            wrapped = event.step_failure_data.error
            # Dagster wraps what the step raised; what that was raised from is its own affair.
            error = wrapped.cause if wrapped is not None and wrapped.cause is not None else wrapped
            if error is not None and error.cls_name == "DagsterAssetCheckFailedError":
                continue  # the red check says it
            reason = " ".join((error.message if error else "failed").split())
            found.append((by_step[event.step_key], _CLASS_PATH.sub(r"\1: ", reason)))
    return found


def _is_settled_model(workspace: Workspace, asset: LakeAsset) -> bool:
    """Models do not cascade: one that is promoted is neither trained nor promoted again by a drive."""
    layer, name = asset.key.split("/", 1)
    return layer in ("models", "promoted") and workspace.is_promoted(name)


def _chain_line(chain: Chain, n_partitions: int, n_made: int) -> str:
    where = f"{chain.source} ({n_partitions} partitions)" if chain.source else "whole"
    names = ", ".join(asset.key for asset in chain.assets)
    return f"{names} [{where}]: {f'{n_made} made' if n_made else 'unchanged'}"
