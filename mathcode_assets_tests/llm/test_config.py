"""From settings to a generator that counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mathcode_assets.llm.batch_file import WAITING
from mathcode_assets.llm.cache import Cached
from mathcode_assets.llm.config import GeneratorConfig, Limits, open_generator
from mathcode_assets.llm.ledger import Prices
from mathcode_assets.llm.meter import Meter
from mathcode_assets.llm.replay import record
from mathcode_assets_tests.llm.test_cache import Echo, ask, run


def test_rules_are_added_by_name_and_counted() -> None:
    config = GeneratorConfig(generator="symbolic", prices=Prices(input_per_million=1e6))
    with open_generator(config, extra={"symbolic": lambda _: Echo()}) as opened:
        answers = list(opened.generator.generate([ask("a"), ask("bad"), ask("busy")]))
        told = opened.summary(n_verified=1)
    assert [answer.is_ok for answer in answers] == [True, False, False]
    assert (told["llm_requests"], told["llm_answered"], told["llm_failed"], told["llm_deferred"]) == (3, 1, 1, 1)
    assert told["llm_price_per_verified"] == 3.0


def test_recorded_answers_come_from_a_file_or_from_the_folder_of_a_cache(tmp_path: Path) -> None:
    answers, _ = run(tmp_path / "cache", ["a"], Echo())
    record(tmp_path / "answers.jsonl", answers)
    for path in (tmp_path / "cache", tmp_path / "answers.jsonl"):
        with open_generator(GeneratorConfig(generator="replay", replay=str(path))) as opened:
            a, missing = opened.generator.generate([ask("a"), ask("b")])
            assert a.text == "re: a" and not missing.is_ok
            assert opened.meter.run.requests == 2


def test_a_model_is_asked_through_the_cache_of_its_partition(tmp_path: Path) -> None:
    config = GeneratorConfig(generator="batch", model="m", base_url="http://127.0.0.1:9/v1", budget_tokens=10_000)
    with open_generator(config, folder=tmp_path) as opened:
        assert isinstance(opened.generator, Cached)
        assert opened.meter.budget is not None and opened.meter.budget.tokens == 10_000
        (answer,) = opened.generator.generate([ask("a")])
    assert answer.error == WAITING and (tmp_path / "batch").is_dir()
    with pytest.raises(ValueError, match="folder"), open_generator(config):
        pass


def test_the_key_is_read_from_the_environment_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    config = GeneratorConfig(
        generator="openai",
        model="m",
        base_url="http://x/v1",
        api_key_env="SOME_KEY",
        limits=Limits(requests_per_minute=5, token_limit_field="max_completion_tokens"),
    )
    assert config.server.api_key == "sk-secret" and config.server.requests_per_minute == 5
    assert "sk-secret" not in f"{config} {config.server} {json.dumps(config.recipe)}"
    monkeypatch.delenv("SOME_KEY")
    assert config.server.api_key == "none"


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"generator": "openai", "model": "m"}, "base_url"),
        ({"generator": "vllm"}, "model"),
        ({"generator": "replay"}, "replay"),
    ],
)
def test_what_is_missing_is_named(given: dict[str, str], missing: str) -> None:
    with pytest.raises(ValueError, match=missing):
        GeneratorConfig(**given)


def test_an_unknown_generator_is_told_which_there_are() -> None:
    opened = open_generator(GeneratorConfig(generator="orakel"), extra={"symbolic": lambda _: Echo()})
    with pytest.raises(ValueError, match="batch, openai, replay, symbolic, vllm"), opened:
        pass


def test_only_what_decides_the_answers_is_in_the_recipe() -> None:
    one = GeneratorConfig(generator="vllm", model="m")
    other = GeneratorConfig(generator="vllm", model="m", budget_price=3, limits=Limits(concurrency=1))
    assert one.recipe == other.recipe
    assert one.recipe != GeneratorConfig(generator="vllm", model="m", model_revision="2").recipe


def test_a_meter_without_a_cache_counts_all_the_same() -> None:
    meter = Meter()
    number = meter.begin(ask("a"))
    assert number
    meter.lost(number, "broken")
    assert meter.run == meter.total and meter.run.attempts_unknown == 1
