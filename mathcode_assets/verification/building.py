"""Values from names, literals, calls and operators: what the parsers of Python and of LaTeX have in common.

Every name is looked up in the tables of `functions`; nothing is worked out, so nothing here can be costly.
"""

from __future__ import annotations

import re
from fractions import Fraction

from mathcode_assets.verification.functions import (
    ARRAYS,
    COMBINATIONS,
    CONSTANTS,
    EMPTY_SETS,
    FUNCTIONS,
    INTERVALS,
    LOGIC,
    MATRICES,
    REALS,
    RELATIONS,
    SEQUENCES,
    WRAPPERS,
    symbol_name,
)
from mathcode_assets.verification.values import (
    INFINITY,
    MINUS_ONE,
    SCALARS,
    Boolean,
    Call,
    Combined,
    Constant,
    Interval,
    Logic,
    Matrix,
    Number,
    Pow,
    Relation,
    Scalar,
    Sequence,
    Symbol,
    Text,
    Unreadable,
    Value,
    integer,
    negated,
    product,
    total,
)

MAX_DIGITS = 4_000  # of one literal: below CPython's limit of int(), and far above any stated value
OCTAVE_PLACES = 4  # behind the point in Octave's short format with an exponent
MAX_EXPONENT = 5_000  # of a literal such as 1e300

DECIMAL = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?\Z", re.ASCII)


def number(text: str) -> Number:
    """A literal such as 42, -0.30, 6.02e23, with the places it was printed with.

    Raises:
        Unreadable: not such a literal, or with too many digits.
    """
    found = DECIMAL.match(text)
    if not found or not (found[2] or found[3]):
        raise Unreadable(f"not a number: {text[:30]!r}")
    sign, whole, fraction, exponent = found[1], found[2] or "", found[3], found[4]
    digits = whole + (fraction or "")
    if len(digits) > MAX_DIGITS or len(exponent or "") > 6 or abs(int(exponent or 0)) > MAX_EXPONENT:
        raise Unreadable("number too long")
    if fraction is None and exponent is None:
        return integer(int(sign + whole))
    places = len(fraction or "") - int(exponent or 0)
    mantissa = int(sign + digits)
    value = Fraction(mantissa, 10**places) if places >= 0 else Fraction(mantissa * 10**-places)
    # As Octave displays 100000.5: 1.0000e+05. The shortest form of a float (1e+20) has no zeros at its end.
    is_coarse = places <= 0 and exponent is not None and len(whole) == 1 and len(fraction or "") == OCTAVE_PLACES
    return Number(value, places, len(digits.lstrip("0")) or 1, is_coarse=is_coarse)


def named(name: str) -> Value:
    """The constant, set or symbol of a name."""
    if name in CONSTANTS:
        return Constant(CONSTANTS[name])
    if name in EMPTY_SETS:
        return Sequence("set", ())
    if name in REALS:
        return Interval(negated(INFINITY), INFINITY, True, True)
    if name in ("true", "True_"):
        return Boolean(True)
    if name in ("false", "False_"):
        return Boolean(False)
    if name.startswith("__") or len(name) > 60:
        raise Unreadable("a name no value has")
    return Symbol(symbol_name(name))


def applied(name: str, arguments: list[Value]) -> Value:
    """A call of the whitelist; an unknown name applied to scalars is an undefined function."""
    if name in RELATIONS and len(arguments) == 2:
        return Relation(RELATIONS[name], arguments[0], arguments[1])
    if name in LOGIC and arguments:
        return arguments[0] if name != "Not" and len(arguments) == 1 else Logic(LOGIC[name], tuple(arguments))
    if name in INTERVALS and len(arguments) in (2, 4):
        return interval(name, arguments)
    if name in COMBINATIONS:
        return Combined(COMBINATIONS[name], tuple(arguments))
    if name in MATRICES or name in ARRAYS:
        return matrix_or_list(name, arguments)
    if name in SEQUENCES:
        inner = arguments[0].items if len(arguments) == 1 and isinstance(arguments[0], Sequence) else tuple(arguments)
        return Sequence(SEQUENCES[name], inner)
    if name in WRAPPERS and arguments:
        return unquoted(arguments[0])
    if name == "bool" and len(arguments) == 1 and isinstance(arguments[0], Boolean):
        return arguments[0]
    if name in ("Rational", "Fraction", "mpq") and len(arguments) in (1, 2):
        values = [unquoted(argument) for argument in arguments]
        return values[0] if len(values) == 1 else quotient(values[0], values[1])
    if name in ("Poly", "simplify", "nsimplify", "N", "expand", "factor", "Expr", "UnevaluatedExpr", "poly1d"):
        if name == "poly1d" or not arguments:
            raise Unreadable(name)
        return arguments[0]
    if name == "Symbol" and arguments and isinstance(arguments[0], Text):
        return Symbol(symbol_name(arguments[0].text))
    if name in FUNCTIONS and arguments:
        return Call(FUNCTIONS[name], tuple(arguments))
    if arguments and all(isinstance(argument, SCALARS) for argument in arguments) and not name.startswith("_"):
        return Call("?" + symbol_name(name), tuple(arguments))
    raise Unreadable(f"call of {name[:30]}")


