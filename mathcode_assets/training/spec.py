"""One job specification file (JSON or YAML) as frozen dataclasses, read strictly.

    preset: tiny                # fills whatever is not given; presets.py lists them
    data: packed/               # folder with packing.json
    output: runs/one/           # one folder, one run
    duration: {epochs: 3}
    deepspeed: {zero_stage: 3, precision: bf16}

An unknown key is an error that names it, and so is a key given twice. The scheduler runs outside
DeepSpeed (schedule.py): no key of this file ends in DeepSpeed's own scheduler, which in the
reference silently replaced the schedule that was asked for.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mathcode_assets.strict_reader import SpecError, build, read_file

# What decides the weights that come out, up to rounding. Where the run happens, on how many GPUs,
# how its state is sharded and how often it is saved may change between two starts of one run.
HASHED_SECTIONS: tuple[str, ...] = (
    "model",
    "corpus_fingerprint",
    "optimizer",
    "schedule",
    "duration",
    "seed",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaShape:
    """Sizes of a decoder of the Llama family (Llama, Mistral, Code Llama, DeepSeek LLM).

    Attributes:
        vocab_size: rows of the embedding; None: the packed folder's, rounded up to a multiple of 64.
        n_kv_heads: None: as many as `n_heads`.
        rope_theta: base of the rotary position embedding.
        attention_dropout: probability in [0, 1).
    """

    hidden_size: int
    n_layers: int
    n_heads: int
    ffn_size: int
    n_kv_heads: int | None = None
    vocab_size: int | None = None
    max_positions: int = 4096
    rope_theta: float = 10_000.0
    tie_embeddings: bool = False
    attention_dropout: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """The model: weights from `path`, or from scratch with `shape` where there is no path.

    Attributes:
        path: Hugging Face directory, or repository id where a hub can be reached.
        revision: branch, tag or commit of a repository id.
        shape: needed without a path; beside a path only the dry run reads it.
        tokenizer: folder with tokenizer files for the export; None: those of the model, else of the packed folder.
        sequence_length: the packed folder must have this length; None: any.
        attention: implementation in transformers.
    """

    path: str | None = None
    revision: str | None = None
    shape: LlamaShape | None = None
    tokenizer: str | None = None
    sequence_length: int | None = None
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepSpeedSpec:
    """How the state is sharded and in which precision it is kept."""

    zero_stage: Literal[0, 1, 2, 3] = 2
    precision: Literal["bf16", "fp32"] = "bf16"
    offload: Literal["none"] = "none"
    # DeepSpeed's default of 5e8 elements is 1 GB in bf16 on each GPU; the dry run counts what is set here.
    bucket_elements: int = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerSpec:
    """AdamW. Weight decay is for matrices only; norms and biases have none, as Hugging Face's Trainer does it.

    Attributes:
        gradient_clip: largest L2 norm of the gradient; 0: no clipping.
    """

    learning_rate: float = 4e-5
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.1
    gradient_clip: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSpec:
    """The learning rate over the steps (schedule.py has the formulas).

    Attributes:
        final_share: share of the peak that cosine and linear end at, in [0, 1].
    """

    kind: Literal["constant", "cosine", "linear"] = "cosine"
    warmup_steps: int = 0
    final_share: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DurationSpec:
    """Exactly one of the two; an epoch reads each packed sequence once."""

    steps: int | None = None
    epochs: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSpec:
    """Sequences of one optimiser step, over all GPUs, and of one forward pass on one GPU."""

    sequences: int
    micro_per_gpu: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSpec:
    """When to save, and what stays.

    Attributes:
        every_steps: 0: only after the last step.
        keep_last: newest checkpoints that stay; at least 2, so that a damaged one has one before it.
        keep_every_steps: a checkpoint at a multiple of this is never removed; 0: none.
    """

    every_steps: int = 500
    keep_last: int = 2
    keep_every_steps: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourcesSpec:
    """What a launcher asks for. GPUs of a process are 0 (CPU) or 1."""

    nodes: int = 1
    processes_per_node: int = 1
    gpus_per_process: Literal[0, 1] = 0
    cpus_per_process: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """A training job.

    Attributes:
        data: folder with packing.json.
        output: folder of this run alone, on a file system that all nodes share.
        corpus_fingerprint: of the corpus that must be in `data`; None: whatever is there.
        lineage: copied into each checkpoint, the result and the export; not looked into.
    """

    model: ModelSpec
    data: str
    output: str
    duration: DurationSpec
    batch: BatchSpec
    format: Literal[1] = 1
    preset: str | None = None
    deepspeed: DeepSpeedSpec = DeepSpeedSpec()
    optimizer: OptimizerSpec = OptimizerSpec()
    schedule: ScheduleSpec = ScheduleSpec()
    checkpoints: CheckpointSpec = CheckpointSpec()
    resources: ResourcesSpec = ResourcesSpec()
    gradient_checkpointing: bool = False
    seed: int = 3407
    corpus_fingerprint: str | None = None
    lineage: Mapping[str, Any] = field(default_factory=dict)


def load_spec(path: str | Path) -> JobSpec:
    """The specification in a .json, .yaml or .yml file; relative paths are relative to the file's folder.

    Raises:
        SpecError: unreadable, not JSON or YAML, or a mistake in it; the message starts with the file.
    """
    path = Path(path)
    try:
        return resolved(parse_spec(read_file(path)), folder=path.absolute().parent)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from error


def parse_spec(given: Any) -> JobSpec:
    """The specification from a mapping; a preset fills what is not given.

    Raises:
        SpecError: a key is unknown, missing, of the wrong type or out of range.
    """
    from mathcode_assets.training.presets import PRESETS  # presets are written in the terms of this module

    if not isinstance(given, Mapping):
        raise SpecError(f"wants a mapping, got {type(given).__name__}")
    name = given.get("preset")
    if name is not None:
        if name not in PRESETS:
            raise SpecError(f"preset: {name!r} is not one of {', '.join(PRESETS)}")
        given = merged(PRESETS[name], given)
    spec = build(JobSpec, given)
    _check(spec)
    return spec


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over`, section by section."""
    found = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(found.get(key), Mapping)
        found[key] = merged(found[key], value) if both else value
    if "duration" in over:  # steps given beside a preset's epochs replace them
        found["duration"] = over["duration"]
    return found


