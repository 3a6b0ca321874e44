"""The asynchronous side of `openai_compatible`: one event loop, one client, and the course of one request."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from threading import Thread
from typing import TYPE_CHECKING, Any

from mathcode_assets.llm.breaker import CircuitBreaker, CircuitOpen
from mathcode_assets.llm.budget import prompt_tokens_of
from mathcode_assets.llm.chat import (
    GATEWAY_STATUSES,
    PERMANENT,
    RETRY,
    SETUP,
    UnusableResponse,
    body_of,
    completion_of,
    course_after,
)
from mathcode_assets.llm.generator import FAILED, Completion, Message, Parameters, Request, generator_name
from mathcode_assets.llm.limits import RateLimiter, backoff_s, retry_after_s
from mathcode_assets.llm.meter import Meter

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

# Errors of the HTTP client that come before a connection; by name, as openai 3 uses httpx2 and older ones httpx.
_UNSENT_ERRORS = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "ProxyError"})
_PROBE_VERSION = "probe/1"
# A word no model would say by itself: only a server that follows the schema answers with it.
_PROBE_SCHEMA = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": ["xqv-17"]}},
    "required": ["colour"],
    "additionalProperties": False,
}
_MAX_ERROR_CHARS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Where the server is and how hard it is asked. The key is never shown."""

    base_url: str
    api_key: str = field(default="none", repr=False)  # a server of one's own wants none, but the client insists
    concurrency: int = 64  # a server on this machine gave 18, 288 and 430 tokens/s at 1, 16 and 64 requests
    read_ahead: int = 16  # times `concurrency`: so many pass one that hangs until its watchdog ends it
    attempts: int = 5  # in one run; the cache bounds those of all runs
    first_delay_s: float = 1.0  # bound of the first random delay, doubled after each attempt
    max_delay_s: float = 60.0  # bound of any delay, Retry-After's too
    timeout_s: float = 600.0  # watchdog of one attempt, from sending to the last byte
    connect_timeout_s: float = 10.0
    requests_per_minute: float = 0.0  # 0 is no limit
    tokens_per_minute: float = 0.0  # prompt and completion; 0 is no limit
    breaker_failures: int = 10  # in a row
    breaker_probe_s: float = 5.0
    breaker_deadline_s: float = 600.0  # a server restarts with its model loaded in 35 to 120 s
    token_limit_field: str = "max_tokens"  # hosted reasoning models want max_completion_tokens
    seed: int = 0  # of the delays

    @property
    def window(self) -> int:
        """Requests taken from the stream and not yet handed out."""
        return self.concurrency * self.read_ahead


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """How one attempt ended: with a completion, or with an error and what to do next."""

    completion: Completion | None = None
    error: str = ""
    course: str = RETRY
    retry_after_s: float = 0.0
    is_sent: bool = True
    is_unknown: bool = False


class ServerThread:
    """A client in an event loop of its own. Use as a context manager: leaving it closes the client."""

    def __init__(self, config: ServerConfig, meter: Meter, follows_schema: dict[str, bool]) -> None:
        self._config, self._meter, self._follows_schema = config, meter, follows_schema
        self._ready: Future[None] = Future()
        self._thread = Thread(target=self._run, daemon=True, name="generator")

    def __enter__(self) -> ServerThread:
        self._thread.start()
        self._ready.result()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def submit(self, request: Request) -> Future[Completion]:
        """Start on a request; its completion, or BudgetExhausted, comes in the future."""
        return asyncio.run_coroutine_threadsafe(self._session.answer(request), self._loop)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if not self._ready.done():
                self._ready.set_exception(error)

    async def _serve(self) -> None:
        from openai import AsyncOpenAI, Timeout

        config = self._config
        timeout = Timeout(config.timeout_s, connect=config.connect_timeout_s)
        async with AsyncOpenAI(
            base_url=config.base_url, api_key=config.api_key, max_retries=0, timeout=timeout
        ) as client:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            self._session = _Session(client, config, self._meter, self._follows_schema)
            self._ready.set_result(None)
            await self._stop.wait()
            under_way = asyncio.all_tasks() - {asyncio.current_task()}
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)


