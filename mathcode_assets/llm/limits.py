"""How fast a server may be asked: two token buckets, back-off with jitter, and what Retry-After says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random

_BURST_S = 1.0  # a bucket holds a second's worth: a server that counts by the minute never sees two at once


class RateLimiter:
    """Requests and tokens for each minute, both at once, in the order of asking. For one event loop.

    Args:
        requests_per_minute: 0 is no limit.
        tokens_per_minute: of prompts and completions together; 0 is no limit.
        clock: seconds, never going back.
        sleep: as `asyncio.sleep`.
    """

    def __init__(
        self,
        *,
        requests_per_minute: float = 0.0,
        tokens_per_minute: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._requests = _Bucket(requests_per_minute / 60, clock())
        self._tokens = _Bucket(tokens_per_minute / 60, clock())
        self._paused_until = clock()
        self._clock, self._sleep = clock, sleep
        self._turn = asyncio.Lock()

    async def acquire(self, tokens: int) -> None:
        """Return when a request of about so many tokens may be sent.

        One of more tokens than the bucket holds waits for a full bucket and leaves a debt.
        """
        async with self._turn:
            while (wait := self._wait_s(tokens)) > 0:
                await self._sleep(wait)
            self._requests.take(1)
            self._tokens.take(tokens)

    def settle(self, *, estimated: int, actual: int) -> None:
        """Put the difference between the estimate and what was used back, or take it."""
        self._tokens.take(actual - estimated)

    def pause(self, seconds: float) -> None:
        """Send nothing for so long: the server said so."""
        self._paused_until = max(self._paused_until, self._clock() + seconds)

    def _wait_s(self, tokens: int) -> float:
        now = self._clock()
        return max(self._paused_until - now, self._requests.wait_s(1, now), self._tokens.wait_s(tokens, now))


class _Bucket:
    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self.capacity = max(1.0, rate * _BURST_S)
        self.level, self.at = self.capacity, now

    def wait_s(self, amount: float, now: float) -> float:
        if not self.rate:
            return 0.0
        self.level = min(self.capacity, self.level + (now - self.at) * self.rate)
        self.at = now
        missing = min(amount, self.capacity) - self.level
        return missing / self.rate if missing > 1e-9 else 0.0  # a rounding error is no reason to sleep again

    def take(self, amount: float) -> None:
        if self.rate:
            self.level -= amount


def backoff_s(key: str, number: int, *, first_s: float, most_s: float, seed: int) -> float:
    """Seconds before try ``number`` (1 for the first repetition): evenly between 0 and a doubling bound.

    Seeded by the request, so a run repeats its delays however its requests interleave.
    """
    bound = min(most_s, first_s * 2 ** (number - 1))
    return Random(f"{seed}/{key}/{number}").uniform(0, bound)


def retry_after_s(headers: Mapping[str, str], *, most_s: float, now: datetime | None = None) -> float:
    """Seconds a response asks to wait, at most ``most_s``; 0 where it asks for nothing one can read.

    Reads ``retry-after-ms``, and ``retry-after`` in seconds or as an HTTP date, which is held against the
    response's own ``date`` where there is one: clocks differ.
    """
    given = {name.lower(): value.strip() for name, value in headers.items()}
    if "retry-after-ms" in given:
        seconds = _number(given["retry-after-ms"], scale=1e-3)
    else:
        text = given.get("retry-after", "")
        seconds = _number(text)
        if seconds is None and (until := _date(text)) is not None:
            since = _date(given.get("date", "")) or now or datetime.now(UTC)
            seconds = (until - since).total_seconds()
    return min(most_s, max(0.0, seconds or 0.0))


def _number(text: str, scale: float = 1.0) -> float | None:
    try:
        number = float(text) * scale
    except ValueError:
        return None
    return number if number == number else None  # "nan" is a number to float()


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
