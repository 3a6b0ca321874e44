"""Exact rational values of expressions that have one, within bounds."""

from __future__ import annotations

import math
from fractions import Fraction

from mathcode_assets.verification.values import (
    Add,
    Call,
    Mul,
    Number,
    Pow,
    Scalar,
    Sequence,
    Symbol,
    Value,
    mentions,
    renamed,
)

MAX_BITS = 20_000  # of a numerator or denominator
MAX_FACTORIAL = 1_500
MAX_TERMS = 2_000  # of a finite sum or product


class NotExact(ValueError):
    """The expression has no rational value, or one that is too large to be worked out."""


def exact(scalar: Value) -> Fraction | None:
    """The rational value of a scalar without symbols; None where it has none or is out of bounds."""
    try:
        return _exact(scalar)
    except (NotExact, ZeroDivisionError, RecursionError):
        return None


def _exact(node: Value) -> Fraction:
    match node:
        case Number():
            return node.value
        case Add():
            return _bounded(sum((_exact(term) for term in node.terms), Fraction(0)))
        case Mul():
            value = Fraction(1)
            for factor in node.factors:
                value = _bounded(value * _exact(factor))
            return value
        case Pow():
            return _power(_exact(node.base), _exact(node.exponent))
        case Call():
            if node.name in ("Sum", "Product"):
                return _series(node)
            rule = RULES.get(node.name)
            if rule is None:
                raise NotExact
            return _bounded(rule(*(_exact(argument) for argument in node.arguments)))
        case _:
            raise NotExact


def _bounded(value: Fraction) -> Fraction:
    if value.numerator.bit_length() > MAX_BITS or value.denominator.bit_length() > MAX_BITS:
        raise NotExact
    return value


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        if base < 0 or exponent.denominator > 64:
            raise NotExact
        base = _perfect_root(base, exponent.denominator)
        exponent = Fraction(exponent.numerator)
    power = exponent.numerator
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(power) * bits > MAX_BITS and base not in (0, 1, -1):
        raise NotExact
    if base in (1, -1):
        return base if power % 2 else Fraction(1)
    return base**power


def _perfect_root(value: Fraction, degree: int) -> Fraction:
    roots = []
    for part in (value.numerator, value.denominator):
        root = math.isqrt(part) if degree == 2 else _integer_root(part, degree)
        if root**degree != part:
            raise NotExact
        roots.append(root)
    return Fraction(roots[0], roots[1])


def _integer_root(value: int, degree: int) -> int:
    low, high = 0, 1 << (value.bit_length() // degree + 1)
    while low < high:
        middle = (low + high + 1) // 2
        if middle**degree <= value:
            low = middle
        else:
            high = middle - 1
    return low


def _integer(value: Fraction, low: int = 0, high: int = MAX_FACTORIAL) -> int:
    if value.denominator != 1 or not low <= value <= high:
        raise NotExact
    return value.numerator


def _factorial(value: Fraction) -> Fraction:
    return Fraction(math.factorial(_integer(value)))


def _double_factorial(value: Fraction) -> Fraction:
    return Fraction(math.prod(range(_integer(value), 0, -2)))


def _binomial(n: Fraction, k: Fraction) -> Fraction:
    return Fraction(math.comb(_integer(n), _integer(k)))


def _permutations(n: Fraction, k: Fraction) -> Fraction:
    return Fraction(math.perm(_integer(n), _integer(k)))


def _gcd(*values: Fraction) -> Fraction:
    return Fraction(math.gcd(*(_integer(value, -(10**30), 10**30) for value in values)))


def _lcm(*values: Fraction) -> Fraction:
    return Fraction(math.lcm(*(_integer(value, -(10**30), 10**30) for value in values)))


def _modulo(value: Fraction, modulus: Fraction) -> Fraction:
    return value % modulus


def _root(value: Fraction, degree: Fraction = Fraction(2)) -> Fraction:
    return _real_root(value, degree) if degree == 3 else _power(value, 1 / degree)


def _real_root(value: Fraction, degree: Fraction = Fraction(2)) -> Fraction:
    if value < 0 and degree.denominator == 1 and degree.numerator % 2:
        return -_power(-value, 1 / degree)
    return _power(value, 1 / degree)


def _series(node: Call) -> Fraction:
    body, *limits = node.arguments
    if len(limits) != 1 or not isinstance(limits[0], Sequence) or len(limits[0].items) != 3:
        raise NotExact
    index, low, high = limits[0].items
    if not isinstance(index, Symbol) or mentions(body, frozenset({"Sum", "Product"})):
        raise NotExact  # a sum in a sum multiplies the cost
    start = _integer(_exact(low), -MAX_FACTORIAL, 10**9)
    stop = _integer(_exact(high), -MAX_FACTORIAL, start + MAX_TERMS)
    value = Fraction(int(node.name == "Product"))
    for position in range(start, stop + 1):
        term = _exact(renamed(body, {index.name: Number(Fraction(position))}))
        value = _bounded(value + term if node.name == "Sum" else value * term)
    return value


RULES = {
    "sqrt": lambda value: _power(value, Fraction(1, 2)),
    "cbrt": lambda value: _real_root(value, Fraction(3)),
    "root": _root,
    "real_root": _real_root,
    "Abs": abs,
    "sign": lambda value: Fraction((value > 0) - (value < 0)),
    "floor": lambda value: Fraction(math.floor(value)),
    "ceiling": lambda value: Fraction(math.ceil(value)),
    "factorial": _factorial,
    "factorial2": _double_factorial,
    "gamma": lambda value: _factorial(value - 1),
    "binomial": _binomial,
    "perm": _permutations,
    "gcd": _gcd,
    "lcm": _lcm,
    "Mod": _modulo,
    "Max": lambda *values: max(values),
    "Min": lambda *values: min(values),
    "re": lambda value: value,
    "im": lambda value: Fraction(0),
    "conjugate": lambda value: value,
}


def as_number(scalar: Value) -> Number | None:
    """The literal a scalar is, or the exact rational it is worth; None where neither."""
    if isinstance(scalar, Number):
        return scalar
    value = exact(scalar)
    return None if value is None else Number(value)


def as_integer(scalar: Scalar) -> int | None:
    """The integer a scalar is worth, if it is one."""
    value = exact(scalar)
    return value.numerator if value is not None and value.denominator == 1 else None
