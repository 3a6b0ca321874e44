"""The states of the breaker, under a clock that only sleeping moves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from mathcode_assets.llm.breaker import CLOSED, HALF_OPEN, OPEN, CircuitBreaker, CircuitOpen
from mathcode_assets_tests.llm.test_limits import Clock


class Server:
    """Comes back at a time; counts who asks."""

    def __init__(self, clock: Clock, back_at: float) -> None:
        self.clock, self.back_at = clock, back_at
        self.probed_at: list[float] = []
        self.n_probing = 0

    async def probe(self) -> bool:
        self.n_probing += 1
        assert self.n_probing == 1, "one at a time"
        self.probed_at.append(self.clock.now - 1_000)
        await self.clock.sleep(0.5)
        self.n_probing -= 1
        return self.clock.now >= 1_000 + self.back_at


def run(test: Callable[[CircuitBreaker, Clock], Awaitable[None]]) -> None:
    clock = Clock()
    breaker = CircuitBreaker(failures=3, probe_after_s=2, deadline_s=20, clock=clock, sleep=clock.sleep)
    asyncio.run(test(breaker, clock))  # type: ignore[arg-type]


def test_it_opens_after_failures_in_a_row_only() -> None:
    async def test(breaker: CircuitBreaker, clock: Clock) -> None:
        for outcome in [breaker.failed, breaker.failed, breaker.succeeded, breaker.failed, breaker.failed]:
            outcome()
            assert breaker.state == CLOSED
        breaker.failed()
        assert breaker.state == OPEN

    run(test)


def test_while_open_all_wait_and_one_probes_until_the_server_is_back() -> None:
    async def test(breaker: CircuitBreaker, clock: Clock) -> None:
        for _ in range(3):
            breaker.failed()
        server = Server(clock, back_at=6)
        await asyncio.gather(*(breaker.wait(server.probe) for _ in range(30)))
        assert breaker.state == CLOSED
        # Others' waiting moves this clock while a probe is under way, so the distances are lower bounds.
        assert server.probed_at[0] >= 2 and len(server.probed_at) <= 3
        assert all(later - earlier >= 2 for earlier, later in zip(server.probed_at, server.probed_at[1:], strict=False))

    run(test)


def test_a_probe_under_way_is_the_half_open_state() -> None:
    async def test(breaker: CircuitBreaker, clock: Clock) -> None:
        for _ in range(3):
            breaker.failed()

        async def probe() -> bool:
            assert breaker.state == HALF_OPEN
            return True

        await breaker.wait(probe)
        assert breaker.state == CLOSED
        breaker.failed()
        assert breaker.state == CLOSED, "the count starts again"

    run(test)


def test_after_the_deadline_requests_fail_at_once_but_a_late_return_is_noticed() -> None:
    async def test(breaker: CircuitBreaker, clock: Clock) -> None:
        for _ in range(3):
            breaker.failed()
        server = Server(clock, back_at=100)
        with pytest.raises(CircuitOpen):
            await breaker.wait(server.probe)
        assert 20 <= clock.now - 1_000 < 24
        before = clock.now
        with pytest.raises(CircuitOpen):
            await breaker.wait(server.probe)
        assert clock.now - before <= 0.5, "at most one probe is waited for"
        clock.now = 1_101.0
        await breaker.wait(server.probe)
        assert breaker.state == CLOSED

    run(test)


def test_a_probe_that_raises_leaves_it_open_for_the_next() -> None:
    async def test(breaker: CircuitBreaker, clock: Clock) -> None:
        for _ in range(3):
            breaker.failed()

        async def broken() -> bool:
            raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            await breaker.wait(broken)
        assert breaker.state == OPEN
        await breaker.wait(Server(clock, back_at=0).probe)
        assert breaker.state == CLOSED

    run(test)
