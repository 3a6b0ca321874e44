"""Values from LaTeX and plain mathematical notation, through the parser of `mathcode_assets.latex`."""

from __future__ import annotations

from mathcode_assets.latex import nodes
from mathcode_assets.latex.nodes import LatexSyntaxError
from mathcode_assets.latex.parser import parse
from mathcode_assets.verification.building import applied, combined_product, named, number, power, quotient, sum_of
from mathcode_assets.verification.functions import symbol_name
from mathcode_assets.verification.values import (
    MINUS_ONE,
    SCALARS,
    Add,
    Call,
    Logic,
    Mul,
    Pow,
    Relation,
    Scalar,
    Sequence,
    Symbol,
    Text,
    Unreadable,
    Value,
    integer,
)

MAX_CHARS = 5_000  # of a formula

RELATIONS = {"approx": "≈", ":=": "="}


def read_formula(source: str) -> tuple[Value, str, tuple[Value, ...]]:
    """The value of a formula, the unit that follows it, and further readings of it.

    A logarithm without a base is natural, and to the base 10 in the second reading.

    Raises:
        Unreadable: any part is not understood.
    """
    if len(source) > MAX_CHARS:
        raise Unreadable("formula too long")
    try:
        formula = parse(source)
        units = [unit for unit in formula.units if unit]
        value = from_node(formula.root)
        readings = (common_logarithms(value),) if formula.has_plain_log and "\\ln" not in source else ()
        return value, units[-1] if units else "", readings
    except LatexSyntaxError as error:
        raise Unreadable(f"formula: {error.reason}") from None
    except (RecursionError, ValueError, OverflowError, MemoryError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable("formula") from None


def common_logarithms(value: Value) -> Value:
    """Every logarithm without a base as one to the base 10."""
    match value:
        case Call("log", (argument,)):
            return Call("log", (common_logarithms(argument), integer(10)))
        case Call():
            return Call(value.name, tuple(common_logarithms(argument) for argument in value.arguments))
        case Add():
            return Add(tuple(common_logarithms(term) for term in value.terms))  # type: ignore[misc]
        case Mul():
            return Mul(tuple(common_logarithms(factor) for factor in value.factors))  # type: ignore[misc]
        case Pow():
            return Pow(common_logarithms(value.base), common_logarithms(value.exponent))  # type: ignore[arg-type]
        case _:
            return value


def from_node(node: nodes.Node) -> Value:
    """A tree of the formula parser as a value.

    Raises:
        Unreadable: it holds something no value does.
    """
    match node:
        case nodes.Number(text):
            return number(text)
        case nodes.Symbol(name):
            return Symbol(symbol_name(name))
        case nodes.Constant(name):
            return named(name)
        case nodes.Add(terms):
            return sum_of([from_node(term) for term in terms])
        case nodes.Multiply(factors):
            value: Value | None = None
            for factor, divides in factors:
                part = from_node(factor)
                if value is None:
                    value = quotient(MINUS_ONE, part) if divides else part
                else:
                    value = quotient(value, part) if divides else combined_product(value, part)
            if value is None:
                raise Unreadable("empty product")
            return value
        case nodes.Negate(operand):
            return combined_product(MINUS_ONE, from_node(operand))
        case nodes.Power(base, exponent):
            return power(_scalar(base), _scalar(exponent))
        case nodes.Call(name, arguments):
            return applied(name, [from_node(argument) for argument in arguments])
        case nodes.Sequence(items, is_list):
            return Sequence("list" if is_list else "tuple", tuple(from_node(item) for item in items))
        case nodes.Chain(operands, relations, _):
            return chain([from_node(operand) for operand in operands], list(relations))
        case nodes.Text(text):
            return Text(" ".join(text.casefold().split()))
    raise Unreadable(type(node).__name__)


def _scalar(node: nodes.Node) -> Scalar:
    value = from_node(node)
    if not isinstance(value, SCALARS):
        raise Unreadable("power of what is no number")
    return value


def chain(operands: list[Value], relations: list[str]) -> Value:
    """A < b <= c as relations that hold together."""
    parts = tuple(
        Relation(RELATIONS.get(relation, relation), left, right)
        for left, relation, right in zip(operands, relations, operands[1:], strict=False)
    )
    return parts[0] if len(parts) == 1 else Logic("and", parts)