class _Session:
    def __init__(
        self, client: AsyncOpenAI, config: ServerConfig, meter: Meter, follows_schema: dict[str, bool]
    ) -> None:
        self.client, self.config, self.meter, self.follows_schema = client, config, meter, follows_schema
        self.gate = asyncio.Semaphore(config.concurrency)
        self.schema_turn = asyncio.Lock()
        self.ended = asyncio.Event()
        self.limiter = RateLimiter(
            requests_per_minute=config.requests_per_minute, tokens_per_minute=config.tokens_per_minute
        )
        self.breaker = CircuitBreaker(
            failures=config.breaker_failures,
            probe_after_s=config.breaker_probe_s,
            deadline_s=config.breaker_deadline_s,
        )

    async def answer(self, request: Request) -> Completion:
        """Attempts until there is an answer, a failure for good, or no attempt left."""
        config, n_sent, n_unknown = self.config, 0, 0
        outcome = _Outcome(error="never asked")
        for number in range(config.attempts):
            if number:
                delay = backoff_s(
                    request.key, number, first_s=config.first_delay_s, most_s=config.max_delay_s, seed=config.seed
                )
                await asyncio.sleep(max(delay, outcome.retry_after_s))
            async with self.gate:
                outcome = await self._try(request)
            n_sent += outcome.is_sent
            n_unknown += outcome.is_unknown
            if outcome.completion is not None:
                return replace(outcome.completion, attempts=n_sent, attempts_unknown=n_unknown)
            if outcome.course != RETRY or not self.meter.may_try(request.key):
                break
        return Completion(
            key=request.key,
            status=FAILED,
            error=outcome.error,
            is_transient=True,
            attempts=n_sent,
            attempts_unknown=n_unknown,
        )

    async def _try(self, request: Request) -> _Outcome:
        """One attempt, as soon as breaker, schema probe, rate limit and budget let it through."""
        try:
            body = body_of(request, token_limit_field=self.config.token_limit_field)
        except ValueError as error:
            failure = Completion(key=request.key, status=FAILED, error=f"response schema is not JSON: {error}")
            self.meter.finish(failure)
            return _Outcome(completion=failure, is_sent=False)
        try:
            await self.breaker.wait(lambda: self._probe(request.model))
        except CircuitOpen as error:
            return _Outcome(error=str(error), course=SETUP, is_sent=False)
        if request.response_schema:
            is_followed = await self._is_schema_followed(request)
            if not is_followed:
                known = is_followed is not None
                error = "the server does not follow response schemas" if known else "the schema probe failed"
                return _Outcome(error=error, course=SETUP if known else RETRY, is_sent=False)
        return await self._send(request, body, is_probe=False)

    async def _send(self, request: Request, body: dict[str, Any], *, is_probe: bool) -> _Outcome:
        """One attempt, and its report to meter, limiter and breaker."""
        estimated = prompt_tokens_of(request, self.meter.count_tokens) + request.parameters.max_tokens
        await self.limiter.acquire(estimated)
        attempt = await self._begin(request)
        outcome = await self._exchange(request, body)
        completion = outcome.completion
        if completion is not None:
            used = completion.prompt_tokens + completion.completion_tokens or estimated
            self.limiter.settle(estimated=estimated, actual=used)
            if is_probe:
                counts = {"prompt_tokens": completion.prompt_tokens, "completion_tokens": completion.completion_tokens}
                self.meter.probed(attempt, **counts)
            else:
                self.meter.finish(completion, attempt)
        elif not outcome.is_sent:
            self.meter.unsent(attempt, outcome.error)
        elif outcome.is_unknown:
            self.meter.lost(attempt, outcome.error)
        else:
            self.meter.refused(attempt, outcome.error)
            self.limiter.settle(estimated=estimated, actual=0)
        self.ended.set()
        if outcome.retry_after_s:
            self.limiter.pause(outcome.retry_after_s)
        return outcome

    async def _begin(self, request: Request) -> int:
        while (attempt := self.meter.begin(request)) is None:
            self.ended.clear()
            await self.ended.wait()
        return attempt

    async def _exchange(self, request: Request, body: dict[str, Any]) -> _Outcome:
        """Send, and read what comes back; every error of the exchange becomes an outcome."""
        from openai import APIConnectionError, APIStatusError

        sending = self.client.chat.completions.with_raw_response.create(**body)
        try:
            response = await asyncio.wait_for(sending, self.config.timeout_s)
            name = generator_name(request.model, request.model_revision)
            completion = completion_of(request.key, json.loads(response.content), generator=name)
        except APIStatusError as error:
            return self._refusal(request, error)
        except APIConnectionError as error:
            self.breaker.failed()
            cause = error.__cause__ or error
            is_sent = type(cause).__name__ not in _UNSENT_ERRORS
            return self._failure(f"{type(cause).__name__}: {cause}", is_sent=is_sent, is_unknown=is_sent)
        except TimeoutError:
            self.breaker.failed()
            return self._failure(f"no answer within {self.config.timeout_s:g} s", is_unknown=True)
        except UnusableResponse as error:
            return self._failure(f"unusable response: {error}", is_unknown=True)
        except Exception as error:  # whatever the client makes of a broken response: one bad row ends no job
            return self._failure(f"unusable response: {type(error).__name__}: {error}", is_unknown=True)
        self.breaker.succeeded()
        return _Outcome(completion=completion)

    def _refusal(self, request: Request, error: APIStatusError) -> _Outcome:
        """The outcome of a whole error response."""
        status, course = error.status_code, course_after(error.status_code, error.code)
        if status >= 500 or course == SETUP:
            self.breaker.failed()
        else:
            self.breaker.succeeded()
        message = f"HTTP {status}: {error.message}"
        wait_s = retry_after_s(error.response.headers, most_s=self.config.max_delay_s) if course == RETRY else 0.0
        if course == PERMANENT:
            refused = self._failure(message)
            return _Outcome(completion=Completion(key=request.key, status=FAILED, error=refused.error))
        return self._failure(message, course=course, retry_after_s=wait_s, is_unknown=status in GATEWAY_STATUSES)

    def _failure(self, message: str, **outcome: Any) -> _Outcome:
        shown = message.replace(self.config.api_key, "[key]") if len(self.config.api_key) > 4 else message
        return _Outcome(error=shown[:_MAX_ERROR_CHARS], **outcome)

    async def _probe(self, model: str) -> bool:
        """Whether the server generates one token."""
        request = _probe_request(model, "Say yes.", max_tokens=1)
        body = body_of(request, token_limit_field=self.config.token_limit_field)
        outcome = await self._send(request, body, is_probe=True)
        return outcome.completion is not None and outcome.completion.is_ok

    async def _is_schema_followed(self, request: Request) -> bool | None:
        """Whether the server follows a schema, asked with one no model would follow by itself; None: no answer."""
        model = request.model
        async with self.schema_turn:
            if model not in self.follows_schema:
                schema = json.dumps(_PROBE_SCHEMA, sort_keys=True)
                probe = _probe_request(model, "Name a colour.", max_tokens=32, schema=schema)
                body = body_of(probe, token_limit_field=self.config.token_limit_field)
                completion = (await self._send(probe, body, is_probe=True)).completion
                if completion is None:
                    return None
                self.follows_schema[model] = completion.is_ok and _is_probe_answer(completion.text)
        return self.follows_schema[model]


def _probe_request(model: str, question: str, *, max_tokens: int, schema: str = "") -> Request:
    return Request(
        messages=(Message(role="user", content=question),),
        model=model,
        parameters=Parameters(max_tokens=max_tokens),
        prompt_version=_PROBE_VERSION,
        response_schema=schema,
    )


def _is_probe_answer(text: str) -> bool:
    try:
        return json.loads(text) == {"colour": "xqv-17"}
    except ValueError:
        return False
