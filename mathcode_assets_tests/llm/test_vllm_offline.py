"""The batching around the engine with a small engine of our own; the real one where vLLM is installed."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from mathcode_assets.llm.budget import Budget, BudgetExhausted
from mathcode_assets.llm.cache import Cached, RequestCache
from mathcode_assets.llm.generator import Completion, Message, Parameters, Request
from mathcode_assets.llm.meter import Meter
from mathcode_assets.llm.vllm_offline import PROMPT_TOO_LONG, EngineConfig, Generated, VllmOffline

ASKED = Request(
    messages=(Message(role="user", content="2 + 2?"),),
    model="m",
    parameters=Parameters(max_tokens=8),
    prompt_version="p/1",
)


def ask(question: str, **changes: object) -> Request:
    return dataclasses.replace(ASKED, messages=(Message(role="user", content=question),), **changes)


class WordEngine:
    """A token is a word. Like vLLM it raises for the whole call where one prompt is bad."""

    def __init__(self) -> None:
        self.max_model_len = 20
        self.batches: list[list[str]] = []
        self.n_opened = 0

    def open(self, _: EngineConfig) -> WordEngine:
        self.n_opened += 1
        return self

    def prompt_tokens(self, messages: Sequence[Message]) -> list[int]:
        if messages[0].role == "tool":
            raise ValueError("unknown role tool")
        return [len(word) for word in messages[0].content.split()]

    def generate(self, prompts: Sequence[list[int]], requests: Sequence[Request]) -> list[Generated]:
        assert all(len(prompt) + 8 <= 20 for prompt in prompts), "vLLM raises for the whole call"
        questions = [request.messages[0].content for request in requests]
        self.batches.append(questions)
        if any("cursed" in question for question in questions):
            raise ValueError("no")
        return [Generated(f"re: {question}", "stop", 3) for question in questions]

    def close(self) -> None:
        self.n_opened -= 1


def generate(engine: WordEngine, requests: list[Request], meter: Meter | None = None) -> list[Completion]:
    config = EngineConfig(micro_batch=4)
    return list(VllmOffline(config, meter or Meter(), open_engine=engine.open).generate(iter(requests)))


def test_a_prompt_that_is_too_long_fails_alone_and_keeps_its_turn() -> None:
    engine = WordEngine()
    answers = generate(engine, [ask("a"), ask("w " * 13), ask("b"), ask("w " * 12)])
    assert [answer.is_ok for answer in answers] == [True, False, True, True]
    assert answers[1].error.startswith(PROMPT_TOO_LONG) and not answers[1].is_transient
    assert answers[1].attempts == 0
    assert (answers[3].prompt_tokens, answers[3].completion_tokens) == (12, 3)
    assert engine.batches == [["a", "b", "w " * 12]]


def test_requests_go_in_micro_batches_in_order() -> None:
    engine = WordEngine()
    answers = generate(engine, [ask(str(number)) for number in range(10)])
    assert [answer.text for answer in answers] == [f"re: {number}" for number in range(10)]
    assert [len(batch) for batch in engine.batches] == [4, 4, 2]
    assert engine.n_opened == 1


def test_nothing_is_read_or_opened_ahead_of_the_micro_batch() -> None:
    engine, read = WordEngine(), []
    requests = (read.append(number) or ask(str(number)) for number in range(100))
    answers = VllmOffline(EngineConfig(micro_batch=4), open_engine=engine.open).generate(requests)
    assert not read and not engine.n_opened
    next(answers)
    assert len(read) == 5


def test_a_batch_the_engine_rejects_is_halved_until_the_culprit_is_alone() -> None:
    meter = Meter()
    answers = generate(WordEngine(), [ask("a"), ask("b"), ask("cursed"), ask("c"), ask("d")], meter)
    assert [answer.is_ok for answer in answers] == [True, True, False, True, True]
    assert "rejected_by_engine" in answers[2].error and not answers[2].is_transient
    assert (meter.run.answered, meter.run.failed, meter.run.attempts, meter.run.attempts_unknown) == (4, 1, 5, 0)


def test_bad_roles_and_schemas_fail_alone() -> None:
    bad_role = dataclasses.replace(ASKED, messages=(Message(role="tool", content="x"),))
    answers = generate(WordEngine(), [bad_role, ask("a"), ask("b", response_schema="{")])
    assert [answer.is_ok for answer in answers] == [False, True, False]


def test_a_budget_stops_between_batches_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    questions = [ask(str(number)) for number in range(12)]

    def run(tokens: int) -> tuple[list[Completion], WordEngine]:
        engine, answers = WordEngine(), []
        with RequestCache(tmp_path) as cache:
            meter = Meter(cache=cache, budget=Budget(tokens=tokens), count_tokens=lambda text: len(text.split()))
            generator = Cached(VllmOffline(EngineConfig(micro_batch=4), meter, open_engine=engine.open), meter)
            try:
                answers += generator.generate(questions)
            except BudgetExhausted as stop:
                assert stop.usage.tokens <= tokens
        return answers, engine

    answers, engine = run(60)
    assert 0 < len(answers) < 12
    n_sent = sum(map(len, engine.batches))
    again, engine = run(10_000)
    assert [answer.text for answer in again] == [f"re: {number}" for number in range(12)]
    assert n_sent + sum(map(len, engine.batches)) == 12


def test_a_closed_engine_is_given_back_and_another_one_opened_when_needed() -> None:
    engine = WordEngine()
    offline = VllmOffline(EngineConfig(), Meter(), open_engine=engine.open)
    offline.close()  # nothing was opened
    for _ in range(2):
        assert [answer.text for answer in offline.generate([ask("a b")])] == ["re: a b"]
        assert engine.n_opened == 1
        offline.close()
        assert engine.n_opened == 0


@pytest.mark.vllm
@pytest.mark.skipif("MATHCODE_VLLM_MODEL" not in os.environ, reason="MATHCODE_VLLM_MODEL names no local model")
@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vllm is not installed in this environment")
def test_the_real_engine_answers_checks_lengths_and_follows_a_schema(tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {"colour": {"type": "string", "enum": ["xqv-17"]}},
        "required": ["colour"],
        "additionalProperties": False,
    }
    config = EngineConfig(
        model=os.environ["MATHCODE_VLLM_MODEL"],
        dtype="bfloat16",
        max_model_len=1024,
        gpu_memory_utilization=float(os.environ.get("MATHCODE_VLLM_MEMORY", "0.9")),
        enforce_eager=True,
        micro_batch=3,
    )
    longer = Parameters(max_tokens=24)
    requests = [
        ask("What is 2 + 2?", parameters=longer),
        ask("word " * 2000, parameters=longer),
        ask("Name a colour.", parameters=longer, response_schema=json.dumps(schema)),
        ask("What is 3 + 3?", parameters=longer, sample_index=1),
        ask("Count from one to a hundred.", parameters=Parameters(max_tokens=4)),
    ]
    with RequestCache(tmp_path) as cache:
        meter = Meter(cache=cache)
        first, too_long, colour, sampled, short = Cached(VllmOffline(config, meter), meter).generate(requests)
        assert first.is_ok and first.text and first.prompt_tokens > 5 and 0 < first.completion_tokens <= 24
        assert too_long.error.startswith(PROMPT_TOO_LONG) and not too_long.is_transient
        assert json.loads(colour.text) == {"colour": "xqv-17"}
        assert sampled.is_ok
        assert short.finish_reason == "length" and short.completion_tokens == 4
        assert meter.run.answered == 4 and meter.run.failed == 1 and meter.run.gpu_seconds > 0
        again = list(Cached(VllmOffline(config, meter), meter).generate(requests))
        assert all(answer.is_cached for answer in again) and again[0].text == first.text
