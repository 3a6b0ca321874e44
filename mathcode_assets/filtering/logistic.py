"""Logistic regression by Newton's method: a dozen weights, exact, and the same bytes every time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_MAX_STEPS = 100
_STEP_TOLERANCE = 1e-9
# Weights are stored with this many significant digits, so that the last bits of a linear algebra
# library do not change a model file.
_STORED_DIGITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class LogisticModel:
    """Weights on standardised inputs. ``probability`` of the positive class in (0, 1)."""

    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float

    def probability(self, inputs: np.ndarray) -> np.ndarray:
        """P(positive) for each row of ``inputs`` (rows x len(weights))."""
        standardised = (inputs - np.array(self.means)) / np.array(self.scales)
        return sigmoid(standardised @ np.array(self.weights) + self.intercept)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) without overflow."""
    return 1.0 / (1.0 + np.exp(-np.clip(logits, -500.0, 500.0)))


def fit_logistic(inputs: np.ndarray, is_positive: np.ndarray, *, l2: float) -> LogisticModel:
    """The weights that minimise the log loss plus ``l2 / 2`` times their squared length.

    Args:
        inputs: rows x columns, finite.
        is_positive: one bool a row; both values must occur.
        l2: strength of the penalty on the weights of standardised columns (not on the intercept), > 0.

    Raises:
        ValueError: only one class is present.
    """
    if is_positive.all() or not is_positive.any():
        raise ValueError("a logistic regression needs examples of both classes")
    means, scales = inputs.mean(axis=0), inputs.std(axis=0)
    scales = np.where(scales > 1e-12, scales, 1.0)
    design = np.column_stack([np.ones(len(inputs)), (inputs - means) / scales])
    penalty = np.diag([0.0] + [l2] * inputs.shape[1])
    beta = np.zeros(design.shape[1])
    target = is_positive.astype(np.float64)
    loss = _penalised_loss(design, target, penalty, beta)
    for _ in range(_MAX_STEPS):
        predicted = sigmoid(design @ beta)
        gradient = design.T @ (predicted - target) + penalty @ beta
        curvature = (design * (predicted * (1 - predicted))[:, None]).T @ design + penalty
        curvature[0, 0] += 1e-9  # the intercept is not penalised: keep the matrix regular on separable data
        step = np.linalg.solve(curvature, gradient)
        # A full Newton step may overshoot where the classes are nearly separable: halve it until it helps.
        while (new_loss := _penalised_loss(design, target, penalty, beta - step)) > loss and abs(step).max() > 1e-12:
            step = step / 2
        beta, loss = beta - step, min(loss, new_loss)
        if np.abs(step).max() < _STEP_TOLERANCE:
            break
    return LogisticModel(
        means=_stored(means),
        scales=_stored(scales),
        weights=_stored(beta[1:]),
        intercept=_stored(beta[:1])[0],
    )


def _penalised_loss(design: np.ndarray, target: np.ndarray, penalty: np.ndarray, beta: np.ndarray) -> float:
    logits = design @ beta
    return float(np.sum(np.logaddexp(0.0, logits) - target * logits) + 0.5 * beta @ penalty @ beta)


def _stored(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(f"{value:.{_STORED_DIGITS}g}") for value in values)
