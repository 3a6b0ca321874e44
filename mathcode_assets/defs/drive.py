"""The whole graph from one process: what `mathcode sample` and `mathcode run` do.

Each partition is one Dagster run, as in the daemon, so the UI shows the same events; only what is
not current is run. A partition that fails stops what is made from it, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import dagster as dg

from mathcode_assets.defs.table_assets import LakeAsset, Outcome
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.storage.lake import WHOLE, NotPublished

OBSERVE_JOB = "observe_sources"
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
    keys = {asset.key for asset in assets}
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
        done |= {asset.key for asset in members}
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
        self._observe_job = definitions.resolve_job_def(OBSERVE_JOB)
        self._assets = assets
        self._workspace = workspace
        self._instance = instance
        self._progress = progress

    def run(self) -> DriveReport:
        """Observe the sources, then make everything that is not current, models included where none is promoted.

        Raises:
            SourceListingError: a source cannot be listed at all.
        """
        self._observe_job.execute_in_process(instance=self._instance, run_config=_QUIET)
        report = DriveReport()
        failed: set[tuple[str, str]] = set()
        for chain in chains(self._assets):
            if all(_is_settled_model(self._workspace, asset) for asset in chain.assets):
                continue
            names = sorted(self._workspace.partitions(chain.source)) if chain.source else [WHOLE]
            before = report.materialized
            for partition in names:
                self._make(chain, partition, failed, report)
            self._progress(_chain_line(chain, len(names), report.materialized - before))
        report.checks.extend(self._checks())
        return report

    def _make(self, chain: Chain, partition: str, failed: set[tuple[str, str]], report: DriveReport) -> None:
        """Make the members of a chain that are not current, from the first such member on."""
        members = list(chain.assets)
        while members and self._is_recorded(members[0], partition):
            members.pop(0)
            report.unchanged += 1
        blocked = {member.key for member in members if _depends_on(member, partition, chain, failed, members)}
        members = [member for member in members if member.key not in blocked]
        failed |= {(key, partition) for key in blocked}
        if not members:
            return
        result = self._job.execute_in_process(
            instance=self._instance,
            partition_key=partition if chain.source else None,
            asset_selection=[member.asset_key for member in members],
            run_config=_QUIET,
            raise_on_error=False,
        )
        made = {event.asset_key for event in result.get_asset_materialization_events() if event.asset_key}
        report.materialized += len(made)
        if not result.success:
            for asset, reason in _failed_steps(members, result):
                failed.add((asset.key, partition))
                report.failures.append(Failure(asset=asset.key, partition=partition, reason=reason))
            failed |= {(member.key, partition) for member in members if member.asset_key not in made}

    def _is_recorded(self, asset: LakeAsset, partition: str) -> bool:
        """Whether the partition is current on storage, Dagster knows it, and its blocking checks hold."""
        try:
            if not asset.is_current(self._workspace, partition):
                return False
        except NotPublished:
            return False
        if not self._is_known(asset, partition):
            return False
        return all(outcome.passed for check, outcome in self._outcomes(asset, partition) if check.blocking)

    def _is_known(self, asset: LakeAsset, partition: str) -> bool:
        if asset.partitioned_by is None:
            return self._instance.get_latest_materialization_event(asset.asset_key) is not None
        return partition in self._instance.get_materialized_partitions(asset.asset_key)

    def _outcomes(self, asset: LakeAsset, partition: str) -> Iterator[tuple[object, Outcome]]:
        table = self._workspace.lake.table(asset.key, partition)
        manifest = table.find_manifest()
        if manifest is not None:
            for check in asset.checks:
                yield check, check.evaluate(self._workspace, table, manifest)

    def _checks(self) -> Iterator[CheckRecord]:
        for asset in self._assets:
            names = sorted(self._workspace.partitions(asset.partitioned_by)) if asset.partitioned_by else [WHOLE]
            for partition in names:
                for check, outcome in self._outcomes(asset, partition):
                    yield CheckRecord(
                        asset=asset.key,
                        partition=partition,
                        name=check.name,  # type: ignore[attr-defined]
                        passed=outcome.passed,
                        is_blocking=check.blocking,  # type: ignore[attr-defined]
                        description=outcome.description,
                    )
