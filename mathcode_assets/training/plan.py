"""The dry run: steps, tokens, GPU-hours and memory of a job, before anything is submitted. No torch.

Formulas, each an estimate for choosing a configuration, not a promise:

    model FLOPs   6 N D                  N parameters, D tokens read (padding included: it is computed too)
    GPU-hours     6 N D / (MFU x peak)   gradient checkpointing's second forward pass is inside the MFU
    state         ZeRO (arXiv 1910.02054, section 3): in bf16 2 bytes of weights and 12 of AdamW (fp32
                  weights, two moments) for each parameter, in fp32 4 and 8. Stage 1 shares AdamW's over
                  the GPUs, stage 2 the gradients too, stage 3 all of it. Gradients are summed in fp32: 4
                  bytes, with stage 1 beside the 2 of bf16; stage 0 sums in the model's precision.
    activations   what a Llama block keeps for its backward pass, with an attention that keeps no
                  scores (sdpa on a GPU, flash): 7 h + 2 kv + 4 ffn values a token; with gradient
                  checkpointing h a token and layer, and one block whole. Logits: the model's
                  precision, an fp32 copy and its gradient.
    buffers       two reduction buckets (stages 1-3), with stage 3 a gathering bucket beside them.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mathcode_assets.training.spec import JobSpec, LlamaShape, SpecError, accumulation_steps, total_steps

# Dense peak in FLOP/s from the vendors' data sheets, and memory in bytes. A800 is A100 with a slower NVLink.
GPUS: dict[str, tuple[float, int]] = {
    "a800-80gb": (312e12, 80 * 10**9),
    "a100-80gb": (312e12, 80 * 10**9),
    "a100-40gb": (312e12, 40 * 10**9),
    "h100-80gb": (989e12, 80 * 10**9),
    "h200": (989e12, 141 * 10**9),
    "l40s": (362e12, 48 * 10**9),
}
DEFAULT_GPU = "a800-80gb"
# 0.40 of peak is usual for 7B models with ZeRO-3 and gradient checkpointing on A100s; an assumption, so it is printed.
DEFAULT_MFU = 0.40
# The rest is for CUDA, NCCL and fragmentation.
USABLE_SHARE = 0.92

LLAMA_TYPES = ("llama", "mistral")


@dataclass(frozen=True, slots=True, kw_only=True)
class StageMemory:
    """Bytes on each GPU with one ZeRO stage."""

    zero_stage: int
    parameters: int
    gradients: int
    optimizer: int
    activations: int
    buffers: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.parameters + self.gradients + self.optimizer + self.activations + self.buffers


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a job will cost.

    Attributes:
        tokens: positions read over the whole run, padding included.
        flops: model FLOPs, 6 N D.
        memory: of each ZeRO stage, 0 to 3.
        fits: of each stage: its total is within USABLE_SHARE of the GPU's memory.
    """

    n_parameters: int
    sequence_length: int
    n_sequences: int
    steps: int
    sequences_per_step: int
    accumulation: int
    tokens_per_step: int
    tokens: int
    epochs: float
    flops: float
    n_gpus: int
    peak_flops: float
    mfu: float
    gpu_hours: float
    hours: float
    gpu_memory: int
    zero_stage: int
    memory: tuple[StageMemory, ...]
    fits: tuple[bool, ...]


def plan(
    spec: JobSpec,
    *,
    sequence_length: int,
    n_sequences: int,
    vocab_size: int | None = None,
    n_gpus: int | None = None,
    gpu_memory: int = GPUS[DEFAULT_GPU][1],
    peak_flops: float = GPUS[DEFAULT_GPU][0],
    mfu: float = DEFAULT_MFU,
) -> Plan:
    """What the job will cost on so many GPUs.

    Args:
        spec: the job.
        sequence_length: tokens of a packed sequence.
        n_sequences: packed sequences there are.
        vocab_size: of the packed folder; needed where the shape names none.
        n_gpus: by default those the specification asks for.
        gpu_memory: bytes of one GPU.
        peak_flops: of one GPU, dense, in the precision of the job.
        mfu: model FLOPs utilisation assumed, in (0, 1].

    Raises:
        SpecError: the batch does not divide over the GPUs, or nothing says how large the model is.
    """
    if not 0 < mfu <= 1:
        raise SpecError(f"mfu: wants a share in (0, 1], got {mfu}")
    n_gpus = spec.resources.nodes * spec.resources.processes_per_node if n_gpus is None else n_gpus
    shape = model_shape(spec, vocab_size)
    n_parameters = parameter_count(shape)
    steps = total_steps(spec, n_sequences)
    tokens_per_step = spec.batch.sequences * sequence_length
    flops = 6.0 * n_parameters * steps * tokens_per_step
    gpu_hours = flops / (mfu * peak_flops) / 3600
    memory = tuple(stage_memory(spec, shape, stage, n_gpus, sequence_length) for stage in range(4))
    return Plan(
        n_parameters=n_parameters,
        sequence_length=sequence_length,
        n_sequences=n_sequences,
        steps=steps,
        sequences_per_step=spec.batch.sequences,
        accumulation=accumulation_steps(spec, n_gpus),
        tokens_per_step=tokens_per_step,
        tokens=steps * tokens_per_step,
        epochs=steps * spec.batch.sequences / n_sequences,
        flops=flops,
        n_gpus=n_gpus,
        peak_flops=peak_flops,
        mfu=mfu,
        gpu_hours=gpu_hours,
        hours=gpu_hours / n_gpus,
        gpu_memory=gpu_memory,
        zero_stage=spec.deepspeed.zero_stage,
        memory=memory,
        fits=tuple(found.total <= USABLE_SHARE * gpu_memory for found in memory),
    )


