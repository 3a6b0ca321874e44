"""The learning rate of a step: a pure function, so that it is the same after any resume.

Steps count from 0. With W warm-up steps out of N, peak p and final share f:

    warm-up   step < W:  p * (step + 1) / (W + 1)       never 0, reaches p at step W
    constant  p
    linear    p * (f + (1 - f) * (1 - t))               t = (step - W) / (N - W), in [0, 1)
    cosine    p * (f + (1 - f) * (1 + cos(pi t)) / 2)
"""

from __future__ import annotations

import math

from mathcode_assets.training.spec import ScheduleSpec


def learning_rate(schedule: ScheduleSpec, *, step: int, n_steps: int, peak: float) -> float:
    """The learning rate of one optimiser step.

    Args:
        schedule: what was asked for.
        step: in [0, n_steps).
        n_steps: steps of the whole run, warm-up included.
        peak: the highest learning rate.

    Raises:
        ValueError: the step is outside the run.
    """
    if not 0 <= step < n_steps:
        raise ValueError(f"step {step} is outside a run of {n_steps} steps")
    warmup = schedule.warmup_steps
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    done = (step - warmup) / (n_steps - warmup)
    if schedule.kind == "constant":
        return peak
    left = 1 - done if schedule.kind == "linear" else (1 + math.cos(math.pi * done)) / 2
    return peak * (schedule.final_share + (1 - schedule.final_share) * left)
