"""Functions and how far their arguments reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mathcode_assets.latex.nodes import (
    Call,
    Constant,
    Multiply,
    Negate,
    Node,
    Number,
    Power,
    Sequence,
    free_symbols,
    walk,
)
from mathcode_assets.latex.tokens import COMMAND, FUNCTION, NUMBER, PUNCTUATION, SYMBOL
from mathcode_assets.latex.vocabulary import (
    BINOMIALS,
    CONSTANTS,
    FRACTIONS,
    HYPERBOLIC,
    LIST_FUNCTIONS,
    PARENTHESISED_ONLY,
    TRIGONOMETRIC,
)

if TYPE_CHECKING:
    from mathcode_assets.latex.grammar import Parser

_COEFFICIENTS = frozenset((*CONSTANTS, *FRACTIONS, *BINOMIALS, "sqrt"))


def function_call(parser: Parser) -> Node:
    """A function with its power, its base and its argument; the next token is its name."""
    token = parser.advance()
    name = token.text
    base, power = None, None
    while parser.peek().text in ("^", "_") and parser.peek().kind == PUNCTUATION:
        mark = parser.advance().text
        if mark == "_" and name == "log" and base is None:
            base = parser.require_value(parser.argument(is_exponent=True))
        elif mark == "^" and power is None and name not in PARENTHESISED_ONLY and name not in ("sqrt", "Abs"):
            sign = parser.accept("-")
            power = parser.require_value(parser.argument(is_exponent=True))
            power = Negate(power) if sign else power
        else:
            raise parser.error("a function with a mark of unknown meaning")
    is_angle = name in TRIGONOMETRIC
    parser.angles += is_angle
    arguments = _arguments(parser, name)
    parser.angles -= is_angle
    if power == Negate(Number("1")):
        if name not in TRIGONOMETRIC | HYPERBOLIC:
            raise parser.error("an inverse of unknown meaning")
        name, power = f"a{name}", None
    parser.has_plain_log |= base is None and parser.source[token.start : token.end].endswith("log")
    node = _named(parser, name, base, arguments)
    return Power(node, power) if power is not None else node


def _named(parser: Parser, name: str, base: Node | None, arguments: tuple[Node, ...]) -> Node:
    if name in LIST_FUNCTIONS:
        return Call(name, arguments)
    if len(arguments) != 1:
        raise parser.error("a function with several arguments")
    if name == "lg":
        return Call("log", (arguments[0], Number("10")))
    if name == "log":
        return Call("log", arguments if base is None else (arguments[0], base))
    return Call(name, arguments)


def _arguments(parser: Parser, name: str) -> tuple[Node, ...]:
    token = parser.peek()
    if token.text in ("(", "[") and token.kind == PUNCTUATION:
        node = _delimited(parser, name)
        if parser.peek().text in ("^", "!") and name not in ("sqrt", "Abs", "exp"):
            raise parser.error("a power behind the parenthesis of a function")
        return _unpacked(parser, name, node)
    if token.text == "{" and token.kind in (PUNCTUATION, COMMAND):
        if token.kind == COMMAND and name not in LIST_FUNCTIONS:
            raise parser.error("a function of a set")
        node = parser.primary()
        if isinstance(node, Call) and node.name == "FiniteSet":
            return node.arguments
        if parser.peek().text in ("^", "!"):
            raise parser.error("a power behind the argument of a function")
        return _unpacked(parser, name, node)
    if name in PARENTHESISED_ONLY and not (name == "det" and token.kind == "begin"):
        raise parser.error("a function without parentheses")
    if token.text in ("|", "lvert"):
        return (parser.suffixed(),)
    return (_bare_argument(parser),)


def _delimited(parser: Parser, name: str) -> Node:
    """The group behind a function name."""
    return parser.primary()


def _unpacked(parser: Parser, name: str, node: Node) -> tuple[Node, ...]:
    if isinstance(node, Sequence):
        if name not in LIST_FUNCTIONS:
            raise parser.error("a function with several arguments")
        return node.items
    return (parser.require_value(node),)


def _bare_argument(parser: Parser) -> Node:
    """An argument without parentheses: coefficients, then letters, each with its powers."""
    factors: list[Node] = []
    has_letter = False
    while True:
        token = parser.peek()
        is_coefficient = (token.kind == NUMBER and not factors) or (
            token.kind == COMMAND and token.text in _COEFFICIENTS
        )
        if token.kind == SYMBOL or (token.kind == PUNCTUATION and token.text == "{" and not factors):
            if factors and token.text == "e" and parser.peek(1).text == "^":
                raise parser.error("a power of e behind the argument of a function")
            factors.append(parser.suffixed())
            has_letter |= bool(free_symbols(factors[-1]))
        elif is_coefficient:
            if has_letter:
                raise parser.error("a factor behind the argument of a function")
            factors.append(parser.suffixed())
        elif token.kind == FUNCTION and not factors:
            return parser.suffixed()
        elif token.text == "(" and factors and not has_letter:
            factors.append(parser.suffixed())
            break
        else:
            break
    if not factors:
        raise parser.error("a function without argument")
    if parser.peek().kind in ("begin",) or parser.peek().text in ("int", "sum", "prod", "lim"):
        raise parser.error("a factor behind the argument of a function")
    _check_sign(parser, factors, has_letter)
    if parser.peek().text == "/" and parser.peek(1).kind == NUMBER:
        # `\cos 2\pi/3`: numbers and pi only, so the quotient is the angle.
        parser.advance()
        quotient = tuple((factor, False) for factor in factors)
        return Multiply((*quotient, (parser.suffixed(), True)))
    if len(factors) == 1:
        return factors[0]
    return Multiply(tuple((parser.require_value(factor), False) for factor in factors))


def _check_sign(parser: Parser, factors: list[Node], has_letter: bool) -> None:
    """Refuses what follows where it may belong to the argument or not."""
    token, after = parser.peek(), parser.peek(1)
    if after.kind == FUNCTION or token.text not in ("/", "cdot", "times", "*"):
        return
    if token.text == "/":
        has_pi = any(node == Constant("pi") for factor in factors for node in walk(factor))
        is_angle = after.kind == NUMBER and not has_letter and has_pi
        if not is_angle:
            raise parser.error("a slash behind the argument of a function")
    elif not has_letter and not parser.angles:
        raise parser.error("a product behind the argument of a function")