def model_shape(spec: JobSpec, vocab_size: int | None = None) -> LlamaShape:
    """The shape the specification gives, else that of config.json in the model's folder, vocabulary filled in.

    Raises:
        SpecError: neither is there, the model is not of the Llama family, or no vocabulary is known.
    """
    shape = spec.model.shape
    if shape is None and spec.model.path is not None:
        config_file = Path(spec.model.path) / "config.json"
        if not config_file.is_file():
            raise SpecError(f"model.shape: is needed to plan, there is no {config_file}")
        shape = _shape_of_config(json.loads(config_file.read_text(encoding="utf-8")))
    assert shape is not None  # the specification has one or the other
    if shape.vocab_size is not None:
        return shape
    if vocab_size is None:
        raise SpecError("model.shape.vocab_size: is needed where there is no packed folder")
    return dataclasses.replace(shape, vocab_size=padded_vocabulary(vocab_size))


def padded_vocabulary(vocab_size: int) -> int:
    """The next multiple of 64, which matrix kernels like best."""
    return -(-vocab_size // 64) * 64


def parameter_count(shape: LlamaShape) -> int:
    """Parameters of the whole model, embeddings included. Needs a vocabulary."""
    assert shape.vocab_size is not None
    hidden = shape.hidden_size
    attention = 2 * hidden * hidden + 2 * hidden * _kv_size(shape)
    block = attention + 3 * hidden * shape.ffn_size + 2 * hidden
    embeddings = shape.vocab_size * hidden * (1 if shape.tie_embeddings else 2)
    return embeddings + shape.n_layers * block + hidden


def stage_memory(spec: JobSpec, shape: LlamaShape, stage: int, n_gpus: int, sequence_length: int) -> StageMemory:
    """Bytes on each GPU with one ZeRO stage (formulas in the module's docstring)."""
    n_parameters = parameter_count(shape)
    width = 2 if spec.deepspeed.precision == "bf16" else 4
    adam = 12 if spec.deepspeed.precision == "bf16" else 8
    gradient = width if stage == 0 or width == 4 else 6 if stage == 1 else 4
    bucket = spec.deepspeed.bucket_elements * width
    return StageMemory(
        zero_stage=stage,
        parameters=_share(width * n_parameters, n_gpus if stage >= 3 else 1),
        gradients=_share(gradient * n_parameters, n_gpus if stage >= 2 else 1),
        optimizer=_share(adam * n_parameters, n_gpus if stage >= 1 else 1),
        activations=activation_bytes(
            shape,
            n_tokens=sequence_length * spec.batch.micro_per_gpu,
            width=width,
            checkpointing=spec.gradient_checkpointing,
        ),
        buffers=bucket * (0, 2, 2, 3)[stage],
    )


def activation_bytes(shape: LlamaShape, *, n_tokens: int, width: int, checkpointing: bool) -> int:
    """Bytes kept for the backward pass of one micro batch, logits included.

    Args:
        shape: with a vocabulary.
        n_tokens: positions of the micro batch.
        width: bytes of a value: 2 in bf16, 4 in fp32.
        checkpointing: only the inputs of the blocks are kept, and one block whole while it is computed again.
    """
    assert shape.vocab_size is not None
    # Inputs and outputs of both norms, queries, attention output, residual: 7 h; keys and values; gate,
    # up, activated gate, and their product.
    block = 7 * shape.hidden_size + 2 * _kv_size(shape) + 4 * shape.ffn_size
    blocks = shape.n_layers * shape.hidden_size + block if checkpointing else shape.n_layers * block
    return n_tokens * (width * blocks + shape.vocab_size * (width + 4 + 4))


def _kv_size(shape: LlamaShape) -> int:
    return shape.hidden_size // shape.n_heads * (shape.n_kv_heads or shape.n_heads)


def _share(total: int, parts: int) -> int:
    return -(-total // parts)


def _shape_of_config(config: dict[str, Any]) -> LlamaShape:
    if config.get("model_type") not in LLAMA_TYPES:
        raise SpecError(f"model.shape: is needed to plan a model of type {config.get('model_type')!r}")
    return LlamaShape(
        hidden_size=config["hidden_size"],
        n_layers=config["num_hidden_layers"],
        n_heads=config["num_attention_heads"],
        n_kv_heads=config.get("num_key_value_heads"),
        ffn_size=config["intermediate_size"],
        vocab_size=config["vocab_size"],
        tie_embeddings=bool(config.get("tie_word_embeddings", False)),
    )
