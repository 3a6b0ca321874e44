"""Jobs and schedules: observing the sources, training and promoting models when a person asks."""

from __future__ import annotations

from typing import Any

import dagster as dg

from mathcode_assets.config import SOURCE_KEYS
from mathcode_assets.defs.assets.models import MODELS

OBSERVED = (*SOURCE_KEYS, "benchmarks", "listing", "ablation")


def observe_job_name(source: str) -> str:
    """Name of the job that observes a source."""
    return f"observe_{source}"


# One job a source: a job's assets must share their partitions.
_OBSERVE = {
    source: dg.define_asset_job(
        observe_job_name(source),
        selection=dg.AssetSelection.assets(f"source/{source}"),
        description=f"Lists {source}, adds and removes partitions, and records what changed.",
    )
    for source in OBSERVED
}


def _promotion(name: str) -> Any:
    return dg.define_asset_job(
        f"train_and_promote_{name}",
        selection=dg.AssetSelection.assets(f"models/{name}", f"promoted/{name}"),
        description=f"Trains the {name} and puts it to use; what was scored by the one before is made again.",
    )


# One job for each of its partitions: compositions, runs, none.
_ABLATION = [
    dg.define_asset_job(
        "ablation_corpora",
        selection=dg.AssetSelection.assets("ablation/packed"),
        description="Packs each composition of the ablation; launch it for all partitions.",
    ),
    dg.define_asset_job(
        "ablate",
        selection=dg.AssetSelection.assets("ablation/runs"),
        description="Trains and evaluates the proxy for each run of the ablation; launch it for all partitions.",
    ),
    dg.define_asset_job(
        "ablation_table",
        selection=dg.AssetSelection.assets("ablation/table"),
        description="Sets the runs of the ablation side by side.",
    ),
]

JOBS = [*_OBSERVE.values(), *_ABLATION, *(_promotion(model.key.split("/", 1)[1]) for model in MODELS)]

SCHEDULES = [
    dg.ScheduleDefinition(
        name=f"observe_{source}_hourly",
        job=job,
        cron_schedule="17 * * * *",
        description="Data versions do the rest: only what a changed file touches is made again.",
    )
    for source, job in _OBSERVE.items()
    if source != "ablation"  # its partitions come from the settings
]
