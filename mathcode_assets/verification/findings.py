"""What a comparison finds, and the tolerances all comparisons share."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from mathcode_assets.records import REFUTED, VERIFIED

# An exact value is confirmed by a rounded one from this many significant digits: the chance that another
# plausible value rounds to the same six digits is below that of any other error here.
CONFIRMING_DIGITS = 6
# A float of this many digits was printed in full and carries the noise of its computation.
FULL_DIGITS = 10
NOISE = Fraction(1, 10**9)  # relative: the noise allowed to a full float
NEAR_MISS = Fraction(1, 10**7)  # relative: between this and NOISE nothing is decided
ZERO_NOISE = Fraction(1, 10**12)  # absolute: what a float may be where the exact value is 0


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict and how it came about."""

    verdict: str
    method: str

    @property
    def is_verified(self) -> bool:
        """Whether equality was decided."""
        return self.verdict == VERIFIED

    @property
    def is_refuted(self) -> bool:
        """Whether inequality was decided."""
        return self.verdict == REFUTED
