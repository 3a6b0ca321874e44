"""The sensor of the conditions evaluates when something happened, and only looks where nothing did."""

from __future__ import annotations

import time

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from mathcode_assets.defs.automation import BUILD_WHEN_CHANGED
from mathcode_assets.defs.conditions_sensor import ConditionsSensor
from mathcode_assets_tests.defs.reported import report_made, reported_asset

INPUT, TABLE = dg.AssetKey("made_of"), dg.AssetKey("table")
NOTHING = "nothing happened"


class Ticks:
    """Ticks of a daemon that keeps what the sensor returns."""

    def __init__(self, instance: dg.DagsterInstance, evaluate_anyway_s: float = 1e9) -> None:
        self.instance = instance
        self.sensor = ConditionsSensor(
            "conditions", evaluate_anyway_s=evaluate_anyway_s, target=dg.AssetSelection.all(), emit_backfills=False
        )
        table = reported_asset(TABLE, [INPUT], automation_condition=BUILD_WHEN_CHANGED)
        self.definitions = dg.Definitions(assets=[reported_asset(INPUT, []), table], sensors=[self.sensor])
        self.cursor: str | None = None

    def tick(self) -> SensorExecutionData:
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, repository_def=self.definitions.get_repository_def()
        )
        found = self.sensor.evaluate_tick(context)
        self.cursor = found.cursor
        return found

    def evaluates(self) -> bool:
        return not (self.tick().skip_message or "").startswith(NOTHING)

    def until_idle(self) -> None:
        for _ in range(5):
            if not self.evaluates():
                return
        raise AssertionError("still evaluates")


@pytest.fixture
def ticks() -> Ticks:
    return Ticks(dg.DagsterInstance.ephemeral())


def test_after_two_evaluations_that_asked_for_nothing_it_only_looks(ticks: Ticks) -> None:
    assert [ticks.evaluates() for _ in range(5)] == [True, True, False, False, False]


def test_what_happened_is_evaluated_and_asked_for(ticks: Ticks) -> None:
    ticks.until_idle()
    report_made(ticks.instance, INPUT, "1")
    (request,) = ticks.tick().run_requests or []
    assert request.asset_selection == [TABLE]
    # The tick after a request sees what depends on it; then twice as before.
    assert [ticks.evaluates() for _ in range(4)] == [True, True, False, False]
    report_made(ticks.instance, TABLE, "1")
    assert [ticks.evaluates() for _ in range(4)] == [True, True, False, False]
    report_made(ticks.instance, INPUT, "2")
    assert [request.asset_selection for request in ticks.tick().run_requests or []] == [[TABLE]]


def test_what_happened_while_it_evaluated_is_not_missed(ticks: Ticks, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks.until_idle()
    evaluate = dg.AutomationConditionSensorDefinition.evaluate_tick

    def and_then_it_happens(self: dg.SensorDefinition, context: dg.SensorEvaluationContext) -> SensorExecutionData:
        found = evaluate(self, context)
        report_made(ticks.instance, INPUT, "1")
        return found

    monkeypatch.setattr(ConditionsSensor.__base__, "evaluate_tick", and_then_it_happens)
    report_made(ticks.instance, TABLE, "0")
    ticks.tick()
    monkeypatch.undo()
    assert ticks.evaluates()


def test_it_evaluates_where_its_last_evaluation_was_not_kept(ticks: Ticks) -> None:
    ticks.tick()
    kept = ticks.cursor
    ticks.until_idle()
    ticks.cursor = kept  # as after a daemon that died before it could note the rest
    assert ticks.evaluates()


def test_a_code_location_that_is_loaded_again_evaluates(ticks: Ticks) -> None:
    ticks.until_idle()
    again = Ticks(ticks.instance)
    again.cursor = ticks.cursor
    assert again.evaluates()


def test_a_backfill_that_begins_or_ends_is_something_that_happened(ticks: Ticks) -> None:
    ticks.until_idle()
    backfill = PartitionBackfill(
        backfill_id="b", status=BulkActionStatus.REQUESTED, from_failure=False, tags={}, backfill_timestamp=time.time(),
        asset_selection=[TABLE],
    )  # fmt: skip
    ticks.instance.add_backfill(backfill)
    assert ticks.evaluates()
    ticks.until_idle()
    ticks.instance.update_backfill(backfill.with_status(BulkActionStatus.COMPLETED_SUCCESS))
    assert ticks.evaluates()


def test_it_evaluates_anyway_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = Ticks(dg.DagsterInstance.ephemeral(), evaluate_anyway_s=600)
    now = 1000.0
    monkeypatch.setattr("mathcode_assets.defs.conditions_sensor.time.monotonic", lambda: now)
    ticks.until_idle()
    now += 599
    assert not ticks.evaluates()
    now += 1
    assert [ticks.evaluates(), ticks.evaluates()] == [True, False]
