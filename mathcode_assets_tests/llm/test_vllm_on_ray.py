"""An engine on a worker of a real Ray cluster: a small one of our own, and vLLM's where both are installed."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from mathcode_assets.engine.on_ray import RayUnreachable
from mathcode_assets.llm.config import GeneratorConfig, open_generator
from mathcode_assets.llm.generator import Message, Parameters, Request
from mathcode_assets.llm.meter import Meter
from mathcode_assets.llm.vllm_offline import PROMPT_TOO_LONG, REJECTED, Engine, EngineConfig, Generated, VllmOffline
from mathcode_assets.llm.vllm_on_ray import VllmOnRay
from mathcode_assets_tests.training.ray_cluster import ray_addresses

pytestmark = pytest.mark.engines

# As the tests of the engine in this process: a local folder with a small chat model.
MODEL = os.environ.get("MATHCODE_VLLM_MODEL", "")


class Words:
    """A token is a word. Like vLLM it raises for the whole call where one prompt is bad."""

    max_model_len = 20

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def prompt_tokens(self, messages: Sequence[Message]) -> list[int]:
        return [len(word) for word in messages[0].content.split()]

    def generate(self, prompts: Sequence[list[int]], requests: Sequence[Request]) -> list[Generated]:
        questions = [request.messages[0].content for request in requests]
        if any("cursed" in question for question in questions):
            raise ValueError("no")
        if any("deadly" in question for question in questions) and not (self._folder / "died").exists():
            (self._folder / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return [Generated(f"re: {question}", "stop", 3) for question in questions]

    def close(self) -> None:
        """Nothing is held."""


def open_words(config: EngineConfig) -> Engine:
    return Words(Path(config.model))


def open_nothing(config: EngineConfig) -> Engine:
    raise ModuleNotFoundError("No module named 'vllm'")


def ask(question: str) -> Request:
    return Request(
        messages=(Message(role="user", content=question),),
        model="m",
        parameters=Parameters(max_tokens=8),
        prompt_version="p/1",
    )


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    import ray

    with ray_addresses(has_dashboard=False, n_gpus=1) as (address, _):
        yield address
        ray.shutdown()


@pytest.fixture
def config(address: str, tmp_path: Path) -> EngineConfig:
    return EngineConfig(model=str(tmp_path), micro_batch=4, ray_address=address, ray_wait_s=60)


@pytest.fixture
def opened() -> Iterator[Callable[[VllmOffline], VllmOffline]]:
    """What a test opens is closed after it."""
    with ExitStack() as stack:

        def closed_later(offline: VllmOffline) -> VllmOffline:
            stack.callback(offline.close)
            return offline

        yield closed_later


def test_answers_are_those_of_an_engine_here(config: EngineConfig, opened: Callable) -> None:
    requests = [ask(f"question {n}") for n in range(9)]
    requests[2], requests[6] = ask("a cursed one"), ask("word " * 13)
    there = opened(VllmOffline(config, Meter(), open_engine=lambda config: VllmOnRay(config, open_words)))
    here = VllmOffline(config, Meter(), open_engine=open_words)
    answers = list(there.generate(requests))
    assert answers == list(here.generate(requests))
    assert [answer.text for answer in answers[:2]] == ["re: question 0", "re: question 1"]
    assert answers[2].error == f"{REJECTED}: no"
    assert answers[6].error.startswith(PROMPT_TOO_LONG)


def test_a_worker_that_dies_is_replaced_and_asked_again(config: EngineConfig, opened: Callable, tmp_path: Path) -> None:
    there = opened(VllmOffline(config, Meter(), open_engine=lambda config: VllmOnRay(config, open_words)))
    answers = [answer.text for answer in there.generate([ask("one"), ask("a deadly one"), ask("three")])]
    assert (tmp_path / "died").exists()
    assert answers == ["re: one", "re: a deadly one", "re: three"]


def test_the_gpu_is_had_by_one_engine_and_given_back(config: EngineConfig) -> None:
    first = VllmOnRay(config, open_words)
    impatient = dataclasses.replace(config, ray_wait_s=1.5)
    with pytest.raises(RayUnreachable, match=r"on a worker with 1 GPUs of .*: not there within 1\.5 s"):
        VllmOnRay(impatient, open_words)
    assert first.max_model_len == 20
    first.close()
    second = VllmOnRay(config, open_words)
    assert second.max_model_len == 20
    second.close()


def test_more_gpus_than_there_are_is_told(config: EngineConfig) -> None:
    many = dataclasses.replace(config, tensor_parallel_size=8, ray_wait_s=1.0)
    with pytest.raises(RayUnreachable, match="with 8 GPUs"):
        VllmOnRay(many, open_words)


def test_a_worker_that_cannot_load_the_model_says_why(config: EngineConfig) -> None:
    with pytest.raises(RayUnreachable, match="No module named 'vllm'"):
        VllmOnRay(config, open_nothing)


@pytest.mark.skipif(not MODEL or importlib.util.find_spec("vllm") is None, reason="needs vLLM and MATHCODE_VLLM_MODEL")
def test_vllm_itself_answers_from_a_worker(address: str, tmp_path: Path) -> None:
    settings = GeneratorConfig(
        generator="vllm",
        model=MODEL,
        engine=EngineConfig(
            dtype="bfloat16",
            max_model_len=512,
            gpu_memory_utilization=float(os.environ.get("MATHCODE_VLLM_MEMORY", "0.9")),
            enforce_eager=True,
            ray_address=address,
            ray_gpus=0,
        ),
    )
    with open_generator(settings, folder=tmp_path) as opened:
        (answer,) = opened.generator.generate([ask("What is 2 + 2?")])
    assert answer.is_ok and answer.text and answer.completion_tokens > 0