def resolved(spec: JobSpec, *, folder: Path) -> JobSpec:
    """The same with absolute paths. A model path that is no folder there stays a repository id."""

    def absolute(path: str) -> str:
        return path if "://" in path else str(folder / Path(path).expanduser())

    model = spec.model
    if model.path is not None and Path(absolute(model.path)).is_dir():
        model = dataclasses.replace(model, path=absolute(model.path))
    if model.tokenizer is not None:
        model = dataclasses.replace(model, tokenizer=absolute(model.tokenizer))
    return dataclasses.replace(spec, model=model, data=absolute(spec.data), output=absolute(spec.output))


def spec_to_dict(spec: JobSpec) -> dict[str, Any]:
    """The whole specification as JSON values; `parse_spec` of it gives an equal specification."""
    values = dataclasses.asdict(dataclasses.replace(spec, lineage=dict(spec.lineage)))
    return json.loads(json.dumps(values))


def config_hash(spec: JobSpec, *, corpus_fingerprint: str | None = None) -> str:
    """Hash of what decides the outcome (HASHED_SECTIONS, the global batch and the precision), 64 hex digits.

    Args:
        spec: the specification.
        corpus_fingerprint: of the data really there; by default the one the specification asks for.
    """
    values = spec_to_dict(spec)
    if corpus_fingerprint is not None:
        values["corpus_fingerprint"] = corpus_fingerprint
    hashed = {name: values[name] for name in HASHED_SECTIONS}
    hashed["sequences_per_step"] = spec.batch.sequences
    hashed["precision"] = spec.deepspeed.precision
    canonical = json.dumps(hashed, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def accumulation_steps(spec: JobSpec, world_size: int) -> int:
    """Micro batches of each GPU in one optimiser step.

    Raises:
        SpecError: the global batch does not divide over the GPUs.
    """
    per_pass = spec.batch.micro_per_gpu * world_size
    if spec.batch.sequences % per_pass:
        raise SpecError(
            f"batch.sequences: {spec.batch.sequences} does not divide by {world_size} processes "
            f"x {spec.batch.micro_per_gpu} sequences (batch.micro_per_gpu)"
        )
    return spec.batch.sequences // per_pass


def total_steps(spec: JobSpec, n_sequences: int) -> int:
    """Optimiser steps. Epochs round down: no sequence is read more often than asked, at least one step is made.

    Raises:
        SpecError: there are no sequences.
    """
    if n_sequences < 1:
        raise SpecError("data: the packed folder holds no sequence")
    if spec.duration.steps is not None:
        return spec.duration.steps
    return max(1, math.floor(typing.cast(float, spec.duration.epochs) * n_sequences) // spec.batch.sequences)


def _check(spec: JobSpec) -> None:
    checks: tuple[tuple[bool, str], ...] = (
        (spec.model.path is None and spec.model.shape is None, "model: wants a path, or a shape to start from scratch"),
        ((spec.duration.steps is None) == (spec.duration.epochs is None), "duration: wants either steps or epochs"),
        (spec.duration.steps is not None and spec.duration.steps < 1, "duration.steps: wants at least 1"),
        (spec.duration.epochs is not None and spec.duration.epochs <= 0, "duration.epochs: wants more than 0"),
        (spec.batch.sequences < 1, "batch.sequences: wants at least 1"),
        (spec.batch.micro_per_gpu < 1, "batch.micro_per_gpu: wants at least 1"),
        (spec.optimizer.learning_rate < 0, "optimizer.learning_rate: wants 0 or more"),
        (not all(0 <= beta < 1 for beta in spec.optimizer.betas), "optimizer.betas: wants two numbers in [0, 1)"),
        (spec.optimizer.epsilon <= 0, "optimizer.epsilon: wants more than 0"),
        (spec.optimizer.weight_decay < 0, "optimizer.weight_decay: wants 0 or more"),
        (spec.optimizer.gradient_clip < 0, "optimizer.gradient_clip: wants 0 (none) or more"),
        (spec.schedule.warmup_steps < 0, "schedule.warmup_steps: wants 0 or more"),
        (not 0 <= spec.schedule.final_share <= 1, "schedule.final_share: wants a share in [0, 1]"),
        (spec.checkpoints.every_steps < 0, "checkpoints.every_steps: wants 0 (only the last) or more"),
        (spec.checkpoints.keep_last < 2, "checkpoints.keep_last: wants at least 2, the newest may be damaged"),
        (spec.checkpoints.keep_every_steps < 0, "checkpoints.keep_every_steps: wants 0 (none) or more"),
        (spec.deepspeed.bucket_elements < 1, "deepspeed.bucket_elements: wants at least 1"),
        (not 0 <= spec.seed < 2**31, "seed: wants a number in [0, 2^31)"),
        (min(spec.resources.nodes, spec.resources.processes_per_node) < 1, "resources: wants at least 1 process"),
        (not spec.data or not spec.output, "data, output: want a folder"),
    )
    for wrong, message in checks:
        if wrong:
            raise SpecError(message)
    shape = spec.model.shape
    if shape is not None and (shape.n_heads < 1 or shape.hidden_size % shape.n_heads):
        raise SpecError("model.shape: hidden_size does not divide by n_heads")
    if (
        shape is not None
        and shape.n_kv_heads is not None
        and (shape.n_kv_heads < 1 or shape.n_heads % shape.n_kv_heads)
    ):
        raise SpecError("model.shape: n_heads does not divide by n_kv_heads")
