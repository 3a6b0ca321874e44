"""The sensor that evaluates the conditions of all assets; where nothing happened, it only looks whether anything did.

Evaluating their thousands of nodes takes two seconds and more, spent on finding again what was found half a minute
before. What the conditions go by changes with an event in Dagster's log (a table made, a check passed, a
run begun or ended, freshness lost) or with a backfill's state.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus

# Evaluations of the same state that asked for nothing, after which it is left alone. The second one, a tick later, sees
# what depends on the evaluation before, and events that were written with a smaller number than the newest one's.
N_EVALUATIONS = 2
_UNDER_WAY = [BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING, BulkActionStatus.FAILING]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What an evaluation found: the newest event and the backfills under way before it, and the cursor it returned."""

    state: tuple[int | None, tuple[str, ...]]
    cursor: str | None
    n_evaluations: int
    at: float


class ConditionsSensor(dg.AutomationConditionSensorDefinition):
    """Evaluates in the code location, where it remembers what it saw; a location that is loaded again evaluates.

    Args:
        name: of the sensor.
        evaluate_anyway_s: seconds after which it evaluates also where nothing happened: for what leaves no event, as a
            partition that somebody adds or a run that somebody deletes in the UI.
        options: of `AutomationConditionSensorDefinition`.
    """

    def __init__(self, name: str, *, evaluate_anyway_s: float, **options: Any) -> None:
        super().__init__(name, use_user_code_server=True, **options)
        self._evaluate_anyway_s = evaluate_anyway_s
        self._seen: _Seen | None = None

    def evaluate_tick(self, context: dg.SensorEvaluationContext) -> SensorExecutionData:
        """Skip where nothing happened since evaluations that asked for nothing; else evaluate."""
        instance, seen, now = context.instance, self._seen, time.monotonic()
        # Before the evaluation: what happens during it is seen by the next one.
        backfills = instance.get_backfills(filters=BulkActionsFilter(statuses=_UNDER_WAY))
        newest = instance.event_log_storage.get_maximum_record_id()
        state = (newest, tuple(sorted(backfill.backfill_id for backfill in backfills)))
        # Another cursor than ours: what we returned was not kept, or somebody else evaluated.
        is_known = seen is not None and seen.state == state and seen.cursor == context.cursor
        if is_known and seen.n_evaluations >= N_EVALUATIONS and now - seen.at < self._evaluate_anyway_s:
            return SensorExecutionData(skip_message=f"nothing happened since event {newest}", cursor=context.cursor)
        found = super().evaluate_tick(context)
        n_evaluations = 0 if found.run_requests else seen.n_evaluations + 1 if is_known else 1
        self._seen = _Seen(state=state, cursor=found.cursor, n_evaluations=n_evaluations, at=now)
        return found
