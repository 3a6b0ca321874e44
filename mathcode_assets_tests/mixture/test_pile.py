"""Weights choose documents by hash: whole copies for all, the rest for some, always the same some."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mathcode_assets.mixture.pile import PileTally, fit_caps, mix, tokens_by_draw
from mathcode_assets.mixture.plan import ComponentMixture, MixtureConfig, MixturePlan, plan_mixture
from mathcode_assets.records import PILE_DOCUMENT, check_batch
from mathcode_assets_tests.mixture.documents import clean_documents

WEB = clean_documents([f"page {number} about integrals" for number in range(200)], source="web")
CODE = clean_documents(["import sympy"] * 100, source="code", n_tokens=4)


def plan_of(weight: float, *, seed: int = 1, max_share: float | None = None) -> MixturePlan:
    settings = ComponentMixture(weight=weight, max_share=max_share)
    return plan_mixture({"web": 800, "code": 400}, MixtureConfig(components={"code": settings}, seed=seed))


def copies(plan: MixturePlan, batch: pa.RecordBatch = CODE, component: str = "code") -> dict[str, int]:
    found: dict[str, int] = {}
    for mixed in mix({component: [batch]}, plan):
        for doc_id in mixed.column("doc_id").to_pylist():
            found[doc_id] = found.get(doc_id, 0) + 1
    return found


def test_weight_one_is_every_document_once_in_order() -> None:
    mixed = list(mix({"web": [WEB.slice(0, 3), WEB.slice(3, 2)], "code": [CODE.slice(0, 1)]}, plan_of(1.0)))
    for batch in mixed:
        check_batch(batch, PILE_DOCUMENT)
    rows = [row for batch in mixed for row in batch.to_pylist()]
    assert [row["doc_id"] for row in rows] == ["web-0", "web-1", "web-2", "web-3", "web-4", "code-0"]
    assert [row["component"] for row in rows] == ["web"] * 5 + ["code"]
    assert {row["repetition"] for row in rows} == {0}
    assert rows[1]["text"] == "page 1 about integrals"
    assert rows[1]["licence"] == "CC-BY-4.0"


def test_weight_zero_leaves_all_out() -> None:
    assert copies(plan_of(0.0)) == {}


def test_weight_one_half_is_about_half_and_always_the_same() -> None:
    half = copies(plan_of(0.5))
    assert 35 <= len(half) <= 65
    assert half == copies(plan_of(0.5))
    assert half.keys() != copies(plan_of(0.5, seed=2)).keys()


def test_weight_above_two_is_twice_and_for_some_a_third_time() -> None:
    found = copies(plan_of(2.3))
    assert len(found) == 100
    assert set(found.values()) == {2, 3}
    assert 15 <= list(found.values()).count(3) <= 45


def test_copies_stand_side_by_side_and_are_numbered() -> None:
    (mixed,) = mix({"code": [CODE.slice(0, 2)]}, plan_of(3.0))
    assert mixed.column("doc_id").to_pylist() == ["code-0"] * 3 + ["code-1"] * 3
    assert mixed.column("repetition").to_pylist() == [0, 1, 2] * 2


@given(st.floats(0, 4), st.floats(0, 4))
def test_a_higher_weight_takes_nothing_away(one: float, other: float) -> None:
    low, high = copies(plan_of(min(one, other))), copies(plan_of(max(one, other)))
    assert all(high[doc_id] >= count for doc_id, count in low.items())


@given(st.integers(1, 100), st.floats(0, 3))
def test_partitions_do_not_matter(border: int, weight: float) -> None:
    plan = plan_of(weight)
    parts = list(mix({"code": [CODE.slice(0, border), CODE.slice(border)]}, plan))
    whole = list(mix({"code": [CODE]}, plan))
    assert pa.Table.from_batches(parts, PILE_DOCUMENT).equals(pa.Table.from_batches(whole, PILE_DOCUMENT))


def test_every_document_is_kept_or_dropped_with_a_reason() -> None:
    plan = plan_of(0.9, max_share=0.2)  # of 800 + 360 tokens; 200 may stay, half of the 400
    tally = PileTally()
    rows = sum(batch.num_rows for batch in mix({"web": [WEB], "code": [CODE]}, plan, tally))
    code, web = tally.components["code"], tally.components["web"]
    assert plan.components["code"].weight == 0.5
    assert code.documents_in == 100 == code.documents_kept + sum(code.dropped.values())
    assert 2 <= code.dropped["mixture_weight"] <= 20
    assert 25 <= code.dropped["mixture_cap"] <= 55
    assert code.documents_kept == code.rows == len(copies(plan))
    assert code.tokens == 4 * code.rows
    assert code.size_bytes == len("import sympy") * code.rows
    assert (web.documents_in, web.dropped) == (200, {"mixture_weight": 0, "mixture_cap": 0})
    assert sum(tally.licences.values()) == rows


@given(
    lengths=st.lists(st.integers(0, 50), min_size=1, max_size=30),
    weight=st.floats(0.1, 4),
    max_tokens=st.integers(0, 2000),
    border=st.integers(0, 30),
)
def test_fitted_caps_hold_for_the_documents_that_were_chosen(
    lengths: list[int], weight: float, max_tokens: int, border: int
) -> None:
    batch = clean_documents([" ".join(["word"] * length) or " " for length in lengths])
    total = sum(lengths)
    settings = ComponentMixture(weight=weight, max_tokens=max_tokens)
    plan = plan_mixture({"web": total}, MixtureConfig(components={"web": settings}))
    tokens = tokens_by_draw([batch.slice(0, border)], plan.seed) + tokens_by_draw([batch.slice(border)], plan.seed)
    fitted = fit_caps(plan, {"web": tokens})
    tally = PileTally()
    for _ in mix({"web": [batch]}, fitted, tally):
        pass
    if plan.components["web"].capped_by:
        assert tally.components["web"].tokens <= max_tokens
        assert tally.components["web"].tokens > max_tokens - max(lengths) or fitted.components["web"].weight == weight
    else:
        assert fitted == plan
    assert fitted.components["web"].weight <= weight


def test_fitting_wants_the_documents_of_the_plan() -> None:
    plan = plan_of(1.0, max_share=0.2)
    with pytest.raises(ValueError, match="code is capped"):
        fit_caps(plan, {})
    with pytest.raises(ValueError, match="of other documents"):
        fit_caps(plan, {"code": tokens_by_draw([CODE.slice(0, 9)], plan.seed)})


def test_a_fitted_share_is_at_most_the_cap() -> None:
    plan = plan_of(1.0, max_share=0.2)
    tally = PileTally()
    fitted = fit_caps(plan, {"code": tokens_by_draw([CODE], plan.seed)})
    list(mix({"web": [WEB], "code": [CODE]}, fitted, tally))
    assert tally.components["code"].tokens == 200  # a fifth of 800 + 200
    assert sum(tally.components["code"].dropped.values()) == 50


def test_a_component_without_documents_is_counted_too() -> None:
    tally = PileTally()
    assert list(mix({"web": [], "code": [CODE.slice(0, 0)]}, plan_of(1.0), tally)) == []
    assert tally.components["web"].documents_in == tally.components["code"].documents_in == 0


def test_a_component_the_plan_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="news"):
        list(mix({"news": [WEB]}, plan_of(1.0)))
