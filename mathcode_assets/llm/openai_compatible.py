"""A generator that asks a server with OpenAI's chat interface: the hosted one, or vLLM on one's own machine.

There is exactly one layer of retries, here: the client's own is switched off. All attempts of a run go
through one client in one event loop, in a thread of its own, so that completions can be handed out one by
one to a caller that is not asynchronous; the client is closed whatever happens. Each attempt is reported to
the meter before it is sent and when it ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_all
from dataclasses import dataclass, field

from mathcode_assets.llm.budget import BudgetExhausted
from mathcode_assets.llm.generator import Completion, Request
from mathcode_assets.llm.meter import Meter
from mathcode_assets.llm.server import ServerConfig, ServerThread

__all__ = ["OpenAICompatible", "ServerConfig"]


@dataclass(frozen=True, slots=True)
class OpenAICompatible:
    """Asks ``config.base_url``; each call of `generate` opens one client, shares it, and closes it."""

    config: ServerConfig
    meter: Meter = field(default_factory=Meter, repr=False)
    follows_schema: dict[str, bool] = field(default_factory=dict, repr=False)
    """By model, whether the server was seen to follow a response schema; asked once, when first needed."""

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """One completion for each request, in order, as they become ready.

        At most ``config.window`` requests are read ahead of the one that is yielded next, and nothing more is
        sent while nobody asks for the next completion.

        Raises:
            BudgetExhausted: the meter's budget allows no more; what was under way has been answered.
            OSError: the meter cannot write to its cache.
        """
        asked = iter(requests)
        request = next(asked, None)
        if request is None:
            return
        window: deque[Future[Completion]] = deque()
        with ServerThread(self.config, self.meter, self.follows_schema) as server:
            try:
                while request is not None or window:
                    while request is not None and len(window) < self.config.window:
                        window.append(server.submit(request))
                        request = next(asked, None)
                    yield window.popleft().result()
            except BudgetExhausted as stop:
                wait_for_all(window)
                unyielded = tuple(future.result() for future in window if future.exception() is None)
                raise BudgetExhausted(stop.budget, self.meter.total, unyielded) from None
