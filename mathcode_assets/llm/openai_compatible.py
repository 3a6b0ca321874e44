"""A generator that asks a server with OpenAI's chat interface: the hosted one, or vLLM on one's own machine.

There is exactly one layer of retries, here: the client's own is switched off, so a request is sent at most
``attempts`` times. What cannot be answered becomes a failed completion, marked transient or not.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mathcode_assets.llm.generator import FAILED, Completion, Request

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_TRANSIENT_STATUSES = frozenset({408, 409, 425, 429})  # and every 5xx


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Where the server is and how hard it is asked."""

    base_url: str
    api_key: str = "none"  # a server of one's own wants none, but the client insists on a value
    concurrency: int = 64  # a server on this machine gave 18, 288 and 430 tokens/s at 1, 16 and 64 requests
    attempts: int = 4
    first_delay_s: float = 1.0  # doubled after each attempt
    timeout_s: float = 600.0  # watchdog of one attempt


@dataclass(frozen=True, slots=True)
class OpenAICompatible:
    """Asks ``config.base_url``; each call of `generate` opens one client, shares it, and closes it."""

    config: ServerConfig

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """One completion for each request, in order, once all have been answered.

        Raises:
            RuntimeError: called from within a running event loop.
        """
        yield from asyncio.run(_answer_all(requests, self.config))


async def _answer_all(requests: Sequence[Request], config: ServerConfig) -> list[Completion]:
    from openai import AsyncOpenAI

    gate = asyncio.Semaphore(config.concurrency)
    async with AsyncOpenAI(
        base_url=config.base_url, api_key=config.api_key, max_retries=0, timeout=config.timeout_s
    ) as client:

        async def answer(request: Request) -> Completion:
            async with gate:
                return await _answer(client, request, config)

        return await asyncio.gather(*(answer(request) for request in requests))


async def _answer(client: AsyncOpenAI, request: Request, config: ServerConfig) -> Completion:
    from openai import APIConnectionError, APIStatusError, OpenAIError

    delay = config.first_delay_s
    failure = Completion(key=request.key, status=FAILED, error="never asked", is_transient=True)
    for attempt in range(config.attempts):
        if attempt:
            await asyncio.sleep(delay)
            delay *= 2
        is_transient = True
        try:
            answered = await asyncio.wait_for(client.chat.completions.create(**_arguments(request)), config.timeout_s)
            return _completion_of(request, answered)
        except APIStatusError as error:
            is_transient = error.status_code >= 500 or error.status_code in _TRANSIENT_STATUSES
            message = f"HTTP {error.status_code}: {error.message}"
        except (APIConnectionError, TimeoutError) as error:
            message = f"{type(error).__name__}: {error}"
        except (OpenAIError, ValueError, TypeError, AttributeError, IndexError) as error:
            is_transient, message = False, f"unusable response: {type(error).__name__}: {error}"
        failure = Completion(key=request.key, status=FAILED, error=message, is_transient=is_transient)
        if not is_transient:
            break
    return failure


def _arguments(request: Request) -> dict[str, Any]:
    parameters = request.parameters
    arguments: dict[str, Any] = {
        "model": request.model,
        "messages": [asdict(message) for message in request.messages],
        "temperature": parameters.temperature,
        "top_p": parameters.top_p,
        "max_tokens": parameters.max_tokens,
        "seed": parameters.seed + request.sample_index,
    }
    if parameters.stop:
        arguments["stop"] = list(parameters.stop)
    if request.response_schema:
        schema = {"name": "answer", "schema": json.loads(request.response_schema), "strict": True}
        arguments["response_format"] = {"type": "json_schema", "json_schema": schema}
    return arguments


def _completion_of(request: Request, answered: Any) -> Completion:
    choice = answered.choices[0]
    usage = answered.usage
    return Completion(
        key=request.key,
        text=choice.message.content or "",
        finish_reason=choice.finish_reason or "",
        prompt_tokens=usage.prompt_tokens if usage else 0,
        completion_tokens=usage.completion_tokens if usage else 0,
    )
