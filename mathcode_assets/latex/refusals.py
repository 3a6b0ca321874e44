"""What is refused because two readings of it are in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mathcode_assets.latex.nodes import Node, Number, Symbol, walk
from mathcode_assets.latex.tokens import COMMAND, NUMBER, SYMBOL, Token
from mathcode_assets.latex.vocabulary import BOLD, FRACTIONS

if TYPE_CHECKING:
    from mathcode_assets.latex.grammar import Parser


def refuse_vectors(parser: Parser, sign: Token, left: Node) -> None:
    """Refuses a sign that may be a dot or cross product: a letter with an arrow or in bold beside it."""
    after = parser.peek()
    has_arrow = after.text in ("vec", "overrightarrow", "hat") and after.kind == COMMAND
    is_left_vector = isinstance(left, Symbol) and left.name in parser.vectors
    if sign.text in ("cdot", "times", "bullet") and (has_arrow or after.font in BOLD or is_left_vector):
        raise parser.error("a product of vectors")


def check_after_slash(parser: Parser, factors: list[tuple[Node, bool]], token: Token) -> None:
    """Refuses what follows ``a/b`` without a sign, except a parenthesis after two integers."""
    if not factors[-1][1]:
        return
    is_half = len(factors) == 2 and all(isinstance(factor, Number) and factor.is_integer for factor, _ in factors)
    if not (is_half and token.text == "("):
        raise parser.error("a factor behind a slash")


def refuse_brackets(parser: Parser, token: Token) -> None:
    """Refuses ``K[x]`` and ``[1][0]``: brackets around one number or letter are no factor."""
    if token.text == "[" and (parser.peek(2).text == "]" or parser.peek(1).text == "["):
        raise parser.error("brackets of unknown meaning")


def check_after_decimal(parser: Parser, token: Token) -> None:
    r"""Refuses ``0.57\, \frac{2}{3}``: two values side by side, or a product?"""
    before = parser.tokens[parser.position - 1]
    if before.kind == NUMBER and token.text in FRACTIONS and "\\" in parser.source[before.end : token.start]:
        raise parser.error("a number beside a number")


def refuse_marks(parser: Parser, base: Node) -> None:
    """Refuses exponents that may be no powers: ``u^{(n)}``, and ``A^T`` of letters."""
    first, second = (1, 2) if parser.peek().text == "{" else (0, 1)
    if first and parser.peek(1).text == "(" and _closes_group(parser, parser.position + 1):
        raise parser.error("an index in parentheses above")
    is_mark = parser.peek(first).text in ("T", "H", "o") and parser.peek(first).kind == SYMBOL
    is_alone = not first or parser.peek(second).text == "}"
    if is_mark and is_alone and not any(isinstance(node, Number) for node in walk(base)):
        raise parser.error("a mark of unknown meaning above")


def _closes_group(parser: Parser, position: int) -> bool:
    """Whether the parenthesis at a position is closed just before a closing brace."""
    depth = 0
    for ahead in range(position, len(parser.tokens)):
        depth += (parser.tokens[ahead].text == "(") - (parser.tokens[ahead].text == ")")
        if depth == 0:
            return parser.tokens[ahead + 1].text == "}"
    return False
