"""The job specification: strict, complete, and the same after a round trip."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mathcode_assets.training.presets import PRESETS
from mathcode_assets.training.spec import (
    SpecError,
    accumulation_steps,
    config_hash,
    load_spec,
    parse_spec,
    spec_to_dict,
    total_steps,
)

TINY: dict[str, Any] = {"preset": "tiny", "data": "packed", "output": "run"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learnign_rate": 1}, "learnign_rate: unknown key"),
        ({"optimizer": {"learnign_rate": 1}}, "optimizer.learnign_rate: unknown key; did you mean learning_rate?"),
        ({"model": {"shape": {"layers": 2}}}, "model.shape.layers: unknown key; did you mean n_layers?"),
        ({"deepspeed": {"zero_stage": 4}}, "deepspeed.zero_stage: wants one of 0, 1, 2, 3, got 4"),
        ({"deepspeed": {"zero_stage": True}}, "deepspeed.zero_stage: wants one of"),
        ({"deepspeed": {"precision": "fp16"}}, "deepspeed.precision: wants one of bf16, fp32"),
        ({"deepspeed": {"offload": "cpu"}}, "deepspeed.offload: wants one of none"),
        ({"deepspeed": {"scheduler": {}}}, "deepspeed.scheduler: unknown key"),
        ({"schedule": {"kind": "cosin"}}, "schedule.kind: wants one of constant, cosine, linear"),
        ({"seed": True}, "seed: wants a whole number"),
        ({"seed": "3407"}, "seed: wants a whole number"),
        ({"gradient_checkpointing": 1}, "gradient_checkpointing: wants true or false"),
        ({"optimizer": {"learning_rate": float("nan")}}, "optimizer.learning_rate: wants a finite number"),
        ({"optimizer": {"learning_rate": True}}, "optimizer.learning_rate: wants a finite number"),
        ({"optimizer": {"betas": [0.9]}}, "optimizer.betas: wants 2 numbers"),
        ({"optimizer": {"betas": [0.9, 1.0]}}, "optimizer.betas"),
        ({"duration": {"steps": 3, "epochs": 1}}, "duration: wants either steps or epochs"),
        ({"duration": {}}, "duration: wants either steps or epochs"),
        ({"duration": {"steps": 0}}, "duration.steps"),
        ({"batch": {"sequences": 0}}, "batch.sequences"),
        ({"checkpoints": {"keep_last": 1}}, "checkpoints.keep_last: wants at least 2"),
        ({"model": {"shape": {"n_heads": 3}}}, "hidden_size does not divide by n_heads"),
        ({"model": {"shape": None}}, "model: wants a path, or a shape"),
        ({"preset": "llama-9"}, "preset: 'llama-9' is not one of"),
        ({"format": 2}, "format: wants one of 1"),
        ({"lineage": ["a"]}, "lineage: wants a mapping"),
        ({"data": ""}, "want a folder"),
    ],
)
def test_a_mistake_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as error:
        parse_spec({**TINY, **change})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", ["data", "output"])
def test_what_is_missing_is_named(key: str) -> None:
    with pytest.raises(SpecError, match=f"{key}: is missing"):
        parse_spec({name: value for name, value in TINY.items() if name != key})


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_a_round_trip_through_json(name: str) -> None:
    spec = parse_spec({"preset": name, "data": "packed", "output": "run"})
    again = parse_spec(json.loads(json.dumps(spec_to_dict(spec))))
    assert again == spec and config_hash(again) == config_hash(spec)


def test_the_papers_settings() -> None:
    spec = parse_spec({"preset": "llama-3-8b", "data": "packed", "output": "run"})
    assert spec.model.sequence_length == 8192 and spec.batch.sequences * 8192 == 4_194_304
    assert (spec.optimizer.learning_rate, spec.optimizer.weight_decay, spec.seed) == (4e-5, 0.1, 3407)
    assert (spec.schedule.warmup_steps, spec.duration.epochs, spec.checkpoints.every_steps) == (50, 3, 500)
    assert spec.gradient_checkpointing and spec.deepspeed.zero_stage == 3
    # 8 nodes of 4 GPUs, 4 sequences each, 4 times
    assert accumulation_steps(spec, 32) == 4


def test_steps_given_beside_a_preset_replace_its_epochs() -> None:
    assert parse_spec({**TINY, "duration": {"steps": 7}}).duration.epochs is None


def test_yaml_reads_4e_5_as_a_number_and_refuses_a_key_given_twice(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("preset: tiny\ndata: packed\noutput: run\noptimizer:\n  learning_rate: 4e-5\n")
    spec = load_spec(path)
    assert spec.optimizer.learning_rate == 4e-5
    assert spec.data == str(tmp_path / "packed")
    path.write_text("preset: tiny\ndata: packed\noutput: run\nseed: 1\nseed: 2\n")
    with pytest.raises(SpecError, match="seed: is given twice"):
        load_spec(path)


def test_json_refuses_a_key_given_twice_and_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_text('{"preset": "tiny", "data": "p", "output": "r", "optimizer": {"epsilon": 1, "epsilon": 2}}')
    with pytest.raises(SpecError, match=r"job\.json: epsilon: is given twice"):
        load_spec(path)
    path.write_text("[1, 2")
    with pytest.raises(SpecError, match=r"job\.json: not valid"):
        load_spec(path)
    with pytest.raises(SpecError, match="cannot be read"):
        load_spec(tmp_path / "none.json")


def test_the_hash_is_of_what_decides_the_weights() -> None:
    spec = parse_spec(TINY)
    for same in (
        {"output": "elsewhere"},
        {"data": "copied"},
        {"deepspeed": {"zero_stage": 3}},
        {"checkpoints": {"every_steps": 1}},
        {"batch": {"micro_per_gpu": 1}},
        {"resources": {"processes_per_node": 2}},
        {"lineage": {"pile": "x"}},
    ):
        assert config_hash(parse_spec({**TINY, **same})) == config_hash(spec), same
    for other in (
        {"seed": 1},
        {"optimizer": {"learning_rate": 1e-3}},
        {"schedule": {"kind": "linear"}},
        {"duration": {"steps": 3}},
        {"batch": {"sequences": 16}},
        {"deepspeed": {"precision": "bf16"}},
        {"corpus_fingerprint": "ab"},
        {"model": {"shape": {"n_layers": 5}}},
    ):
        assert config_hash(parse_spec({**TINY, **other})) != config_hash(spec), other


def test_a_batch_that_does_not_divide_is_an_error() -> None:
    spec = parse_spec({**TINY, "batch": {"sequences": 24, "micro_per_gpu": 4}})
    assert accumulation_steps(spec, 3) == 2
    with pytest.raises(SpecError, match="24 does not divide by 4 processes x 4 sequences"):
        accumulation_steps(spec, 4)


@given(n_sequences=st.integers(1, 10_000), sequences=st.integers(1, 512), epochs=st.floats(0.01, 5, allow_nan=False))
def test_no_sequence_is_read_more_often_than_asked(n_sequences: int, sequences: int, epochs: float) -> None:
    spec = parse_spec({**TINY, "batch": {"sequences": sequences}, "duration": {"epochs": epochs}})
    steps = total_steps(spec, n_sequences)
    assert steps == 1 or steps * sequences <= epochs * n_sequences
    assert (steps + 1) * sequences > epochs * n_sequences - 1


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_any_other_value_is_refused_in_one_line(value: Any) -> None:
    with pytest.raises(SpecError) as error:
        parse_spec({**TINY, "batch": value} if not isinstance(value, dict) else value)
    assert str(error.value)


def test_specs_are_values() -> None:
    assert parse_spec(TINY) == parse_spec(dict(TINY))
    with pytest.raises(dataclasses.FrozenInstanceError):
        parse_spec(TINY).seed = 1  # type: ignore[misc]
