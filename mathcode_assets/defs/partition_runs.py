"""One partition of a chain of assets, made in one Dagster run: what a drive does for each, here or in a worker.

What is current on storage, known to Dagster and checked is not run again.
"""

from __future__ import annotations

import atexit
import re
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

import dagster as dg

from mathcode_assets.defs.currency import WorkspaceSnapshot
from mathcode_assets.defs.instance import open_instance
from mathcode_assets.defs.prepared import PreparedJob
from mathcode_assets.defs.recorded import Record
from mathcode_assets.defs.table_assets import LakeAsset, TableCheck, quarantine_key
from mathcode_assets.defs.workspace import Withheld, Workspace

# The error's class with its modules, before its message.
_CLASS_PATH = re.compile(r"^(?:\w+\.)*(\w+): ")


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
class Made:
    """What became of one partition of a chain. `failed`: keys that may not be built on."""

    materialized: int = 0
    unchanged: int = 0
    checks: list[CheckRecord] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)


class OpenedLocation(NamedTuple):
    """A code location, opened in some process."""

    definitions: dg.Definitions
    assets: Sequence[LakeAsset]
    workspace: Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeLocation:
    """How a worker opens the code location of a drive: values alone, so that equal ones are opened once.

    open: a function of a module, of the sources file and the root. home: of the Dagster instance.
    """

    open: Callable[[str, str | None], OpenedLocation]
    sources_file: str
    root: str | None
    home: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionTask:
    """A partition of a chain for a worker.

    keys: of the chain's assets, in order; failed: of the assets above, those that failed in this partition.
    tags: of the run; run_id: its id, or what the ids of further tries are made from.
    """

    location: CodeLocation
    keys: tuple[str, ...]
    partition: str
    failed: frozenset[str]
    tags: Mapping[str, str]
    run_id: str

    def __str__(self) -> str:
        return f"{', '.join(self.keys)} [{self.partition}]"


class PartitionRuns:
    """Makes partitions of one code location, in process.

    Args:
        definitions: the code location.
        workspace: where its assets are published.
        instance: Dagster's record of events.
    """

    def __init__(self, definitions: dg.Definitions, workspace: Workspace, instance: dg.DagsterInstance) -> None:
        self._job = PreparedJob(definitions.resolve_implicit_global_asset_job_def(), instance)
        self._workspace = workspace
        self._instance = instance
        self.begin()

    def begin(self) -> None:
        """Read anew what is published and what Dagster has on record: others may have made something since.

        Whether a partition is current is asked of all of them, and each asks for its inputs: read once.
        """
        self._record = Record(self._instance)
        self._seen = WorkspaceSnapshot(self._workspace)

    @property
    def seen(self) -> WorkspaceSnapshot:
        """The workspace as it was read last."""
        return self._seen

    @property
    def record(self) -> Record:
        """What Dagster had on record when it was read last."""
        return self._record

    def forget(self, members: Sequence[LakeAsset], partition: str) -> None:
        """What a run may have published is read again when it is asked for."""
        for member in members:
            self._seen.lake.forget(member.key, partition)
            self._seen.lake.forget(quarantine_key(member.key), partition)
            for key in member.publishes:
                self._seen.lake.forget(key)

    def make(
        self,
        chain: Sequence[LakeAsset],
        partition: str,
        *,
        failed: Collection[str],
        tags: Mapping[str, str],
        run_id: str | None = None,
    ) -> Made:
        """Make the members of a chain that are not current, from the first such member on.

        Args:
            chain: assets of the same partitions, each after those it is made from.
            partition: of all of them.
            failed: keys of assets that failed in this partition.
            tags: of the run, if there is one.
            run_id: its id.
        """
        made = Made()
        members = list(chain)
        while members and self._is_recorded(members[0], partition, made):
            members.pop(0)
            made.unchanged += 1
        members = _unblocked(members, failed, made)
        if not members:
            return made
        result = self._job.execute(
            [member.asset_key for member in members],
            partition_key=partition if chain[0].partitioned_by else None,
            tags=tags,
            run_id=run_id,
        )
        self.forget(members, partition)
        materialized = {event.asset_key for event in result.get_asset_materialization_events() if event.asset_key}
        made.materialized += len(materialized)
        checks = _checks_of_run(members, partition, result)
        made.checks.extend(checks)
        made.failed |= {check.asset for check in checks if check.is_blocking and not check.passed}
        steps = _failed_steps(members, result)
        made.failures += [Failure(asset=asset.key, partition=partition, reason=reason) for asset, reason in steps]
        made.failed |= {asset.key for asset, _ in steps}
        made.failed |= {member.key for member in members if member.asset_key not in materialized}
        return made

    def _is_recorded(self, asset: LakeAsset, partition: str, made: Made) -> bool:
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
        made.checks.extend(records)
        return True

    def _is_known(self, asset: LakeAsset, partition: str) -> bool:
        """Whether Dagster has what was published on record, with every check: also one that newer code brings."""
        table = self._seen.lake.table(asset.key, partition)
        names = [*(check.name for check in asset.checks), *asset.separate_checks]
        published = [table, *asset.published_besides(self._seen, partition)]
        return all(map(self._record.has, published)) and self._record.has_checked(table, names)


def _unblocked(members: Sequence[LakeAsset], failed: Collection[str], made: Made) -> list[LakeAsset]:
    """The members none of whose inputs failed in this partition; the others count as failed too."""
    able: list[LakeAsset] = []
    for member in members:
        if any(dep in failed or dep in made.failed for dep in member.deps):
            made.failed.add(member.key)
        else:
            able.append(member)
    return able


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


def make_in_worker(task: PartitionTask) -> Made:
    """`PartitionRuns.make` in a process that opens the code location once."""
    runs, assets, instance = _opened(task.location)
    # A worker before this one may have died in the middle of its run.
    number = 0
    while (run := instance.get_run_by_id(attempt_id(task.run_id, number))) is not None:
        if not run.is_finished:
            instance.report_run_failed(run, "the process that made it ended")
        number += 1
    chain = [assets[key] for key in task.keys]
    runs.begin()
    return runs.make(chain, task.partition, failed=task.failed, tags=task.tags, run_id=attempt_id(task.run_id, number))


def attempt_id(run_id: str, number: int) -> str:
    """The id of a run that is tried again."""
    return str(uuid.uuid5(uuid.UUID(run_id), str(number))) if number else run_id


_open_instances = ExitStack()
atexit.register(_open_instances.close)


@cache
def _opened(location: CodeLocation) -> tuple[PartitionRuns, dict[str, LakeAsset], dg.DagsterInstance]:
    opened = location.open(location.sources_file, location.root)
    instance = _open_instances.enter_context(open_instance(location.home))
    runs = PartitionRuns(opened.definitions, opened.workspace, instance)
    return runs, {asset.key: asset for asset in opened.assets}, instance
