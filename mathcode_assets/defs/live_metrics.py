"""What Dagster shows of a training before it begins and while it runs: log lines, and observations of the asset."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg

from mathcode_assets.training.plan import Plan

# An observation is an event in Dagster's storage: at most one in so many seconds, and some so many in a run.
SHOW_EVERY_S = 10.0
SHOWN_STEPS = 1000


def current_context() -> dg.AssetExecutionContext | None:
    """The context of the Dagster step that is running; None where a build is called without Dagster."""
    try:
        return dg.AssetExecutionContext.get()
    except dg.DagsterInvariantViolationError:
        return None


def log_of(context: dg.AssetExecutionContext | None) -> Any:
    """The step's log; without Dagster a logger of Python."""
    return logging.getLogger("mathcode.training") if context is None else context.log


def observation(context: dg.AssetExecutionContext, metadata: Mapping[str, Any]) -> dg.AssetObservation:
    """An observation of what the step makes."""
    partition = context.partition_key if context.has_partition_key else None
    return dg.AssetObservation(asset_key=context.asset_key, partition=partition, metadata=metadata)


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


def show_plan(plan: Plan, *, gpu: str, on_gpu: bool) -> None:
    """The dry run in the log and as an observation of the asset, before anything is submitted."""
    context = current_context()
    facts = plan_facts(plan, gpu)
    log = log_of(context)
    log.info(
        f"dry run: {plan.n_parameters:,} parameters, {plan.steps:,} steps of {plan.tokens_per_step:,} tokens, "
        f"{plan.tokens:,} tokens in all; on {plan.n_gpus} x {gpu} {plan.gpu_hours:,.4g} GPU-hours, "
        f"{facts['planned_gb_per_gpu']:,.2f} GB on each with ZeRO-{plan.zero_stage}"
    )
    if on_gpu and not facts["planned_fits_gpu"]:
        log.warning(f"the estimate does not fit {plan.gpu_memory / 1e9:.0f} GB: another ZeRO stage, or more GPUs")
    if context is not None:
        context.log_event(observation(context, facts))


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
        log_of(self._context).info(
            f"step {metrics['step']:,} of {self._n_steps:,}: loss {metrics['loss']:.4f}, learning rate "
            f"{metrics['learning_rate']:.3g}, {metrics['tokens_per_s']:,.0f} tokens/s"
        )
        if self._context is not None:
            names = ("step", "loss", "learning_rate", "tokens_per_s")
            self._context.log_event(observation(self._context, {name: metrics[name] for name in names}))


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
