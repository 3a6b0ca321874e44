"""The gate of training under hundreds of random orders of events, judged by somebody who knows only what is true.

The graph has the shape of the real one (shards filtered with a promoted model, cleaned of benchmarks, mixed,
packed), the checkpoint has the real condition, and the real sensor evaluates it. Nothing runs: events are reported,
in any order, any number of them between two ticks. The judge keeps what each table was made of, and compares that
with what is there. It knows no condition, no cursor and no event.

Where a table is made and an input of it changes, both between the same two ticks, no condition can tell which
came first, and training may be requested on what is stale. The asset then asks storage before it trains
(`require_current`); here the judge stands for storage. Such a request is allowed in that case and in no other,
and never on a check that is not passed.
"""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache

import dagster as dg
import pytest
from dagster import DagsterEventType, DagsterRunStatus
from dagster._core.definitions.freshness import FreshnessState

from mathcode_assets.defs.automation import train_when
from mathcode_assets.defs.conditions_sensor import ConditionsSensor
from mathcode_assets_tests.defs.reported import (
    CHECK,
    Made,
    report,
    report_checked,
    report_freshness,
    report_made,
    reported_asset,
)
from mathcode_assets_tests.defs.test_automation import partitions_read_once

# Half a second of processor each. MATHCODE_EVENT_ORDERS=500 runs more than the slow suite has time for.
N_ORDERS = int(os.environ.get("MATHCODE_EVENT_ORDERS", "60"))
ORDERS_A_CHAIN = 20
N_EVENTS = 16
MAX_SHARDS = 3
# From the last event of the settling to the request: one tick sees the events, one may wait for a run's end.
TICKS_TO_REQUEST = 2

SHARDS = dg.DynamicPartitionsDefinition(name="shards")
SOURCE, BENCHMARKS, PROMOTED = "source/web", "source/benchmarks", "promoted/classifier"
FILTERED, CLEAN, PILE, PACKED, CHECKPOINT = "filtered/web", "clean/web", "mixture/pile", "tokens/packed", "checkpoint/m"
TABLES = (FILTERED, CLEAN, PILE, PACKED)  # in the order in which they are made
BY_SHARD = (FILTERED, CLEAN)
CHECKED = (FILTERED, CLEAN, PILE)

Place = tuple[str, str | None]


def key(name: str) -> dg.AssetKey:
    return dg.AssetKey(name.split("/"))


@dg.observable_source_asset(key=key(SOURCE), partitions_def=SHARDS)
def _source() -> dg.DataVersionsByPartition:
    raise AssertionError("nothing runs here: events are reported")


@dg.observable_source_asset(key=key(BENCHMARKS))
def _benchmarks() -> dg.DataVersion:
    raise AssertionError("nothing runs here: events are reported")


DEFINITIONS = dg.Definitions(
    assets=[
        _source,
        _benchmarks,
        reported_asset(key(PROMOTED), []),
        reported_asset(key(FILTERED), [key(SOURCE), key(PROMOTED)], checked=True, partitions_def=SHARDS),
        reported_asset(key(CLEAN), [key(FILTERED), key(BENCHMARKS)], checked=True, partitions_def=SHARDS),
        reported_asset(
            key(PILE),
            [key(CLEAN)],
            checked=True,
            freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(days=1)),
        ),
        reported_asset(key(PACKED), [key(PILE)]),
        reported_asset(key(CHECKPOINT), [key(PACKED)], automation_condition=train_when(PILE, TABLES)),
    ],
    executor=dg.in_process_executor,
)
REPOSITORY = DEFINITIONS.get_repository_def()


@dataclass
class Build:
    """What a table was made of, and when: the number of ticks before it."""

    version: str
    inputs: dict[Place, str]
    tick: int
    event: Made
    passed: bool | None = None
    # The number of ticks before it went stale, None while it is what would be made now.
    stale_since: int | None = None


