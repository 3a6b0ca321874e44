"""Every benchmark through lm-evaluation-harness with a real model, a few items each.

Runs in this environment where it has lm-eval, else in that of infra/evaluation, which the variable
MATHCODE_EVALUATION_PYTHON names; the model is the
folder MATHCODE_EVALUATION_MODEL, or else a Llama of random weights made there. Minutes on a CPU.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from mathcode_assets.cli.main import main as cli
from mathcode_assets.evaluation.benchmarks import BENCHMARKS, HARNESS
from mathcode_assets_tests.evaluation.small_benchmarks import write_benchmarks

pytestmark = [pytest.mark.evaluation, pytest.mark.timeout(900)]

RANDOM_MODEL = """
import sys
from tokenizers import Tokenizer, models, pre_tokenizers, decoders
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
import torch
torch.manual_seed(0)
letters = sorted(pre_tokenizers.ByteLevel.alphabet())
vocabulary = {"<end>": 0, **{letter: number for number, letter in enumerate(letters, start=1)}}
tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", bos_token="<end>", pad_token="<end>")
fast.save_pretrained(sys.argv[1])
config = LlamaConfig(vocab_size=len(vocabulary), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
    num_attention_heads=2, max_position_embeddings=1024, bos_token_id=0, eos_token_id=0, pad_token_id=0)
LlamaForCausalLM(config).save_pretrained(sys.argv[1])
"""


@pytest.fixture(scope="module")
def python() -> str:
    found = os.environ.get("MATHCODE_EVALUATION_PYTHON") or (sys.executable if find_spec("lm_eval") else "")
    if not found:
        pytest.skip("lm-eval is not installed: infra/install_environment.sh DIR eval, MATHCODE_EVALUATION_PYTHON")
    return found


@pytest.fixture(scope="module")
def model(python: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    given = os.environ.get("MATHCODE_EVALUATION_MODEL")
    if given:
        return given
    folder = tmp_path_factory.mktemp("model")
    subprocess.run([python, "-c", RANDOM_MODEL, str(folder)], check=True)
    return str(folder)


def test_every_benchmark(python: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = [name for name, benchmark in BENCHMARKS.items() if benchmark.kind != HARNESS]
    held_out = tmp_path / "held_out.jsonl"
    held_out.write_text("".join(json.dumps({"text": text}) + "\n" for text in ("Two and two are four.", "x" * 3000)))
    spec = {
        "model": {"path": model, "batch_size": 2},
        "tasks": tasks,
        "data": str(write_benchmarks(tmp_path / "benchmarks")),
        "held_out": str(held_out),
        "limit": 2,
        "max_new_tokens": 16,
        "output": str(tmp_path / "out"),
        "label": "small",
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    assert cli(["evaluate", "--spec", str(tmp_path / "spec.json"), "--python", python]) == 0
    assert "| small |" in capsys.readouterr().out
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert [score["benchmark"] for score in result["scores"]] == tasks
    assert all(0 < score["all"]["n"] <= 2 for score in result["scores"])
    assert result["libraries"]["lm_eval"] and result["model"]["fingerprint"]
    if "MATHCODE_EVALUATION_MODEL" not in os.environ:
        # Random weights know nothing: a token of the alphabet of 257 costs some 8 bits, and is a byte.
        assert 7.5 < result["held_out"]["bits_per_byte"] < 8.6
    items = [json.loads(line) for line in (tmp_path / "out" / "items.jsonl").read_text().split("\n") if line]
    assert {item["completion"] for item in items if item["found_by"] == "likelihood"} <= set("ABCD")
    assert (tmp_path / "out" / "scores.parquet").is_file()
    if "MATHCODE_EVALUATION_MODEL" not in os.environ:
        # A letter is a token here: four exemplars do not fit in 1,024, and the result says so.
        cut = {score["benchmark"]: score["n_prompts_cut"] for score in result["scores"]}
        assert cut["math"] == 2 and cut["humaneval"] == 0


def test_our_shared_items(python: str, model: str, shared_data: Path, tmp_path: Path) -> None:
    """One item of each benchmark file that can be asked, without exemplars."""
    command = ["evaluate", "--model", model, "--tasks", "gsm8k,sat_math,ocw", "--data", str(shared_data / "benchmarks")]
    options = ["--limit", "1", "--shots", "0", "--output", str(tmp_path / "out"), "--python", python]
    spec = {"model": {"path": model}, "tasks": ["gsm8k"], "output": "out", "max_new_tokens": 8}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    assert cli([*command, *options, "--spec", str(tmp_path / "spec.json")]) == 0
