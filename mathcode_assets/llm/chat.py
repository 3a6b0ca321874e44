"""OpenAI's chat format: a request as a body, a body as a completion, and what an error status means.

Shared by the server backend and by batch files, so both read an answer the same way.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from mathcode_assets.llm.generator import FAILED, Completion, Request

CHAT_PATH = "/v1/chat/completions"

# How an attempt that was answered with an error goes on.
RETRY = "retry"  # may pass in a moment
SETUP = "setup"  # the key, the model's name, a parameter: no fault of this request, and the next fares alike
PERMANENT = "permanent"  # this request will never be answered

_TRANSIENT_STATUSES = frozenset({408, 409, 425, 429})  # and every 5xx
_SETUP_STATUSES = frozenset({401, 402, 403, 404, 405, 407})
# Codes of a 400 that blame the call, not the text: stored as failures for good they would condemn every record.
_SETUP_CODES = frozenset({"unsupported_parameter", "unsupported_value", "model_not_found", "invalid_api_key"})
# A gateway says these when the server behind it broke off, perhaps after generating.
GATEWAY_STATUSES = frozenset({502, 504})


class UnusableResponse(ValueError):
    """A response with status 200 that is no completion."""


def body_of(request: Request, *, token_limit_field: str = "max_tokens") -> dict[str, Any]:
    """The JSON body that asks a request.

    Args:
        request: to ask.
        token_limit_field: how the server spells the limit; newer hosted models want max_completion_tokens.

    Raises:
        ValueError: the response schema is not JSON.
    """
    parameters = request.parameters
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [asdict(message) for message in request.messages],
        "temperature": parameters.temperature,
        "top_p": parameters.top_p,
        token_limit_field: parameters.max_tokens,
        "seed": parameters.seed + request.sample_index,
    }
    if parameters.stop:
        body["stop"] = list(parameters.stop)
    if request.response_schema:
        schema = {"name": "answer", "schema": json.loads(request.response_schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def completion_of(key: str, body: Any, *, generator: str) -> Completion:
    """Read the body of a successful response.

    A refusal is a failure for good; an empty text (e.g. of a model that reasoned up to its limit) is an answer.

    Raises:
        UnusableResponse: it is no chat completion.
    """
    try:
        choice = body["choices"][0]
        message = choice["message"]
        content, refusal = message["content"], message.get("refusal")
        prompt_tokens, completion_tokens = _usage_of(body)
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        raise UnusableResponse(f"no chat completion: {type(error).__name__}: {error}") from error
    if content is not None and not isinstance(content, str):
        raise UnusableResponse(f"no chat completion: the content is of type {type(content).__name__}")
    is_refused = content is None and isinstance(refusal, str)
    return Completion(
        key=key,
        text=(content or "").encode("utf-8", "replace").decode(),
        status=FAILED if is_refused else "ok",
        error=f"refused: {refusal}" if is_refused else "",
        finish_reason=str(choice.get("finish_reason") or ""),
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        generator=generator,
    )


def course_after(status: int, code: str | None) -> str:
    """RETRY, SETUP or PERMANENT for an error status and the error's code, where the server gives one."""
    if status >= 500 or status in _TRANSIENT_STATUSES:
        return RETRY
    if status in _SETUP_STATUSES or code in _SETUP_CODES:
        return SETUP
    return PERMANENT


def _usage_of(body: dict[str, Any]) -> tuple[int, int]:
    usage = body.get("usage") or {}
    return _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
