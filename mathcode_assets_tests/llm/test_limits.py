"""Rate limits under a clock that only sleeping moves, back-off, and the forms of Retry-After."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mathcode_assets.llm.limits import RateLimiter, backoff_s, retry_after_s


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds
        await asyncio.sleep(0)


def passing_times(tokens: list[int], **limits: float) -> list[float]:
    """When each of the requests is let through, asked all at once, in seconds from the start."""
    clock = Clock()

    async def ask_all() -> list[float]:
        limiter = RateLimiter(clock=clock, sleep=clock.sleep, **limits)
        times = []

        async def ask(amount: int) -> None:
            await limiter.acquire(amount)
            times.append(clock.now - 1_000.0)

        await asyncio.gather(*(ask(amount) for amount in tokens))
        return times

    return asyncio.run(ask_all())


def test_requests_pass_at_the_rate_after_a_burst_of_a_second() -> None:
    times = passing_times([1] * 8, requests_per_minute=120)
    assert times == pytest.approx([0, 0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0])


def test_tokens_pass_at_the_rate_and_the_slower_of_both_limits_holds() -> None:
    assert passing_times([50] * 5, tokens_per_minute=6_000) == pytest.approx([0, 0, 0.5, 1.0, 1.5])
    both = passing_times([50] * 5, tokens_per_minute=6_000, requests_per_minute=30)
    assert both == pytest.approx([0, 2, 4, 6, 8])


def test_a_request_larger_than_the_bucket_passes_and_leaves_a_debt() -> None:
    assert passing_times([1_000, 10], tokens_per_minute=6_000) == pytest.approx([0, 9.1])


def test_no_limit_never_waits() -> None:
    assert passing_times([10**9] * 100) == [0.0] * 100


@given(st.lists(st.integers(1, 500), max_size=30), st.integers(60, 6_000), st.integers(600, 60_000))
def test_no_minute_ever_sees_more_than_the_limit_and_a_burst(tokens: list[int], rpm: int, tpm: int) -> None:
    times = passing_times(tokens, requests_per_minute=rpm, tokens_per_minute=tpm)
    assert times == sorted(times)
    for first, start in enumerate(times):
        within = [tokens[i] for i in range(first, len(times)) if times[i] < start + 60]
        assert len(within) <= rpm + max(1, rpm / 60) + 1
        assert sum(within) <= tpm + max(tpm / 60, max(tokens)) + max(tokens)


def test_what_was_not_used_is_given_back_and_a_pause_holds_everybody() -> None:
    clock = Clock()

    async def ask() -> list[float]:
        limiter = RateLimiter(tokens_per_minute=6_000, clock=clock, sleep=clock.sleep)
        times = []
        await limiter.acquire(100)
        limiter.settle(estimated=100, actual=20)
        await limiter.acquire(80)
        times.append(clock.now)
        limiter.settle(estimated=80, actual=180)
        await limiter.acquire(10)
        times.append(clock.now)
        limiter.pause(30)
        limiter.pause(5)
        await limiter.acquire(1)
        return [*times, clock.now]

    assert [time - 1_000 for time in asyncio.run(ask())] == pytest.approx([0, 1.1, 31.1])


@given(st.text("0123456789abcdef", min_size=4, max_size=8), st.integers(1, 30), st.integers(0, 9))
def test_a_delay_is_seeded_and_within_its_doubling_bound(key: str, number: int, seed: int) -> None:
    delay = backoff_s(key, number, first_s=0.5, most_s=20, seed=seed)
    assert 0 <= delay <= min(20, 0.5 * 2 ** (number - 1))
    assert delay == backoff_s(key, number, first_s=0.5, most_s=20, seed=seed)


def test_delays_of_different_requests_spread() -> None:
    delays = sorted(backoff_s(str(key), 3, first_s=1, most_s=60, seed=0) for key in range(200))
    assert delays[0] < 0.2 and delays[-1] > 3.8 and len(set(delays)) == 200


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"Retry-After": "7"}, 7),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"Retry-After": "86400"}, 60),
        ({"Retry-After": "-3"}, 0),
        ({"Retry-After": "nan"}, 0),
        ({"Retry-After": "inf"}, 60),
        ({"Retry-After": "soon"}, 0),
        ({"Retry-After": ""}, 0),
        ({"Retry-After-Ms": "250", "Retry-After": "9"}, 0.25),
        ({"Retry-After": "Sun, 22 Nov 2026 10:00:10 GMT"}, 10),
        ({"Retry-After": "Sun, 22 Nov 2026 09:00:00 GMT"}, 0),
        ({"Retry-After": "Sun, 22 Nov 2026 10:00:00 GMT", "Date": "Sun, 22 Nov 2026 09:59:55 GMT"}, 5),
        ({"Retry-After": "Sun, 22 Nov 2026 10:00:20", "Date": "rubbish"}, 20),
    ],
)
def test_every_form_of_retry_after_is_read(headers: dict[str, str], seconds: float) -> None:
    now = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC)
    assert retry_after_s(headers, most_s=60, now=now) == pytest.approx(seconds)
