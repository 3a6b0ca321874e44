"""Training jobs from inside an asset: who runs them, and what Dagster shows of them while they run.

    settings:
      training: {launcher: ray, ray_address: "http://head:8265", runs: /shared/runs, job: {preset: llama-3-8b}}

Metrics come on two ways, whichever is first: as Pipes messages of the worker's rank 0, and from
metrics.jsonl in the run's folder. The second one needs no live connection and knows the steps made before
this process started; a job of days loses neither its curve nor itself with one broken connection.
"""

from __future__ import annotations

import importlib.util
import logging
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dagster as dg

from mathcode_assets.config import SourcesFileError
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
from mathcode_assets.training.plan import DEFAULT_GPU, GPUS, Plan
from mathcode_assets.training.run_folder import RunFolder, checkpoint_steps, read_metrics
from mathcode_assets.training.spec import JobSpec

SECTION = "training"
RUNS_FOLDER = ".training"
LOCAL, RAY = "local", "ray"
FROM_FILE, FROM_JOB_LOG, FROM_S3 = "file", "job_log", "s3://"
NEEDED = ("torch", "transformers", "deepspeed")
# An observation is an event in Dagster's storage: at most one in so many seconds, and some so many in a run.
SHOW_EVERY_S = 10.0
SHOWN_STEPS = 1000


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


def current_context() -> dg.AssetExecutionContext | None:
    """The context of the Dagster step that is running; None where a build is called without Dagster."""
    try:
        return dg.AssetExecutionContext.get()
    except dg.DagsterInvariantViolationError:
        return None


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
        _log(context).info(f"{folder.root}: this corpus and this configuration are trained, nothing is submitted")
    else:
        live = LiveMetrics(context, n_steps=n_steps)
        try:
            with _launcher(workspace, settings, spec, kind, context, live) as launcher:
                result = launcher.launch(spec, live.add)
        except TrainingFailed as error:
            _log(context).error(f"the end of the worker's output:\n{error.log}")
            metadata = {"run_folder": str(folder.root), "log": dg.MetadataValue.md(f"```\n{error.log}\n```")}
            raise dg.Failure(error.reason, metadata=metadata) from None
        except TrainingCancelled as error:
            raise dg.Failure(f"somebody stopped the job: {error}") from None
    metrics = read_metrics(folder)
    return Trained(result=result, metrics=metrics, n_made=len(metrics) - before, launcher=kind)


def plan_facts(plan: Plan, gpu: str) -> dict[str, Any]:
    """The figures of a dry run under the names they have in the UI."""
    memory = plan.memory[plan.zero_stage]
    return {
        "planned_steps": plan.steps,
        "planned_tokens": plan.tokens,
        "planned_epochs": round(plan.epochs, 3),
        "parameters": plan.n_parameters,
        "planned_gpu": gpu,
        "planned_gpu_hours": float(f"{plan.gpu_hours:.4g}"),
        "planned_gb_per_gpu": round(memory.total / 1e9, 3),
        "planned_fits_gpu": plan.fits[plan.zero_stage],
    }


def show_plan(plan: Plan, settings: TrainingSettings, *, on_gpu: bool) -> None:
    """The dry run in the log and as an observation of the asset, before anything is submitted."""
    context = current_context()
    facts = plan_facts(plan, settings.gpu)
    log = _log(context)
    log.info(
        f"dry run: {plan.n_parameters:,} parameters, {plan.steps:,} steps of {plan.tokens_per_step:,} tokens, "
        f"{plan.tokens:,} tokens in all; on {plan.n_gpus} x {settings.gpu} {plan.gpu_hours:,.4g} GPU-hours, "
        f"{facts['planned_gb_per_gpu']:,.2f} GB on each with ZeRO-{plan.zero_stage}"
    )
    if on_gpu and not facts["planned_fits_gpu"]:
        log.warning(f"the estimate does not fit {plan.gpu_memory / 1e9:.0f} GB: another ZeRO stage, or more GPUs")
    if context is not None:
        context.log_event(dg.AssetObservation(asset_key=context.asset_key, metadata=facts))


class LiveMetrics:
    """Metrics lines as observations of the asset, which Dagster plots, and as log lines, while the job runs.

    The first and the last step always, others at most every SHOW_EVERY_S. Lines come from two threads, each
    perhaps on both ways; a line is known by its step and its seconds, because a step may be made again.

    Args:
        context: of the step; None: log lines only.
        n_steps: of the whole run.
    """

    def __init__(self, context: dg.AssetExecutionContext | None, *, n_steps: int) -> None:
        self._context = context
        self._n_steps = n_steps
        self._lock = threading.Lock()
        self._seconds: dict[int, float] = {}
        self._shown_at = -SHOW_EVERY_S
        self._shown_step = 0

    def add(self, metrics: Mapping[str, Any]) -> None:
        """A metrics line, perhaps not for the first time."""
        step = metrics["step"]
        with self._lock:
            if self._seconds.get(step) == metrics["seconds"]:
                return
            is_first = not self._seconds
            self._seconds[step] = metrics["seconds"]
            is_due = time.monotonic() - self._shown_at >= SHOW_EVERY_S
            is_near = 0 < step - self._shown_step < self._n_steps // SHOWN_STEPS
            if not (is_first or step == self._n_steps or (is_due and not is_near)):
                return
            self._shown_at, self._shown_step = time.monotonic(), step
        self._show(metrics)

    def _show(self, metrics: Mapping[str, Any]) -> None:
        _log(self._context).info(
            f"step {metrics['step']:,} of {self._n_steps:,}: loss {metrics['loss']:.4f}, learning rate "
            f"{metrics['learning_rate']:.3g}, {metrics['tokens_per_s']:,.0f} tokens/s"
        )
        if self._context is not None:
            names = ("step", "loss", "learning_rate", "tokens_per_s")
            self._context.log_event(
                dg.AssetObservation(asset_key=self._context.asset_key, metadata={name: metrics[name] for name in names})
            )


class MetricsReader(dg.PipesMessageReader):
    """Another message reader, whose training metrics are handed over as they come.

    Dagster itself keeps custom messages until the session is closed.
    """

    def __init__(self, reader: dg.PipesMessageReader, live: LiveMetrics) -> None:
        self._reader = reader
        self._live = live

    @contextmanager
    def read_messages(self, handler: Any) -> Iterator[Any]:
        """Read with the other reader."""
        with self._reader.read_messages(_MetricsFirst(handler, self._live)) as params:  # type: ignore[arg-type]
            yield params

    def on_opened(self, opened_payload: Any) -> None:
        """Tell the other reader."""
        self._reader.on_opened(opened_payload)

    def on_launched(self, launched_payload: Any) -> None:
        """Tell the other reader."""
        self._reader.on_launched(launched_payload)

    def no_messages_debug_text(self) -> str:
        """What the other reader says."""
        return self._reader.no_messages_debug_text()


class _MetricsFirst:
    """A message handler: metrics to the one, everything else to Dagster's own."""

    def __init__(self, handler: Any, live: LiveMetrics) -> None:
        self._handler = handler
        self._live = live

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handler, name)

    def handle_message(self, message: Mapping[str, Any]) -> None:
        payload = (message.get("params") or {}).get("payload")
        if message["method"] == "report_custom_message" and isinstance(payload, dict) and "training_metrics" in payload:
            self._live.add(payload["training_metrics"])
        else:
            self._handler.handle_message(message)


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


def _log(context: dg.AssetExecutionContext | None) -> Any:
    return logging.getLogger("mathcode.training") if context is None else context.log
