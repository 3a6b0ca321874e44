"""Fractions, derivatives, integrals, sums, products and limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mathcode_assets.latex.letters import letter
from mathcode_assets.latex.nodes import Call, Multiply, Negate, Node, Number, Sequence, Symbol
from mathcode_assets.latex.tokens import COMMAND, NUMBER, PUNCTUATION, SYMBOL, Token
from mathcode_assets.latex.vocabulary import FRACTIONS

if TYPE_CHECKING:
    from mathcode_assets.latex.grammar import Parser


def fraction(parser: Parser) -> Node:
    r"""``\frac{a}{b}``, or a derivative written as a fraction."""
    operator = _derivative_operator(parser)
    if operator is not None:
        return _derivative(parser, operator)
    parser.advance()
    above = parser.require_value(parser.argument(is_digit=True))
    below = parser.require_value(parser.argument(is_digit=True))
    return Multiply(((above, False), (below, True)))


def _braced(parser: Parser, position: int) -> tuple[list[Token], int] | None:
    """The tokens of the group that begins at a position, and the position after it."""
    tokens = parser.tokens
    if position >= len(tokens) or tokens[position].text != "{" or tokens[position].kind != PUNCTUATION:
        return None
    depth = 0
    for end in range(position, len(tokens)):
        if tokens[end].kind == PUNCTUATION:
            depth += (tokens[end].text == "{") - (tokens[end].text == "}")
        if depth == 0:
            return tokens[position + 1 : end], end + 1
    return None


def _is_d(token: Token) -> bool:
    return (token.kind == SYMBOL and token.text == "d") or (token.kind == COMMAND and token.text == "partial")


def _derivative_operator(parser: Parser) -> tuple[list[Token], list[tuple[Token, int]]] | None:
    """What is derived (tokens, empty for what follows the fraction) and by which letters how often.

    None where the fraction at the current position is an ordinary one; then nothing is read.
    """
    above = _braced(parser, parser.position + 1)
    below = _braced(parser, above[1]) if above else None
    if above is None or below is None or not above[0] or not below[0]:
        return None
    if not _is_d(above[0][0]) or not _is_d(below[0][0]):
        return None
    order, body = _order(above[0][1:])
    variables: list[tuple[Token, int]] = []
    rest = below[0]
    if len(rest) < 2 or rest[1].kind != SYMBOL:
        return None
    while rest:
        if len(rest) < 2 or not _is_d(rest[0]) or rest[1].kind != SYMBOL:
            raise parser.error("a derivative of unclear meaning")
        count, after = _order(rest[2:])
        variables.append((rest[1], count))
        rest = after
    if order != sum(count for _, count in variables):
        raise parser.error("a derivative of unclear order")
    if len(body) == 1 and body[0].kind == SYMBOL:
        raise parser.error("a derivative of an undefined function")
    parser.position = below[1]
    return body, variables


def _order(tokens: list[Token]) -> tuple[int, list[Token]]:
    """The exponent of a d and what follows it."""
    if len(tokens) >= 2 and tokens[0].text == "^":
        if tokens[1].kind == NUMBER and tokens[1].text.isdigit() and len(tokens[1].text) == 1:
            return int(tokens[1].text), tokens[2:]
        if len(tokens) >= 4 and tokens[1].text == "{" and tokens[2].kind == NUMBER and tokens[3].text == "}":
            return (int(tokens[2].text) if tokens[2].text.isdigit() and len(tokens[2].text) == 1 else 0), tokens[4:]
    return 1, tokens


def _derivative(parser: Parser, operator: tuple[list[Token], list[tuple[Token, int]]]) -> Node:
    body_tokens, variables = operator
    if body_tokens:
        body = parser.sub_expression(body_tokens)
    else:
        is_group = parser.peek().text in ("(", "[", "{")
        first = parser.position
        body = parser.suffixed() if is_group else parser.product(is_implicit=True)
        if is_group and parser.starts_factor(parser.peek()):
            raise parser.error("a derivative of unclear extent")
        if parser.position == first:
            raise parser.error("a derivative of nothing")
    node = parser.require_value(body)
    for token, count in variables:
        variable = letter(parser, token)
        if not isinstance(variable, Symbol):
            raise parser.error("a derivative by a constant")
        order = (Number(str(count)),) if count > 1 else ()
        node = Call("Derivative", (node, variable, *order))
    return node


def _bounds(parser: Parser) -> tuple[Node | None, Node | None]:
    """The lower and upper bound behind a sign, in either order."""
    lower: Node | None = None
    upper: Node | None = None
    while parser.peek().text in ("_", "^") and parser.peek().kind == PUNCTUATION:
        mark = parser.advance().text
        if (lower if mark == "_" else upper) is not None:
            raise parser.error("two bounds of one kind")
        negative = parser.accept("-")
        bound = parser.require_value(parser.argument(is_exponent=True))
        bound = _negated(bound) if negative else bound
        if mark == "_":
            lower = bound
        else:
            upper = bound
    return lower, upper


def _negated(node: Node) -> Node:
    return Negate(node)


def integral(parser: Parser) -> Node:
    r"""``\int_a^b f dx``: the integrand is everything before the differential."""
    parser.advance()
    lower, upper = _bounds(parser)
    if (lower is None) != (upper is None):
        raise parser.error("an integral with one bound")
    end = _differential(parser)
    if end is None:
        body, variable_token = _differential_in_fraction(parser)
    else:
        tokens = parser.tokens[parser.position : end]
        variable_token = parser.tokens[end + 1]
        body = parser.sub_expression(tokens) if tokens else Number("1")
        parser.position = end + 2
        if not tokens and parser.starts_factor(parser.peek()):
            raise parser.error("an integrand behind its differential")
    variable = letter(parser, variable_token)
    if not isinstance(variable, Symbol):
        raise parser.error("an integral over a constant")
    bounds = (variable,) if lower is None or upper is None else (variable, lower, upper)
    return Call("Integral", (parser.require_value(body), Sequence(bounds)))


def _differential(parser: Parser) -> int | None:
    """Position of the d that closes the integral at the current position."""
    depth = inner = 0
    for position in range(parser.position, len(parser.tokens) - 1):
        token = parser.tokens[position]
        if token.text in ("(", "[", "{"):
            depth += 1
        elif token.text in (")", "]", "}"):
            depth -= 1
            if depth < 0:
                return None
        elif token.kind == COMMAND and token.text == "int" and depth == 0:
            inner += 1
        elif depth == 0 and token.kind == SYMBOL and token.text == "d" and parser.tokens[position + 1].kind == SYMBOL:
            if not inner:
                return position
            inner -= 1
    return None


def _differential_in_fraction(parser: Parser) -> tuple[Node, Token]:
    r"""The integrand of ``\int \frac{dx}{x}``, and its variable."""
    position = parser.position
    while parser.tokens[position].kind == NUMBER:
        position += 1
    group = _braced(parser, position + 1) if parser.tokens[position].text in FRACTIONS else None
    if group is None or len(group[0]) < 2 or not _is_d(group[0][-2]) or group[0][-1].kind != SYMBOL:
        raise parser.error("an integral without differential")
    above, after = group
    below = _braced(parser, after)
    end = below[1] if below else after + 1
    if end >= len(parser.tokens):
        raise parser.error("an integral without differential")
    one = Token(NUMBER, "1", above[-2].start, above[-1].end)
    numerator = above[:-2] or [one]
    tokens = [*parser.tokens[parser.position : position + 2], *numerator, *parser.tokens[after - 1 : end]]
    body = parser.sub_expression(tokens)
    parser.position = end
    return body, above[-1]


def summation(parser: Parser) -> Node:
    r"""``\sum_{k=1}^{n} f`` and ``\prod_{k=1}^{n} f``."""
    name = {"sum": "Sum", "prod": "Product"}[parser.advance().text]
    if parser.peek().text == "^":
        parser.advance()
        upper = parser.argument(is_exponent=True)
        index, lower = _index(parser)
    else:
        index, lower = _index(parser)
        if not parser.accept("^"):
            raise parser.error("a sum without upper bound")
        upper = parser.argument(is_exponent=True)
    body = parser.require_value(parser.product())
    parser.refuse_indexed(index, body)
    return Call(name, (body, Sequence((index, lower, parser.require_value(upper)))))


def _index(parser: Parser) -> tuple[Symbol, Node]:
    if parser.peek().text != "_" or parser.peek(1).text != "{":
        raise parser.error("a sum without index")
    parser.position += 2
    index = parser.primary()
    parser.expect("=")
    lower = parser.require_value(parser.additive())
    parser.expect("}")
    if not isinstance(index, Symbol):
        raise parser.error("a sum without index")
    return index, lower


def _group_end(parser: Parser) -> int:
    """Position of the brace that closes the group around the current position."""
    depth = 1
    for position in range(parser.position, len(parser.tokens)):
        token = parser.tokens[position]
        if token.kind == PUNCTUATION:
            depth += (token.text == "{") - (token.text == "}")
        if depth == 0:
            return position
    raise parser.error("no } where one is needed")


def limit(parser: Parser) -> Node:
    r"""``\lim_{x \to a} f``, with the side where one is given."""
    parser.advance()
    if parser.peek().text != "_" or parser.peek(1).text != "{":
        raise parser.error("a limit without variable")
    parser.position += 2
    variable = parser.primary()
    if parser.advance().text not in ("to", "rightarrow", "longrightarrow") or not isinstance(variable, Symbol):
        raise parser.error("a limit without variable")
    side: tuple[Node, ...] = ()
    group_end = _group_end(parser)
    tokens = parser.tokens[parser.position : group_end]
    if len(tokens) >= 2 and tokens[-1].text in ("+", "-"):
        side = (Symbol(tokens[-1].text),)
        target = parser.sub_expression(tokens[: -2 if tokens[-2].text == "^" else -1])
        parser.position = group_end
    elif len(tokens) >= 4 and tokens[-2].text in ("+", "-") and tokens[-3].text == "{":
        side = (Symbol(tokens[-2].text),)
        target = parser.sub_expression(tokens[:-4])
        parser.position = group_end
    else:
        target = parser.additive()
    parser.expect("}")
    body = parser.require_value(parser.product())
    parser.refuse_indexed(variable, body)
    return Call("Limit", (body, variable, parser.require_value(target), *side))


READERS: dict[str, Callable[[Parser], Node]] = {
    "int": integral,
    "sum": summation,
    "prod": summation,
    "lim": limit,
}
