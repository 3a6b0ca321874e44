"""How sure a share of right answers is."""

from __future__ import annotations

import math
from collections.abc import Sequence

# Two-sided 95 % of the standard normal distribution.
Z_95 = 1.959963984540054


def wilson(n_right: int, n: int, *, z: float = Z_95) -> tuple[float, float]:
    """Wilson's score interval for a share, both ends in [0, 1]; (0, 1) where nothing was counted.

    Unlike the normal approximation it is never empty or outside [0, 1], which matters with SAT's 32 questions.

    Raises:
        ValueError: n_right is not between 0 and n.
    """
    if not 0 <= n_right <= n:
        raise ValueError(f"{n_right} right of {n}")
    if n == 0:
        return 0.0, 1.0
    share = n_right / n
    scale = 1 + z * z / n
    middle = (share + z * z / (2 * n)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if n_right == 0 else max(0.0, middle - half)
    high = 1.0 if n_right == n else min(1.0, middle + half)
    return low, high


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation (n - 1); None instead of the latter for a single value.

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("no values")
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return mean, None
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
