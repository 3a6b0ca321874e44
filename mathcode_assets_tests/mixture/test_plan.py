"""Caps hold, no weight is above the asked one, and nothing is held lower than a cap demands."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mathcode_assets.mixture.plan import (
    ComponentMixture,
    InfeasibleMixture,
    MixtureConfig,
    MixturePlan,
    plan_mixture,
)

NAMES = ["code", "synthetic", "textbooks", "web"]
SETTINGS = st.builds(
    ComponentMixture,
    weight=st.floats(0, 16) | st.sampled_from([0.0, 0.5, 1.0, 2.3]),
    max_share=st.none() | st.floats(0.01, 1),
    max_tokens=st.none() | st.integers(0, 10**10),
)
TOTALS = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 10**10), min_size=1)
CONFIGS = st.builds(MixtureConfig, components=st.dictionaries(st.sampled_from(NAMES), SETTINGS))


def planned(totals: dict[str, int], **components: ComponentMixture) -> MixturePlan:
    return plan_mixture(totals, MixtureConfig(components=components))


def weights(plan: MixturePlan) -> dict[str, float]:
    return {name: component.weight for name, component in plan.components.items()}


def test_the_default_is_the_papers_mixture_everything_once() -> None:
    plan = plan_mixture({"web": 600, "code": 300, "textbooks": 100})
    assert weights(plan) == {"web": 1, "code": 1, "textbooks": 1}
    assert [component.share for component in plan.components.values()] == [0.6, 0.3, 0.1]
    assert {component.capped_by for component in plan.components.values()} == {""}


def test_code_at_most_a_fifth() -> None:
    # 80 of 100 tokens are left outside code, so code may have 20 of its 50.
    plan = planned({"web": 80, "code": 50}, code=ComponentMixture(max_share=0.2))
    assert weights(plan) == {"web": 1, "code": 0.4}
    assert plan.components["code"].capped_by == "max_share"


def test_two_caps_are_solved_together() -> None:
    # Half is left to the web: 50 of 100. Solved one after the other, code would keep too much.
    cap = ComponentMixture(max_share=0.25)
    plan = planned({"web": 50, "code": 100, "synthetic": 50}, code=cap, synthetic=cap)
    assert weights(plan) == {"web": 1, "code": 0.25, "synthetic": 0.5}


def test_a_cap_that_binds_can_make_another_bind() -> None:
    # With all of code (900 of 1200) synthetic is at 8 %; with code held, it would be at 31 %.
    plan = planned(
        {"web": 200, "code": 900, "synthetic": 100},
        code=ComponentMixture(max_share=0.05),
        synthetic=ComponentMixture(max_share=0.15),
    )
    assert plan.components["synthetic"].capped_by == "max_share"
    assert plan.components["code"].share == pytest.approx(0.05)
    assert plan.components["synthetic"].share == pytest.approx(0.15)
    assert plan.components["web"].tokens == 200


def test_a_cap_on_tokens_and_a_repeated_component() -> None:
    plan = planned(
        {"web": 1000, "textbooks": 100},
        web=ComponentMixture(max_tokens=250),
        textbooks=ComponentMixture(weight=2.5),
    )
    assert weights(plan) == {"web": 0.25, "textbooks": 2.5}
    assert plan.components["web"].capped_by == "max_tokens"
    assert plan.components["textbooks"].tokens == 250


def test_caps_that_leave_no_pile_are_refused_by_name() -> None:
    with pytest.raises(InfeasibleMixture, match=r"code 0\.2"):
        planned({"web": 0, "code": 50}, code=ComponentMixture(max_share=0.2))


def test_halves_capped_at_a_half_are_the_smaller_one_twice() -> None:
    half = ComponentMixture(max_share=0.5)
    assert weights(planned({"web": 10, "code": 40}, web=half, code=half)) == {"web": 1, "code": 0.25}


def test_nothing_in_nothing_out() -> None:
    plan = planned({"web": 0, "code": 0}, code=ComponentMixture(max_share=0.2))
    assert [component.tokens for component in plan.components.values()] == [0, 0]
    assert plan_mixture({}).components == {}


def test_a_component_that_is_not_there_is_a_typing_error() -> None:
    with pytest.raises(ValueError, match=r"not there: \['cod'\]"):
        planned({"code": 1}, cod=ComponentMixture())


@pytest.mark.parametrize(
    "settings",
    [
        {"weight": -1.0},
        {"weight": float("nan")},
        {"weight": 17.0},
        {"max_share": 0.0},
        {"max_share": 1.1},
        {"max_tokens": -1},
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        ComponentMixture(**settings)


@given(TOTALS, CONFIGS)
def test_caps_hold_and_weights_never_rise(totals: dict[str, int], config: MixtureConfig) -> None:
    assume(config.components.keys() <= totals.keys())
    try:
        plan = plan_mixture(totals, config)
    except InfeasibleMixture:
        # Only if the caps of everything that has tokens leave part of the pile to nobody.
        full = {n: t for n, t in totals.items() if t and config.of(n).weight and config.of(n).max_tokens != 0}
        assert sum(config.of(name).max_share or 1 for name in full) < 1
        return
    total = sum(component.tokens for component in plan.components.values())
    for name, component in plan.components.items():
        settings = config.of(name)
        assert 0 <= component.weight <= settings.weight
        assert component.tokens <= (settings.max_tokens if settings.max_tokens is not None else 1e12)
        assert component.tokens <= (settings.max_share or 1) * total * (1 + 1e-9)
        if not component.capped_by:
            assert component.weight == settings.weight


@given(TOTALS, CONFIGS)
def test_a_lowered_weight_stands_exactly_at_its_cap(totals: dict[str, int], config: MixtureConfig) -> None:
    assume(config.components.keys() <= totals.keys())
    try:
        plan = plan_mixture(totals, config)
    except InfeasibleMixture:
        return
    for name, component in plan.components.items():
        if component.capped_by == "max_share":
            assert component.share == pytest.approx(config.of(name).max_share)
        if component.capped_by == "max_tokens":
            assert component.tokens == Fraction(config.of(name).max_tokens or 0)
