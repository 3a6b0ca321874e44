"""The paper's four models, its ablation model, and a tiny one: sections of a job specification by name.

MathCoder2 (arXiv 2410.08196), training: ZeRO-3, bf16, 8 nodes x 4 A800, about 4M tokens a step, 3 epochs,
learning rate 4e-5, 50 warm-up steps, weight decay 0.1, seed 3407, gradient checkpointing, a checkpoint
every 500 steps. Its scripts ask for a cosine schedule, but the scheduler in the DeepSpeed file replaced
it by a linear decay to zero: `linear` is what the published models were trained with, so it is the default here.
Adam's betas and epsilon and the clip at 1.0 are the defaults of Hugging Face's Trainer, which the scripts leave.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

# 8 nodes x 4 GPUs x 4 sequences x 4 accumulation steps = 512 sequences: 4.2M tokens at 8192. At 4096 the
# same "about 4M tokens" are 1,024 sequences.
_PAPER: Mapping[str, Any] = {
    "deepspeed": {"zero_stage": 3, "precision": "bf16"},
    "optimizer": {"learning_rate": 4e-5, "weight_decay": 0.1},
    "schedule": {"kind": "linear", "warmup_steps": 50},
    "duration": {"epochs": 3},
    "gradient_checkpointing": True,
    "seed": 3407,
    "checkpoints": {"every_steps": 500, "keep_last": 2},
    "resources": {"nodes": 8, "processes_per_node": 4, "gpus_per_process": 1, "cpus_per_process": 8},
}


def _paper(path: str, *, length: int, sequences: int, shape: Mapping[str, Any]) -> Mapping[str, Any]:
    model = {"path": path, "sequence_length": length, "shape": {"max_positions": length, **shape}}
    return {**_PAPER, "model": model, "batch": {"sequences": sequences, "micro_per_gpu": 4}}


# Shapes as the config.json of each repository has them.
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "llama-3-8b": _paper(
            "meta-llama/Meta-Llama-3-8B",
            length=8192,
            sequences=512,
            shape={
                "hidden_size": 4096,
                "n_layers": 32,
                "n_heads": 32,
                "n_kv_heads": 8,
                "ffn_size": 14336,
                "vocab_size": 128256,
                "rope_theta": 500_000.0,
            },
        ),
        "deepseekmath-7b": _paper(
            "deepseek-ai/deepseek-math-7b-base",
            length=4096,
            sequences=1024,
            shape={"hidden_size": 4096, "n_layers": 30, "n_heads": 32, "ffn_size": 11008, "vocab_size": 102400},
        ),
        "mistral-7b": _paper(
            "mistralai/Mistral-7B-v0.1",
            length=4096,
            sequences=1024,
            shape={
                "hidden_size": 4096,
                "n_layers": 32,
                "n_heads": 32,
                "n_kv_heads": 8,
                "ffn_size": 14336,
                "vocab_size": 32000,
            },
        ),
        "code-llama-7b": _paper(
            "codellama/CodeLlama-7b-hf",
            length=4096,
            sequences=1024,
            shape={
                "hidden_size": 4096,
                "n_layers": 32,
                "n_heads": 32,
                "ffn_size": 11008,
                "vocab_size": 32016,
                "rope_theta": 1_000_000.0,
            },
        ),
        # Ablations (paper, section 4): 3 epochs, 2M tokens a step, 4096 context.
        "deepseekcoder-1.3b": _paper(
            "deepseek-ai/deepseek-coder-1.3b-base",
            length=4096,
            sequences=512,
            shape={
                "hidden_size": 2048,
                "n_layers": 24,
                "n_heads": 16,
                "ffn_size": 5504,
                "vocab_size": 32256,
                "rope_theta": 100_000.0,
            },
        ),
        # For the laptop and the embedded sample: from scratch, 1.1M parameters with a vocabulary of 2,048.
        # A higher learning rate than the paper's, for weights that start from noise.
        "tiny": {
            "model": {
                "shape": {
                    "hidden_size": 128,
                    "n_layers": 4,
                    "n_heads": 4,
                    "ffn_size": 384,
                    "tie_embeddings": True,
                }
            },
            "deepspeed": {"zero_stage": 2, "precision": "fp32"},
            "optimizer": {"learning_rate": 3e-3, "betas": (0.9, 0.95), "weight_decay": 0.1},
            "schedule": {"kind": "cosine", "warmup_steps": 5, "final_share": 0.1},
            "duration": {"epochs": 1},
            "batch": {"sequences": 8, "micro_per_gpu": 4},
            "checkpoints": {"every_steps": 50, "keep_last": 2},
        },
    }
)
