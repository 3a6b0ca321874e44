"""When training is requested, and when it is not: the condition over reported events, and over the real graph.

The small graph has the shape of the real one: shards with a check each, a pile of all of them, sequences
packed from the pile, a checkpoint. Everything it is told comes from a run of its own, as in production: the
events that tests usually report share one empty run id, and then checks never grow old.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterEvent, DagsterEventType, DagsterRunStatus
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluation,
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.events import StepMaterializationData

from mathcode_assets.defs.automation import train_when

SHARDS = dg.DynamicPartitionsDefinition(name="shards")
SOURCE, CLEAN, PILE, PACKED, CHECKPOINT = (
    dg.AssetKey(key.split("/")) for key in ("source/web", "clean/web", "mixture/pile", "tokens/packed", "checkpoint/m")
)
LINEAGE = ["clean/web", "mixture/pile", "tokens/packed"]
CHECK = "holds"


def _asset(key: dg.AssetKey, deps: list[dg.AssetKey], *, checked: bool = False, **options: Any) -> dg.AssetsDefinition:
    partitions = options.get("partitions_def")
    specs = [dg.AssetCheckSpec(CHECK, asset=key, blocking=True, partitions_def=partitions)] if checked else []

    @dg.asset(key=key, deps=deps, check_specs=specs, **options)
    def body():  # type: ignore[no-untyped-def]  # a check among the outputs wants a tuple there
        raise AssertionError("nothing runs here: events are reported")

    return body


@dg.observable_source_asset(key=SOURCE, partitions_def=SHARDS)
def _source() -> dg.DataVersionsByPartition:
    raise AssertionError("nothing runs here: events are reported")


DEFINITIONS = dg.Definitions(
    assets=[
        _source,
        _asset(CLEAN, [SOURCE], checked=True, partitions_def=SHARDS),
        _asset(
            PILE, [CLEAN], checked=True, freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(days=1))
        ),
        _asset(PACKED, [PILE]),
        _asset(CHECKPOINT, [PACKED], automation_condition=train_when("mixture/pile", LINEAGE)),
    ],
    executor=dg.in_process_executor,
)


class Gate:
    """An instance that is told what was made and checked, and asked whether training is requested now."""

    def __init__(self) -> None:
        self.instance = dg.DagsterInstance.ephemeral()
        self.cursor: Any = None
        self.made_last: dict[tuple[dg.AssetKey, str | None], tuple[int, str]] = {}

    def tick(self) -> bool:
        result = dg.evaluate_automation_conditions(DEFINITIONS, instance=self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        assert result.total_requested in (0, 1)
        return result.total_requested == 1

    def report(self, event_type: DagsterEventType, data: Any, run_id: str, step: str | None = None) -> int:
        event = DagsterEvent(event_type.value, "job", step_key=step, event_specific_data=data)
        self.instance.report_dagster_event(event, run_id)
        return self.instance.event_log_storage.get_maximum_record_id() or 0

    def made(self, key: dg.AssetKey, version: str, shard: str | None = None, *, passed: bool | None = True) -> None:
        """A run that made this version; `passed` of its check, None for a check that has not run (or is not there)."""
        run_id = str(uuid.uuid4())
        tags = {"dagster/data_version": version}
        made = dg.AssetMaterialization(asset_key=key, partition=shard, tags=tags)
        data = StepMaterializationData(made)
        self.made_last[key, shard] = (self.report(DagsterEventType.ASSET_MATERIALIZATION, data, run_id), run_id)
        if passed is not None and key in (CLEAN, PILE):
            self.checked(key, passed, shard)

    def checked(self, key: dg.AssetKey, passed: bool, shard: str | None = None) -> None:
        """A run of the check on what was made last."""
        storage_id, run_id = self.made_last[key, shard]
        target = AssetCheckEvaluationTargetMaterializationData(
            storage_id=storage_id, run_id=run_id, timestamp=time.time()
        )
        found = AssetCheckEvaluation(
            asset_key=key,
            check_name=CHECK,
            passed=passed,
            metadata={},
            target_materialization_data=target,
            blocking=True,
            partition=shard,
        )
        self.report(DagsterEventType.ASSET_CHECK_EVALUATION, found, str(uuid.uuid4()))

    def observed(self, version: str, shard: str) -> None:
        self.instance.report_runless_asset_event(
            dg.AssetObservation(SOURCE, partition=shard, tags={"dagster/data_version": version})
        )

    def fresh(self, state: FreshnessState = FreshnessState.PASS) -> None:
        change = FreshnessStateChange(
            key=PILE, new_state=state, previous_state=FreshnessState.UNKNOWN, state_change_timestamp=time.time()
        )
        self.instance._report_runless_asset_event(change)  # what Dagster's freshness daemon calls

    def packed(self, version: str) -> None:
        """The pile and what is packed from it."""
        self.made(PILE, f"pile {version}")
        self.made(PACKED, f"packed {version}")

    def start(self, key: dg.AssetKey, shard: str | None = None) -> dg.DagsterRun:
        """A run that will make the asset, under way."""
        job = DEFINITIONS.resolve_implicit_global_asset_job_def().get_subset(asset_selection={key})
        tags = {"dagster/partition": shard} if shard else {}
        return self.instance.create_run_for_job(
            job_def=job, asset_selection=frozenset({key}), status=DagsterRunStatus.STARTED, tags=tags
        )

    def finish(self, run: dg.DagsterRun, version: str | None = None) -> None:
        """The run ends: with this version of the checkpoint, or by failing."""
        if version is None:
            self.instance.report_run_failed(run)
            return
        made = dg.AssetMaterialization(CHECKPOINT, tags={"dagster/data_version": version})
        self.report(DagsterEventType.ASSET_MATERIALIZATION, StepMaterializationData(made), run.run_id)
        self.report(DagsterEventType.RUN_SUCCESS, None, run.run_id)

    def trained(self, version: str) -> None:
        self.finish(self.start(CHECKPOINT), version)


@pytest.fixture
def gate() -> Iterator[Gate]:
    """Three shards, all made and checked, a fresh pile of them, and a checkpoint trained on it."""
    gate = Gate()
    with gate.instance:
        gate.instance.add_dynamic_partitions("shards", ["a", "b", "c"])
        gate.tick()
        for shard in ("a", "b", "c"):
            gate.observed("1", shard)
            gate.made(CLEAN, f"{shard}1", shard)
        gate.fresh()
        gate.packed("1")
        assert gate.tick()
        gate.trained("model 1")
        assert not gate.tick()
        yield gate


def test_nothing_new_requests_nothing(gate: Gate) -> None:
    assert [gate.tick() for _ in range(3)] == [False] * 3


def test_an_updated_pile_requests_training_once(gate: Gate) -> None:
    gate.packed("2")
    assert [gate.tick() for _ in range(3)] == [True, False, False]


def test_the_same_bytes_made_again_request_nothing(gate: Gate) -> None:
    gate.packed("1")
    gate.made(CLEAN, "a1", "a")
    assert [gate.tick() for _ in range(3)] == [False] * 3
    gate.packed("2")
    assert gate.tick()


def test_one_red_shard_among_green_ones_holds_training_back(gate: Gate) -> None:
    gate.made(CLEAN, "a2", "a", passed=False)
    gate.made(CLEAN, "b2", "b", passed=True)
    gate.packed("2")
    assert [gate.tick() for _ in range(2)] == [False] * 2
    gate.made(CLEAN, "a3", "a", passed=True)
    gate.packed("3")
    assert [gate.tick() for _ in range(2)] == [True, False]


@pytest.mark.parametrize("key", [CLEAN, PILE])
def test_a_check_that_has_not_run_holds_training_back_until_it_passes(gate: Gate, key: dg.AssetKey) -> None:
    shard = "b" if key == CLEAN else None
    gate.made(CLEAN, "b2", "b", passed=None if key == CLEAN else True)
    gate.made(PILE, "pile 2", passed=None if key == PILE else True)
    gate.made(PACKED, "packed 2")
    assert [gate.tick() for _ in range(2)] == [False] * 2
    gate.checked(key, True, shard)
    assert [gate.tick() for _ in range(2)] == [True, False]


def test_a_check_that_turns_red_later_holds_training_back_though_the_pile_did_not_move(gate: Gate) -> None:
    run = gate.start(PACKED)
    gate.packed("2")
    assert not gate.tick()  # something is under way still
    gate.checked(CLEAN, False, "c")  # an index that is newer finds something
    gate.finish(run)
    assert [gate.tick() for _ in range(2)] == [False] * 2
    gate.checked(CLEAN, True, "c")
    assert [gate.tick() for _ in range(2)] == [True, False]


def test_a_check_made_red_and_green_again_does_not_train_the_same_twice(gate: Gate) -> None:
    gate.checked(PILE, False)
    assert not gate.tick()
    gate.checked(PILE, True)
    assert [gate.tick() for _ in range(2)] == [False] * 2


def test_a_pile_behind_its_inputs_is_not_trained_on(gate: Gate) -> None:
    gate.made(PACKED, "packed 2")
    gate.made(CLEAN, "a2", "a")
    assert [gate.tick() for _ in range(2)] == [False] * 2
    gate.packed("3")
    assert [gate.tick() for _ in range(2)] == [True, False]


def test_sequences_behind_the_pile_are_not_trained_on(gate: Gate) -> None:
    gate.made(PILE, "pile 2", passed=None)
    gate.made(PACKED, "packed 2")
    assert not gate.tick()
    gate.made(PILE, "pile 3")
    assert [gate.tick() for _ in range(2)] == [False] * 2
    gate.made(PACKED, "packed 3")
    assert [gate.tick() for _ in range(2)] == [True, False]


def test_a_shard_behind_its_source_is_not_trained_on(gate: Gate) -> None:
    gate.packed("2")
    gate.observed("2", "b")
    assert [gate.tick() for _ in range(2)] == [False] * 2
    gate.made(CLEAN, "b2", "b")
    assert not gate.tick()  # now the pile is behind
    gate.packed("3")
    assert [gate.tick() for _ in range(2)] == [True, False]


def test_a_source_that_changed_nothing_in_the_end_gives_training_free(gate: Gate) -> None:
    gate.packed("2")
    gate.observed("2", "b")
    assert not gate.tick()
    gate.made(CLEAN, "b1", "b")  # the same bytes: nothing after it is made again
    assert [gate.tick() for _ in range(2)] == [True, False]


@pytest.mark.parametrize("state", [FreshnessState.FAIL, FreshnessState.UNKNOWN])
def test_a_stale_pile_is_not_trained_on(gate: Gate, state: FreshnessState) -> None:
    gate.fresh(state)
    gate.packed("2")
    assert [gate.tick() for _ in range(2)] == [False] * 2
    gate.fresh()
    assert [gate.tick() for _ in range(2)] == [True, False]


def test_training_that_is_under_way_is_not_requested_again_until_it_ends(gate: Gate) -> None:
    gate.packed("2")
    assert gate.tick()
    run = gate.start(CHECKPOINT)
    assert not gate.tick()
    gate.packed("3")
    assert [gate.tick() for _ in range(3)] == [False] * 3
    gate.finish(run, "model 2")
    assert [gate.tick() for _ in range(2)] == [True, False]


@pytest.mark.parametrize(("key", "shard"), [(CLEAN, "a"), (PILE, None), (PACKED, None)])
def test_training_waits_for_what_is_under_way_above(gate: Gate, key: dg.AssetKey, shard: str | None) -> None:
    gate.packed("2")
    run = gate.start(key, shard)
    assert [gate.tick() for _ in range(2)] == [False] * 2
    gate.finish(run)
    gate.made(key, {CLEAN: "a1", PILE: "pile 2", PACKED: "packed 2"}[key], shard)
    assert [gate.tick() for _ in range(2)] == [True, False]


def test_an_update_in_the_tick_of_the_request_is_not_lost(gate: Gate) -> None:
    gate.packed("2")
    assert gate.tick()
    gate.packed("3")  # before the next tick learns that it requested
    run = gate.start(CHECKPOINT)
    assert not gate.tick()
    gate.finish(run, "model 2")
    assert [gate.tick() for _ in range(2)] == [True, False]


def test_an_update_in_the_tick_in_which_training_ends_is_not_lost(gate: Gate) -> None:
    gate.packed("2")
    assert gate.tick()
    run = gate.start(CHECKPOINT)
    assert not gate.tick()
    gate.packed("3")
    gate.finish(run, "model 2")
    assert [gate.tick() for _ in range(2)] == [True, False]


def test_failed_training_is_not_tried_again_by_itself(gate: Gate) -> None:
    gate.packed("2")
    assert gate.tick()
    gate.finish(gate.start(CHECKPOINT))
    assert [gate.tick() for _ in range(3)] == [False] * 3
    gate.packed("3")
    assert [gate.tick() for _ in range(2)] == [True, False]


def test_training_that_was_withheld_is_requested_again_once_something_above_was_made(gate: Gate) -> None:
    gate.packed("2")
    assert gate.tick()
    gate.finish(gate.start(CHECKPOINT))  # the asset found a source changed that nobody had observed
    assert [gate.tick() for _ in range(2)] == [False] * 2
    gate.observed("2", "a")
    assert not gate.tick()
    gate.made(CLEAN, "a1", "a")  # the change made no difference, so no data version says that it is over
    assert [gate.tick() for _ in range(2)] == [True, False]


def test_nothing_is_requested_before_there_is_a_pile() -> None:
    gate = Gate()
    with gate.instance:
        gate.instance.add_dynamic_partitions("shards", ["a"])
        assert [gate.tick() for _ in range(2)] == [False] * 2
        gate.made(CLEAN, "a1", "a")
        assert not gate.tick()
        gate.fresh()
        gate.packed("1")
        assert [gate.tick() for _ in range(2)] == [True, False]


def test_a_pile_that_was_there_before_the_condition_is_trained_on() -> None:
    gate = Gate()
    with gate.instance:
        gate.instance.add_dynamic_partitions("shards", ["a"])
        gate.made(CLEAN, "a1", "a")
        gate.fresh()
        gate.packed("1")
        assert [gate.tick() for _ in range(3)] == [True, False, False]
