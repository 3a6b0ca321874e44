"""One job executed many times on selections of its assets, each selection prepared once."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class PreparedJob:
    """An asset job in process.

    Args:
        job: of all assets.
        instance: Dagster's record of events.
    """

    def __init__(self, job: dg.JobDefinition, instance: dg.DagsterInstance) -> None:
        self._job = job
        self._instance = instance

    def execute(
        self, assets: Sequence[dg.AssetKey], *, partition_key: str | None, run_id: str | None
    ) -> dg.ExecuteInProcessResult:
        """Materialize assets in one run; what a step raises is in the result."""
        return self._job.execute_in_process(
            instance=self._instance,
            partition_key=partition_key,
            asset_selection=list(assets),
            run_config=_QUIET,
            raise_on_error=False,
            run_id=run_id,
        )
