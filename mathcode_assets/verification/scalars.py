"""Two scalars compared.

Exactly where both are rational, by the last printed place where one is a decimal, at seeded random points to many
digits otherwise. The rules and their reasons: docs/decisions/0012-verdicts.md.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

from mathcode_assets.records import REFUTED, UNVERIFIABLE, VERIFIED
from mathcode_assets.verification.exact import as_number
from mathcode_assets.verification.findings import (
    CONFIRMING_DIGITS,
    FULL_DIGITS,
    NEAR_MISS,
    NOISE,
    ZERO_NOISE,
    Finding,
)
from mathcode_assets.verification.numeric import Evaluation
from mathcode_assets.verification.probing import has_decimals, probe
from mathcode_assets.verification.special_functions import DIGITS, MP, Undefined
from mathcode_assets.verification.values import (
    IMAGINARY,
    Add,
    Call,
    Constant,
    Mul,
    Number,
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
            mentions(scalar, frozenset({"oo"}))
            and not mentions(scalar, frozenset({"Integral", "Sum", "Product", "Piecewise"}))
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
        return Finding(VERIFIED if not difference and not output.is_coarse else UNVERIFIABLE, "too_few_digits")
    if min(gold.digits, output.digits) >= FULL_DIGITS and difference <= ZERO_NOISE * abs(gold.value):
        return Finding(VERIFIED, "float_noise")
    return Finding(REFUTED, "decimal_half_unit")


def against_decimal(gold: Fraction, output: Number) -> Finding:
    """An exact value against a printed decimal."""
    difference = abs(gold - output.value)
    if not difference and not output.is_coarse:
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
