"""Letters: the names of unknowns, and what e and i stand for."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from mathcode_assets.latex.nodes import Call, Constant, LatexSyntaxError, Node, Symbol, free_symbols
from mathcode_assets.latex.tokens import COMMAND, NUMBER, PUNCTUATION, SYMBOL, TEXT, Token
from mathcode_assets.latex.vocabulary import BOLD, RELATIONS, python_name

if TYPE_CHECKING:
    from mathcode_assets.latex.grammar import Parser

_BESIDE_E = frozenset("abcdfgh")
# Letters behind a d that make it a differential.
_DIFFERENTIALS = frozenset("rstuvwxyzRSTUVWXYZ")
_SPELLED = {"+": "plus", "-": "minus", ",": "", "'": "prime"}


def named_letter(parser: Parser) -> Node:
    """A letter with its accent, subscript and primes; a letter before a parenthesis may be a function."""
    token = parser.advance()
    accent = ""
    if token.kind == COMMAND:
        accent = token.text
        braced = parser.accept("{")
        start = token
        token = parser.advance()
        if token.kind != SYMBOL:
            raise parser.error("an accent over something else than a letter")
        if braced:
            parser.expect("}")
        token = token._replace(start=start.start)
    name = token.text
    name += f"_{accent.removeprefix('wide').replace('overline', 'bar')}" if accent else ""
    end = parser.tokens[parser.position - 1].end
    primes = _primes(parser)
    if parser.peek().text == "_" and parser.peek().kind == PUNCTUATION:
        parser.advance()
        name += f"_{_subscript(parser)}"
        end = parser.tokens[parser.position - 1].end
    primes += _primes(parser)
    if primes:
        name += "_prime" * primes
        end = parser.tokens[parser.position - 1].end
    if parser.peek().text == "(" and parser.peek().kind == PUNCTUATION:
        if name == "Gamma" or (name == "zeta" and "zeta" not in parser.functions):
            argument = parser.require_value(parser.primary())
            if name == "zeta" and free_symbols(argument):
                raise LatexSyntaxError(token.start, "an undefined function")
            return Call(name.lower(), (argument,))
        if is_lone_argument(parser) or primes or name in parser.functions or token.text in parser.functions:
            raise LatexSyntaxError(token.start, "an undefined function")
    if name == "d" and _is_differential(parser):
        raise LatexSyntaxError(token.start, "a differential")
    if parser.peek().text == "[" and token.text == "E":
        raise LatexSyntaxError(token.start, "an undefined function")
    whole = token._replace(end=end)
    return letter(parser, whole, None if name == token.text else name)


def _is_differential(parser: Parser) -> bool:
    """Whether a d, just read, is that of ``dx`` or ``d(xy)`` and not an unknown."""
    after = parser.peek()
    if after.kind == SYMBOL:
        return after.text in _DIFFERENTIALS or len(after.text) > 1
    names = {token.text for token in parser.tokens if token.kind == SYMBOL}
    return after.text == "(" and not names & {"a", "b", "c"}


def is_lone_argument(parser: Parser) -> bool:
    """Whether the parenthesis that follows holds one number, or one letter with its marks, and nothing else."""
    if parser.peek(1).kind == NUMBER:
        return parser.peek(2).text == ")"
    if parser.peek(1).kind != SYMBOL:
        return False
    ahead = 2
    if parser.peek(ahead).text == "_":
        ahead += 4 if parser.peek(ahead + 1).text == "{" else 2
    while parser.peek(ahead).text == "'":
        ahead += 1
    return parser.peek(ahead).text == ")"


def _primes(parser: Parser) -> int:
    count = 0
    while True:
        token = parser.peek()
        if token.text == "'" and token.kind == PUNCTUATION:
            parser.advance()
            count += 1
        elif token.text == "^" and parser.peek(1).text == "prime":
            parser.position += 2
            count += 1
        elif token.text == "^" and parser.peek(1).text == "{" and parser.peek(2).text == "prime":
            parser.position += 2
            while parser.peek().text == "prime":
                parser.advance()
                count += 1
            parser.expect("}")
        else:
            return count


def _subscript(parser: Parser) -> str:
    """The part of a name that a subscript gives."""
    token = parser.advance()
    if token.text != "{" or token.kind != PUNCTUATION:
        if token.kind in (NUMBER, SYMBOL, TEXT) and re.fullmatch(r"[^\W_]+", token.text):
            return token.text
        raise parser.error("a subscript of unknown meaning")
    parts: list[str] = []
    while not parser.accept("}"):
        token = parser.advance()
        if token.kind in (NUMBER, SYMBOL, TEXT):
            part = re.sub(r"\W+", "_", token.text)
            is_joined = parts and parts[-1].isalnum() and token.kind == SYMBOL and len(token.text) == 1
            if is_joined and len(parts[-1]) >= 1 and not parts[-1].isdigit():
                parts[-1] += part
            else:
                parts.append(part)
        elif token.text in _SPELLED and token.kind == PUNCTUATION:
            parts.append(_SPELLED[token.text])
        elif token.text == "infty":
            parts.append("oo")
        else:
            raise parser.error("a subscript of unknown meaning")
    name = "_".join(part for part in parts if part).strip("_")
    if not name:
        raise parser.error("a subscript of unknown meaning")
    return name


def letter(parser: Parser, token: Token, name: str | None = None) -> Node:
    """The value of a letter: an unknown, Euler's number or the imaginary unit.

    Args:
        parser: the parser the letter was read with.
        token: the letter with all its marks.
        name: the name with subscripts and accents, None for the bare letter.
    """
    if name is None and token.text == "e" and parser.has_euler:
        return Constant("E")
    if name is None and token.text == "i" and parser.has_imaginary:
        return Constant("I")
    plain = python_name(name or token.text)
    if token.font and token.text in parser.upright:
        plain = f"{plain}_{token.font}"
    if token.font in BOLD or plain.endswith(("_vec", "_overrightarrow")):
        parser.vectors.add(plain)
    parser.symbols.setdefault(plain, parser.source[token.start : token.end])
    return Symbol(plain)


def is_euler(tokens: list[Token]) -> bool:
    """Whether e is Euler's number: the base of a power, or with none of a, b, c, d, f, g, h beside it."""
    names = {token.text for token in tokens if token.kind == SYMBOL}
    return not names & _BESIDE_E or any(
        token.kind == SYMBOL and token.text == "e" and not token.font and after.text == "^"
        for token, after in pairwise(tokens)
    )


def is_imaginary(tokens: list[Token]) -> bool:
    """Whether i is the imaginary unit: not in a subscript, before ``!``, alone beside a relation, beside j or k."""
    if any(token.kind == SYMBOL and token.text in ("j", "k") for token in tokens):
        return False
    for position, token in enumerate(tokens):
        if token.text != "i" or token.kind != SYMBOL:
            continue
        before = [other.text for other in tokens[max(0, position - 2) : position]]
        after = tokens[position + 1].text
        if after == "!" or "_" in before or before[-1:] == ["d"] or before[-2:] == ["}", "{"]:
            return False
        if after in RELATIONS and before[-1:] in ([], ["{"], [","]):
            return False
        if before and before[-1] in RELATIONS and after in ("", ",", "."):
            return False
    return True
