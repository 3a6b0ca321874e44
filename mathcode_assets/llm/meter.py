"""What a backend reports while it works: each attempt before it is sent, and how it ended.

One meter goes with one run over one partition. Where it has a request cache, every report is written there
before it takes effect, so the sums and the final rows survive the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from itertools import count
from threading import RLock
from typing import TYPE_CHECKING, Any

from mathcode_assets.llm.budget import Budget, BudgetExhausted, prompt_tokens_of
from mathcode_assets.llm.generator import Completion, Generator, Request
from mathcode_assets.llm.ledger import ENDED, GPU, NOTE, PROBED, REFUSED, ROW, SENT, UNKNOWN, UNSENT, Ledger, Usage

if TYPE_CHECKING:
    from mathcode_assets.llm.cache import RequestCache

# All but what says how a completion came here.
_STORED = tuple(field.name for field in fields(Completion) if field.name != "is_cached")
_LOCAL = "local"


class Meter:
    """Counts, budget and durable notes of one run. Thread safe.

    Args:
        cache: where reports and final rows are written; without one they are only added up.
        budget: the most that may be spent on the cache, over all runs.
        count_tokens: the model's tokenizer, for the estimate a budget and a rate limit need beforehand.
    """

    def __init__(
        self,
        *,
        cache: RequestCache | None = None,
        budget: Budget | None = None,
        count_tokens: Callable[[str], int] | None = None,
    ) -> None:
        self.cache = cache
        self.budget = budget
        self.count_tokens = count_tokens
        self._lock = cache.lock if cache is not None else RLock()
        self._run = Ledger()
        self._numbers = cache.attempt_numbers if cache is not None else count(1)
        self._is_exhausted = False

    @property
    def run(self) -> Usage:
        """Sums of this run."""
        with self._lock:
            return self._run.usage

    @property
    def total(self) -> Usage:
        """Sums of all runs on the cache; of this run where there is none."""
        with self._lock:
            return self.cache.ledger.usage if self.cache is not None else self._run.usage

    def may_try(self, key: str) -> bool:
        """Whether a request has attempts left, counted over all runs."""
        return self.cache is None or self.cache.may_try(key)

    def begin(self, request: Request) -> int | None:
        """Write down that a request is about to be sent.

        Returns:
            The number of the attempt, or None where it does not fit the budget now but may do so when an
            attempt under way has ended for less than its worst case.

        Raises:
            BudgetExhausted: it does not fit, and nothing is under way; nor does anything later in this run.
        """
        prompt, most = prompt_tokens_of(request, self.count_tokens), request.parameters.max_tokens
        with self._lock:
            if self.budget is not None:
                fits = self.budget.allows(self.total, prompt_tokens=prompt, completion_tokens=most)
                if not fits and not self._is_exhausted and self._run.n_under_way(_LOCAL):
                    return None
                if not fits or self._is_exhausted:
                    self._is_exhausted = True
                    raise BudgetExhausted(self.budget, self.total)
            number = next(self._numbers)
            self._report({"e": SENT, "k": request.key, "n": number, "p": prompt, "m": most})
            return number

    def unsent(self, attempt: int, why: str) -> None:
        """An attempt ended before a connection was there: it does not count."""
        self._report({"e": ENDED, "n": attempt, "b": UNSENT, "why": why})

    def refused(self, attempt: int, why: str) -> None:
        """An attempt ended with a whole error response, which costs nothing."""
        self._report({"e": ENDED, "n": attempt, "b": REFUSED, "why": why})

    def lost(self, attempt: int, why: str) -> None:
        """An attempt ended without a whole answer: of unknown billing."""
        self._report({"e": ENDED, "n": attempt, "b": UNKNOWN, "why": why})

    def probed(self, attempt: int, *, prompt_tokens: int, completion_tokens: int) -> None:
        """An attempt that only asked whether the server works was answered."""
        self._report({"e": PROBED, "n": attempt, "p": prompt_tokens, "m": completion_tokens})

    def gpu_seconds(self, seconds: float) -> None:
        """A GPU of one's own was kept busy."""
        self._report({"e": GPU, "s": seconds})

    def finish(self, completion: Completion, attempt: int = 0) -> None:
        """Write down a final row: an answer, or a failure for good.

        Args:
            completion: the row. A second row of a key adds to the sums and changes no answer.
            attempt: the attempt it ends; 0 where the attempts were not reported one by one, so that those
                the completion counts are added.
        """
        row = {name: getattr(completion, name) for name in _STORED}
        extra = (0, 0) if attempt else (completion.attempts, completion.attempts_unknown)
        self._report({"e": ROW, "n": attempt, "c": row, "a": extra[0], "u": extra[1]})

    def note(self, **counts: int) -> None:
        """Add to this run's counts only, e.g. of requests read and cache hits."""
        with self._lock:
            self._run.apply(_LOCAL, {"e": NOTE, "counts": counts})

    def quarantine(self, completion: Completion) -> Completion:
        """The completion, as a failure for good where its request has no attempts left."""
        if completion.is_ok or not completion.is_transient or self.may_try(completion.key):
            return completion
        assert self.cache is not None
        made = self.cache.ledger.attempts(completion.key)
        error = completion.error or self.cache.ledger.last_error(completion.key) or "cut off"
        return replace(completion, is_transient=False, error=f"quarantined after {made} attempts: {error}")

    def _report(self, event: dict[str, Any]) -> None:
        with self._lock:
            if self.cache is not None:
                self.cache.record(event)
            self._run.apply(_LOCAL, event)


@dataclass(frozen=True, slots=True)
class Metered:
    """A generator that reports nothing itself, e.g. rules, with its requests and completions counted."""

    generator: Generator
    meter: Meter

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """What the generator answers."""
        for completion in self.generator.generate(requests):
            self.meter.note(requests=1)
            if completion.is_ok or not completion.is_transient:
                self.meter.finish(completion)
            else:
                self.meter.note(deferred=1)
            yield completion