@dataclass
class World:
    """What is true. A source's version is a number and a letter; the letter makes no difference to what is made."""

    sources: dict[str, str] = field(default_factory=dict)
    benchmarks: int = 0
    promoted: int = 0
    is_fresh: bool = True
    ticks: int = 0
    made: dict[Place, Build] = field(default_factory=dict)
    under_way: dict[Place, dg.DagsterRun] = field(default_factory=dict)
    training: tuple[dg.DagsterRun, str] | None = None
    trained_on: list[str] = field(default_factory=list)

    def places(self) -> list[Place]:
        return [(name, shard) for name in TABLES for shard in (sorted(self.sources) if name in BY_SHARD else [None])]

    def inputs(self, place: Place) -> dict[Place, str] | None:
        """Versions of what a table would be made of now; None where something is missing."""
        name, shard = place
        above: dict[str, list[Place]] = {
            FILTERED: [],
            CLEAN: [(FILTERED, shard)],
            PILE: [(CLEAN, each) for each in sorted(self.sources)],
            PACKED: [(PILE, None)],
        }
        if any(dep not in self.made for dep in above[name]):
            return None
        found = {dep: self.made[dep].version for dep in above[name]}
        if name == CLEAN:
            found[BENCHMARKS, None] = str(self.benchmarks)
        if name == FILTERED:
            assert shard is not None
            found |= {(SOURCE, shard): self.sources[shard], (PROMOTED, None): str(self.promoted)}
        return found

    def content(self, place: Place, inputs: dict[Place, str]) -> str:
        """The data version that a table gets: not every change of an input makes a difference."""
        name, shard = place
        if name == FILTERED:
            return f"{inputs[SOURCE, shard][:-1]} by {int(inputs[PROMOTED, None]) // 2}"
        if name == CLEAN:  # every second benchmark is found in it
            return f"{inputs[FILTERED, shard]} without {int(inputs[BENCHMARKS, None]) // 2}"
        return " and ".join(inputs.values())

    def is_stale(self, place: Place) -> bool:
        return place not in self.made or self.made[place].inputs != self.inputs(place)

    def unchecked(self) -> list[Place]:
        """Tables whose check is anything but passed on what is there."""
        return [place for place, build in self.made.items() if place[0] in CHECKED and build.passed is not True]

    def look(self) -> list[Place]:
        """What is stale at this tick; notes since when."""
        stale = [place for place in self.places() if self.is_stale(place)]
        for place, build in self.made.items():
            build.stale_since = (build.stale_since or self.ticks) if place in stale else None
        return stale

    def is_untellable(self, place: Place) -> bool:
        """Whether a stale table went stale between the same two ticks in which it was made."""
        return place in self.made and self.made[place].stale_since == self.made[place].tick


