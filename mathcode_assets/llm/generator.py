"""What is asked of a language model, what comes back, and the one protocol between the two.

A request knows everything that decides its answer, so its key is safe to cache and to replay by: another
model, revision, parameter or prompt version is another key.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Protocol

OK = "ok"
FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a conversation."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Every decoding parameter, resolved: no backend adds a default of its own."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 1024
    seed: int = 0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One question to a model."""

    messages: tuple[Message, ...]
    model: str
    model_revision: str = ""
    parameters: Parameters
    prompt_version: str
    response_schema: str = ""
    """Canonical JSON of a schema the answer has to follow; empty for free text."""
    sample_index: int = 0
    """Number of this draw where the same question is asked several times."""

    @property
    def key(self) -> str:
        """sha256 of the canonical JSON of every field, 64 hex digits."""
        canonical = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """The answer to one request, or why there is none."""

    key: str
    text: str = ""
    status: str = OK
    error: str = ""
    """What went wrong, where status is failed."""
    is_transient: bool = False
    """Whether asking again in a later run may succeed."""
    finish_reason: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    generator: str = ""
    """Who answered: model@revision, or name@version of rules; empty where nobody did."""
    attempts: int = 0
    """How often the request was sent for this completion; 0 where nothing left this process."""
    attempts_unknown: int = 0
    """Those whose full answer never came, so nobody here knows whether they were billed."""
    is_cached: bool = False
    """Whether it was read from a request cache: paid for earlier, nothing sent now."""

    @property
    def is_ok(self) -> bool:
        """Whether there is an answer (which may still be of no use)."""
        return self.status == OK


class Generator(Protocol):
    """A backend: a model server, a library, a file of recorded answers."""

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """One completion for each request, in the order of the requests.

        Requests are read ahead by a bounded window and completions are yielded as soon as their turn comes,
        so a stream of any length can be asked. A request that cannot be answered gives a completion with
        status failed, never an exception: one bad row must not end a job.
        """
        ...


def generator_name(model: str, revision: str) -> str:
    """How a model is named in completions and recipes: ``model@revision``."""
    return f"{model}@{revision or 'unversioned'}"
