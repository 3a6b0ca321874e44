"""Values with relations between them, and the units behind values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mathcode_assets.latex.nodes import Add, Call, Chain, Constant, Negate, Node, Number, Sequence, Symbol, free_symbols
from mathcode_assets.latex.tokens import COMMAND, NUMBER, PUNCTUATION, TEXT
from mathcode_assets.latex.vocabulary import RELATIONS

if TYPE_CHECKING:
    from mathcode_assets.latex.grammar import Parser

JOINING_WORDS = frozenset(("and", "or"))

_NOT_A_UNIT = frozenset(
    {"if", "when", "for", "where", "or", "and", "with", "mod", "otherwise", "is", "are"}
    | {"so", "since", "because", "as", "then", "by", "from", "to"}
)


def statement(parser: Parser) -> tuple[Node, list[str]]:
    """A value or a chain of relations, and the unit of each operand."""
    operands: list[Node] = []
    relations: list[str] = []
    units: list[str] = []
    spans: list[tuple[int, int]] = []
    while True:
        first = parser.peek().start
        parser.unit, parser.has_pi = "", False
        operands.append(parser.sets())
        _read_unit(parser, operands[-1])
        if parser.unit == "degree" and parser.has_pi:
            raise parser.error("degrees beside pi")
        spans.append((first, parser.tokens[parser.position - 1].end))
        units.append(parser.unit)
        relation = RELATIONS.get(parser.peek().text) if parser.peek().kind in (COMMAND, PUNCTUATION) else None
        if relation is None:
            break
        parser.advance()
        if relation == "equiv":
            return _congruence(parser, operands, spans), ["", ""]
        if relation == "in" and len(operands) == 1:
            first = parser.peek().start
            return _membership(parser, operands[0], (spans[0], first)), ["", ""]
        relations.append(relation)
    if not relations:
        return operands[0], units
    return Chain(tuple(operands), tuple(relations), tuple(spans)), units


def _congruence(parser: Parser, operands: list[Node], spans: list[tuple[int, int]]) -> Node:
    r"""``a \equiv b \pmod{n}``, the sign just read: (a - b) mod n = 0."""
    if len(operands) != 1:
        raise parser.error("a congruence in a chain")
    start = parser.peek().start
    right = parser.sets()
    end = parser.tokens[parser.position - 1].end
    if parser.peek().text == "pmod":
        parser.advance()
        modulus = parser.argument()
    elif parser.peek().text == "(" and parser.peek(1).text in ("mod", "bmod"):
        parser.position += 2
        modulus = parser.sets()
        parser.expect(")")
    else:
        raise parser.error("an equivalence without modulus")
    difference = Add((parser.require_value(operands[0]), Negate(parser.require_value(right))))
    return Chain((Call("Mod", (difference, modulus)), Number("0")), ("=",), (spans[0], (start, end)))


def _membership(parser: Parser, element: Node, places: tuple[tuple[int, int], int]) -> Node:
    r"""``x \in S``, the sign just read; a pair of numbers is an open interval here."""
    container = parser.sets()
    if isinstance(container, Sequence) and not container.is_list and len(container.items) == 2:
        container = Call("Interval.open", container.items)
    is_named_set = isinstance(container, Constant) and container.name not in ("pi", "E", "I", "oo")
    if not is_named_set and not isinstance(container, Call | Symbol):
        raise parser.error("an element of something else than a set")
    span, start = places
    end = parser.tokens[parser.position - 1].end
    return Chain((element, container), ("in",), (span, (start, end)))


def _read_unit(parser: Parser, value: Node) -> None:
    r"""A unit behind a value: ``5\text{ cm}``, ``3\,\mathrm{m}/\mathrm{s}^2``."""
    words: list[str] = []
    while parser.peek().kind == TEXT and parser.peek().text not in JOINING_WORDS:
        words.append(parser.advance().text)
        if parser.peek().text == "^" and not parser.peek().font:
            parser.advance()
            words.append(f"^{_unit_exponent(parser)}")
        if parser.peek().text == "/" and parser.peek(1).kind == TEXT:
            parser.advance()
            words.append("/")
    if not words:
        return
    unit = "".join(words)
    if free_symbols(value) or parser.unit or not _is_unit(unit):
        raise parser.error("words behind a value")
    parser.unit = unit


def _unit_exponent(parser: Parser) -> str:
    braced = parser.accept("{")
    sign = "-" if parser.accept("-") else ""
    token = parser.advance()
    if token.kind != NUMBER:
        raise parser.error("an exponent of a unit")
    if braced:
        parser.expect("}")
    return sign + token.text


def _is_unit(words: str) -> bool:
    """Whether words behind a value can be its unit."""
    parts = re.findall(r"[^\W\d_]+", words)
    return len(words) <= 40 and len(parts) <= 5 and not _NOT_A_UNIT & {part.lower() for part in parts}
