"""How much of each component goes into the pile: weights, caps, and the plan that meets both.

A *weight* says how often each document of a component goes in: 1.0 once, 0.5 every second one, 2.3
all of them twice and three in ten a third time. A *cap* lowers a weight: `max_tokens` of the
component, or `max_share` of the pile's tokens. A cap on a share moves the whole it is a share of, so
the caps of all components are solved together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

# More copies than this are a slip of the pen: repeats past 16 epochs gain next to nothing
# (Muennighoff et al. 2023, arXiv 2305.16264).
MAX_WEIGHT = 16.0


class InfeasibleMixture(ValueError):
    """No pile with any tokens keeps within the caps, e.g. two components capped at 20 % and nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentMixture:
    """What one component may contribute.

    Attributes:
        weight: copies of each document, in [0, 16]; MathCode-Pile takes every document once.
        max_share: cap on the share of the pile's tokens, in (0, 1]; None for no cap.
        max_tokens: cap on the component's tokens in the pile; None for no cap.
    """

    weight: float = 1.0
    max_share: float | None = None
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and 0 <= self.weight <= MAX_WEIGHT):
            raise ValueError(f"weight {self.weight} is not in [0, {MAX_WEIGHT:g}]")
        if self.max_share is not None and not 0 < self.max_share <= 1:
            raise ValueError(f"max_share {self.max_share} is not in (0, 1]")
        if self.max_tokens is not None and self.max_tokens < 0:
            raise ValueError(f"max_tokens {self.max_tokens} is negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureConfig:
    """The mixture. The default is the paper's: every component whole, once, without caps.

    Field practice since then is code at about 20 % of the tokens at most, which is
    `{"code": ComponentMixture(max_share=0.2)}`; the paper's own pile has 8.9 % code and 14.2 %
    translated code (Table 1).

    Attributes:
        components: settings by component; a component that is not named gets `ComponentMixture()`.
        seed: of the hash that chooses documents where a weight is no whole number; the paper's seed.
    """

    components: Mapping[str, ComponentMixture] = field(default_factory=dict)
    seed: int = 3407

    def of(self, component: str) -> ComponentMixture:
        """The settings of a component."""
        return self.components.get(component, ComponentMixture())


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentPlan:
    """One component's part of a plan.

    Attributes:
        tokens_in: tokens of its clean documents.
        asked_weight: as in the config.
        weight: after the caps, never above `asked_weight`.
        tokens: expected in the pile. Documents are chosen by hash, one by one, so the pile's own count
            lies around it, or, after `pile.fit_caps`, just below where a cap binds.
        share: of the plan's tokens, in [0, 1].
        capped_by: `max_tokens`, `max_share`, or empty.
    """

    tokens_in: int
    asked_weight: float
    weight: float
    tokens: float
    share: float
    capped_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MixturePlan:
    """Weights after the caps, by component in the order of the totals; `seed` as in the config."""

    components: Mapping[str, ComponentPlan]
    seed: int


def plan_mixture(token_totals: Mapping[str, int], config: MixtureConfig | None = None) -> MixturePlan:
    """The largest mixture within all caps: no weight could be higher and every cap still hold.

    Args:
        token_totals: tokens of each component's clean documents, in the order of the pile.
        config: default: the paper's mixture.

    Raises:
        ValueError: the config names a component that is not in the totals.
        InfeasibleMixture: the caps leave no pile.
    """
    config = config or MixtureConfig()
    unknown = sorted(config.components.keys() - token_totals.keys())
    if unknown:
        raise ValueError(f"mixture names components that are not there: {unknown} (there: {list(token_totals)})")
    asked = {name: tokens * Fraction(config.of(name).weight) for name, tokens in token_totals.items()}
    limited = {name: min(tokens, _limit(config.of(name).max_tokens)) for name, tokens in asked.items()}
    caps = {name: config.of(name).max_share for name in token_totals}
    final = _within_shares(limited, {name: Fraction(cap) for name, cap in caps.items() if cap is not None})
    total = sum(final.values())
    components = {}
    for name, tokens_in in token_totals.items():
        weight = float(final[name] / tokens_in) if tokens_in else config.of(name).weight
        components[name] = ComponentPlan(
            tokens_in=tokens_in,
            asked_weight=config.of(name).weight,
            weight=min(weight, config.of(name).weight),
            tokens=float(final[name]),
            share=float(final[name] / total) if total else 0.0,
            capped_by=_binding(final[name], limited[name], asked[name]),
        )
    return MixturePlan(components=components, seed=config.seed)


def _limit(max_tokens: int | None) -> float | int:
    return math.inf if max_tokens is None else max_tokens


def _binding(final: Fraction, limited: Fraction, asked: Fraction) -> str:
    if final < limited:
        return "max_share"
    return "max_tokens" if limited < asked else ""


def _within_shares(tokens: Mapping[str, Fraction], caps: Mapping[str, Fraction]) -> dict[str, Fraction]:
    """Lower tokens until each cap holds: x = min(tokens, cap * total) with the largest total.

    With the total too high the capped components that exceed their share are held at it, which
    lowers the total, which may make further caps bind; a cap that binds never comes loose again, so
    there are at most as many rounds as caps.
    """
    total = sum(tokens.values(), Fraction(0))
    bound: set[str] = set()
    while True:
        over = {name for name, cap in caps.items() if tokens[name] > cap * total}
        if over <= bound:
            return {name: caps[name] * total if name in bound else value for name, value in tokens.items()}
        bound |= over
        free = sum((value for name, value in tokens.items() if name not in bound), Fraction(0))
        left = 1 - sum(caps[name] for name in bound)
        if free == 0 or left <= 0:
            names = ", ".join(f"{name} {float(caps[name]):g}" for name in sorted(bound))
            raise InfeasibleMixture(f"the caps on shares ({names}) leave no mixture: nothing else has tokens")
        total = free / left
