"""Jobs and schedules: observing the sources, training and promoting models when a person asks."""

from __future__ import annotations

from typing import Any

import dagster as dg

from mathcode_assets.config import SOURCE_KEYS
from mathcode_assets.defs.assets.models import MODELS

OBSERVE_JOB = "observe_sources"

_observe = dg.define_asset_job(
    OBSERVE_JOB,
    selection=dg.AssetSelection.assets(*(f"source/{key}" for key in (*SOURCE_KEYS, "benchmarks"))),
    description="Lists every source, adds and removes partitions, and records what changed.",
)


def _promotion(name: str) -> Any:
    return dg.define_asset_job(
        f"train_and_promote_{name}",
        selection=dg.AssetSelection.assets(f"models/{name}", f"promoted/{name}"),
        description=f"Trains the {name} and puts it to use; what was scored by the one before is made again.",
    )


JOBS = [_observe, *(_promotion(model.key.split("/", 1)[1]) for model in MODELS)]

SCHEDULES = [
    dg.ScheduleDefinition(
        name="observe_sources_hourly",
        job=_observe,
        cron_schedule="17 * * * *",
        description="Data versions do the rest: only what a changed file touches is made again.",
    )
]
