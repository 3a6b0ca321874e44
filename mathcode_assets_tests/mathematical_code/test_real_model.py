"""A real model from passage to verdict: vLLM in this process, and behind the OpenAI protocol.

Wants an environment with vLLM and a local model (infra/vllm/README.md). A small model cannot do the task, so nothing is
asked of its answers but that each of them is accounted for: that is what the parser, the sandbox and the comparison owe
to any model.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mathcode_assets.llm.generator import Generator, Parameters
from mathcode_assets.llm.openai_compatible import OpenAICompatible, ServerConfig
from mathcode_assets.llm.vllm_offline import EngineConfig, VllmOffline
from mathcode_assets.mathematical_code.prompts import SINGLE_CALL, STRUCTURED, TranslationConfig
from mathcode_assets.mathematical_code.translation import complete, computations_of, verified
from mathcode_assets.sandbox.pool import Sandbox, SandboxConfig
from mathcode_assets.verification.isolated import VerificationConfig, Verifier
from mathcode_assets_tests.documents import document_batches
from mathcode_assets_tests.mathematical_code.test_translation import rows_of

MODEL = os.environ.get("MATHCODE_VLLM_MODEL", "")
MAX_MODEL_LEN = 2048
START_S = 300.0

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.timeout(1_200),
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vllm is not installed in this environment"),
    pytest.mark.skipif(not MODEL, reason="MATHCODE_VLLM_MODEL names no local model"),
]

TEXTS = [
    "A square has sides of 7 cm. Its area is $7^2 = 49$ square centimetres.",
    "The sum of the first hundred numbers is $\\sum_{k=1}^{100} k = 5050$.",
    "The museum is open from Tuesday to Sunday. Children go free.",
]


@contextmanager
def served_model() -> Iterator[str]:
    """A server on this machine, ended by its process; gives the address of its API."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", MODEL]
    command += ["--served-model-name", "small", "--dtype", "bfloat16", "--enforce-eager", "--generation-config", "vllm"]
    command += ["--max-model-len", str(MAX_MODEL_LEN), "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_S
        while not _is_healthy(port):
            assert process.poll() is None, "the server ended while starting"
            assert time.monotonic() < deadline, f"no server after {START_S} s"
            time.sleep(1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _is_healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def check_from_passage_to_verdict(generator: Generator, prompt: str) -> None:
    """Every passage has an answer, every answer rows or none, every row a verdict."""
    config = TranslationConfig(model="small", prompt=prompt, parameters=Parameters(max_tokens=96))
    documents = document_batches(TEXTS)
    completions = list(complete(documents, generator, config))
    answers = rows_of(completions)
    assert [answer["status"] for answer in answers] == ["ok"] * len(TEXTS), [answer["error"] for answer in answers]
    assert all(answer["prompt_tokens"] > 200 and 0 < answer["completion_tokens"] <= 96 for answer in answers)
    computations = list(computations_of(documents, completions))
    with Sandbox(SandboxConfig(n_workers=1)) as sandbox, Verifier(VerificationConfig(n_workers=1)) as verifier:
        rows = rows_of(verified(documents, computations, sandbox.run, verifier.verify))
    assert len(rows) == len(rows_of(computations))
    for row in rows:
        assert row["verdict"] in ("verified", "refuted", "unverifiable")
        assert row["problem"] or row["status"] != "not_run"
        assert row["raw"] or not row["problem"]


@pytest.mark.parametrize("prompt", [SINGLE_CALL, STRUCTURED])
def test_offline(prompt: str, offline: VllmOffline) -> None:
    check_from_passage_to_verdict(offline, prompt)


@pytest.fixture(scope="module")
def offline() -> VllmOffline:
    engine = EngineConfig(
        model=MODEL, dtype="bfloat16", max_model_len=MAX_MODEL_LEN, enforce_eager=True, micro_batch=16
    )
    return VllmOffline(engine)


def test_behind_the_openai_protocol() -> None:
    with served_model() as address:
        check_from_passage_to_verdict(OpenAICompatible(ServerConfig(base_url=address, concurrency=4)), SINGLE_CALL)
