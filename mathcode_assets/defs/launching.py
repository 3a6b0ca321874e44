"""Training jobs from inside an asset: who runs them, and what Dagster shows of them while they run.

    settings:
      training: {launcher: ray, ray_address: "http://head:8265", runs: /shared/runs, job: {preset: llama-3-8b}}

Metrics come on two ways, whichever is first: as Pipes messages of the worker's rank 0, and from
metrics.jsonl in the run's folder. The second one needs no live connection and knows the steps made before
this process started; a job of days loses neither its curve nor itself with one broken connection.
"""

from __future__ import annotations

import importlib.util
import shutil
import statistics
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dagster as dg

from mathcode_assets.config import SourcesFileError
from mathcode_assets.defs.live_metrics import LiveMetrics, MetricsReader, current_context, log_of
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.training.launchers import (
    Launcher,
    LocalLauncher,
    RayLauncher,
    TrainingCancelled,
    TrainingFailed,
    TrainingResult,
    finished,
)
from mathcode_assets.training.plan import DEFAULT_GPU, GPUS
from mathcode_assets.training.run_folder import RunFolder, checkpoint_steps, read_metrics
from mathcode_assets.training.spec import JobSpec

SECTION = "training"
RUNS_FOLDER = ".training"
LOCAL, RAY = "local", "ray"
FROM_FILE, FROM_JOB_LOG, FROM_S3 = "file", "job_log", "s3://"
NEEDED = ("torch", "transformers", "deepspeed")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """Section `training` of the settings.

    launcher: `local` (torchrun on this machine) or `ray` (a job of a Ray cluster, for GPU workers); empty: ray
        where the job asks for GPUs, else local.
    ray_address: of the cluster's dashboard.
    runs: folder for the run folders, with checkpoints and optimizer states, on a disk that all workers share;
        empty: `.training` in the lake, which must then be local.
    python: interpreter of the workers; empty: this one, with ray the one that the cluster runs jobs with.
    messages: how Pipes messages come back: `file` (in the run folder), `job_log` (Ray's log of the job, which then
        stands in Dagster's too), or `s3://bucket`; empty: job_log with Ray on one node, else file.
    gpu: the kind that the dry run plans with.
    job: the job specification without `data`, `output`, `corpus_fingerprint` and `lineage`, which the graph fills in.
    """

    launcher: str = ""
    ray_address: str = "http://127.0.0.1:8265"
    runs: str = ""
    python: str = ""
    messages: str = ""
    gpu: str = DEFAULT_GPU
    job: Mapping[str, Any] = field(default_factory=lambda: {"preset": "tiny"})

    def __post_init__(self) -> None:
        if self.launcher not in ("", LOCAL, RAY):
            raise ValueError(f"launcher: wants {LOCAL} or {RAY}, got {self.launcher!r}")
        if self.messages not in ("", FROM_FILE, FROM_JOB_LOG) and not self.messages.startswith(FROM_S3):
            raise ValueError(f"messages: wants {FROM_FILE}, {FROM_JOB_LOG} or s3://bucket, got {self.messages!r}")
        if self.gpu not in GPUS:
            raise ValueError(f"gpu: {self.gpu!r} is not one of {', '.join(GPUS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A run that has succeeded, and what holds of this launch of it only.

    n_made: steps made by this launch; 0 where the run had been finished before.
    """

    result: TrainingResult
    metrics: list[dict[str, Any]]
    n_made: int
    launcher: str

    def run_facts(self) -> dict[str, Any]:
        """For Dagster's metadata: what the same inputs need not give again."""
        made = self.metrics[len(self.metrics) - self.n_made :]
        return {
            "launcher": self.launcher,
            "run_folder": str(self.result.folder),
            "steps_made_now": self.n_made,
            "world_size": self.result.result["world_size"],
            "training_seconds": round(self.result.result["seconds"], 1),
            "tokens_per_s": round(statistics.median(line["tokens_per_s"] for line in made or self.metrics), 1),
        }


def is_asked_for(workspace: Workspace) -> bool:
    """Whether the sources file names a training; without one, a graph ends at the packed pile."""
    return SECTION in workspace.sources.settings


def missing_packages(workspace: Workspace) -> list[str]:
    """What this interpreter lacks to train and to score as the settings say; nothing where others do it."""
    settings = workspace.settings(SECTION, TrainingSettings)
    needed = () if settings.python or settings.launcher == RAY else (*NEEDED, "lm_eval")
    return [name for name in needed if importlib.util.find_spec(name) is None]


def runs_folder(workspace: Workspace, settings: TrainingSettings) -> Path:
    """Where the run folders are.

    Raises:
        SourcesFileError: the lake is on an object store, and the settings name no folder.
    """
    if settings.runs:
        return sources_folder(workspace) / Path(settings.runs).expanduser()
    if workspace.lake.root.is_local:
        return Path(workspace.lake.root.path) / RUNS_FOLDER
    raise SourcesFileError(
        f"{where(workspace)}.runs: is needed where the lake is on an object store: a folder on a disk that this "
        "machine and all workers share"
    )


def sources_folder(workspace: Workspace) -> Path:
    """What relative paths of the sources file are relative to."""
    return Path(workspace.sources.name).absolute().parent


def where(workspace: Workspace) -> str:
    """The section as errors name it."""
    return f"{workspace.sources.name}: settings.{SECTION}"


def launcher_kind(settings: TrainingSettings, *, gpus_per_process: int) -> str:
    """Who runs a job: as told, else Ray where it asks for GPUs."""
    return settings.launcher or (RAY if gpus_per_process else LOCAL)


def train(workspace: Workspace, settings: TrainingSettings, spec: JobSpec, *, n_steps: int) -> Trained:
    """Run the job where the settings say, or find that its folder holds the finished run.

    Args:
        workspace: for the names in errors.
        settings: who runs it.
        spec: the job, complete.
        n_steps: that it will make.

    Raises:
        SourcesFileError: the settings cannot be used on this machine.
        dagster.Failure: the training failed; the description is the worker's error on one line.
    """
    context = current_context()
    folder = RunFolder(Path(spec.output))
    kind = launcher_kind(settings, gpus_per_process=spec.resources.gpus_per_process)
    result = finished(spec, folder)
    before = len(read_metrics(folder)) if result is not None else _steps_kept(folder)
    if result is not None:
        log_of(context).info(f"{folder.root}: this corpus and this configuration are trained, nothing is submitted")
    else:
        live = LiveMetrics(context, n_steps=n_steps)
        try:
            with _launcher(workspace, settings, spec, kind, context, live) as launcher:
                result = launcher.launch(spec, live.add)
        except TrainingFailed as error:
            log_of(context).error(f"the end of the worker's output:\n{error.log}")
            metadata = {"run_folder": str(folder.root), "log": dg.MetadataValue.md(f"```\n{error.log}\n```")}
            raise dg.Failure(error.reason, metadata=metadata) from None
        except TrainingCancelled as error:
            raise dg.Failure(f"somebody stopped the job: {error}") from None
    metrics = read_metrics(folder)
    return Trained(result=result, metrics=metrics, n_made=len(metrics) - before, launcher=kind)


@contextmanager
def _launcher(
    workspace: Workspace,
    settings: TrainingSettings,
    spec: JobSpec,
    kind: str,
    context: dg.AssetExecutionContext | None,
    live: LiveMetrics,
) -> Iterator[Launcher]:
    """The launcher inside a Pipes session; without Dagster there is none."""
    python = _checked_python(workspace, settings, kind)
    if context is None:
        yield (
            RayLauncher(settings.ray_address, python=python)
            if kind == RAY
            else LocalLauncher(python=python or sys.executable)
        )
        return
    reader = MetricsReader(_message_reader(workspace, settings, spec, kind, context), live)
    with dg.open_pipes_session(
        context=context, context_injector=dg.PipesEnvContextInjector(), message_reader=reader
    ) as session:
        environment = session.get_bootstrap_env_vars()

        def on_submitted(job: str) -> None:
            context.log.info(f"job {job} of the Ray cluster at {settings.ray_address}")
            session.report_launched({"extras": {"ray_job_id": job, "ray_address": settings.ray_address}})

        if kind == RAY:
            yield RayLauncher(settings.ray_address, environment, python=python, on_submitted=on_submitted)
        else:
            yield LocalLauncher(environment, python=python or sys.executable)


def _message_reader(
    workspace: Workspace, settings: TrainingSettings, spec: JobSpec, kind: str, context: dg.AssetExecutionContext
) -> dg.PipesMessageReader:
    """How Pipes messages come back.

    Raises:
        SourcesFileError: the way needs another launcher, one node, or a package that is not installed.
    """
    # With several nodes Ray puts the worker's name before each line, so that no message can be read from the log.
    in_log = kind == RAY and spec.resources.nodes == 1
    way = settings.messages or (FROM_JOB_LOG if in_log else FROM_FILE)
    if way == FROM_FILE:
        folder = Path(spec.output)
        folder.mkdir(parents=True, exist_ok=True)
        return dg.PipesFileMessageReader(str(folder / f"messages-{context.run.run_id}.jsonl"))
    package = "dagster_ray" if way == FROM_JOB_LOG else "dagster_aws"
    if importlib.util.find_spec(package) is None:
        raise SourcesFileError(f"{where(workspace)}.messages: {way} needs the package {package.replace('_', '-')}")
    if way == FROM_JOB_LOG:
        if not in_log:
            raise SourcesFileError(f"{where(workspace)}.messages: {way} is for the ray launcher on one node")
        from dagster_ray.core.pipes import PipesRayJobMessageReader

        return PipesRayJobMessageReader()
    import boto3
    from dagster_aws.pipes import PipesS3MessageReader

    return PipesS3MessageReader(bucket=urlsplit(way).netloc, client=boto3.client("s3"))


def _checked_python(workspace: Workspace, settings: TrainingSettings, kind: str) -> str | None:
    """The workers' interpreter; None: the one that the cluster runs jobs with.

    Raises:
        SourcesFileError: it is not there, or this one lacks what is needed.
    """
    if kind == RAY:
        if importlib.util.find_spec("ray") is None:
            raise SourcesFileError(f"{where(workspace)}.launcher: needs ray: pip install 'mathcode-assets[ray]'")
        return settings.python or None
    if settings.python and shutil.which(settings.python) is None:
        raise SourcesFileError(f"{where(workspace)}.python: {settings.python!r} is no interpreter on this machine")
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if not settings.python and missing:
        raise SourcesFileError(
            f"{where(workspace)}.python: this interpreter lacks {', '.join(missing)}: "
            "pip install 'mathcode-assets[train]', or name one that has them"
        )
    return settings.python or sys.executable


def _steps_kept(folder: RunFolder) -> int:
    """Steps of the newest checkpoint: what a start goes on from."""
    return max(checkpoint_steps(folder), default=0)
