"""The learning rate: as asked for, at every step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mathcode_assets.training.schedule import learning_rate
from mathcode_assets.training.spec import ScheduleSpec


def rates(schedule: ScheduleSpec, n_steps: int, peak: float = 1.0) -> list[float]:
    return [learning_rate(schedule, step=step, n_steps=n_steps, peak=peak) for step in range(n_steps)]


def test_values_by_hand() -> None:
    assert rates(ScheduleSpec(kind="constant"), 3) == [1.0, 1.0, 1.0]
    assert rates(ScheduleSpec(kind="constant", warmup_steps=3), 5) == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rates(ScheduleSpec(kind="linear"), 4) == [1.0, 0.75, 0.5, 0.25]
    assert rates(ScheduleSpec(kind="linear", warmup_steps=1, final_share=0.5), 5) == [0.5, 1.0, 0.875, 0.75, 0.625]
    # cosine at quarters: (1 + cos 0, 45, 90, 135 degrees) / 2
    assert rates(ScheduleSpec(kind="cosine"), 4) == pytest.approx([1.0, 0.8535533906, 0.5, 0.1464466094])


@given(
    kind=st.sampled_from(["constant", "cosine", "linear"]),
    warmup=st.integers(0, 20),
    n_steps=st.integers(1, 60),
    final=st.floats(0, 1),
)
def test_rises_to_the_peak_and_never_again(kind: str, warmup: int, n_steps: int, final: float) -> None:
    schedule = ScheduleSpec(kind=kind, warmup_steps=warmup, final_share=final)  # type: ignore[arg-type]
    found = rates(schedule, n_steps, peak=4e-5)
    assert all(0 < rate <= 4e-5 for rate in found[:warmup])
    assert found[:warmup] == sorted(found[:warmup])
    assert found[warmup:] == sorted(found[warmup:], reverse=True)
    if n_steps > warmup:
        assert found[warmup] == 4e-5
        assert found[-1] >= 4e-5 * final * (1 - 1e-12)


@pytest.mark.parametrize("step", [-1, 5])
def test_a_step_outside_the_run_is_an_error(step: int) -> None:
    with pytest.raises(ValueError, match="outside a run of 5 steps"):
        learning_rate(ScheduleSpec(), step=step, n_steps=5, peak=1.0)
