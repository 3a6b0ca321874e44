"""The model of a job: built or loaded, checked for attention across documents, exported. Runs on a worker."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mathcode_assets.training.packed import Batch, PackedData
from mathcode_assets.training.plan import padded_vocabulary
from mathcode_assets.training.run_folder import PARTIAL, sync_folder, write_json
from mathcode_assets.training.spec import JobSpec, LlamaShape, SpecError
from mathcode_assets.training.tokenizer_files import copy_tokenizer

STAMP_FILE = "mathcode_training.json"


def build_model(spec: JobSpec, data: PackedData) -> Any:
    """The model in the precision of the job, on the CPU, or already sharded where ZeRO-3 loads weights.

    Weights from scratch depend on the seed alone, not on the rank, the world size or the ZeRO stage.

    Raises:
        SpecError: the packed tokens do not fit the model's vocabulary or positions.
    """
    import torch
    import transformers

    dtype = torch.bfloat16 if spec.deepspeed.precision == "bf16" else torch.float32
    if spec.model.path is not None:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            spec.model.path,
            revision=spec.model.revision,
            dtype=dtype,
            attn_implementation=spec.model.attention,
        )
    else:
        assert spec.model.shape is not None
        torch.manual_seed(spec.seed)
        config = llama_config(spec.model.shape, data)
        model = transformers.AutoModelForCausalLM.from_config(
            config, dtype=torch.float32, attn_implementation=spec.model.attention
        )
        for weight in model.parameters():  # not model.to: that rounds the rotary frequencies too
            weight.data = weight.data.to(dtype)
    if data.vocab_size > model.config.vocab_size:
        raise SpecError(
            f"model: has a vocabulary of {model.config.vocab_size}, the data was packed with {data.vocab_size} tokens"
        )
    if data.length > model.config.max_position_embeddings:
        raise SpecError(f"model: reads {model.config.max_position_embeddings} positions, data has {data.length}")
    model.config.use_cache = False
    if spec.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()
    return model


def llama_config(shape: LlamaShape, data: PackedData) -> Any:
    """The transformers configuration of a model from scratch."""
    import transformers

    return transformers.LlamaConfig(
        vocab_size=shape.vocab_size or padded_vocabulary(data.vocab_size),
        hidden_size=shape.hidden_size,
        intermediate_size=shape.ffn_size,
        num_hidden_layers=shape.n_layers,
        num_attention_heads=shape.n_heads,
        num_key_value_heads=shape.n_kv_heads or shape.n_heads,
        max_position_embeddings=shape.max_positions,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        tie_word_embeddings=shape.tie_embeddings,
        attention_dropout=shape.attention_dropout,
        bos_token_id=None,
        eos_token_id=data.eos_id,
        pad_token_id=data.pad_id,
    )


def float_buffers(model: Any) -> dict[str, Any]:
    """Copies of the floating-point buffers, the rotary frequencies among them, by name."""
    return {name: buffer.clone() for name, buffer in model.named_buffers() if buffer.is_floating_point()}


def restore_buffers(model: Any, buffers: Mapping[str, Any]) -> None:
    """Put the buffers back as they were.

    DeepSpeed casts a model to bf16 with its buffers. Rotary frequencies rounded to 8 bits turn far positions by
    whole radians, and the exported model, whose frequencies are exact, is then another than the trained one.
    """
    for name, buffer in model.named_buffers():
        if name in buffers:
            buffer.data = buffers[name].to(buffer.device)


def model_inputs(batch: Batch, *, device: Any, flatten: bool) -> dict[str, Any]:
    """What the model is called with: no attention mask and no cache, either would switch block attention off.

    Args:
        batch: a micro batch.
        device: where the model is.
        flatten: one row instead of several. Flash attention in transformers looks at restarting
            positions only where the batch is one row; with two it silently attends across documents.
    """
    import torch

    arrays = {"input_ids": batch.input_ids, "position_ids": batch.position_ids, "labels": batch.labels}
    if flatten:
        arrays = {name: array.reshape(1, -1) for name, array in arrays.items()}
    tensors = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
    if flatten:
        tensors["labels"][
            :, :: batch.labels.shape[1]
        ] = -100  # a row's first token is not predicted from the row before
    return {**tensors, "use_cache": False}


def check_documents_apart(model: Any, *, device: Any, vocab_size: int, flatten: bool) -> None:
    """One forward pass pair on random tokens: another first document must not change the second's logits by a bit.

    Raises:
        RuntimeError: documents attend to each other with this model, attention and library version.
    """
    import numpy as np
    import torch

    random = np.random.default_rng(0)
    tokens = random.integers(0, vocab_size, (2, 24))
    other = tokens.copy()
    other[:, :12] = (other[:, :12] + 1) % vocab_size
    positions = np.tile(np.arange(12), (2, 2))
    logits = []
    model.eval()
    with torch.no_grad():
        for ids in (tokens, other):
            inputs = model_inputs(Batch(ids, positions, ids.copy(), 48, 44), device=device, flatten=flatten)
            del inputs["labels"]
            logits.append(model(**inputs).logits.reshape(2, 24, -1)[:, 12:])
    model.train()
    if not torch.equal(logits[0], logits[1]):
        raise RuntimeError("documents packed into one sequence attend to each other: block attention is off")


def seed_step(seed: int, step: int, rank: int) -> None:
    """Seed torch for one step of one rank: dropout is then the same after any resume, with no state to save."""
    import torch

    digest = hashlib.sha256(f"{seed}:{step}:{rank}".encode()).digest()
    torch.manual_seed(int.from_bytes(digest[:8]) >> 1)


def gather_weights(engine: Any) -> dict[str, Any] | None:
    """The whole state dict on rank 0, None elsewhere. Every rank must call it."""
    import torch.distributed as dist

    if engine.zero_optimization_stage() == 3:
        # What accelerate calls too; the public save_16bit_model writes pickles and unties embeddings.
        return engine._zero3_consolidated_16bit_state_dict()
    return engine.module.state_dict() if dist.get_rank() == 0 else None


def export_model(
    model: Any, weights: Mapping[str, Any], *, target: Path, spec: JobSpec, data: PackedData, stamps: Mapping[str, Any]
) -> None:
    """Write a directory that transformers and vLLM load, in one rename. Rank 0 only.

    Args:
        model: the transformers model, for its class and configuration.
        weights: from `gather_weights`; tied weights stay tied.
        target: the directory; replaced.
        spec: the job.
        data: what was trained on; its tokenizer is used where the model has none.
        stamps: written to mathcode_training.json, hashes also to config.json.
    """
    partial = target.with_name(target.name + PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    model.config.use_cache = True
    model.config.mathcode_training = {name: stamps[name] for name in ("corpus_fingerprint", "config_hash")}
    model.save_pretrained(partial, state_dict=dict(weights), safe_serialization=True)
    model.config.use_cache = False
    copy_tokenizer(spec, data, partial)
    write_json(partial / STAMP_FILE, dict(stamps))
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    sync_folder(target.parent)
