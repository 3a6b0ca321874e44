"""Numbers, letters, and everything between delimiters: groups, intervals, sets, absolute values, matrices."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mathcode_assets.latex.nodes import Call, Chain, Constant, LatexSyntaxError, Multiply, Negate, Node, Number, Sequence
from mathcode_assets.latex.tokens import BEGIN, COMMAND, END, EOF, NUMBER, PUNCTUATION, SYMBOL, TEXT, Token, is_word
from mathcode_assets.latex.vocabulary import ACCENTS, FRACTIONS, MATRICES, TEXT_ANSWERS

if TYPE_CHECKING:
    from mathcode_assets.latex.parser import Parser

PAIRS = {"lvert": ("rvert", "Abs"), "lfloor": ("rfloor", "floor"), "lceil": ("rceil", "ceiling")}

_WRAPPED = re.compile(
    r"\s*(?:\$\$(.*)\$\$|(?<!\\)\$([^$]*)(?<!\\)\$|\\\((.*)\\\)|\\\[(.*)\\\]|\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\})\s*[.,;]?\s*",
    re.DOTALL,
)
_ONLY_TEXT = re.compile(r"\s*\\(?:text|textbf|textit|mathrm|mbox)\s*\{([^{}\\$]*)\}\s*\.?\s*")
_WORDS = re.compile(r"[^\W\d_]+(?:[\s,'’-]+[^\W\d_]+)*\.?")
_NOT_A_UNIT = frozenset("if when for where or and with mod otherwise is are so since because as then by from to".split())


def strip_delimiters(source: str) -> tuple[int, int]:
    """Start and end of the formula inside ``$..$``, ``\\(..\\)``, ``\\boxed{..}`` or nothing."""
    start, end = 0, len(source)
    for _ in range(3):
        match = _WRAPPED.fullmatch(source, start, end)
        if match is None:
            break
        start, end = match.span(match.lastindex or 0)
    return start, end


def text_answer(source: str) -> str | None:
    """The words of a source that holds words only, None for anything else."""
    wrapped = _ONLY_TEXT.fullmatch(source)
    words = (wrapped.group(1) if wrapped else source).strip()
    if wrapped is not None and (len(words) > 1 or not words.isalpha()):
        return words or None
    if len(words) > 1000 or not _WORDS.fullmatch(words):
        return None
    words = words.rstrip(".")
    parts = words.split()
    if words.lower() in TEXT_ANSWERS or (len(parts) > 1 and all(len(part) > 1 for part in parts)):
        return words
    from mathcode_assets.latex.vocabulary import CONSTANTS, FUNCTIONS

    is_name = words in FUNCTIONS or words in CONSTANTS or words == "pi"
    return words if len(parts) == 1 and len(words) > 3 and is_word(words) and not is_name else None


def is_unit(words: str) -> bool:
    """Whether words behind a value can be its unit."""
    parts = re.findall(r"[^\W\d_]+", words)
    return len(words) <= 40 and len(parts) <= 5 and not _NOT_A_UNIT & {part.lower() for part in parts}


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
    """Reads ``\\frac{a}{b}`` with integers 0 < a < b, and nothing else."""
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
    """``0.\\overline{3}``, ``0.1\\bar{6}``: the digits under the bar repeat."""
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


def symbol(parser: Parser) -> Node:
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
            return Call(name.lower(), (argument,))
        lone = parser.peek(2).text == ")" and parser.peek(1).kind in (SYMBOL, NUMBER)
        if lone or primes or name in parser.functions or token.text in parser.functions:
            raise LatexSyntaxError(token.start, "an undefined function")
    whole = token._replace(end=end)
    return parser.letter(whole, None if name == token.text else name)


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
    spelled = {"+": "plus", "-": "minus", ",": "", "'": "prime"}
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
        elif token.text in spelled and token.kind == PUNCTUATION:
            parts.append(spelled[token.text])
        elif token.text == "infty":
            parts.append("oo")
        else:
            raise parser.error("a subscript of unknown meaning")
    name = "_".join(part for part in parts if part).strip("_")
    if not name:
        raise parser.error("a subscript of unknown meaning")
    return name


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
    parser.depth += 1
    while True:
        item = parser.sets()
        items.append(item)
        if not parser.accept(",") and not parser.accept(";"):
            break
    parser.depth -= 1
    if parser.peek().text not in closers:
        raise parser.error(f"no {closers[0]} where one is needed")
    return items


def finite_set(parser: Parser) -> Node:
    """``\\{1, 2, 3\\}``."""
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
    """``\\lvert x \\rvert``, ``\\lfloor x \\rfloor``, ``\\lceil x \\rceil``."""
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
    """``\\begin{cases} a & x > 0 \\\\ b & \\text{otherwise} \\end{cases}``."""
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
            relation, _ = parser.statement()
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


__all__ = ["ACCENTS", "BEGIN", "Multiply", "PAIRS"]
