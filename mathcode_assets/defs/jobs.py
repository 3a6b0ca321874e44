"""Jobs and schedules: observing the sources, training and promoting models when a person asks."""

# No postponed annotations: Dagster reads the type of the resource.

import dagster as dg

from mathcode_assets.config import SOURCE_KEYS
from mathcode_assets.defs.assets.models import MODELS
from mathcode_assets.defs.resources import WorkspaceResource
from mathcode_assets.defs.table_assets import LakeAsset
from mathcode_assets.defs.workspace import Workspace

OBSERVED = (*SOURCE_KEYS, "benchmarks", "listing", "ablation")


def observe_job_name(source: str) -> str:
    """Name of the job that observes a source."""
    return f"observe_{source}"


# One job a source: a job's assets must share their partitions.
OBSERVE_JOBS = {
    source: dg.define_asset_job(
        observe_job_name(source),
        selection=dg.AssetSelection.assets(f"source/{source}"),
        description=f"Lists {source}, adds and removes partitions, and records what changed.",
    )
    for source in OBSERVED
}


_NAMES = {model.key.split("/", 1)[1]: model for model in MODELS}
_TRAIN = {
    name: dg.define_asset_job(
        f"train_{name}",
        selection=dg.AssetSelection.assets(f"models/{name}"),
        description=f"Trains a candidate for the {name} on what is there now; nothing is put to use.",
    )
    for name in _NAMES
}
_PROMOTE = {
    name: dg.define_asset_job(
        f"promote_{name}",
        selection=dg.AssetSelection.assets(f"promoted/{name}"),
        description=f"Puts the candidate for the {name} to use; what was scored by the one before is made again.",
    )
    for name in _NAMES
}
_TRAIN_AND_PROMOTE = [
    dg.define_asset_job(
        f"train_and_promote_{name}",
        selection=dg.AssetSelection.assets(f"models/{name}", f"promoted/{name}"),
        description=f"Trains the {name} and puts it to use; what was scored by the one before is made again.",
    )
    for name in _NAMES
]


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

JOBS = [*OBSERVE_JOBS.values(), *_ABLATION, *_TRAIN.values(), *_PROMOTE.values(), *_TRAIN_AND_PROMOTE]


def why_not_promote(workspace: Workspace, model: LakeAsset) -> str:
    """Why the candidate of a model should not be put to use without a person; empty if it may be."""
    candidate = workspace.lake.table(model.key)
    manifest = candidate.find_manifest()
    if manifest is None:
        return f"{model.key}: no candidate was trained"
    in_use = workspace.lake.table(f"promoted/{model.key.split('/', 1)[1]}").find_manifest()
    if in_use is not None and in_use.recipe.inputs.get(model.key) == manifest.data_version:
        return f"{model.key}: the candidate is in use"
    for check in model.checks:
        outcome = check.evaluate(workspace, candidate, manifest)
        if not outcome.passed:
            return f"{model.key}: {check.name}: {outcome.description}"
    return ""


def _monthly_promotion(name: str, model: LakeAsset) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"promote_{name}_monthly",
        job=_PROMOTE[name],
        cron_schedule=PROMOTE_CRON,
        description="Puts the candidate to use, a week after it was trained, unless it is in use or one of its checks "
        "is red.",
    )
    def promote(context: dg.ScheduleEvaluationContext, workspace: WorkspaceResource) -> dg.RunRequest | dg.SkipReason:
        reason = why_not_promote(workspace.open(), model)
        return dg.SkipReason(reason) if reason else dg.RunRequest()

    return promote


# All are off until somebody turns them on. Candidates stand a week before they are put to use, to be looked at.
OBSERVE_CRON = "17 * * * *"
TRAIN_CRON, PROMOTE_CRON = "23 2 1 * *", "23 2 8 * *"

SCHEDULES: list[dg.ScheduleDefinition] = [
    *(
        dg.ScheduleDefinition(
            name=f"observe_{source}_hourly",
            job=job,
            cron_schedule=OBSERVE_CRON,
            description="Data versions do the rest: only what a changed file touches is made again. The sensors look "
            "oftener; this is for a source that takes longer to list than a sensor may.",
        )
        for source, job in OBSERVE_JOBS.items()
        if source != "ablation"  # its partitions come from the settings
    ),
    *(
        dg.ScheduleDefinition(
            name=f"train_{name}_monthly",
            job=job,
            cron_schedule=TRAIN_CRON,
            description="A candidate of the same documents is the same bytes, and nothing follows from it.",
        )
        for name, job in _TRAIN.items()
    ),
    *(_monthly_promotion(name, model) for name, model in _NAMES.items()),
]
