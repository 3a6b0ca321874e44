"""The dry run, by numbers worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mathcode_assets.training.plan import (
    activation_bytes,
    model_shape,
    parameter_count,
    plan,
    stage_memory,
)
from mathcode_assets.training.spec import LlamaShape, SpecError, parse_spec


def preset(name: str, **changes: Any) -> Any:
    return parse_spec({"preset": name, "data": "packed", "output": "run", **changes})


@pytest.mark.parametrize(
    ("name", "n_parameters"),
    [  # as counted in the published weights
        ("llama-3-8b", 8_030_261_248),
        ("deepseekmath-7b", 6_910_365_696),
        ("mistral-7b", 7_241_732_096),
        ("code-llama-7b", 6_738_546_688),
        ("deepseekcoder-1.3b", 1_346_471_936),
    ],
)
def test_parameters_of_the_papers_models(name: str, n_parameters: int) -> None:
    assert parameter_count(model_shape(preset(name))) == n_parameters


def test_parameters_by_hand() -> None:
    # Embedding 10 x 8 = 80. A block: queries 64, output 64, keys and values 2 x 8 x 4 = 64, three
    # matrices 3 x 8 x 16 = 384, two norms 16: 592. Last norm 8. Tied: 80 + 2 x 592 + 8 = 1,272.
    shape = LlamaShape(
        hidden_size=8, n_layers=2, n_heads=4, n_kv_heads=2, ffn_size=16, vocab_size=10, tie_embeddings=True
    )
    assert parameter_count(shape) == 1272


def test_the_papers_run() -> None:
    # 19,184,073,343 tokens make 2,341,805 sequences of 8,192. Three epochs are 7,025,415 sequences:
    # 13,721 whole steps of 512. 13,721 x 4,194,304 = 57,550,045,184 tokens.
    # 6 x 8.030e9 x 5.755e10 = 2.773e21 FLOPs; at 0.4 x 312e12: 2.222e7 s = 6,172 GPU-hours on 32: 193 hours.
    found = plan(preset("llama-3-8b"), sequence_length=8192, n_sequences=2_341_805)
    assert (found.steps, found.tokens, found.accumulation, found.n_gpus) == (13_721, 57_550_045_184, 4, 32)
    assert found.flops == pytest.approx(2.7728e21, rel=1e-4)
    assert found.gpu_hours == pytest.approx(6171.8, rel=1e-4)
    assert found.hours == pytest.approx(192.87, rel=1e-4)
    assert found.fits == (False, False, False, True)


def test_memory_by_stage() -> None:
    # 1,272 parameters on 4 GPUs in bf16. Weights 2 bytes, Adam's 12, gradients: 2 in stage 0, 2 + 4 in
    # stage 1, a share of 4 from stage 2 on.
    shape = LlamaShape(
        hidden_size=8, n_layers=2, n_heads=4, n_kv_heads=2, ffn_size=16, vocab_size=10, tie_embeddings=True
    )
    spec = preset("tiny", deepspeed={"precision": "bf16", "bucket_elements": 100})
    found = [stage_memory(spec, shape, stage, 4, 32) for stage in range(4)]
    assert [memory.parameters for memory in found] == [2544, 2544, 2544, 636]
    assert [memory.gradients for memory in found] == [2544, 7632, 1272, 1272]
    assert [memory.optimizer for memory in found] == [15264, 3816, 3816, 3816]
    assert [memory.buffers for memory in found] == [0, 400, 400, 600]


def test_stage_3_of_the_zero_paper() -> None:
    # arXiv 1910.02054, figure 1: 7.5B parameters on 64 GPUs, 120 GB without and 1.9 GB with stage 3; it sums
    # gradients in 2 bytes, this program in 4: 2 x 7.5e9 / 64 = 0.23 GB more.
    shape = model_shape(preset("mistral-7b"))
    memory = stage_memory(preset("mistral-7b"), shape, 3, 64, 4096)
    state = memory.parameters + memory.gradients + memory.optimizer
    assert state == pytest.approx((16 + 2) * parameter_count(shape) / 64, rel=1e-9)


def test_activations_by_hand() -> None:
    shape = LlamaShape(hidden_size=8, n_layers=2, n_heads=4, n_kv_heads=2, ffn_size=16, vocab_size=10)
    # A block keeps 7 x 8 + 2 x 4 + 4 x 16 = 128 values a token. Logits: 10 x (2 + 4 + 4) = 100 bytes.
    assert activation_bytes(shape, n_tokens=5, width=2, checkpointing=False) == 5 * (2 * 2 * 128 + 100)
    # Checkpointing: the inputs of two blocks (16 values) and one block whole.
    assert activation_bytes(shape, n_tokens=5, width=2, checkpointing=True) == 5 * (2 * (16 + 128) + 100)


def test_the_shape_of_a_model_folder(tmp_path: Path) -> None:
    config = {
        "model_type": "llama",
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 16,
        "vocab_size": 10,
        "tie_word_embeddings": True,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    given = {"model": {"path": str(tmp_path)}, "data": "p", "output": "r", "duration": {"steps": 1}}
    spec = parse_spec({**given, "batch": {"sequences": 1}})
    assert parameter_count(model_shape(spec)) == 1272
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "mamba"}))
    with pytest.raises(SpecError, match="'mamba'"):
        model_shape(spec)


def test_the_vocabulary_of_the_packed_folder_fills_the_shape() -> None:
    assert model_shape(preset("tiny"), 2040).vocab_size == 2048
    with pytest.raises(SpecError, match="vocab_size"):
        model_shape(preset("tiny"))


def test_a_world_that_does_not_divide_the_batch_is_refused_before_anything_runs() -> None:
    with pytest.raises(SpecError, match="does not divide"):
        plan(preset("llama-3-8b"), sequence_length=8192, n_sequences=1000, n_gpus=24)
