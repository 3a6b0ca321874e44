"""Events of runs that never ran, for tests of what reads Dagster's record.

Each comes from a run of its own, as in production. What `report_runless_asset_event` reports shares one empty
run id: a check then never grows old, and a second result of it is refused.
"""

from __future__ import annotations

import time
import uuid
from typing import Any, NamedTuple

import dagster as dg
from dagster import DagsterEvent, DagsterEventType
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluation,
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.events import StepMaterializationData

CHECK = "holds"


class Made(NamedTuple):
    """A materialization: where it is stored, and of which run."""

    storage_id: int
    run_id: str


def report(instance: dg.DagsterInstance, event_type: DagsterEventType, data: Any, run_id: str) -> int:
    """Store an event; its storage id."""
    instance.report_dagster_event(DagsterEvent(event_type.value, "job", event_specific_data=data), run_id)
    return instance.event_log_storage.get_maximum_record_id() or 0


def report_made(
    instance: dg.DagsterInstance, key: dg.AssetKey, version: str, partition: str | None = None, run_id: str = ""
) -> Made:
    """A partition was made, in this data version."""
    made = dg.AssetMaterialization(asset_key=key, partition=partition, tags={"dagster/data_version": version})
    run_id = run_id or str(uuid.uuid4())
    return Made(report(instance, DagsterEventType.ASSET_MATERIALIZATION, StepMaterializationData(made), run_id), run_id)


def report_checked(
    instance: dg.DagsterInstance, key: dg.AssetKey, name: str, made: Made, *, passed: bool, partition: str | None = None
) -> None:
    """A blocking check of what was made had this result."""
    target = AssetCheckEvaluationTargetMaterializationData(
        storage_id=made.storage_id, run_id=made.run_id, timestamp=time.time()
    )
    found = AssetCheckEvaluation(
        asset_key=key,
        check_name=name,
        passed=passed,
        metadata={},
        target_materialization_data=target,
        blocking=True,
        partition=partition,
    )
    report(instance, DagsterEventType.ASSET_CHECK_EVALUATION, found, str(uuid.uuid4()))


def report_freshness(instance: dg.DagsterInstance, key: dg.AssetKey, state: FreshnessState) -> None:
    """What Dagster's freshness daemon found."""
    change = FreshnessStateChange(
        key=key, new_state=state, previous_state=FreshnessState.UNKNOWN, state_change_timestamp=time.time()
    )
    instance._report_runless_asset_event(change)


def reported_asset(
    key: dg.AssetKey, deps: list[dg.AssetKey], *, checked: bool = False, **options: Any
) -> dg.AssetsDefinition:
    """An asset that never runs, with a blocking check if `checked`; what is made of it is reported."""
    partitions = options.get("partitions_def")
    specs = [dg.AssetCheckSpec(CHECK, asset=key, blocking=True, partitions_def=partitions)] if checked else []

    @dg.asset(key=key, deps=deps, check_specs=specs, **options)
    def body():  # type: ignore[no-untyped-def]  # a check among the outputs wants a tuple there
        raise AssertionError("nothing runs here: events are reported")

    return body
