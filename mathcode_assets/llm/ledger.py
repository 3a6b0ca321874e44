"""What was asked, answered and paid: counts, tokens and prices, added up from events.

The events are what a backend reports while it works, each a small dict (see `Ledger.apply`). A request cache
writes them down before they take effect, so the same sums come out after any crash: an attempt that was
begun and never ended counts as of unknown billing, at the most it can have cost.

Billing of an attempt: *answered*, with the usage the server stated; *refused*, where the server sent a whole
error response, which is free; *unsent*, where no connection came about, so it is no attempt at all; *unknown*
in every other case (a broken connection, a time-out, a response that is no completion, a gateway's 502 or 504).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from mathcode_assets.llm.generator import OK

SENT, ENDED, ROW, PROBED, GPU, NOTE = "sent", "ended", "row", "probed", "gpu", "note"
UNSENT, REFUSED, UNKNOWN = "unsent", "refused", "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Sums over requests; add two with ``+``."""

    requests: int = 0
    """Asked for in this run."""
    cached: int = 0
    """Of these, answered by the cache."""
    answered: int = 0
    failed: int = 0
    """Failed for good, quarantined ones among them."""
    deferred: int = 0
    """Failed in this run; the next one asks again."""
    attempts: int = 0
    attempts_unknown: int = 0
    """Attempts whose full answer never came."""
    probes: int = 0
    """Attempts that only asked whether the server works; counted in ``attempts`` too."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_unknown: int = 0
    """Estimate for the attempts of unknown billing."""
    completion_tokens_unknown: int = 0
    """The most that the attempts of unknown billing can have generated."""
    gpu_seconds: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens, those of unknown billing at their most."""
        return self.prompt_tokens + self.completion_tokens + self.prompt_tokens_unknown + self.completion_tokens_unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What a model costs: by tokens, or by the time it keeps a GPU."""

    currency: str = "USD"
    input_per_million: float = 0.0
    output_per_million: float = 0.0
    gpu_hour: float = 0.0

    def of_tokens(self, prompt_tokens: float, completion_tokens: float) -> float:
        """Price of so many tokens."""
        return (prompt_tokens * self.input_per_million + completion_tokens * self.output_per_million) / 1e6

    def known(self, usage: Usage) -> float:
        """Price of what was answered, and of the GPU."""
        tokens = self.of_tokens(usage.prompt_tokens, usage.completion_tokens)
        return tokens + usage.gpu_seconds / 3600 * self.gpu_hour

    def unknown(self, usage: Usage) -> float:
        """The most that the attempts of unknown billing can have cost."""
        return self.of_tokens(usage.prompt_tokens_unknown, usage.completion_tokens_unknown)

    def worst(self, usage: Usage) -> float:
        """Both together: what a budget has to be held against."""
        return self.known(usage) + self.unknown(usage)


class Ledger:
    """Sums over events, and what is known of each request that has no final row yet."""

    def __init__(self) -> None:
        self._counts: dict[str, float] = {f.name: f.default for f in fields(Usage)}  # type: ignore[misc]
        self._open: dict[tuple[str, int], tuple[str, int, int]] = {}
        self._attempts: dict[str, int] = {}
        self._errors: dict[str, str] = {}

    @property
    def usage(self) -> Usage:
        """The sums; an attempt under way counts as of unknown billing until it ends."""
        under_way = Usage(
            attempts_unknown=len(self._open),
            prompt_tokens_unknown=sum(prompt for _, prompt, _ in self._open.values()),
            completion_tokens_unknown=sum(most for _, _, most in self._open.values()),
        )
        return Usage(**self._counts) + under_way  # type: ignore[arg-type]

    def attempts(self, key: str) -> int:
        """How often a request without a final row was sent, in all runs."""
        return self._attempts.get(key, 0)

    def last_error(self, key: str) -> str:
        """Why its last attempt failed; empty where it was cut off."""
        return self._errors.get(key, "")

    def n_under_way(self, writer: str) -> int:
        """Attempts of a writer that have not ended."""
        return sum(owner == writer for owner, _ in self._open)

    def apply(self, writer: str, event: Mapping[str, Any]) -> None:
        """Add one event of a writer; unknown events, and ends of attempts never begun, change nothing.

        - ``sent``: attempt ``n`` of request ``k``, of ``p`` prompt tokens and ``m`` completion tokens at most;
        - ``ended``: attempt ``n`` without an answer, its billing ``b`` and reason ``why``;
        - ``row``: the final row ``c`` (a completion) of a request, which ends attempt ``n`` where given, with
          ``a`` attempts and ``u`` of unknown billing that were not reported one by one;
        - ``probed``: attempt ``n`` was a probe that was answered with ``p`` and ``m`` tokens;
        - ``gpu``: ``s`` seconds; ``note``: counts to add.
        """
        kind = event.get("e")
        if kind == SENT:
            self._begin(writer, event)
        elif kind == ENDED:
            self._end(writer, event)
        elif kind == ROW:
            self._row(writer, event)
        elif kind == PROBED and self._open.pop((writer, event["n"]), None):
            self._add(probes=1, prompt_tokens=event["p"], completion_tokens=event["m"])
        elif kind == GPU:
            self._add(gpu_seconds=event["s"])
        elif kind == NOTE:
            self._add(**event["counts"])

    def _add(self, **counts: float) -> None:
        for name, count in counts.items():
            self._counts[name] += count

    def _begin(self, writer: str, event: Mapping[str, Any]) -> None:
        key = event["k"]
        self._open[writer, event["n"]] = (key, event["p"], event["m"])
        self._attempts[key] = self._attempts.get(key, 0) + 1
        self._errors.pop(key, None)
        self._add(attempts=1)

    def _end(self, writer: str, event: Mapping[str, Any]) -> None:
        begun = self._open.pop((writer, event["n"]), None)
        if begun is None:
            return
        key, prompt, most = begun
        if key in self._attempts:
            self._errors[key] = event["why"]
        if event["b"] == UNSENT:
            self._add(attempts=-1)
            if key in self._attempts:
                self._attempts[key] -= 1
        elif event["b"] == UNKNOWN:
            self._add(attempts_unknown=1, prompt_tokens_unknown=prompt, completion_tokens_unknown=most)

    def _row(self, writer: str, event: Mapping[str, Any]) -> None:
        row = event["c"]
        self._open.pop((writer, event.get("n", 0)), None)
        self._attempts.pop(row["key"], None)
        self._errors.pop(row["key"], None)
        is_ok = row.get("status", OK) == OK
        self._add(
            answered=int(is_ok),
            failed=int(not is_ok),
            attempts=event.get("a", 0),
            attempts_unknown=event.get("u", 0),
            prompt_tokens=row.get("prompt_tokens", 0),
            completion_tokens=row.get("completion_tokens", 0),
        )


def summary(*, run: Usage, total: Usage, prices: Prices, n_verified: int | None = None) -> dict[str, float | int | str]:
    """One flat dict for an asset's metadata: this run's counts, all runs' spending, price for each result.

    Args:
        run: sums of this run.
        total: sums of every run on this partition's cache; equal to ``run`` where there is no cache.
        prices: of the model.
        n_verified: computations verified with what the partition was asked so far.
    """
    spent = prices.known(total)
    told: dict[str, float | int | str] = {f"llm_{f.name}": getattr(run, f.name) for f in fields(Usage)}
    told |= {f"llm_total_{f.name}": getattr(total, f.name) for f in fields(Usage) if f.name not in _OF_A_RUN}
    told |= {
        "llm_currency": prices.currency,
        "llm_price": prices.known(run),
        "llm_total_price": spent,
        "llm_total_price_unknown_at_most": prices.unknown(total),
    }
    if n_verified:
        told["llm_price_per_verified"] = spent / n_verified
        told["llm_tokens_per_verified"] = (total.prompt_tokens + total.completion_tokens) / n_verified
    return told


_OF_A_RUN = frozenset({"requests", "cached", "deferred"})
