"""Two scalars compared at seeded random points, to many digits.

Equal everywhere they were looked at, far beyond the digits that chance explains: verified. Unequal at two points where
both have values: refuted. Printed decimals widen what counts as equal by half a unit of their last place.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from mathcode_assets.records import REFUTED, UNVERIFIABLE, VERIFIED
from mathcode_assets.verification.findings import CONFIRMING_DIGITS, FULL_DIGITS, NEAR_MISS, NOISE, Finding
from mathcode_assets.verification.numeric import Evaluation
from mathcode_assets.verification.special_functions import DIGITS, MP, TooCostly, Undefined, to_mpf
from mathcode_assets.verification.values import (
    MINUS_ONE,
    Add,
    Call,
    Mul,
    Number,
    Pow,
    Scalar,
    Value,
    children,
    free_symbols,
    mentions,
)

N_POINTS = 8  # real points that must agree
N_POINTS_PIECEWISE = 40  # where a function has branches
N_POINTS_QUADRATURE = 4
N_TRIES = 60
SEED = 20241
AGREEMENT = 25  # digits
APPROXIMATE_AGREEMENT = 8  # digits, where a quadrature took part
PIECEWISE = frozenset({"Abs", "sign", "floor", "ceiling", "Max", "Min", "Mod", "Piecewise", "Heaviside", "arg"})
DISCRETE = frozenset({"factorial", "factorial2", "binomial", "perm", "Mod", "floor", "gcd", "lcm", "fibonacci"})


@dataclass(frozen=True, slots=True)
class Term:
    """A printed decimal times an exact rest: where a last printed place has a meaning."""

    number: Number
    rest: Scalar


def printed_terms(scalar: Scalar, *, is_gold: bool) -> list[Term]:
    """The decimal coefficients of the top-level terms.

    Of the gold only those beside a symbol or I: `4.5/sqrt(50)` is a computation with given data, not a rounded
    result, while `0.33 x` and `1.2 + 3.4 i` are.
    """
    terms = scalar.terms if isinstance(scalar, Add) else (scalar,)
    found = []
    for term in terms:
        factors = term.factors if isinstance(term, Mul) else (term,)
        decimals = [factor for factor in factors if isinstance(factor, Number) and factor.places is not None]
        if len(decimals) != 1:
            continue
        others = tuple(factor for factor in factors if factor is not decimals[0])
        rest: Scalar = Mul(others) if others else Number(Fraction(1))
        if len(terms) > 1 or free_symbols(rest) or mentions(rest, frozenset({"I"})) or not is_gold:
            found.append(Term(decimals[0], rest))
    return found if free_symbols(scalar) or mentions(scalar, frozenset({"I"})) or not is_gold else []


@dataclass(slots=True)
class Sample:
    """Both values at a point, with what may lie between them."""

    gold: Any
    output: Any
    peak: Any
    allowed: Any  # by the last printed places
    possible: Any  # also by places too few to confirm anything
    is_approximate: bool


def probe(gold: Scalar, output: Scalar, *, up_to_constant: bool = False) -> Finding:
    """Compare at seeded random points: real ones where both sides are real, complex ones where there are none."""
    has_imaginary = mentions(gold, frozenset({"I"})) or mentions(output, frozenset({"I"}))
    names = sorted(free_symbols(gold) | free_symbols(output))
    both = Add((gold, output))
    is_piecewise = mentions(both, PIECEWISE)
    wanted = (N_POINTS_PIECEWISE if is_piecewise else N_POINTS) if names else 1
    prober = _Prober(gold, output, up_to_constant)
    finding = prober.judge(points(names, "real"), wanted, is_real=not has_imaginary)
    if finding is None and not has_imaginary:
        finding = prober.judge(points(names, "complex" if names else "real"), wanted, is_real=False)
        if finding is not None and finding.is_refuted and names:
            finding = Finding(UNVERIFIABLE, "branch_cut")  # off the real axis, two readings may differ by a branch
    if (finding is None or not finding.is_verified) and names and (mentions(both, DISCRETE) or alternates(both)):
        discrete = prober.judge(points(names, "integer"), N_POINTS, is_real=not has_imaginary)
        if discrete is not None and not discrete.is_refuted:
            return Finding(discrete.verdict, "integer_probing" if discrete.is_verified else discrete.method)
    if finding is None:
        return Finding(UNVERIFIABLE, "undefined_values")
    return finding


def alternates(value: Value) -> bool:
    """Whether (-1)**n occurs: meant for integers."""
    if isinstance(value, Pow) and value.base == MINUS_ONE and free_symbols(value.exponent):
        return True
    if isinstance(value, Call) and value.name in ("sin", "cos") and mentions(value, frozenset({"pi"})):
        return bool(free_symbols(value))
    return any(alternates(child) for child in children(value))


def points(names: list[str], kind: str) -> Iterator[dict[str, Any]]:
    """Seeded points: positive reals first, then either sign and larger; integers; or complex numbers."""
    generator = random.Random(f"{SEED}/{kind}")
    for number in range(N_TRIES if names else 1):
        point = {}
        for name in names:
            size = generator.uniform(0.15, 0.95) if number % 4 == 1 else generator.uniform(0.3, 3.7)
            if kind == "integer":
                point[name] = MP.mpf(generator.randint(1, 12))
                continue
            if kind == "complex":
                point[name] = MP.mpc(generator.uniform(-1.5, 1.5), generator.uniform(-1.5, 1.5))
                continue
            if number % 2 and generator.random() < 0.6:
                size = -size
            point[name] = MP.mpf(size) + (number % 5 == 4) * generator.randint(-9, 9)
        yield point


class _Prober:
    """Judges samples of one pair of scalars."""

    def __init__(self, gold: Scalar, output: Scalar, up_to_constant: bool) -> None:
        self._gold, self._output = gold, output
        self._up_to_constant = up_to_constant
        self._gold_terms = printed_terms(gold, is_gold=True)
        self._output_terms = printed_terms(output, is_gold=False)
        self._has_floats = has_decimals(output)
        self._is_float_gold = has_decimals(gold)

    def judge(self, at: Iterator[dict[str, Any]], wanted: int, *, is_real: bool) -> Finding | None:
        """The finding, or None where too few points have values."""
        n_agree = n_open = n_differ = 0
        offset: Any = None
        is_approximate = False
        for point in at:
            try:
                sample = self._sample(point, is_real)
            except TooCostly:
                return Finding(UNVERIFIABLE, "too_costly")
            except (Undefined, RecursionError, OverflowError, ZeroDivisionError):
                continue
            is_approximate |= sample.is_approximate
            if is_approximate:
                wanted = min(wanted, N_POINTS_QUADRATURE)  # slow
            if self._up_to_constant:
                difference = sample.gold - sample.output
                offset = difference if offset is None else offset
                sample = replace(sample, gold=difference + sample.output - offset)
                n_agree -= offset is difference and n_agree == 0 and n_open == 0  # the first point only fixes it
            match self._judgement(sample, point, is_real):
                case "agree":
                    n_agree += 1
                case "open":
                    n_open += 1
                case _:
                    n_differ += 1
                    if n_differ >= 2 or not point:
                        break
            if n_agree + n_open >= wanted:
                break
        if n_differ:
            return Finding(REFUTED, "numeric_probing") if not is_approximate else Finding(UNVERIFIABLE, "quadrature")
        if n_open:
            return Finding(UNVERIFIABLE, "too_few_digits")
        enough = 1 if wanted == 1 else max(3, wanted // 4)
        if n_agree < enough:
            return None
        method = "antiderivative" if self._up_to_constant else "numeric_probing"
        return Finding(VERIFIED, method)

    def _sample(self, point: dict[str, Any], is_real: bool) -> Sample:
        gold, output = Evaluation(point, is_real=is_real), Evaluation(point, is_real=is_real)
        values = (gold(self._gold), output(self._output))
        allowed = possible = MP.mpf(0)
        for terms in (self._gold_terms, self._output_terms):
            for term in terms:
                width = abs(Evaluation(point, is_real=is_real)(term.rest)) * to_mpf(term.number.half_unit)
                possible += width
                if terms is self._gold_terms or term.number.digits >= CONFIRMING_DIGITS:
                    allowed += width
        peak = max(gold.peak, output.peak)
        return Sample(*values, peak, allowed, possible, gold.is_approximate or output.is_approximate)

    def _judgement(self, sample: Sample, point: dict[str, Any], is_real: bool) -> str:
        difference = abs(sample.gold - sample.output)
        scale = max(abs(sample.gold), abs(sample.output))
        if sample.is_approximate:
            scale = max(scale, MP.mpf(1))
            return "agree" if difference <= scale * MP.mpf(10) ** -APPROXIMATE_AGREEMENT else "differ"
        tiny = MP.mpf(10) ** -AGREEMENT
        if difference <= scale * tiny:
            return "agree"
        if difference <= sample.allowed * (1 + tiny):
            return "agree"
        if self._has_floats or self._is_float_gold:
            if self._has_floats and difference <= max(scale, sample.peak) * to_mpf(NOISE) and self._is_full():
                return "agree"
            slack = max(scale, sample.peak) * to_mpf(NEAR_MISS) if self._has_floats else MP.mpf(0)
            return "open" if difference <= sample.possible * (1 + tiny) + slack else "differ"
        if difference <= sample.peak * MP.mpf(10) ** (5 - DIGITS):
            return self._closer(point, is_real)
        return "differ"

    def _is_full(self) -> bool:
        """Whether the output's decimals are floats printed in full (or round ones such as 1.0 and 0.5)."""
        return any(number.digits >= FULL_DIGITS for number in decimals_of(self._output))

    def _closer(self, point: dict[str, Any], is_real: bool) -> str:
        """The same with three times the digits, where cancellation ate the first ones."""
        if self._up_to_constant:
            return "agree"
        with MP.workdps(3 * DIGITS):
            try:
                again = self._sample({name: +value for name, value in point.items()}, is_real)
            except Undefined:
                return "open"
            small = again.peak * MP.mpf(10) ** (10 - 3 * DIGITS)
            return "agree" if abs(again.gold - again.output) <= small else "differ"


def decimals_of(value: Value) -> Iterator[Number]:
    """Every printed decimal inside."""
    if isinstance(value, Number) and value.places is not None:
        yield value
    for child in children(value):
        yield from decimals_of(child)


def has_decimals(value: Value) -> bool:
    """Whether a printed decimal occurs anywhere."""
    if isinstance(value, Number):
        return value.places is not None
    return any(has_decimals(child) for child in children(value))
