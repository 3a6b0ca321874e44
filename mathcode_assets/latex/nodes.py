"""What a formula is once it has been read: a small tree, free of LaTeX and of Python.

Sums and products hold all their terms in one node, so a long formula makes a wide tree and not a deep one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


class LatexSyntaxError(ValueError):
    """The formula holds something that is not understood with certainty.

    Attributes:
        position: character in the source where understanding ended, from 0 to its length.
        reason: what was found there, in a few words without quoting the source.
    """

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"{reason} at character {position}")
        self.position = position
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Number:
    """An unsigned literal as Python writes it: ``12``, ``0.5``, ``1e-5``."""

    text: str

    @property
    def is_integer(self) -> bool:
        """Whether the literal has neither point nor exponent."""
        return self.text.isdigit()


@dataclass(frozen=True, slots=True)
class Symbol:
    """An unknown, by its Python name."""

    name: str


@dataclass(frozen=True, slots=True)
class Constant:
    """``pi``, ``E``, ``I``, ``oo``, or a set with a name of its own."""

    name: str


@dataclass(frozen=True, slots=True)
class Add:
    """A sum of at least two terms; a subtracted term is a Negate."""

    terms: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Multiply:
    """A product of at least two factors, from left to right, each with whether it divides."""

    factors: tuple[tuple[Node, bool], ...]


@dataclass(frozen=True, slots=True)
class Negate:
    """The operand with the other sign."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Power:
    """A base with an exponent."""

    base: Node
    exponent: Node


@dataclass(frozen=True, slots=True)
class Call:
    """A function of SymPy by name, with its arguments."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Sequence:
    """Several values in order: a point, a list, the bounds of an integral."""

    items: tuple[Node, ...]
    is_list: bool = False


@dataclass(frozen=True, slots=True)
class Chain:
    """``a = b < c``: operands and the relations between them.

    Attributes:
        operands: at least two.
        relations: one less: ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``approx``, ``in``, ``:=``.
        spans: start and end of each operand in the source, white space around it left out.
    """

    operands: tuple[Node, ...]
    relations: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Text:
    """Words where a value was expected."""

    text: str


Node = Number | Symbol | Constant | Add | Multiply | Negate | Power | Call | Sequence | Chain | Text

BINDERS = ("Integral", "Sum", "Product", "Limit", "Derivative")


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below one."""
    match node:
        case Add(terms):
            return terms
        case Multiply(factors):
            return tuple(factor for factor, _ in factors)
        case Negate(operand):
            return (operand,)
        case Power(base, exponent):
            return (base, exponent)
        case Call(_, arguments):
            return arguments
        case Sequence(items, _):
            return items
        case Chain(operands, _, _):
            return operands
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """Every node of a tree, parents first."""
    pending = [node]
    while pending:
        current = pending.pop()
        yield current
        pending.extend(reversed(children(current)))


def free_symbols(node: Node) -> frozenset[str]:
    """Names of the unknowns that the value depends on (indices of sums and the like are not among them)."""
    match node:
        case Symbol(name):
            return frozenset((name,))
        case Call("Sum" | "Product", (body, Sequence((Symbol(index), *bounds)))):
            return _union(*bounds) | (free_symbols(body) - {index})
        case Call("Integral", (body, Sequence((Symbol(variable), *bounds)))) if bounds:
            return _union(*bounds) | (free_symbols(body) - {variable})
        case Call("Limit", (body, Symbol(variable), *target)):
            return _union(*target) | (free_symbols(body) - {variable})
        case Call("Subs", (body, Symbol(variable), point)):
            return (free_symbols(body) - {variable}) | free_symbols(point)
        case _:
            return _union(*children(node))


def _union(*nodes: Node) -> frozenset[str]:
    return frozenset().union(*(free_symbols(node) for node in nodes))
