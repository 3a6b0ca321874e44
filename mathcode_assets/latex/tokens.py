"""A formula cut into tokens; spacing, sizes and fonts are gone afterwards.

Every character of the source ends in a token or in a class known to mean nothing; anything else is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from mathcode_assets.latex.nodes import LatexSyntaxError
from mathcode_assets.latex.vocabulary import (
    CHARACTERS,
    CURRENCIES,
    FONTS,
    FUNCTIONS,
    GREEK,
    GREEK_LETTERS,
    IGNORED,
    NUMBER_SETS,
    SIZES,
    SUPERSCRIPTS,
    VULGAR_FRACTIONS,
    WORD_COMMANDS,
)
from mathcode_assets.latex.words import WORDS

# A formula longer than this is a page, not a computation; the bound keeps every step after it cheap.
MAX_CHARS = 20_000
MAX_TOKENS = 3_000
# Python refuses to read longer integers from source.
MAX_DIGITS = 1_000

NUMBER, SYMBOL, FUNCTION, COMMAND, PUNCTUATION, TEXT, BEGIN, END, EOF = [
    "number",
    "symbol",
    "function",
    "command",
    "punctuation",
    "text",
    "begin",
    "end",
    "eof",
]


class Token(NamedTuple):
    """One token.

    Attributes:
        kind: one of the constants above.
        text: a number without its separators, the name of a command without backslash, a letter, a sign.
        start: first character in the source.
        end: one after the last.
        font: of a letter in another font, the command that says so.
    """

    kind: str
    text: str
    start: int
    end: int
    font: str = ""


_NAMES = "|".join(sorted(re.escape(name) for name in (*WORD_COMMANDS, *FONTS)))
_TOKEN = re.compile(
    rf"""
    (?P<space>(?:\s|~|\\[,;:!>\ ]|\\(?=\n)|[\u200b-\u200f\u2060-\u2064\ufeff])+)
  | (?P<number>\d{{1,3}}(?:(?:,|\{{,\}}|\\,)\d{{3}})+(?![\d])(?:\.\d+)?
        |\d+\{{,\}}\d+
        |(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+(?![\w.]))?)
  | (?P<row>\\\\(?:\s*\[[^\]\n]{{0,20}}\])?|\\cr(?![a-zA-Z]))
  | (?P<environment>\\(?:begin|end)\s*\{{\s*[a-zA-Z]+\*?\s*\}})
  | (?P<skip>\\[hv]space\*?\s*\{{[^{{}}]*\}}
        |\\(?:label|tag|color)\*?\s*\{{[^{{}}]*\}}|\\phantom\s*\{{[^{{}}]*\}})
  | (?P<styled>\\(?:{_NAMES})\s*
        (?:\{{(?P<content>[^{{}}\\$]*(?:\\[a-zA-Z]+\s*|\\[ ,;%])?[^{{}}\\$]*)\}}|(?P<letter>[a-zA-Z](?![a-zA-Z]))))
  | (?P<command>\\(?:[a-zA-Z]+\*?|[{{}}|%$&\#_]))
  | (?P<word>[a-zA-Z]+)
  | (?P<relation><=|>=|!=|==|:=)
  | (?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_PLAIN_SIGNS = frozenset("+-*/^_=<>()[]{}|,!'%:;&.°")
_SIDE_BAR = {"left": "lvert", "right": "rvert"}
_BARS = frozenset(("|", "vert", "lvert", "rvert", "mid"))
# A list of plain numbers in brackets: its commas separate, also before three digits.
_NUMBER_LIST = re.compile(r"(?:\(|\[|\\\{)[\s\d.+\-−]*,[\s\d.,+\-−]*(?:\)|\]|\\\})")
_SPLIT_NUMBER = re.compile(r"\d+(?:\.\d+)?|\.\d+")
_HIDDEN_FUNCTION = re.compile(r"sin|cos|tan|log|exp|sqrt|^ln|^arc|lim|max|min")


def tokenize(source: str) -> list[Token]:
    """The tokens of a formula, ended by one of kind EOF.

    Raises:
        LatexSyntaxError: something unknown, a word where letters are expected, or too long.
    """
    if len(source) > MAX_CHARS:
        raise LatexSyntaxError(MAX_CHARS, "formula too long")
    tokens: list[Token] = []
    number_lists = [match.span() for match in _NUMBER_LIST.finditer(source)]
    for match in _TOKEN.finditer(source):
        kind = match.lastgroup or ""
        if kind in ("space", "skip"):
            continue
        if kind in ("content", "letter"):
            kind = "styled"
        tokens.extend(_READERS[kind](match, tokens, number_lists))
        if len(tokens) > MAX_TOKENS:
            raise LatexSyntaxError(match.start(), "formula too long")
    tokens.append(Token(EOF, "", len(source), len(source)))
    return tokens


def _number(match: re.Match[str], _: list[Token], number_lists: list[tuple[int, int]]) -> Iterator[Token]:
    text, start = match.group(), match.start()
    if len(text) > MAX_DIGITS:
        raise LatexSyntaxError(start, "a number too long")
    is_listed = bool(number_lists) and any(first < start < last for first, last in number_lists)
    if is_listed and "," in text and "{" not in text:
        for number in _SPLIT_NUMBER.finditer(text):
            if number.start():
                yield Token(PUNCTUATION, ",", start + number.start() - 1, start + number.start())
            yield Token(NUMBER, _plain(number.group()), start + number.start(), start + number.end())
        return
    whole, comma, rest = text.partition("{,}")
    if comma and (len(rest) != 3 or whole.startswith("0")) and "{" not in rest:
        text = f"{whole}.{rest}"
    yield Token(NUMBER, _plain(re.sub(r"\{,\}|\\,|,", "", text)), start, match.end())


def _plain(number: str) -> str:
    """As Python reads it: no leading zeros, a digit before the point."""
    if number.isdigit():
        return number.lstrip("0") or "0"
    return f"0{number}" if number.startswith(".") else number


def _row(match: re.Match[str], *_: object) -> Iterator[Token]:
    yield Token(PUNCTUATION, "\\\\", *match.span())


def _environment(match: re.Match[str], *_: object) -> Iterator[Token]:
    text = match.group()
    kind = BEGIN if text.startswith("\\begin") else END
    yield Token(kind, text[text.index("{") + 1 : -1].strip(), *match.span())


def _styled(match: re.Match[str], tokens: list[Token], _: object) -> Iterator[Token]:
    r"""``\text{...}``, ``\mathbf{v}``, ``\operatorname{det}``: a function, a letter, or words."""
    command = re.match(r"\\[a-zA-Z]+\*?", match.group())
    assert command is not None
    font = command.group()[1:]
    content = (match.group("content") or match.group("letter") or "").strip()
    if font == "mathbb":
        if content not in NUMBER_SETS:
            raise LatexSyntaxError(match.start(), "unknown blackboard letter")
        yield Token(COMMAND, NUMBER_SETS[content], *match.span())
        return
    if font in WORD_COMMANDS:
        if content in FUNCTIONS and font not in ("text", "mbox", "textit", "textbf"):
            yield Token(FUNCTION, FUNCTIONS[content], *match.span())
        elif len(content) == 1 and content.isascii() and content.isalpha() and not font.startswith("t"):
            is_unit = content not in "dei" and _is_behind_number(tokens)
            yield Token(TEXT if is_unit else SYMBOL, content, *match.span())
        elif content.isdigit():
            yield Token(NUMBER, _plain(content), *match.span())
        elif CHARACTERS.get(content, content) in _PLAIN_SIGNS - {",", ".", ";"}:
            yield Token(PUNCTUATION, CHARACTERS.get(content, content), *match.span())
        elif content == "" or content in (",", ".", ";"):
            return
        else:
            yield Token(TEXT, content, *match.span())
        return
    letter = content[1:] if content.startswith("\\") else content
    if letter in GREEK or (len(letter) == 1 and letter.isascii() and letter.isalpha() and letter == content):
        yield Token(SYMBOL, letter, *match.span(), font)
    elif content.isdigit():
        yield Token(NUMBER, _plain(content), *match.span())
    else:
        raise LatexSyntaxError(match.start(), "several letters in another font")


def _is_behind_number(tokens: list[Token]) -> bool:
    """Whether an upright letter comes here behind a number or a unit, as a unit does."""
    if not tokens:
        return False
    last = tokens[-2] if len(tokens) > 1 and tokens[-1].text == "/" else tokens[-1]
    return last.kind in (NUMBER, TEXT)


def _command(match: re.Match[str], tokens: list[Token], _: object) -> Iterator[Token]:
    name, span = match.group()[1:], match.span()
    if name in IGNORED or name in SIZES or name in ("left", "right"):
        if name in _SIDE_BAR or name[-1] in "lr" or name in SIZES:
            yield Token(COMMAND, f"size {name}", *span)
        return
    if name in ("%", "$"):
        yield Token(PUNCTUATION, name, *span)
    elif name in GREEK:
        yield from _closed(Token(SYMBOL, name, *span), tokens)
    elif name in FUNCTIONS and name not in ("sqrt", "abs", "a", "floor", "ceil"):
        yield Token(FUNCTION, FUNCTIONS[name], *span)
    elif name in ("dots", "ldots", "cdots", "dotsc", "dotsb", "vdots", "ddots"):
        raise LatexSyntaxError(span[0], "an ellipsis")
    elif name in ("vert", "|", "lVert", "rVert", "Vert", "parallel"):
        if name != "vert":
            raise LatexSyntaxError(span[0], "a norm")
        yield from _closed(Token(PUNCTUATION, "|", *span), tokens)
    elif name in ("lbrace", "rbrace", "{", "}"):
        yield from _closed(Token(COMMAND, {"lbrace": "{", "rbrace": "}"}.get(name, name), *span), tokens)
    elif name in ("lbrack", "rbrack", "lparen", "rparen"):
        yield Token(PUNCTUATION, {"lbrack": "[", "rbrack": "]", "lparen": "(", "rparen": ")"}[name], *span)
    else:
        yield from _closed(Token(COMMAND, name, *span), tokens)


def _closed(token: Token, tokens: list[Token]) -> Iterator[Token]:
    r"""The token, after a pending ``\left``, ``\right`` or size in front of it is resolved."""
    if tokens and tokens[-1].kind == COMMAND and tokens[-1].text.startswith("size "):
        size = tokens.pop()
        if token.text == "." and size.text in ("size left", "size right"):
            return
        if token.text == "|":
            side = (
                "lvert" if size.text.endswith(("left", "l")) else "rvert" if size.text.endswith(("right", "r")) else "|"
            )
            yield Token(COMMAND if side != "|" else PUNCTUATION, side, size.start, token.end)
            return
        if token.kind != PUNCTUATION and token.text not in (
            *("{", "}", "lfloor", "rfloor", "lceil", "rceil", "lvert", "rvert"),
        ):
            raise LatexSyntaxError(size.start, "a size without a delimiter")
        yield token._replace(start=size.start)
        return
    yield token


def _word(match: re.Match[str], tokens: list[Token], _: object) -> Iterator[Token]:
    """Letters: the name of a function, or single unknowns side by side."""
    word, start = match.group(), match.start()
    if word in FUNCTIONS and len(word) > 1:
        yield Token(FUNCTION, FUNCTIONS[word], *match.span())
        return
    if word == "pi":
        yield Token(COMMAND, "pi", *match.span())
        return
    if len(word) > 1 and is_word(word):
        yield Token(TEXT, word, *match.span(), "bare")
        return
    for offset, letter in enumerate(word):
        yield Token(SYMBOL, letter, start + offset, start + offset + 1)


def is_word(run: str) -> bool:
    """Whether a run of letters is read as a word and not as a product of unknowns.

    Two and three letters are unknowns unless they are a common word, hold the name of a function, or begin with
    a capital; four and more only in the order of the alphabet (``abcd``) or with a differential at the end.
    """
    core = run[:-2] if len(run) > 3 and run[-2] == "d" else run
    if run in WORDS or _HIDDEN_FUNCTION.search(run) is not None:
        return True
    if len(core) <= 2:
        return False
    if len(core) == 3:
        return core[0].isupper() and core[1:].islower()
    return list(core) != sorted(set(core))


def _relation(match: re.Match[str], *_: object) -> Iterator[Token]:
    yield Token(PUNCTUATION, match.group(), *match.span())


def _sign(match: re.Match[str], tokens: list[Token], _: object) -> Iterator[Token]:
    sign, span = match.group(), match.span()
    if sign in SUPERSCRIPTS:
        if tokens and tokens[-1].font == "superscript":
            last = tokens.pop()
            yield last._replace(text=_plain(last.text + SUPERSCRIPTS[sign]), end=span[1])
        else:
            yield Token(PUNCTUATION, "^", *span)
            yield Token(NUMBER, SUPERSCRIPTS[sign], *span, "superscript")
    elif sign in VULGAR_FRACTIONS:
        yield Token(NUMBER, "{}/{}".format(*VULGAR_FRACTIONS[sign]), *span, "vulgar")
    elif sign in CHARACTERS:
        meaning = CHARACTERS[sign]
        if meaning in GREEK:
            yield Token(SYMBOL, meaning, *span)
        else:
            yield Token(PUNCTUATION if meaning in _PLAIN_SIGNS else COMMAND, meaning, *span)
    elif sign in GREEK_LETTERS:
        yield Token(SYMBOL, GREEK_LETTERS[sign], *span)
    elif sign in CURRENCIES or sign == "$":
        yield Token(PUNCTUATION, "$", *span)
    elif sign in _PLAIN_SIGNS:
        yield from _closed(Token(PUNCTUATION, sign, *span), tokens)
    else:
        raise LatexSyntaxError(span[0], f"unknown character U+{ord(sign):04X}")


_READERS = {
    "number": _number,
    "row": _row,
    "environment": _environment,
    "styled": _styled,
    "command": _command,
    "word": _word,
    "relation": _relation,
    "sign": _sign,
}
