"""Numbers, letters, and everything between delimiters: groups, intervals, sets, absolute values, matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mathcode_assets.latex.nodes import (
    Call,
    Chain,
    Constant,
    LatexSyntaxError,
    Negate,
    Node,
    Number,
    Sequence,
)
from mathcode_assets.latex.statements import statement
from mathcode_assets.latex.tokens import COMMAND, END, EOF, NUMBER, PUNCTUATION, TEXT, Token
from mathcode_assets.latex.vocabulary import FRACTIONS, MATRICES

if TYPE_CHECKING:
    from mathcode_assets.latex.grammar import Parser

PAIRS = {"lvert": ("rvert", "Abs"), "lfloor": ("rfloor", "floor"), "lceil": ("rceil", "ceiling")}


def number(parser: Parser) -> Node:
    """A number, a mixed number or a repeating decimal."""
    token = parser.advance()
    value = parser.literal(token)
    after = parser.peek()
    if after.font == "vulgar" and token.text.isdigit() and after.start == token.end:
        whole, part = int(token.text), parser.advance().text.split("/")
        return Call("Rational", (Number(str(whole * int(part[1]) + int(part[0]))), Number(part[1])))
    if token.text.isdigit() and token.font != "vulgar" and after.kind == COMMAND and after.text in FRACTIONS:
        part = _proper_fraction(parser)
        if part is not None:
            whole, (above, below) = int(token.text), part
            return Call("Rational", (Number(str(whole * below + above)), Number(str(below))))
    accent = parser.peek(1 if after.text == "." else 0)
    if accent.text in ("overline", "bar", "dot") and accent.kind == COMMAND and token.font != "vulgar":
        return _repeating(parser, token)
    return value


def _proper_fraction(parser: Parser) -> tuple[int, int] | None:
    r"""Reads ``\frac{a}{b}`` with integers 0 < a < b, and nothing else."""
    position, texts = parser.position + 1, []
    for _ in range(2):
        token = parser.tokens[min(position, len(parser.tokens) - 1)]
        if token.text == "{" and token.kind == PUNCTUATION:
            inner, close = parser.tokens[position + 1 : position + 2], parser.tokens[position + 2 : position + 3]
            if not inner or inner[0].kind != NUMBER or not close or close[0].text != "}":
                return None
            texts.append(inner[0].text)
            position += 3
        elif token.kind == NUMBER and token.text.isdigit():
            if len(token.text) == 2 and not texts:
                texts.extend(token.text)
            elif len(token.text) == 1:
                texts.append(token.text)
            else:
                return None
            position += 1
        else:
            return None
        if len(texts) == 2:
            break
    if not all(text.isdigit() for text in texts) or not 0 < int(texts[0]) < int(texts[1]):
        return None
    parser.position = position
    return int(texts[0]), int(texts[1])


def _repeating(parser: Parser, token: Token) -> Node:
    r"""``0.\overline{3}``, ``0.1\bar{6}``: the digits under the bar repeat."""
    digits = parser.source[token.start : token.end]
    if parser.accept("."):
        digits += "."
    whole, point, fraction = digits.partition(".")
    parser.advance()
    braced = parser.accept("{")
    inner = parser.advance()
    period = parser.source[inner.start : inner.end]
    if braced:
        parser.expect("}")
    if not point or inner.kind != NUMBER or not period.isdigit() or not (whole + fraction).isdigit():
        raise parser.error("a bar over something else than decimals")
    above = int(whole + fraction + period) - int(whole + fraction)
    return Call("Rational", (Number(str(above)), Number(str((10 ** len(period) - 1) * 10 ** len(fraction)))))


def parenthesis(parser: Parser) -> Node:
    """A group, a point, a list or an interval."""
    opener = parser.advance().text
    bars, parser.open_bars = parser.open_bars, 0
    items = _items(parser, (")", "]"))
    parser.open_bars = bars
    closer = parser.advance().text
    if len(items) == 1:
        if (opener, closer) not in (("(", ")"), ("[", "]")):
            raise parser.error("brackets that do not match")
        return items[0]
    if len(items) == 2 and not any(isinstance(item, Sequence | Chain) for item in items):
        endless = any(item in (Constant("oo"), Negate(Constant("oo"))) for item in items)
        kinds = {("(", "]"): ".Lopen", ("[", ")"): ".Ropen", ("[", "]"): ""}
        kind = ".open" if endless and (opener, closer) == ("(", ")") else kinds.get((opener, closer))
        if kind is not None:
            return Call(f"Interval{kind}", tuple(items))
    if (opener, closer) not in (("(", ")"), ("[", "]")):
        raise parser.error("brackets that do not match")
    return Sequence(tuple(items), is_list=opener == "[")


def _items(parser: Parser, closers: tuple[str, ...]) -> list[Node]:
    """Values with commas between them, up to a closing sign, which is not read."""
    items = []
    while True:
        item = parser.sets()
        items.append(item)
        if not parser.accept(",") and not parser.accept(";"):
            break
    if parser.peek().text not in closers:
        raise parser.error(f"no {closers[0]} where one is needed")
    return items


def finite_set(parser: Parser) -> Node:
    r"""``\{1, 2, 3\}``."""
    parser.advance()
    if parser.peek().text == "}" and parser.peek().kind == COMMAND:
        parser.advance()
        return Constant("EmptySet")
    bars, parser.open_bars = parser.open_bars, 0
    items = _items(parser, ("}",))
    parser.open_bars = bars
    if parser.peek().kind != COMMAND:
        raise parser.error("no \\} where one is needed")
    parser.advance()
    return Call("FiniteSet", tuple(items))


def absolute(parser: Parser) -> Node:
    """``|x|``; of a matrix the determinant."""
    parser.advance()
    if parser.peek().text == "|":
        raise parser.error("a norm")
    parser.open_bars += 1
    node = parser.additive()
    parser.open_bars -= 1
    parser.expect("|")
    return _magnitude(parser, node)


def pair(parser: Parser) -> Node:
    r"""``\lvert x \rvert``, ``\lfloor x \rfloor``, ``\lceil x \rceil``."""
    closer, name = PAIRS[parser.advance().text]
    bars, parser.open_bars = parser.open_bars, 0
    node = parser.additive()
    parser.open_bars = bars
    if parser.peek().text != closer:
        raise parser.error(f"no {closer} where one is needed")
    parser.advance()
    if closer == "rvert" and parser.peek().text == "_":
        raise parser.error("bounds behind a bar")
    return _magnitude(parser, node) if name == "Abs" else Call(name, (parser.require_value(node),))


def _magnitude(parser: Parser, node: Node) -> Node:
    if isinstance(node, Call) and node.name == "Matrix":
        return Call("det", (node,))
    return Call("Abs", (parser.require_value(node),))


def environment(parser: Parser) -> Node:
    """A matrix, a determinant, or a function by cases."""
    token = parser.advance()
    name = token.text
    if name == "cases":
        return _cases(parser)
    if name not in MATRICES:
        raise LatexSyntaxError(token.start, "an environment that is not known")
    if name == "array" and parser.accept("{"):
        while parser.advance().text != "}":
            if parser.peek().kind == EOF:
                raise parser.error("an open environment")
    rows: list[list[Node]] = [[]]
    bars, parser.open_bars = parser.open_bars, 0
    while True:
        if parser.peek().kind == END:
            break
        item = parser.additive()
        rows[-1].append(parser.require_value(item))
        if parser.accept("&"):
            continue
        if parser.accept("\\\\"):
            rows.append([])
            continue
        break
    parser.open_bars = bars
    if parser.peek().kind != END or parser.peek().text != name:
        raise parser.error("an open environment")
    parser.advance()
    rows = [row for row in rows if row]
    if not rows or len({len(row) for row in rows}) != 1:
        raise parser.error("a matrix with rows of unequal length")
    matrix = Call("Matrix", (Sequence(tuple(Sequence(tuple(row), is_list=True) for row in rows), is_list=True),))
    if name == "Vmatrix":
        raise parser.error("a norm")
    return Call("det", (matrix,)) if name == "vmatrix" else matrix


def _cases(parser: Parser) -> Node:
    r"""``\begin{cases} a & x > 0 \\ b & \text{otherwise} \end{cases}``."""
    branches: list[Node] = []
    while parser.peek().kind != END:
        value = parser.require_value(parser.additive())
        parser.accept(",")
        if not parser.accept("&"):
            raise parser.error("a case without condition")
        condition: Node = Constant("True")
        if parser.peek().kind == TEXT:
            word = parser.advance().text.strip(" ,:").lower()
            if word in ("otherwise", "else"):
                word = ""
            elif word not in ("if", "for", "when", "where"):
                raise parser.error("a case without condition")
        else:
            word = "if"
        if word:
            relation, _ = statement(parser)
            if not isinstance(relation, Chain):
                raise parser.error("a case without condition")
            condition = relation
        parser.accept(",")
        parser.accept(".")
        branches.append(Sequence((value, condition)))
        if not parser.accept("\\\\"):
            break
    if parser.peek().kind != END or parser.peek().text != "cases" or not branches:
        raise parser.error("an open environment")
    parser.advance()
    return Call("Piecewise", tuple(branches))
