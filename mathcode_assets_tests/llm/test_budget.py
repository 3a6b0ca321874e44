"""Sums, prices, estimates and limits, with figures a reader can check by eye."""

from __future__ import annotations

from pathlib import Path

import pytest

from mathcode_assets.llm.budget import Budget, BudgetExhausted, estimate
from mathcode_assets.llm.cache import RequestCache
from mathcode_assets.llm.generator import Completion, Parameters, Request
from mathcode_assets.llm.ledger import Prices, Usage, summary
from mathcode_assets.llm.meter import Meter
from mathcode_assets_tests.llm.test_batch_file import ask

PRICES = Prices(currency="EUR", input_per_million=2.0, output_per_million=10.0, gpu_hour=3.6)


def small(question: str) -> Request:
    """A prompt of ten tokens (eight a message and two for the words below), five more at most."""
    return ask(question, parameters=Parameters(max_tokens=5))


def words(text: str) -> int:
    return len(text.split())


def test_prices_are_by_the_million_and_by_the_gpu_hour() -> None:
    usage = Usage(prompt_tokens=500_000, completion_tokens=100_000, gpu_seconds=10, completion_tokens_unknown=1_000)
    assert PRICES.known(usage) == pytest.approx(1.0 + 1.0 + 0.01)
    assert PRICES.unknown(usage) == pytest.approx(0.01)


def test_the_summary_says_what_a_verified_computation_costs() -> None:
    run = Usage(requests=4, answered=4, prompt_tokens=400, completion_tokens=100)
    total = run + Usage(answered=6, prompt_tokens=600, completion_tokens=100, attempts_unknown=1)
    told = summary(run=run, total=total, prices=PRICES, n_verified=2)
    assert told["llm_requests"] == 4 and told["llm_total_answered"] == 10
    assert told["llm_price"] == pytest.approx(0.0018)
    assert told["llm_total_price"] == pytest.approx(0.004) and told["llm_price_per_verified"] == pytest.approx(0.002)
    assert told["llm_tokens_per_verified"] == 600 and told["llm_currency"] == "EUR"
    assert "llm_price_per_verified" not in summary(run=run, total=total, prices=PRICES, n_verified=0)


def test_an_estimate_counts_what_would_be_sent(tmp_path: Path) -> None:
    with RequestCache(tmp_path) as cache:
        Meter(cache=cache).finish(Completion(key=small("a b").key, text="x"))
        told = estimate(
            [small("a b"), small("c d"), small("c d"), small("e f")],
            cached=cache,
            prices=PRICES,
            count_tokens=words,
            expected_completion_tokens=4,
            completion_tokens_per_second=2,
        )
    assert (told.requests, told.cached, told.to_send) == (4, 2, 2)
    assert told.prompt_tokens == 2 * (8 * 2 + 2)
    assert (told.completion_tokens, told.completion_tokens_at_most) == (8, 10)
    assert told.price == pytest.approx(36 * 2e-6 + 8 * 10e-6)
    assert told.price_at_most == pytest.approx(36 * 2e-6 + 10 * 10e-6)
    assert told.seconds == 4


def test_without_figures_an_estimate_is_on_the_high_side() -> None:
    told = estimate([ask("x" * 1000)])
    assert told.prompt_tokens > 500 and told.completion_tokens == 1024 and told.seconds is None


def test_a_budget_lets_nothing_through_that_might_exceed_it(tmp_path: Path) -> None:
    with RequestCache(tmp_path) as cache:
        meter = Meter(cache=cache, budget=Budget(tokens=60), count_tokens=words)
        first, second = meter.begin(small("a b")), meter.begin(small("c d"))
        assert first and second, "two times 18 + 5"
        assert meter.begin(small("e f")) is None, "not now: what is under way may end for less"
        meter.finish(Completion(key=small("a b").key, prompt_tokens=4, completion_tokens=1), first)
        third = meter.begin(small("e f"))
        assert third
        meter.lost(third, "broken")
        meter.refused(second, "429")
        assert meter.total.tokens == 5 + 23, "one settled, one lost at its worst, one refused for nothing"
        fourth = meter.begin(small("g"))
        assert fourth
        meter.lost(fourth, "broken")
        with pytest.raises(BudgetExhausted, match="1 answered, at most 50 tokens") as stop:
            meter.begin(small("h"))
        assert stop.value.usage.tokens == 50
        with pytest.raises(BudgetExhausted):
            meter.begin(ask("", parameters=Parameters(max_tokens=0)))  # nothing more in this run


def test_spending_outlives_the_process_and_a_larger_budget_goes_on(tmp_path: Path) -> None:
    for _ in range(2):
        with RequestCache(tmp_path) as cache:
            meter = Meter(cache=cache, budget=Budget(price=0.0002, prices=PRICES), count_tokens=words)
            number = meter.begin(small("a b"))
            assert number, "18 tokens in and 5 out are 0.000086 at most"
            meter.lost(number, "broken")
    with RequestCache(tmp_path) as cache:
        meter = Meter(cache=cache, budget=Budget(price=0.0002, prices=PRICES), count_tokens=words)
        with pytest.raises(BudgetExhausted):
            meter.begin(small("a b"))
        with pytest.raises(BudgetExhausted):
            meter.begin(small("a"))
        assert meter.total.attempts_unknown == 2
        assert Meter(cache=cache, budget=Budget(price=0.01, prices=PRICES)).begin(small("a b"))
