"""Specifications: every mistake is named before a model is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mathcode_assets.evaluation.ablation import (
    AS_SEPARATE_DOCUMENTS,
    PAIRED_COMPONENT,
    plan_ablation,
)
from mathcode_assets.evaluation.harness import model_arguments
from mathcode_assets.evaluation.spec import SpecError, load_spec, parse_spec, spec_to_dict

GOOD = {"model": {"path": "checkpoint"}, "tasks": ["gsm8k", "math"], "output": "out"}


def test_reads_what_it_writes(tmp_path: Path) -> None:
    spec = parse_spec(GOOD | {"limit": 5, "lineage": {"run": "a"}})
    assert parse_spec(spec_to_dict(spec)) == spec
    (tmp_path / "spec.json").write_text(json.dumps(spec_to_dict(spec)))
    (tmp_path / "spec.yaml").write_text("model: {path: checkpoint}\ntasks: [gsm8k, math]\noutput: out\nlimit: 5\n")
    assert load_spec(tmp_path / "spec.yaml").tasks == load_spec(tmp_path / "spec.json").tasks


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "spec.json").write_text(json.dumps(GOOD | {"data": "benchmarks"}))
    spec = load_spec(tmp_path / "spec.json")
    assert spec.model.path == str(tmp_path / "checkpoint")
    assert (spec.data, spec.output) == (str(tmp_path / "benchmarks"), str(tmp_path / "out"))
    assert load_spec(tmp_path / "spec.json").name == "checkpoint"


def test_a_model_of_the_hub_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(GOOD | {"model": {"path": "owner/name"}}))
    assert load_spec(tmp_path / "spec.json").model.path == "owner/name"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tasks": ["gsm9k"]}, "tasks: gsm9k; known are gsm8k"),
        ({"tasks": []}, "tasks: none given"),
        ({"tasks": ["math", "math"]}, "tasks: one is given twice"),
        ({"tasks": "math"}, "tasks: wants a list"),
        ({"limit": 0}, "limit: wants at least 1"),
        ({"limit": True}, "limit: wants a whole number, got"),
        ({"limit": 2.5}, "limit: wants a whole number, got"),
        ({"n_shots": 5}, "n_shots: wants 0 to 4"),
        ({"shots": 4}, "shots: unknown key"),
        ({"model": {}}, "model.path: is missing"),
        ({"model": {"path": "x", "kind": "tgi"}}, "model.kind: wants one of hf, vllm, openai"),
        ({"model": {"path": "x", "kind": "openai"}}, "model.base_url"),
        ({"model": {"path": "x", "kind": "openai", "base_url": "http://127.0.0.1/v1"}}, "model.tokenizer"),
        ({"model": {"path": "x", "base_url": "http://127.0.0.1/v1"}}, "model.base_url: has no meaning"),
        ({"model": {"path": "x", "batch_size": 0}}, "model.batch_size"),
        ({"paper_model": "GPT"}, "paper_model"),
        ({"output": None}, "output: wants text, got nothing"),
    ],
)
def test_mistakes_are_named(change: dict, message: str) -> None:
    with pytest.raises(SpecError, match="^" + message.replace(".", "\\.")):
        parse_spec(GOOD | change)


@pytest.mark.parametrize("text", ["", "[]", "{", "model: [", "\x00"])
def test_no_specification(tmp_path: Path, text: str) -> None:
    for name in ("spec.json", "spec.yaml"):
        (tmp_path / name).write_text(text)
        with pytest.raises(SpecError):
            load_spec(tmp_path / name)
    with pytest.raises(SpecError, match="No such file"):
        load_spec(tmp_path / "nowhere.json")


def test_model_arguments_of_each_kind() -> None:
    model = parse_spec(GOOD).model
    assert model_arguments(model) == (
        "hf",
        {"pretrained": "checkpoint", "dtype": "bfloat16", "device": "cpu", "batch_size": 1},
    )
    server = {"kind": "openai", "path": "served", "base_url": "http://127.0.0.1:8000/v1/", "tokenizer": "tokenizer"}
    name, arguments = model_arguments(parse_spec(GOOD | {"model": server}).model)
    assert name == "local-completions"
    assert arguments["base_url"] == "http://127.0.0.1:8000/v1/completions"
    assert model_arguments(parse_spec(GOOD | {"model": {"path": "x", "kind": "vllm"}}).model)[0] == "vllm"


COMPONENTS = ("open_web_math", "cc_en_math", "synthetic", "code", "textbooks", PAIRED_COMPONENT)


def test_the_plan_of_an_ablation() -> None:
    plan = plan_ablation(COMPONENTS, seeds=(1, 2), weights={"code": 0.5})
    by_name = {composition.name: composition for composition in plan.compositions}
    assert list(by_name) == [
        "basic",
        "basic+paired",
        "basic+separated",
        "minus open_web_math",
        "minus cc_en_math",
        "minus synthetic",
        "minus code",
        "minus textbooks",
    ]
    assert by_name["basic"].components == COMPONENTS[:-1]
    assert by_name["basic+paired"].components == by_name["basic+separated"].components == COMPONENTS
    assert by_name["basic+separated"].form == AS_SEPARATE_DOCUMENTS
    assert by_name["minus code"].weights["code"] == 0
    assert by_name["basic"].weights["code"] == 0.5
    assert set(by_name["minus code"].weights) == set(COMPONENTS)
    assert len(plan.runs) == len({run.name for run in plan.runs}) == 16
    assert plan.runs[3].name == "basic-paired-seed2"


def test_a_plan_without_the_translated_code_has_no_pairs() -> None:
    plan = plan_ablation(("code", "textbooks"), seeds=(1,))
    assert [run.composition.name for run in plan.runs] == ["basic", "minus code", "minus textbooks"]
    assert [run.composition.name for run in plan_ablation(("code",), seeds=(1,)).runs] == ["basic"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"components": ()},
        {"components": ("a", "a")},
        {"components": ("a",), "seeds": ()},
        {"components": ("a",), "weights": {"b": 1.0}},
        {"components": ("a",), "weights": {"a": 0.0}},
    ],
)
def test_plans_that_make_no_sense(arguments: dict) -> None:
    with pytest.raises(ValueError, match=r"wants some|of no component"):
        plan_ablation(**arguments)
