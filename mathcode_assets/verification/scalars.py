"""Two scalars compared.

Exactly where both are rational, by the last printed place where one is a decimal, at seeded random points to many
digits otherwise. The rules and their reasons: docs/decisions/0012-verdicts.md.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from mathcode_assets.records import REFUTED, UNVERIFIABLE, VERIFIED
from mathcode_assets.verification.exact import as_number
from mathcode_assets.verification.numeric import DIGITS, MP, Evaluation, Undefined, to_mpf
from mathcode_assets.verification.values import (
    IMAGINARY,
    MINUS_ONE,
    Add,
    Call,
    Constant,
    Mul,
    Number,
    Pow,
    Scalar,
    Symbol,
    Value,
    children,
    free_symbols,
    mentions,
    negated,
    renamed,
    total,
)

# An exact value is confirmed by a rounded one from this many significant digits: the chance that another
# plausible value rounds to the same six digits is below that of any other error here.
CONFIRMING_DIGITS = 6
# A float of this many digits was printed in full and carries the noise of its computation.
FULL_DIGITS = 10
NOISE = Fraction(1, 10**9)  # relative: the noise allowed to a full float
NEAR_MISS = Fraction(1, 10**7)  # relative: between this and NOISE nothing is decided
ZERO_NOISE = Fraction(1, 10**12)  # absolute: what a float may be where the exact value is 0
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


def compare_scalars(
    gold: Scalar, output: Scalar, *, up_to_constant: bool = False, is_approximate: bool = False
) -> Finding:
    """Whether two scalars are equal.

    Args:
        gold: the stated scalar.
        output: the printed one.
        up_to_constant: antiderivatives: a constant difference is allowed.
        is_approximate: the gold was stated with an approximation sign: an integer is rounded too.
    """
    special = compare_special(gold, output)
    if special is not None:
        return special
    gold_number, output_number = as_number(gold), as_number(output)
    if gold_number is not None and output_number is not None:
        if is_approximate and gold_number.places is None and gold_number.value.denominator == 1:
            gold_number = replace(gold_number, places=0, digits=len(str(abs(gold_number.value))))
        return compare_numbers(gold_number, output_number)
    gold_names, output_names = free_symbols(gold), free_symbols(output)
    if not gold_names and not output_names and undefined_names(gold) == undefined_names(output):
        return compare_constants(gold, output, gold_number, output_number)
    if up_to_constant:
        arbitrary = {name: Number(Fraction(0)) for name in gold_names ^ output_names if is_arbitrary(name)}
        gold, output = renamed(gold, dict(arbitrary)), renamed(output, dict(arbitrary))  # type: ignore[assignment]
    gold, output = with_names_matched(gold, output)
    finding = probe(gold, output, up_to_constant=up_to_constant)
    if finding.is_refuted and free_symbols(gold) != free_symbols(output):
        return Finding(UNVERIFIABLE, "other_symbols")  # a symbol may stand for what the other side works out
    if finding.is_refuted and undefined_names(gold) != undefined_names(output):
        return Finding(UNVERIFIABLE, "undefined_function")
    return finding


def undefined_names(value: Value) -> frozenset[str]:
    """Names of the functions nothing is known of."""
    own = frozenset({value.name}) if isinstance(value, Call) and value.name.startswith("?") else frozenset()
    return own.union(*(undefined_names(child) for child in children(value)))


def is_arbitrary(name: str) -> bool:
    """Whether a symbol is the usual name of an arbitrary constant."""
    return name in ("C", "c", "K", "k", "const", "constant") or (name[:1] in "Cc" and name[1:].isdigit())


def compare_special(gold: Scalar, output: Scalar) -> Finding | None:
    """Infinities and the undefined; None where neither occurs."""
    kinds = []
    for scalar in (gold, output):
        if isinstance(scalar, Constant) and scalar.name in ("oo", "zoo", "nan"):
            kinds.append(scalar.name)
        elif scalar == negated(Constant("oo")):
            kinds.append("-oo")
        elif mentions(scalar, frozenset({"nan", "zoo"})) or (
            mentions(scalar, frozenset({"oo"})) and not mentions(scalar, frozenset({"Integral", "Sum", "Product", "Piecewise"}))
        ):
            kinds.append("nan")
        else:
            kinds.append("")
    if kinds == ["", ""]:
        return None
    if "nan" in kinds:
        return Finding(UNVERIFIABLE, "not_a_number")
    if kinds[0] == kinds[1]:
        return Finding(VERIFIED, "infinity")
    if "zoo" in kinds and all(kinds):
        return Finding(UNVERIFIABLE, "infinity")  # SymPy's infinity without a direction against a directed one
    if all(kind or isinstance(scalar, Number) for kind, scalar in zip(kinds, (gold, output), strict=True)):
        return Finding(REFUTED, "infinity")
    return Finding(UNVERIFIABLE, "infinity")


def compare_numbers(gold: Number, output: Number) -> Finding:
    """Two rationals, each exact or printed as a decimal."""
    difference = abs(gold.value - output.value)
    if gold.places is None and output.places is None:
        method = "exact_integer" if gold.value.denominator == output.value.denominator == 1 else "exact_fraction"
        return Finding(VERIFIED if not difference else REFUTED, method)
    if gold.places is None:
        return against_decimal(gold.value, output)
    if output.places is None:
        verified = difference <= gold.half_unit
        return Finding(VERIFIED if verified else REFUTED, "decimal_half_unit")
    if difference <= gold.half_unit and (output.places >= gold.places or not difference):
        return Finding(VERIFIED, "decimal_half_unit")
    if output.places < gold.places and difference <= output.half_unit:
        # The output has fewer places than the stated result: it agrees as far as it goes.
        if output.digits >= CONFIRMING_DIGITS:
            return Finding(VERIFIED, "decimal_half_unit")
        return Finding(VERIFIED if not difference else UNVERIFIABLE, "too_few_digits")
    if min(gold.digits, output.digits) >= FULL_DIGITS and difference <= ZERO_NOISE * abs(gold.value):
        return Finding(VERIFIED, "float_noise")
    return Finding(REFUTED, "decimal_half_unit")


def against_decimal(gold: Fraction, output: Number) -> Finding:
    """An exact value against a printed decimal."""
    difference = abs(gold - output.value)
    if not difference:
        return Finding(VERIFIED, "decimal_exact")
    if not gold:
        if difference <= NOISE:
            return Finding(VERIFIED, "float_noise") if difference <= ZERO_NOISE else Finding(UNVERIFIABLE, "near_miss")
        return Finding(REFUTED, "decimal_half_unit")
    if difference <= output.half_unit:
        is_enough = output.digits >= CONFIRMING_DIGITS
        return Finding(VERIFIED, "decimal_rounded") if is_enough else Finding(UNVERIFIABLE, "too_few_digits")
    relative = difference / abs(gold)
    if output.digits >= FULL_DIGITS:
        # An integer is never confused with its neighbour, however large.
        is_noise = relative <= NOISE and (gold.denominator != 1 or difference <= Fraction(1, 10**4))
        if is_noise:
            return Finding(VERIFIED, "float_noise")
        if relative <= NEAR_MISS and output.value.denominator != 1:
            return Finding(UNVERIFIABLE, "near_miss")
    return Finding(REFUTED, "decimal_half_unit")


def compare_constants(
    gold: Scalar, output: Scalar, gold_number: Number | None, output_number: Number | None
) -> Finding:
    """Two scalars without symbols, at least one of them irrational or complex."""
    try:
        gold_value, output_value = real_value(gold), real_value(output)
    except Undefined:
        return probe(gold, output)
    if gold_value is None or output_value is None:
        return probe(gold, output)
    if output_number is not None and output_number.places is not None and not has_decimals(gold):
        return against_decimal(gold_value, output_number)
    if gold_number is not None and gold_number.places is not None and not has_decimals(output):
        is_within = abs(gold_number.value - output_value) <= gold_number.half_unit
        return Finding(VERIFIED if is_within else REFUTED, "decimal_half_unit")
    if gold_number is not None and gold_number.places is not None:
        return compare_numbers(gold_number, Number(output_value, DIGITS, DIGITS))
    if output_number is not None and output_number.places is not None:
        return against_decimal(gold_value, output_number)
    return probe(gold, output)


def real_value(scalar: Scalar) -> Fraction | None:
    """The value of a constant expression to some 40 digits; None where it is complex or only approximate.

    Raises:
        Undefined: it has none.
    """
    evaluation = Evaluation({}, is_real=not mentions(scalar, frozenset({"I"})))
    value = evaluation(scalar)
    if evaluation.is_approximate:
        return None
    if isinstance(value, MP.mpc):
        if abs(value.imag) > MP.mpf(10) ** -30 * (1 + abs(value.real)):
            return None
        value = value.real
    return Fraction(0) if abs(value) < MP.mpf(10) ** (5 - DIGITS) else to_fraction(value)


def to_fraction(value: Any) -> Fraction:
    """A finite mpf, exactly."""
    sign, mantissa, exponent, _ = value._mpf_
    scale = Fraction(2) ** exponent
    return (-1 if sign else 1) * int(mantissa) * scale


def has_decimals(value: Value) -> bool:
    """Whether a printed decimal occurs anywhere."""
    if isinstance(value, Number):
        return value.places is not None
    return any(has_decimals(child) for child in children(value))


def with_names_matched(gold: Scalar, output: Scalar) -> tuple[Scalar, Scalar]:
    """Both scalars, the output's symbols renamed where only the spelling differs.

    X and x, or the single leftover arbitrary constant of either side. Also the letters i and e, read as symbols
    on one side where the other has the constant.
    """
    gold_names, output_names = free_symbols(gold), free_symbols(output)
    names: dict[str, Value] = {}
    for lost, constant in (("i", IMAGINARY), ("e", Constant("E"))):
        only_output = lost in output_names and lost not in gold_names and mentions(gold, frozenset({constant.name}))
        if only_output and not mentions(output, frozenset({constant.name})):
            names[lost] = constant
        only_gold = lost in gold_names and lost not in output_names and mentions(output, frozenset({constant.name}))
        if only_gold and not mentions(gold, frozenset({constant.name})):
            gold = renamed(gold, {lost: constant})  # type: ignore[assignment]
    missing, surplus = gold_names - output_names, output_names - gold_names - names.keys()
    for name in sorted(surplus):
        alike = [other for other in sorted(missing) if other.casefold() == name.casefold()]
        if len(alike) == 1 and not any(item == Symbol(alike[0]) for item in names.values()):
            names[name] = Symbol(alike[0])
    missing, surplus = (
        missing - {item.name for item in names.values() if isinstance(item, Symbol)},
        surplus - names.keys(),
    )
    arbitrary_missing = [name for name in sorted(missing) if is_arbitrary(name)]
    arbitrary_surplus = [name for name in sorted(surplus) if is_arbitrary(name)]
    if len(arbitrary_missing) == len(arbitrary_surplus) == 1:
        names[arbitrary_surplus[0]] = Symbol(arbitrary_missing[0])
    return gold, renamed(output, names) if names else output  # type: ignore[return-value]


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


def without_logarithm_bars(value: Value) -> Value:
    """log(Abs(u)) as log(u): the antiderivative of 1/u as a program prints it."""
    match value:
        case Call("log", (Call("Abs", (inner,)), *rest)):
            return Call("log", (without_logarithm_bars(inner), *map(without_logarithm_bars, rest)))
        case Call():
            return Call(value.name, tuple(without_logarithm_bars(argument) for argument in value.arguments))
        case Add():
            return total(tuple(without_logarithm_bars(term) for term in value.terms))  # type: ignore[misc]
        case Mul():
            return Mul(tuple(without_logarithm_bars(factor) for factor in value.factors))  # type: ignore[misc]
        case _:
            return value
