"""The whole graph from one process or several: what `mathcode sample` and `mathcode run` do.

Each partition is one Dagster run, as in the daemon, so the UI shows the same events; only what is
not current is run. A partition that fails stops what is made from it, and nothing else.

With `settings.engine: {kind: local}` partitions are made by several processes, each a run of its own; what an asset
is made from is made before, as ever.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import dagster as dg

from mathcode_assets.defs.ablating import partition_keys
from mathcode_assets.defs.dead_runs import registered
from mathcode_assets.defs.jobs import OBSERVED, observe_job_name
from mathcode_assets.defs.partition_runs import (
    CheckRecord,
    CodeLocation,
    Failure,
    Made,
    PartitionRuns,
    PartitionTask,
    attempt_id,
    make_in_worker,
)
from mathcode_assets.defs.prepared import QUIET
from mathcode_assets.defs.table_assets import LakeAsset, materialization_of
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.engine.exchange import WorkerDied
from mathcode_assets.engine.local import LocalEngine
from mathcode_assets.engine.mapping import Engine, SerialEngine
from mathcode_assets.engine.settings import RAY, EngineSettings, usable_cores
from mathcode_assets.storage.lake import WHOLE

Progress = Callable[[str], None]


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

    def add(self, made: Made) -> None:
        """Count what became of one partition of a chain."""
        self.materialized += made.materialized
        self.unchanged += made.unchanged
        self.checks.extend(made.checks)
        self.failures.extend(made.failures)


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


def levels(ordered: Sequence[Chain]) -> list[list[Chain]]:
    """Chains that can be made at the same time: each rests on chains of earlier levels alone."""
    level_of: dict[str, int] = {}
    found: list[list[Chain]] = []
    for chain in ordered:
        level = max((level_of.get(dep, -1) for asset in chain.assets for dep in asset.deps), default=-1) + 1
        if level == len(found):
            found.append([])
        found[level].append(chain)
        level_of |= {key: level for asset in chain.assets for key in (asset.key, *asset.publishes)}
    return found


class Driver:
    """Makes the graph of one code location.

    Args:
        definitions: the code location.
        assets: its lake assets.
        workspace: where they are published.
        instance: Dagster's record of events; the UI reads the same one.
        progress: called with one line for each chain.
        location: how other processes open the same; without it all is made in this one.
    """

    def __init__(
        self,
        *,
        definitions: dg.Definitions,
        assets: Sequence[LakeAsset],
        workspace: Workspace,
        instance: dg.DagsterInstance,
        progress: Progress = lambda line: None,
        location: CodeLocation | None = None,
    ) -> None:
        self._runs = PartitionRuns(definitions, workspace, instance)
        self._observe_jobs = [definitions.resolve_job_def(observe_job_name(source)) for source in OBSERVED]
        self._assets = assets
        self._workspace = workspace
        self._instance = instance
        self._progress = progress
        self._location = location
        self._failed: set[tuple[str, str]] = set()
        self._tags: Mapping[str, str] = {}

    def run(self) -> DriveReport:
        """Observe the sources, then make everything that is not current, models included where none is promoted.

        Raises:
            SourceListingError: a source cannot be listed at all.
            RayUnreachable: the settings name a cluster that cannot do the work.
        """
        settings = self._workspace.settings("engine", EngineSettings)
        if settings.kind == RAY:
            self._workspace.engine()
        with registered(self._instance) as self._tags:
            for job in self._observe_jobs:
                job.execute_in_process(instance=self._instance, run_config=QUIET, tags=self._tags)
            self._runs.begin()
            return self._make_all(settings)

    def _make_all(self, settings: EngineSettings) -> DriveReport:
        report = DriveReport()
        self._failed = set()
        ordered = chains(self._assets)
        n_workers = settings.n_local if self._location else 1
        with self._engine(n_workers) as engine:
            for level in levels(ordered) if engine.n_workers > 1 else [[chain] for chain in ordered]:
                self._make_level(level, engine, report)
        return report

    def _engine(self, n_workers: int) -> Engine:
        """Where partitions are made: no more processes than a source has partitions, each with its share of cores."""
        sources = {chain.source for chain in chains(self._assets) if chain.source}
        n_partitions = sum(len(partition_keys(self._workspace, source)) for source in sources)
        n_workers = min(n_workers, n_partitions)
        if n_workers < 2:
            return SerialEngine()
        return LocalEngine(n_workers, cores=max(1, usable_cores() // n_workers))

    def _make_level(self, level: Sequence[Chain], engine: Engine, report: DriveReport) -> None:
        """Make chains that do not rest on each other, and say for each what came of it."""
        wanted = sorted(filter(None, map(self._wanted, level)), key=self._is_alone)
        names = [partition_keys(self._runs.seen, chain.source) if chain.source else [WHOLE] for chain in wanted]
        work = [(chain, partition) for chain, keys in zip(wanted, names, strict=True) for partition in keys]
        n_together = sum(not self._is_alone(chain) for chain, _ in work)
        made = itertools.chain(self._made(work[:n_together], engine), self._made(work[n_together:], SerialEngine()))
        for chain, keys in zip(wanted, names, strict=True):
            before = report.materialized
            for partition in keys:
                found = next(made)
                report.add(found)
                self._failed |= {(key, partition) for key in found.failed}
            self._progress(_chain_line(chain, len(keys), report.materialized - before))

    def _wanted(self, chain: Chain) -> Chain | None:
        """What of a chain the settings ask for; None where that is nothing, or models that are in use."""
        if all(_is_settled_model(self._workspace, asset) for asset in chain.assets):
            self._tell_of(chain)
            return None
        assets = tuple(asset for asset in chain.assets if asset.is_wanted(self._workspace))
        return replace(chain, assets=assets) if assets else None

    def _tell_of(self, chain: Chain) -> None:
        """Have Dagster know of models that are in use: their steps do not run again, or they might change."""
        for asset in chain.assets:
            table = self._workspace.lake.table(asset.key)
            if table.find_manifest() is not None and not self._runs.record.has(table):
                self._instance.report_runless_asset_event(materialization_of(table))

    def _is_alone(self, chain: Chain) -> bool:
        return any(asset.is_alone(self._workspace) for asset in chain.assets)

    def _made(self, work: Sequence[tuple[Chain, str]], engine: Engine) -> Iterator[Made]:
        """What became of each partition of each chain, in order."""
        if engine.n_workers < 2 or len(work) < 2 or self._location is None:
            for chain, partition in work:
                yield self._runs.make(chain.assets, partition, failed=self._failed_in(partition), tags=self._tags)
            return
        tasks = [self._task(chain, partition, self._location) for chain, partition in work]
        n_done = 0
        try:
            for made in engine.map(make_in_worker, tasks, lost=_lost):
                chain, partition = work[n_done]
                self._runs.forget(chain.assets, partition)
                n_done += 1
                yield made
        finally:
            for task in tasks[n_done:]:
                self._end_runs(task)

    def _task(self, chain: Chain, partition: str, location: CodeLocation) -> PartitionTask:
        return PartitionTask(
            location=location,
            keys=tuple(asset.key for asset in chain.assets),
            partition=partition,
            failed=self._failed_in(partition),
            tags=self._tags,
            run_id=str(uuid.uuid4()),
        )

    def _failed_in(self, partition: str) -> frozenset[str]:
        return frozenset(key for key, failed in self._failed if failed == partition)

    def _end_runs(self, task: PartitionTask) -> None:
        """Dagster is told of the runs of a task whose process was ended: nobody else would."""
        number = 0
        while (run := self._instance.get_run_by_id(attempt_id(task.run_id, number))) is not None:
            if not run.is_finished:
                self._instance.report_run_failed(run, "the process that made it was ended")
            number += 1


def _lost(task: PartitionTask, died: WorkerDied) -> Made:
    """A partition whose process died each time fails as one whose step raises does."""
    failure = Failure(asset=task.keys[0], partition=task.partition, reason=f"WorkerDied: {died}")
    return Made(failures=[failure], failed=set(task.keys))


def _is_settled_model(workspace: Workspace, asset: LakeAsset) -> bool:
    """Models do not cascade: one that is promoted is neither trained nor promoted again by a drive."""
    layer, name = asset.key.split("/", 1)
    return layer in ("models", "promoted") and workspace.is_promoted(name)


def _chain_line(chain: Chain, n_partitions: int, n_made: int) -> str:
    where = f"{chain.source} ({n_partitions} partitions)" if chain.source else "whole"
    names = ", ".join(asset.key for asset in chain.assets)
    return f"{names} [{where}]: {f'{n_made} made' if n_made else 'unchanged'}"
