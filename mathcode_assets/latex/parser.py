r"""LaTeX and plain-text mathematics as a tree; everything not understood with certainty is an error.

A Pratt parser over the tokens of one formula, with these precedences from loose to tight: relations; unions and
intersections; sums; products (explicit and implicit alike, from left to right); signs; powers, factorials and
other suffixes. The readings that need a rule:

- ``2\frac{1}{2}`` (an integer directly before a proper fraction of two integers) is the mixed number 5/2.
- After a slash nothing may follow without a sign: ``1/2x`` is an error. Only ``1/2(x+1)`` (two integers, then a
  parenthesis) is taken, as half of it.
- A letter before a parenthesis is a factor, unless it is called a function by the caller, is one of E, O, f, g, h, F,
  G, H, or the parenthesis holds a lone letter, a lone number or a list: then it is an error (an undefined function).
- ``\sin 2x \cos y``: without a parenthesis the argument runs over coefficients, then letters, and ends at the next
  function, sign or parenthesis; ``\sin(x)^2`` and ``\ln x/2`` are errors, because both readings are in use.
- ``\log`` without a base is the natural one (as in SymPy); Formula.has_plain_log tells that it occurs.
- e is Euler's number where it is the base of a power, or where none of a, b, c, d, f, g, h stands beside it.
- i is the imaginary unit, unless it stands in a subscript, before ``!``, alone beside a relation, or beside j or k.
- The body of a sum, product or limit is the product that follows it, up to the next plus or minus; if its
  index occurs again behind that sign, the formula is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mathcode_assets.latex.grammar import Parser
from mathcode_assets.latex.letters import is_euler, is_imaginary
from mathcode_assets.latex.nodes import (
    Call,
    Chain,
    LatexSyntaxError,
    Node,
    Sequence,
    Symbol,
    Text,
    free_symbols,
    walk,
)
from mathcode_assets.latex.statements import JOINING_WORDS, statement
from mathcode_assets.latex.tokens import COMMAND, EOF, PUNCTUATION, TEXT, Token, is_word, tokenize
from mathcode_assets.latex.vocabulary import CONSTANTS, FUNCTIONS
from mathcode_assets.latex.words import TEXT_ANSWERS

_WRAPPED = re.compile(
    r"\s*(?:\$\$(.*)\$\$|(?<!\\)\$([^$]*)(?<!\\)\$|\\\((.*)\\\)|\\\[(.*)\\\]|\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\})\s*[.,;]?\s*",
    re.DOTALL,
)
_ONLY_TEXT = re.compile(r"\s*\\(?:text|textbf|textit|mathrm|mbox)\s*\{([^{}\\$]*)\}\s*\.?\s*")
_WORDS = re.compile(r"[^\W\d_]+(?:[\s,'’-]+[^\W\d_]+)*\.?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Formula:
    r"""A formula that was understood to its last character.

    Attributes:
        root: the tree.
        symbols: name in Python and how the source writes it, in order of appearance.
        units: of each operand of a chain (one for anything else), empty where there is none: ``cm``, ``degree``, ``$``.
        has_plain_log: whether ``\log`` occurs without a base.
    """

    root: Node
    symbols: tuple[tuple[str, str], ...]
    units: tuple[str, ...]
    has_plain_log: bool


def parse(source: str, *, functions: Iterable[str] = (), letters: Iterable[str] = ()) -> Formula:
    """The formula in a text that holds nothing else; delimiters such as ``$`` may surround it.

    Args:
        source: LaTeX or plain text, at most 20,000 characters.
        functions: letters that are functions here, so that ``p(x+1)`` is no product.
        letters: letters that are unknowns whatever the rules for e and i say.

    Raises:
        LatexSyntaxError: any part is not understood.
    """
    start, end = _inside_delimiters(source)
    words = _text_answer(source[start:end])
    if words is not None:
        return Formula(root=Text(words), symbols=(), units=("",), has_plain_log=False)
    tokens = _shifted(tokenize(source[start:end]), start)
    while len(tokens) > 1 and tokens[-2].text in (".", ",", ";"):
        del tokens[-2]
    parser = Parser(source, tokens, functions=frozenset(functions), letters=frozenset(letters))
    root, units = _both_signs(parser) if _has_signs(tokens) else _statements(parser)
    outside = _indices(root) & free_symbols(root)
    if outside:
        raise LatexSyntaxError(len(source), "the index of a sum, product or limit occurs outside it")
    return Formula(
        root=root,
        symbols=tuple(parser.symbols.items()),
        units=tuple(units),
        has_plain_log=parser.has_plain_log,
    )


def _shifted(tokens: list[Token], offset: int) -> list[Token]:
    if not offset:
        return tokens
    return [token._replace(start=token.start + offset, end=token.end + offset) for token in tokens]


def _statements(parser: Parser) -> tuple[Node, list[str]]:
    """Everything there is, with commas or and/or between the statements."""
    items: list[Node] = []
    units: list[str] = []
    while True:
        item, item_units = statement(parser)
        items.append(item)
        units.extend(item_units)
        if parser.peek().text not in (",", ";") and not _joins(parser.peek()):
            break
        parser.advance()
        if _joins(parser.peek()):
            parser.advance()
    if parser.peek().kind != EOF:
        raise parser.error("something that does not belong here")
    return (items[0] if len(items) == 1 else Sequence(tuple(items))), units


def _joins(token: Token) -> bool:
    return token.kind == TEXT and token.text in JOINING_WORDS


def _both_signs(parser: Parser) -> tuple[Node, list[str]]:
    """A formula with plus-minus: the set of its two values, or the list of its two readings."""
    tokens = parser.tokens
    parser.tokens = _with_signs(tokens, "+", "-")
    upper, units = _statements(parser)
    parser.tokens, parser.position = _with_signs(tokens, "-", "+"), 0
    lower, _ = _statements(parser)
    is_value = not any(isinstance(node, Chain | Sequence | Text) for node in (upper, lower))
    return (Call("FiniteSet", (upper, lower)) if is_value else Sequence((upper, lower))), units


def _has_signs(tokens: list[Token]) -> bool:
    return any(token.kind == COMMAND and token.text in ("pm", "mp") for token in tokens)


def _with_signs(tokens: list[Token], plus_minus: str, minus_plus: str) -> list[Token]:
    signs = {"pm": plus_minus, "mp": minus_plus}
    return [
        token._replace(kind=PUNCTUATION, text=signs[token.text])
        if token.kind == COMMAND and token.text in signs
        else token
        for token in tokens
    ]


def _indices(root: Node) -> set[str]:
    """Names that a sum, product or limit binds."""
    names = set()
    for node in walk(root):
        if isinstance(node, Call) and node.name in ("Sum", "Product", "Limit"):
            index = node.arguments[1]
            index = index.items[0] if isinstance(index, Sequence) else index
            names |= {index.name} if isinstance(index, Symbol) else set()
    return names


def _inside_delimiters(source: str) -> tuple[int, int]:
    r"""Start and end of the formula inside ``$..$``, ``\(..\)``, ``\boxed{..}`` or nothing."""
    start, end = 0, len(source)
    for _ in range(3):
        match = _WRAPPED.fullmatch(source, start, end)
        if match is None:
            break
        start, end = match.span(match.lastindex or 0)
    return start, end


def _text_answer(source: str) -> str | None:
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
    is_name = words in FUNCTIONS or words in CONSTANTS or words == "pi"
    return words if len(parts) == 1 and len(words) > 3 and is_word(words) and not is_name else None


def unknown_letters(source: str) -> frozenset[str]:
    """Those of the letters e and i that the rules make unknowns in a whole source, for reading its parts alike.

    Empty where the source cannot be cut into tokens.
    """
    if "e" not in source and "i" not in source:
        return frozenset()
    try:
        tokens = tokenize(source)
    except LatexSyntaxError:
        return frozenset()
    found = {"e"} if not is_euler(tokens) else set()
    return frozenset(found | ({"i"} if not is_imaginary(tokens) else set()))
