"""What a stated result or an output is, once read: scalars as expression trees, and containers of them.

Plain immutable data. Nothing here evaluates; a tree is made by `reading` alone, from a whitelist, so a
string of unknown origin never reaches an interpreter.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


class Unreadable(ValueError):
    """The text is not in the subset that is read; the message says what was met."""


@dataclass(frozen=True, slots=True)
class Number:
    """A rational literal. Exact, unless `places` says that it was printed as a decimal.

    Attributes:
        value: what is printed, exactly.
        places: decimal places of the last printed digit (2 for 0.33, -21 for 6.02e23); None where exact.
        digits: significant digits printed (trailing zeros of a decimal count); 0 where exact.
        cut: the decimal ends in dots, so it was cut, not rounded.
        is_coarse: displayed with five digits and an exponent that hides the units: exact equality says nothing.
    """

    value: Fraction
    places: int | None = None
    digits: int = 0
    cut: bool = False
    is_coarse: bool = False

    @property
    def half_unit(self) -> Fraction:
        """Half a unit of the last printed place; 0 where exact."""
        if self.places is None:
            return Fraction(0)
        unit = Fraction(1, 10**self.places) if self.places >= 0 else Fraction(10**-self.places)
        return unit if self.cut else unit / 2


@dataclass(frozen=True, slots=True)
class Symbol:
    """A free variable, by its normalised name."""

    name: str


@dataclass(frozen=True, slots=True)
class Constant:
    """pi, E, I, oo, zoo, nan, GoldenRatio, EulerGamma or Catalan."""

    name: str


@dataclass(frozen=True, slots=True)
class Add:
    """A sum."""

    terms: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Mul:
    """A product."""

    factors: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Pow:
    """A power."""

    base: Scalar
    exponent: Scalar


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the table applied to scalars, or (Integral, Sum, Piecewise ...) to scalars and tuples."""

    name: str
    arguments: tuple[Value, ...]


Scalar = Number | Symbol | Constant | Add | Mul | Pow | Call