def interval(name: str, arguments: list[Value]) -> Value:
    """Interval(a, b), Interval.open(a, b), Interval(a, b, left_open, right_open)."""
    low, high, *flags = arguments
    if not isinstance(low, SCALARS) or not isinstance(high, SCALARS):
        raise Unreadable("interval of what are no numbers")
    opened = INTERVALS[name]
    if flags:
        if not all(isinstance(flag, Boolean) for flag in flags):
            raise Unreadable("interval flags")
        opened = (flags[0].value, flags[1].value)  # type: ignore[union-attr]
    return Interval(low, high, *opened)


def matrix_or_list(name: str, arguments: list[Value]) -> Value:
    """Matrix([[1, 2], [3, 4]]), Matrix(2, 2, [1, 2, 3, 4]), array([1, 2])."""
    if len(arguments) == 3 and isinstance(arguments[2], Sequence):
        n_rows, n_columns = (small_integer(argument) for argument in arguments[:2])
        entries = arguments[2].items
        if n_rows * n_columns != len(entries) or not entries:
            raise Unreadable("matrix of another size")
        return Matrix(tuple(entries[start : start + n_columns] for start in range(0, len(entries), n_columns)))
    if len(arguments) != 1 or not isinstance(arguments[0], Sequence):
        if len(arguments) == 1 and name in ARRAYS:
            return arguments[0]
        raise Unreadable("matrix of what is no list")
    rows = rows_of(arguments[0])
    if rows is not None:
        return Matrix(rows)
    if name in ARRAYS:
        return Sequence("list", arguments[0].items)
    return Matrix(tuple((item,) for item in arguments[0].items))


def rows_of(value: Sequence) -> tuple[tuple[Value, ...], ...] | None:
    """Rows of a list of lists of one length; None where it is no such list."""
    items = value.items
    if not items or not all(isinstance(row, Sequence) and row.kind in ("list", "tuple") for row in items):
        return None
    rows = tuple(row.items for row in items if isinstance(row, Sequence))
    same = len({len(row) for row in rows}) == 1 and rows[0]
    return rows if same and not any(isinstance(entry, Sequence) for row in rows for entry in row) else None


def unquoted(value: Value) -> Value:
    """Decimal('0.1') holds a string: the number in it."""
    if isinstance(value, Text):
        head, slash, tail = value.text.partition("/")
        if value.text.strip("+-") in ("inf", "infinity"):
            return negated(INFINITY) if value.text.startswith("-") else INFINITY
        if value.text == "nan":
            return Constant("nan")
        return quotient(number(head.strip()), number(tail.strip())) if slash else number(head)
    return value


def small_integer(value: Value) -> int:
    """An exact integer literal of at most three digits.

    Raises:
        Unreadable: anything else.
    """
    if isinstance(value, Number) and value.value.denominator == 1 and 0 <= value.value < 1000:
        return value.value.numerator
    raise Unreadable("not a small integer")


def scaled(factor: Scalar, matrix: Matrix) -> Matrix:
    """A scalar times a matrix."""
    return Matrix(tuple(tuple(combined_product(factor, entry) for entry in row) for row in matrix.rows))


def combined_product(left: Value, right: Value) -> Value:
    """Product of scalars, or of a scalar and a matrix."""
    if isinstance(left, SCALARS) and isinstance(right, SCALARS):
        if left == MINUS_ONE:
            return negated(right)
        return product((left, right))
    if isinstance(left, SCALARS) and isinstance(right, Matrix):
        return scaled(left, right)
    if isinstance(left, Matrix) and isinstance(right, SCALARS):
        return scaled(right, left)
    raise Unreadable("product of what are no numbers")


def quotient(left: Value, right: Value) -> Value:
    """Left over right; of two exact integers a rational."""
    if isinstance(right, Number) and right.places is None and right.value:
        if isinstance(left, Number) and left.places is None:
            return Number(left.value / right.value)
        if isinstance(left, Matrix):
            return scaled(Number(1 / right.value), left)
    if isinstance(left, SCALARS) and isinstance(right, SCALARS):
        return product((left, Pow(right, MINUS_ONE)))
    raise Unreadable("quotient of what are no numbers")


def sum_of(terms: list[Value]) -> Value:
    """Sum of scalars, or of matrices of one shape; the difference of two sets."""
    if len(terms) == 1:
        return terms[0]
    if all(isinstance(term, SCALARS) for term in terms):
        return total(tuple(terms))  # type: ignore[arg-type]
    if all(isinstance(term, Matrix) for term in terms):
        shapes = {(len(term.rows), len(term.rows[0])) for term in terms if isinstance(term, Matrix)}
        if len(shapes) == 1:
            stacks = zip(*(term.rows for term in terms if isinstance(term, Matrix)), strict=True)
            return Matrix(tuple(tuple(sum_of(list(entries)) for entries in zip(*rows, strict=True)) for rows in stacks))
    raise Unreadable("sum of what are no numbers")


def power(base: Scalar, exponent: Scalar) -> Scalar:
    """Base to the exponent, never worked out here."""
    return Pow(base, exponent)
