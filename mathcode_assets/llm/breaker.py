"""A circuit breaker: a server that fails again and again is left alone until a real generation succeeds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

CLOSED, OPEN, HALF_OPEN = "closed", "open", "half open"


class CircuitOpen(RuntimeError):
    """The server has been failing for longer than requests are to wait for it."""


class CircuitBreaker:
    """Opens after failures in a row; while open, requests wait and one at a time probes. For one event loop.

    Args:
        failures: in a row that open it; broken connections, 5xx, and refusals of key or model count.
        probe_after_s: between opening and a probe, and between two probes.
        deadline_s: from opening until requests stop waiting. Probes go on after that, so a server that comes
            back late is noticed by the next request.
        clock: seconds, never going back.
        sleep: as `asyncio.sleep`.
    """

    def __init__(
        self,
        *,
        failures: int,
        probe_after_s: float,
        deadline_s: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._failures, self._probe_after_s, self._deadline_s = failures, probe_after_s, deadline_s
        self._clock, self._sleep = clock, sleep
        self._n_failed = 0
        self._opened_at: float | None = None
        self._probe_at = 0.0
        self._is_probing = False

    @property
    def state(self) -> str:
        """CLOSED, OPEN or HALF_OPEN."""
        if self._opened_at is None:
            return CLOSED
        return HALF_OPEN if self._is_probing else OPEN

    def succeeded(self) -> None:
        """The server answered, if only to refuse this one request."""
        self._n_failed = 0

    def failed(self) -> None:
        """The server failed."""
        self._n_failed += 1
        if self._n_failed >= self._failures and self._opened_at is None:
            self._opened_at = self._clock()
            self._probe_at = self._opened_at + self._probe_after_s

    async def wait(self, probe: Callable[[], Awaitable[bool]]) -> None:
        """Return when requests may be sent; ask ``probe`` where it is this caller's turn.

        Raises:
            CircuitOpen: the deadline has passed.
        """
        while self._opened_at is not None:
            now = self._clock()
            if now >= self._probe_at and not self._is_probing:
                await self._probe(probe)
            elif now >= self._opened_at + self._deadline_s:
                raise CircuitOpen(f"the server has been failing for {now - self._opened_at:.0f} s")
            else:
                await self._sleep(self._pause_s(now))

    async def _probe(self, probe: Callable[[], Awaitable[bool]]) -> None:
        self._is_probing = True
        try:
            if await probe():
                self._opened_at, self._n_failed = None, 0
        finally:
            self._is_probing = False
            self._probe_at = self._clock() + self._probe_after_s

    def _pause_s(self, now: float) -> float:
        assert self._opened_at is not None
        until = self._opened_at + self._deadline_s
        if not self._is_probing:
            until = min(until, self._probe_at)
        return max(0.01, min(until - now, self._probe_after_s / 4))
