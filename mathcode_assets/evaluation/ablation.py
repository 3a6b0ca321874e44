"""Ablations over the data: which components go into which proxy run, as a pure plan.

    plan = plan_ablation(("open_web_math", "cc_en_math", "code", "mathematical_code"), seeds=(1, 2, 3))
    for run in plan.runs: ...     # build the mixture of run.composition, train with run.seed, evaluate

Nothing is trained or stored here. Compositions: *basic* (everything but the translated code), *basic+paired* (the whole
pile), *basic+separated* (the translated code with text and programs as documents of their own), and the whole pile
minus each component. Runs of one seed see the same number of tokens, so that they differ in the data alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

# The component whose pairing is the paper's question.
PAIRED_COMPONENT = "mathematical_code"
BASIC = "basic"
PAIRED = "basic+paired"
SEPARATED = "basic+separated"
MINUS = "minus "

AS_PAIRS = "paired"
AS_SEPARATE_DOCUMENTS = "separated"
FORMS = (AS_PAIRS, AS_SEPARATE_DOCUMENTS)

# The paper's proxy: DeepSeekCoder-1.3B; its seed is 3407. Three runs are the fewest with a spread worth printing.
DEFAULT_SEEDS = (3407, 3408, 3409)


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """A mixture of the pile's components.

    Attributes:
        name: as in tables.
        weights: of every component, copies of each document; 0 leaves a component out. They are the weights
            of `mixture.plan.MixtureConfig`.
        form: of the translated code: paired or separated.
    """

    name: str
    weights: Mapping[str, float]
    form: str = AS_PAIRS

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise ValueError(f"{self.name}: form {self.form!r} is none of {FORMS}")

    @property
    def components(self) -> tuple[str, ...]:
        """Those that go in."""
        return tuple(name for name, weight in self.weights.items() if weight > 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyRun:
    """One training run of the proxy model.

    Attributes:
        name: usable as a folder and a partition key.
        composition: what it is trained on.
        seed: of its training and of the order of its data.
    """

    name: str
    composition: Composition
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AblationPlan:
    """Every run of an ablation, composition by composition."""

    compositions: tuple[Composition, ...]
    runs: tuple[ProxyRun, ...]


def plan_ablation(
    components: Sequence[str],
    *,
    seeds: Sequence[int] = DEFAULT_SEEDS,
    weights: Mapping[str, float] | None = None,
    minus_each: bool = True,
) -> AblationPlan:
    """The compositions and runs of an ablation.

    Args:
        components: of the pile, in its order.
        seeds: a run for each.
        weights: of components; 1 where not given.
        minus_each: also the whole pile without each component (without the translated code it is basic).

    Raises:
        ValueError: the components or seeds are empty or repeat, or a weight is of no component or not positive.
    """
    for what, given in (("components", components), ("seeds", seeds)):
        if not given or len(set(given)) != len(given):
            raise ValueError(f"{what}: wants some, each once")
    asked = dict(weights or {})
    wrong = [name for name, weight in asked.items() if name not in components or not weight > 0]
    if wrong:
        raise ValueError(f"weights: {', '.join(wrong)}: of no component, or not positive")
    whole = {name: float(asked.get(name, 1.0)) for name in components}
    found = list(compositions(whole, minus_each=minus_each))
    runs = [
        ProxyRun(name=f"{slug(composition.name)}-seed{seed}", composition=composition, seed=seed)
        for composition in found
        for seed in seeds
    ]
    return AblationPlan(compositions=tuple(found), runs=tuple(runs))


def compositions(whole: Mapping[str, float], *, minus_each: bool) -> Sequence[Composition]:
    """The compositions over the weights of the whole pile."""
    basic = _without(whole, PAIRED_COMPONENT)
    found = []
    if any(weight > 0 for weight in basic.values()):
        found.append(Composition(name=BASIC, weights=MappingProxyType(basic)))
    if PAIRED_COMPONENT in whole:
        found.append(Composition(name=PAIRED, weights=MappingProxyType(dict(whole))))
        found.append(Composition(name=SEPARATED, weights=MappingProxyType(dict(whole)), form=AS_SEPARATE_DOCUMENTS))
    if minus_each:
        for left_out in whole:
            rest = _without(whole, left_out)
            if left_out != PAIRED_COMPONENT and any(weight > 0 for weight in rest.values()):
                found.append(Composition(name=MINUS + left_out, weights=MappingProxyType(rest)))
    return found


def slug(name: str) -> str:
    """A name for folders and partition keys: letters, digits, _ and -."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-")


def _without(weights: Mapping[str, float], left_out: str) -> dict[str, float]:
    return {name: 0.0 if name == left_out else weight for name, weight in weights.items()}
