"""What may be spent, what would be spent: a hard limit, and an estimate before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from math import ceil

from mathcode_assets.llm.generator import Completion, Request
from mathcode_assets.llm.ledger import Prices, Usage

# Characters a token: English prose has 4, our web mathematics 2.6 to 3.3 by common tokenizers, dense LaTeX and
# digits near 2. The lower the bound, the earlier a budget stops; actual counts replace it with every answer.
TOKENS_PER_CHAR = 0.5
FREE = Prices()
_TOKENS_PER_MESSAGE = 8  # of the chat template around each message: 3 to 7 in the templates of current models


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The most that all runs on one cache may spend; 0 is no limit.

    price: in the currency of ``prices``. tokens: prompt and completion tokens together.
    """

    price: float = 0.0
    tokens: int = 0
    prices: Prices = FREE

    def allows(self, usage: Usage, *, prompt_tokens: int, completion_tokens: int) -> bool:
        """Whether an attempt of at most so many tokens still fits, everything unsettled taken at its worst."""
        tokens = usage.tokens + prompt_tokens + completion_tokens
        price = self.prices.worst(usage) + self.prices.of_tokens(prompt_tokens, completion_tokens)
        return not (self.tokens and tokens > self.tokens) and not (self.price and price > self.price)


class BudgetExhausted(RuntimeError):
    """The next attempt might have gone over the budget, so it was not sent.

    Everything answered until then is in the cache: the same requests with a larger budget go on from there.

    Attributes:
        usage: what has been spent.
        unyielded: completions that came in for later requests while the run was stopping, in their order.
    """

    def __init__(self, budget: Budget, usage: Usage, unyielded: tuple[Completion, ...] = ()) -> None:
        spent = f"{usage.tokens:,} tokens, {budget.prices.worst(usage):.4f} {budget.prices.currency}"
        limit = f"{budget.tokens:,} tokens" if budget.tokens else f"{budget.price:.4f} {budget.prices.currency}"
        super().__init__(f"budget of {limit} is used up: {usage.answered:,} answered, at most {spent} spent")
        self.budget, self.usage, self.unyielded = budget, usage, unyielded


def prompt_tokens_of(request: Request, count_tokens: Callable[[str], int] | None = None) -> int:
    """Tokens of a request's prompt: counted where there is a tokenizer, else estimated on the high side."""
    texts = [message.content for message in request.messages] + [request.response_schema]
    if count_tokens is not None:
        counted = sum(count_tokens(text) for text in texts)
    else:
        counted = ceil(sum(len(text) for text in texts) * TOKENS_PER_CHAR)
    return counted + _TOKENS_PER_MESSAGE * (len(request.messages) + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a run would take, before anything is sent. Prices in ``currency``."""

    requests: int
    cached: int
    to_send: int
    prompt_tokens: int
    completion_tokens: int
    completion_tokens_at_most: int
    price: float
    price_at_most: float
    currency: str
    seconds: float | None
    """Wall time by the given rate; None where none was given."""


def estimate(
    requests: Iterable[Request],
    *,
    cached: Container[str] = frozenset(),
    prices: Prices = FREE,
    count_tokens: Callable[[str], int] | None = None,
    expected_completion_tokens: float | None = None,
    completion_tokens_per_second: float | None = None,
) -> Estimate:
    """Count what would be sent and price it.

    Args:
        requests: as they would be asked; read once.
        cached: keys that would not be sent; a `RequestCache` is such a container.
        prices: of the model.
        count_tokens: the model's tokenizer; without it `TOKENS_PER_CHAR` is taken.
        expected_completion_tokens: mean of an answer, e.g. of a trial run; without it, `max_tokens`.
        completion_tokens_per_second: measured for the whole server at the concurrency to be used.
    """
    n_requests = n_cached = prompt = most = 0
    seen: set[bytes] = set()
    for request in requests:
        n_requests += 1
        key = request.key
        if key in cached or bytes.fromhex(key) in seen:
            n_cached += 1
            continue
        seen.add(bytes.fromhex(key))
        prompt += prompt_tokens_of(request, count_tokens)
        most += request.parameters.max_tokens
    n_sent = n_requests - n_cached
    expected = most if expected_completion_tokens is None else min(most, ceil(n_sent * expected_completion_tokens))
    rate = completion_tokens_per_second
    return Estimate(
        requests=n_requests,
        cached=n_cached,
        to_send=n_sent,
        prompt_tokens=prompt,
        completion_tokens=expected,
        completion_tokens_at_most=most,
        price=prices.of_tokens(prompt, expected),
        price_at_most=prices.of_tokens(prompt, most),
        currency=prices.currency,
        seconds=expected / rate if rate else None,
    )
