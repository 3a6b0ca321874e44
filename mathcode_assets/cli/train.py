"""`mathcode train`: run a training job from its specification file, or say what it will cost."""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from mathcode_assets.cli.console import UsageError, out
from mathcode_assets.training.launchers import (
    Launcher,
    LocalLauncher,
    RayLauncher,
    TrainingCancelled,
    TrainingFailed,
)
from mathcode_assets.training.packed import packing_info
from mathcode_assets.training.plan import DEFAULT_GPU, DEFAULT_MFU, GPUS, Plan, plan
from mathcode_assets.training.spec import JobSpec, SpecError, load_spec

NEEDED = ("torch", "transformers", "deepspeed")


def add_commands(commands: Any) -> None:
    """Add the subcommand of this module."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "train", help="a packed pile and a job file -> a trained model"
    )
    parser.add_argument("--spec", required=True, metavar="FILE", help="job specification, .json or .yaml")
    parser.add_argument("--dry-run", action="store_true", help="steps, tokens, GPU-hours, memory; starts nothing")
    parser.add_argument("--launcher", choices=("local", "ray"), default="local")
    parser.add_argument("--ray-address", default="http://127.0.0.1:8265", metavar="URL", help="of Ray's dashboard")
    parser.add_argument("--gpus", type=int, metavar="N", help="dry run: instead of the specification's")
    parser.add_argument("--gpu", choices=sorted(GPUS), default=DEFAULT_GPU, help="dry run: its peak and its memory")
    parser.add_argument("--mfu", type=float, default=DEFAULT_MFU, help="dry run: share of the peak that is reached")
    parser.add_argument("--tokens", type=int, metavar="N", help="dry run: plan so many packed tokens, read no data")
    parser.set_defaults(run=train)


def train(arguments: argparse.Namespace) -> int:
    """Run the job, or print its plan."""
    try:
        spec = load_spec(arguments.spec)
        if arguments.dry_run:
            print_plan(spec, dry_run(spec, arguments), arguments.gpu)
            return 0
        return run(spec, arguments)
    except SpecError as error:
        raise UsageError(str(error)) from error


def dry_run(spec: JobSpec, arguments: argparse.Namespace) -> Plan:
    """The plan of the job on its packed data, or on a number of tokens."""
    if arguments.tokens is None:
        info: Mapping[str, Any] = packing_info(Path(spec.data))
    elif spec.model.sequence_length is None:
        raise UsageError("--tokens needs model.sequence_length in the specification")
    else:
        length = spec.model.sequence_length
        info = {"length": length, "n_sequences": arguments.tokens // length, "vocab_size": None}
    peak_flops, gpu_memory = GPUS[arguments.gpu]
    return plan(
        spec,
        sequence_length=info["length"],
        n_sequences=info["n_sequences"],
        vocab_size=info["vocab_size"],
        n_gpus=arguments.gpus,
        gpu_memory=gpu_memory,
        peak_flops=peak_flops,
        mfu=arguments.mfu,
    )


def print_plan(spec: JobSpec, found: Plan, gpu: str) -> None:
    """The plan as text."""
    out.print(f"{found.n_parameters:,} parameters, {found.n_sequences:,} sequences of {found.sequence_length:,} tokens")
    out.print(
        f"{found.steps:,} steps of {found.tokens_per_step:,} tokens ({found.sequences_per_step} sequences, "
        f"{found.accumulation} accumulation steps), {found.tokens:,} tokens, {found.epochs:.2f} epochs"
    )
    out.print(
        f"{found.flops:.3g} FLOPs (6ND); on {found.n_gpus} x {gpu} at {found.mfu:.0%} of {found.peak_flops / 1e12:.0f} "
        f"TFLOP/s: {found.gpu_hours:,.1f} GPU-hours, {found.hours:,.1f} hours"
    )
    table = Table(title=f"GB on each GPU, of {found.gpu_memory / 1e9:.0f}")
    columns = ("ZeRO", "parameters", "gradients", "optimizer", "activations", "buffers", "total", "fits")
    for column in columns:
        table.add_column(column, justify="right")
    for memory, fits in zip(found.memory, found.fits, strict=True):
        chosen = " *" if memory.zero_stage == spec.deepspeed.zero_stage else ""
        values = [getattr(memory, column) / 1e9 for column in columns[1:-1]]
        table.add_row(f"{memory.zero_stage}{chosen}", *(f"{value:.2f}" for value in values), "yes" if fits else "no")
    out.print(table)


def run(spec: JobSpec, arguments: argparse.Namespace) -> int:
    """Launch the job and print each step."""
    launcher: Launcher
    if arguments.launcher == "ray":
        launcher = RayLauncher(arguments.ray_address)
        missing = [] if importlib.util.find_spec("ray") else ["ray"]
    else:
        launcher = LocalLauncher()
        missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"needs {', '.join(missing)}: pip install 'mathcode-assets[train]'")
    try:
        result = launcher.launch(spec, print_step)
    except TrainingFailed as error:
        raise UsageError(str(error)) from error
    except TrainingCancelled as error:
        out.print(str(error))
        return 1
    out.print(f"model in {result.export}")
    out.print(json.dumps(dict(result.result), indent=1, sort_keys=True))
    return 0


def print_step(metrics: Mapping[str, Any]) -> None:
    """One line a step."""
    out.print(
        f"step {metrics['step']}: loss {metrics['loss']:.4f}, learning rate {metrics['learning_rate']:.3g}, "
        f"gradient norm {metrics['gradient_norm']:.3f}, {metrics['tokens_per_s']:,.0f} tokens/s"
    )