@dataclass(frozen=True, slots=True)
class Sequence:
    """Several values in the order printed.

    Attributes:
        kind: tuple, list, set, or bare (values one after another without brackets).
    """

    kind: str
    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of equal length."""

    rows: tuple[tuple[Value, ...], ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    """A dictionary: {x: 1, y: 2}."""

    items: tuple[tuple[Value, Value], ...]


@dataclass(frozen=True, slots=True)
class Relation:
    """left op right, op one of = != < <= > >=."""

    op: str
    left: Value
    right: Value


@dataclass(frozen=True, slots=True)
class Logic:
    """and, or, not of relations and truth values."""

    op: str
    parts: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Interval:
    """A real interval."""

    low: Scalar
    high: Scalar
    low_open: bool
    high_open: bool


@dataclass(frozen=True, slots=True)
class Combined:
    """union, intersection or difference of sets."""

    op: str
    parts: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Boolean:
    """True or False."""

    value: bool


@dataclass(frozen=True, slots=True)
class Text:
    """Words, in lower case, single spaces."""

    text: str


Value = Scalar | Sequence | Matrix | Mapping | Relation | Logic | Interval | Combined | Boolean | Text

SCALARS = (Number, Symbol, Constant, Add, Mul, Pow, Call)
ZERO, ONE, MINUS_ONE = Number(Fraction(0)), Number(Fraction(1)), Number(Fraction(-1))
IMAGINARY, INFINITY = Constant("I"), Constant("oo")


def integer(value: int) -> Number:
    """An exact integer."""
    return Number(Fraction(value))


def negated(scalar: Scalar) -> Scalar:
    """Minus the scalar; a literal stays a literal."""
    if isinstance(scalar, Number):
        return Number(-scalar.value, scalar.places, scalar.digits, scalar.cut, scalar.is_coarse)
    return product((MINUS_ONE, scalar))


def total(terms: tuple[Scalar, ...]) -> Scalar:
    """Sum of terms, nested sums made flat."""
    flat: list[Scalar] = []
    for term in terms:
        flat.extend(term.terms if isinstance(term, Add) else (term,))
    return flat[0] if len(flat) == 1 else Add(tuple(flat))


def product(factors: tuple[Scalar, ...]) -> Scalar:
    """Product of factors, flat; a decimal times a power of ten is that decimal (6.02*10**23)."""
    flat: list[Scalar] = []
    for factor in factors:
        flat.extend(factor.factors if isinstance(factor, Mul) else (factor,))
    if len(flat) == 2 and isinstance(flat[0], Number):
        if flat[0] == ONE:
            return flat[1]
        if isinstance(flat[1], Number) and flat[0] == MINUS_ONE:
            return negated(flat[1])
        shift = power_of_ten(flat[1])
        if shift is not None and flat[0].places is not None:
            number = flat[0]
            scale = Fraction(10) ** shift
            return Number(number.value * scale, (number.places or 0) - shift, number.digits, number.cut)
    return flat[0] if len(flat) == 1 else Mul(tuple(flat))


def power_of_ten(scalar: Scalar) -> int | None:
    """The integer n of 10**n, 10**-n or 1/10**n with |n| at most 400; else None."""
    if isinstance(scalar, Pow) and isinstance(scalar.exponent, Number) and scalar.exponent.value.denominator == 1:
        exponent = scalar.exponent.value.numerator
        if scalar.exponent.places is None and abs(exponent) <= 400:
            if scalar.base == integer(10):
                return exponent
            inner = power_of_ten(scalar.base) if isinstance(scalar.base, Pow) else None
            if inner is not None and abs(inner * exponent) <= 400:
                return inner * exponent
    return None


def children(value: Value) -> tuple[Value, ...]:
    """The values directly inside."""
    match value:
        case Add():
            return value.terms
        case Mul():
            return value.factors
        case Pow():
            return (value.base, value.exponent)
        case Call():
            return value.arguments
        case Sequence():
            return value.items
        case Matrix():
            return tuple(entry for row in value.rows for entry in row)
        case Mapping():
            return tuple(part for item in value.items for part in item)
        case Relation():
            return (value.left, value.right)
        case Logic() | Combined():
            return value.parts
        case Interval():
            return (value.low, value.high)
        case _:
            return ()


# Functions whose tuples bind a variable: Integral(f, (x, 0, 1)).
BINDERS = frozenset({"Integral", "Sum", "Product", "Limit", "Derivative", "RootOf"})


def free_symbols(value: Value) -> frozenset[str]:
    """Names of the symbols not bound by an integral or a sum."""
    if isinstance(value, Symbol):
        return frozenset({value.name})
    if isinstance(value, Call) and value.name in BINDERS and value.arguments:
        body, *rest = value.arguments
        found = free_symbols(body)
        for limit in rest:
            if isinstance(limit, Sequence) and limit.items and isinstance(limit.items[0], Symbol):
                bounds = limit.items[1:]
                if value.name != "Derivative" and (bounds or value.name != "Integral"):
                    found -= {limit.items[0].name}
                for bound in bounds:
                    found |= free_symbols(bound)
            else:
                found |= free_symbols(limit)
        return found
    found = frozenset()
    for child in children(value):
        found |= free_symbols(child)
    return found


def mentions(value: Value, names: frozenset[str]) -> bool:
    """Whether a function or constant of one of these names occurs."""
    if isinstance(value, (Call, Constant)) and value.name in names:
        return True
    return any(mentions(child, names) for child in children(value))


def renamed(value: Value, names: dict[str, Value]) -> Value:
    """The scalar with symbols replaced, e.g. by other symbols, or by 0."""
    match value:
        case Symbol():
            return names.get(value.name, value)
        case Add():
            return Add(tuple(renamed(term, names) for term in value.terms))  # type: ignore[misc]
        case Mul():
            return Mul(tuple(renamed(factor, names) for factor in value.factors))  # type: ignore[misc]
        case Pow():
            return Pow(renamed(value.base, names), renamed(value.exponent, names))  # type: ignore[arg-type]
        case Call():
            return Call(value.name, tuple(renamed(argument, names) for argument in value.arguments))
        case Sequence():
            return Sequence(value.kind, tuple(renamed(item, names) for item in value.items))
        case Relation():
            return Relation(value.op, renamed(value.left, names), renamed(value.right, names))
        case Logic():
            return Logic(value.op, tuple(renamed(part, names) for part in value.parts))
        case Matrix():
            return Matrix(tuple(tuple(renamed(entry, names) for entry in row) for row in value.rows))
        case Interval():
            return Interval(
                renamed(value.low, names),  # type: ignore[arg-type]
                renamed(value.high, names),  # type: ignore[arg-type]
                value.low_open,
                value.high_open,
            )
        case Combined():
            return Combined(value.op, tuple(renamed(part, names) for part in value.parts))
        case Mapping():
            return Mapping(tuple((renamed(key, names), renamed(item, names)) for key, item in value.items))
        case _:
            return value