class Run:
    """One order of events: reported to Dagster, and told to the judge."""

    def __init__(self, instance: dg.DagsterInstance, seed: int) -> None:
        self.instance = instance
        self.random = random.Random(seed)
        self.world = World(ticks=1)
        self.sensor = ConditionsSensor("conditions", target=dg.AssetSelection.all(), evaluate_anyway_s=math.inf)
        self.cursor: str | None = None
        self.order: list[str] = []
        self.n_untellable = 0

    def start(self) -> None:
        """Two shards, all made and checked, and trained on."""
        self.tick()
        self.promote()
        self.add_benchmark()
        for shard in ("a", "b"):
            self.change(shard)
        self.set_fresh(True)
        self.rebuild()
        self.train_in_the_end()

    # --- events ------------------------------------------------------------------------------------------------

    def change(self, shard: str, *, matters: bool = True) -> None:
        before = self.world.sources.get(shard)
        if before is None:
            self.instance.add_dynamic_partitions("shards", [shard])
        number, letter = (int(before[:-1]), before[-1]) if before else (0, "x")
        version = f"{number + matters}{letter if matters else chr(ord(letter) ^ 1)}"
        self.world.sources[shard] = version
        self._observed(SOURCE, version, shard)

    def add_benchmark(self) -> None:
        self.world.benchmarks += 1
        self._observed(BENCHMARKS, str(self.world.benchmarks), None)

    def promote(self) -> None:
        self.world.promoted += 1
        report_made(self.instance, key(PROMOTED), str(self.world.promoted))

    def make(self, place: Place, *, passed: bool | None) -> None:
        inputs = self.world.inputs(place)
        assert inputs is not None
        version = self.world.content(place, inputs)
        event = report_made(self.instance, key(place[0]), version, place[1])
        self.world.made[place] = Build(version, inputs, self.world.ticks, event)
        if passed is not None and place[0] in CHECKED:
            self.check(place, passed=passed)

    def check(self, place: Place, *, passed: bool) -> None:
        build = self.world.made[place]
        report_checked(self.instance, key(place[0]), CHECK, build.event, passed=passed, partition=place[1])
        build.passed = passed

    def begin(self, place: Place) -> None:
        """A run of a table is under way until `end`."""
        self.world.under_way[place] = self._start(*place)

    def end(self, place: Place) -> None:
        run = self.world.under_way.pop(place)
        if self.random.random() < 0.5 or self.world.inputs(place) is None:
            self.instance.report_run_failed(run)
        else:
            report(self.instance, DagsterEventType.RUN_SUCCESS, None, run.run_id)
            self.make(place, passed=True)

    def end_training(self, *, succeeded: bool) -> None:
        assert self.world.training is not None
        run, version = self.world.training
        self.world.training = None
        if succeeded:
            report_made(self.instance, key(CHECKPOINT), f"trained on {version}", run_id=run.run_id)
            report(self.instance, DagsterEventType.RUN_SUCCESS, None, run.run_id)
            self.world.trained_on.append(version)
        else:
            self.instance.report_run_failed(run)

    def set_fresh(self, is_fresh: bool) -> None:
        self.world.is_fresh = is_fresh
        report_freshness(self.instance, key(PILE), FreshnessState.PASS if is_fresh else FreshnessState.FAIL)

    def tick(self) -> bool:
        """One evaluation; what it asks for is judged, and begun if storage permits it."""
        with partitions_read_once(self.instance):
            found = self.sensor.evaluate_tick(
                dg.build_sensor_context(instance=self.instance, cursor=self.cursor, repository_def=REPOSITORY)
            )
        self.cursor = found.cursor
        stale = self.world.look()
        self.world.ticks += 1
        if not found.run_requests:
            return False
        assert self.world.training is None, "training was requested while it was under way"
        assert not self.world.unchecked(), f"training was requested on unchecked data: {self.world.unchecked()}"
        assert not self.world.under_way, f"training was requested during {list(self.world.under_way)}"
        assert self.world.is_fresh, "training was requested on a pile that is too old"
        told = [place for place in stale if not self.world.is_untellable(place)]
        # What is made of a table that nobody can tell to be stale may itself be missing nothing.
        assert not told, f"training was requested on stale data: {told}"
        run = self._start(CHECKPOINT, None)
        self.world.training = (run, self.world.made[PACKED, None].version)
        if stale:  # require_current
            self.n_untellable += 1
            self.end_training(succeeded=False)
        return True

    # --- orders ------------------------------------------------------------------------------------------------

    def events(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """What may happen next, each as often as it is likely."""
        world, rng = self.world, self.random
        shard = rng.choice(sorted(world.sources))
        makeable = [place for place in world.places() if world.inputs(place) is not None]
        stale = [place for place in makeable if world.is_stale(place)]
        checked = [place for place in world.made if place[0] in CHECKED]
        yield "tick", self.tick
        yield "tick", self.tick
        yield f"{shard} changes", lambda: self.change(shard)
        yield f"{shard} changes without a difference", lambda: self.change(shard, matters=False)
        if len(world.sources) < MAX_SHARDS:
            yield "a new file", lambda: self.change("abcd"[len(world.sources)])
        yield "a benchmark is added", self.add_benchmark
        yield "a model is promoted", self.promote
        for place in (*rng.sample(stale, min(2, len(stale))), rng.choice(makeable)):
            passed = rng.choice([True, True, True, False, None])
            yield f"{place} is made, check {passed}", lambda place=place, passed=passed: self.make(place, passed=passed)
        red = world.unchecked() or checked
        for place, passed in ((rng.choice(red), True), (rng.choice(checked), False)):
            yield f"{place} check {passed}", lambda place=place, passed=passed: self.check(place, passed=passed)
        idle = [place for place in makeable if place not in world.under_way]
        if not world.under_way:
            place = rng.choice(idle)
            yield f"{place} begins", lambda: self.begin(place)
        for place in world.under_way:
            yield f"{place} ends", lambda place=place: self.end(place)
        if world.training is not None:
            yield "training succeeds", lambda: self.end_training(succeeded=True)
            yield "training fails", lambda: self.end_training(succeeded=False)
        if rng.random() < 0.2:
            yield "the pile's age changes", lambda: self.set_fresh(not world.is_fresh)

    def happen(self, n_events: int) -> None:
        for _ in range(n_events):
            name, event = self.random.choice(list(self.events()))
            self.order.append(name)
            event()

    def rebuild(self) -> None:
        """Everything is made again and checked, in the order of the graph, with ticks in between or without."""
        for place in list(self.world.under_way):
            self.instance.report_run_failed(self.world.under_way.pop(place))
        for place in self.world.places():
            self.make(place, passed=True)
            if self.random.random() < 0.05:
                self.order.append("tick")
                self.tick()

    def train_in_the_end(self) -> None:
        """All is well: training is requested within some ticks, on what is there, and then no more."""
        wanted = self.world.made[PACKED, None].version
        for _ in range(TICKS_TO_REQUEST):
            if self.world.training is None or self.world.training[1] != wanted:
                self.tick()
        assert self.world.training is not None, "all is well, and training is not requested"
        assert self.world.training[1] == wanted
        assert not self.world.look()
        self.end_training(succeeded=True)
        assert not self.tick(), "the same is trained on twice"

    def settle(self) -> None:
        """Something that matters changes, and then all is made well."""
        self.order.append("settles")
        if self.world.training is not None:
            self.end_training(succeeded=self.random.random() < 0.5)
        self.set_fresh(True)
        self.change("a")
        self.rebuild()
        if self.world.training is not None and self.world.training[1] != self.world.made[PACKED, None].version:
            self.end_training(succeeded=True)  # of what was packed before
        self.train_in_the_end()

    def _start(self, name: str, shard: str | None) -> dg.DagsterRun:
        return self.instance.create_run_for_job(
            job_def=job_of(name),
            asset_selection=frozenset({key(name)}),
            status=DagsterRunStatus.STARTED,
            tags={"dagster/partition": shard} if shard else {},
        )

    def _observed(self, name: str, version: str, shard: str | None) -> None:
        event = dg.AssetObservation(key(name), partition=shard, tags={"dagster/data_version": version})
        self.instance.report_runless_asset_event(event)


@cache
def job_of(name: str) -> dg.JobDefinition:
    """The job that makes one asset."""
    return DEFINITIONS.resolve_implicit_global_asset_job_def().get_subset(asset_selection={key(name)})


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(N_ORDERS // ORDERS_A_CHAIN))
def test_training_is_never_requested_on_what_is_not_well_and_always_when_all_is(seed: int) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = Run(instance, seed)
        try:
            run.start()
            for number in range(ORDERS_A_CHAIN):  # each begins where all is well and trained on
                run.order.append(f"--- order {number}")
                run.happen(N_EVENTS)
                run.settle()
        except AssertionError as error:
            order = "\n  ".join(run.order)
            pytest.fail(f"{error}\nseed {seed}, after\n  {order}")
    assert len(run.world.trained_on) > ORDERS_A_CHAIN


def test_a_change_after_the_rebuild_but_before_the_tick_is_what_no_condition_can_tell() -> None:
    """The one case that the judge of the orders lets pass, and storage does not."""
    with dg.DagsterInstance.ephemeral() as instance:
        run = Run(instance, 0)
        run.start()
        run.change("a")
        for place in run.world.places():
            run.make(place, passed=True)
        run.change("a")
        assert run.tick(), "the condition can tell: the judge need not let it pass any more"
        assert (run.n_untellable, run.world.training) == (1, None)
