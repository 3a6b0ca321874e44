"""A formula as the source of a Python expression over SymPy's names.

The source is a small subset of Python: literals, names, ``+ - * / **``, and calls of the functions listed in
docs/decisions/0013-latex.md. A quotient of two integers becomes ``Rational(1, 2)``, so that the source is exact when
Python runs it and when a reader of the syntax tree evaluates it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from mathcode_assets.latex.nodes import (
    Add,
    Call,
    Chain,
    Constant,
    Multiply,
    Negate,
    Node,
    Number,
    Power,
    Sequence,
    Symbol,
    Text,
)
from mathcode_assets.latex.parser import parse

_ADD, _MULTIPLY, _SIGN, _POWER, _ATOM = range(5)
_INTEGER, _FLOAT, _SYMPY = "integer", "float", "sympy"
_RELATIONS = {"=": "Eq", "approx": "Eq", ":=": "Eq", "!=": "Ne", "<": "Lt", "<=": "Le", ">": "Gt", ">=": "Ge"}
_KINDS = {
    **{"FiniteSet": "set", "Union": "set", "Intersection": "set", "Complement": "set", "Matrix": "matrix"},
    **{"transpose": "matrix", "Interval": "interval", "Interval.open": "interval"},
    **{"Interval.Lopen": "interval", "Interval.Ropen": "interval"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonExpression:
    """A formula in Python.

    Attributes:
        code: one expression; of words, a string literal.
        symbols: name of each unknown in the code and how the source writes it, in order of appearance.
        kind: expression, relation, chain, list, interval, set, matrix or text.
        units: unit of each operand (of a relation; one for anything else), empty where there is none.
        has_plain_log: whether a logarithm without base was read as the natural one.
    """

    code: str
    symbols: tuple[tuple[str, str], ...]
    kind: str
    units: tuple[str, ...]
    has_plain_log: bool


def latex_to_python(source: str, *, functions: Iterable[str] = (), letters: Iterable[str] = ()) -> PythonExpression:
    """The Python source of a formula in LaTeX or plain text.

    Args:
        source: the formula, with or without ``$`` around it, at most 20,000 characters.
        functions: letters that are functions, so that ``p(x+1)`` is no product.
        letters: letters that are unknowns whatever the rules for e and i say.

    Raises:
        LatexSyntaxError: any part of the source is not understood with certainty.
    """
    formula = parse(source, functions=functions, letters=letters)
    return PythonExpression(
        code=python_source(formula.root),
        symbols=formula.symbols,
        kind=kind_of(formula.root),
        units=formula.units,
        has_plain_log=formula.has_plain_log,
    )


def kind_of(node: Node) -> str:
    """expression, relation, chain, list, interval, set, matrix or text."""
    match node:
        case Chain(operands, _, _):
            return "relation" if len(operands) == 2 else "chain"
        case Sequence():
            return "list"
        case Text():
            return "text"
        case Call(name, _):
            return _KINDS.get(name, "expression")
        case Constant("EmptySet" | "Reals" | "Integers" | "Naturals" | "Rationals" | "Complexes"):
            return "set"
        case _:
            return "expression"


def python_source(node: Node) -> str:
    """The source of a tree."""
    return _write(node).code


@dataclass(frozen=True, slots=True)
class _Written:
    code: str
    level: int
    type: str

    def at(self, level: int) -> str:
        """The code, in parentheses where it binds looser than a level."""
        return self.code if self.level >= level else f"({self.code})"


def _write(node: Node) -> _Written:
    match node:
        case Number(text):
            return _Written(text, _ATOM, _INTEGER if node.is_integer else _FLOAT)
        case Symbol(name) | Constant(name):
            return _Written(name, _ATOM, _SYMPY)
        case Add(terms):
            return _sum(terms)
        case Multiply(factors):
            return _product(factors)
        case Negate(operand):
            written = _write(operand)
            return _Written(f"-{written.at(_MULTIPLY)}", _SIGN, written.type)
        case Power(base, exponent):
            return _power(base, exponent)
        case Call(name, arguments):
            return _call(name, arguments)
        case Sequence(items, is_list):
            inner = ", ".join(_write(item).code for item in items)
            code = f"[{inner}]" if is_list else f"({inner},)" if len(items) == 1 else f"({inner})"
            return _Written(code, _ATOM, _SYMPY)
        case Chain(operands, relations, _):
            return _chain(operands, relations)
        case Text(text):
            return _Written(repr(text), _ATOM, _SYMPY)


def _joined(types: Iterable[str]) -> str:
    seen = set(types)
    return _SYMPY if _SYMPY in seen else _FLOAT if _FLOAT in seen else _INTEGER


def _sum(terms: tuple[Node, ...]) -> _Written:
    first = _write(terms[0])
    parts, types = [first.at(_MULTIPLY)], [first.type]
    for term in terms[1:]:
        sign, operand = ("-", term.operand) if isinstance(term, Negate) else ("+", term)
        written = _write(operand)
        is_plain = written.level >= _MULTIPLY and not written.code.startswith("-")
        parts.append(f" {sign} {written.code if is_plain else f'({written.code})'}")
        types.append(written.type)
    return _Written("".join(parts), _ADD, _joined(types))


def _product(factors: tuple[tuple[Node, bool], ...]) -> _Written:
    first, is_divisor = factors[0]
    written = _write(first)
    if is_divisor:
        return _product(((Number("1"), False), *factors))
    if written.code.startswith("-") and written.level != _ATOM:
        written = _Written(f"({written.code})", _ATOM, written.type)
    code, kind, level = written.at(_MULTIPLY), written.type, max(written.level, _MULTIPLY)
    for node, divides in factors[1:]:
        factor = _write(node)
        if divides and kind == _INTEGER and factor.type == _INTEGER:
            code, kind, level = f"Rational({code}, {factor.code})", _SYMPY, _ATOM
            continue
        sign = "/" if divides else "*"
        code, kind, level = f"{code}{sign}{factor.at(_POWER)}", _joined((kind, factor.type)), _MULTIPLY
    return _Written(code, level, kind)


def _power(base: Node, exponent: Node) -> _Written:
    if base == Constant("E"):
        return _call("exp", (exponent,))
    below, above = _write(base), _write(exponent)
    if below.type == above.type == _INTEGER:
        if isinstance(exponent, Number):
            return _Written(f"{below.at(_ATOM)}**{above.code}", _POWER, _INTEGER)
        if isinstance(exponent, Negate) and isinstance(exponent.operand, Number):
            inverse = below.code if exponent.operand.text == "1" else f"{below.at(_ATOM)}**{exponent.operand.text}"
            return _Written(f"Rational(1, {inverse})", _ATOM, _SYMPY)
        return _Written(f"Integer({below.code})**{above.at(_ATOM)}", _POWER, _SYMPY)
    return _Written(f"{below.at(_ATOM)}**{above.at(_POWER)}", _POWER, _joined((below.type, above.type)))


def _call(name: str, arguments: tuple[Node, ...]) -> _Written:
    if name == "Limit":
        *values, last = arguments
        if last in (Symbol("+"), Symbol("-")):
            inner = [*(_write(value).code for value in values), f'"{last.name}"']
        else:
            inner = [_write(argument).code for argument in arguments]
            if Constant("oo") not in (last, getattr(last, "operand", None)):
                inner.append('"+-"')
    elif name in ("Integral", "Derivative") and isinstance(arguments[1], Sequence) and len(arguments[1].items) == 1:
        inner = [_write(arguments[0]).code, _write(arguments[1].items[0]).code]
    else:
        inner = [_write(argument).code for argument in arguments]
    return _Written(f"{name}({', '.join(inner)})", _ATOM, _SYMPY)


def _chain(operands: tuple[Node, ...], relations: tuple[str, ...]) -> _Written:
    codes = [_write(operand).code for operand in operands]
    parts = [
        f"Contains({left}, {right})" if relation == "in" else f"{_RELATIONS[relation]}({left}, {right})"
        for (left, right), relation in zip(pairwise(codes), relations, strict=True)
    ]
    return _Written(parts[0] if len(parts) == 1 else f"And({', '.join(parts)})", _ATOM, _SYMPY)
