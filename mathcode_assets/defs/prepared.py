"""One job executed many times on selections of its assets, each selection prepared once.

`JobDefinition.execute_in_process` resolves the selection against the whole graph and writes down what it got, twice
for each run: a fifth of a second where a partition's work may take less. Here both are kept for each selection; the
run, its steps and its events are those that Dagster makes itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.execute_in_process import core_execute_in_process, merge_run_tags

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class PreparedJob:
    """An asset job in process.

    Args:
        job: of all assets.
        instance: Dagster's record of events.
    """

    def __init__(self, job: dg.JobDefinition, instance: dg.DagsterInstance) -> None:
        self._job = job
        self._instance = instance
        self._prepared: dict[tuple[dg.AssetKey, ...], dg.JobDefinition] = {}

    def execute(
        self,
        assets: Sequence[dg.AssetKey],
        *,
        partition_key: str | None,
        tags: Mapping[str, str] | None = None,
        run_id: str | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Materialize assets in one run; what a step raises is in the result."""
        selection = tuple(assets)
        if selection not in self._prepared:
            self._prepared[selection] = self._prepare(selection)
        return core_execute_in_process(
            job=InMemoryJob(self._prepared[selection]),
            run_config=QUIET,
            instance=self._instance,
            output_capturing_enabled=True,
            raise_on_error=False,
            run_tags=merge_run_tags(
                job_def=self._job,
                partition_key=partition_key,
                tags=tags,
                asset_selection=selection,
                instance=self._instance,
                run_config=QUIET,
            ),
            run_id=run_id,
            asset_selection=frozenset(selection),
        )

    def _prepare(self, selection: tuple[dg.AssetKey, ...]) -> dg.JobDefinition:
        prepared = self._job.as_ephemeral_job(resource_defs={}, input_values={}, asset_selection=selection)
        # Before it writes down a run, Dagster asks the job for the selection once more, and writes down that one.
        written = prepared.get_subset(asset_selection=frozenset(selection))
        prepared.get_subset = partial(_answer, written)  # type: ignore[method-assign]
        return prepared


def _answer(job: dg.JobDefinition, **selection: Any) -> dg.JobDefinition:
    return job
