r"""The equations of a text: chains of operands with relations between them, each operand with its place.

Rows of an alignment that begin with a relation go on with the row before; words, arrows and commas between two
formulas end a chain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from mathcode_assets.latex.spans import MathSpan
from mathcode_assets.latex.vocabulary import MATRICES, RELATIONS

_RELATION_SIGNS = {
    **{f"\\{name}": meaning for name, meaning in RELATIONS.items() if name.isalpha()},
    **{sign: meaning for sign, meaning in RELATIONS.items() if not sign.isalpha()},
    **{"≤": "<=", "≥": ">=", "≠": "!=", "≈": "approx", "∈": "in", "≡": "equiv"},
}
_ARROWS = [
    "implies",
    "impliedby",
    "Rightarrow",
    "Longrightarrow",
    "rightarrow",
    "Leftarrow",
    "iff",
    "Leftrightarrow",
    "Longleftrightarrow",
    "to",
    "mapsto",
    "therefore",
    "because",
    "quad",
    "qquad",
    "mid",
    "colon",
    "ldots",
    "dots",
    "cdots",
    "text",
    "mbox",
    "textrm",
    "intertext",
    "textbf",
    "textit",
    "sim",
    "propto",
    "cong",
    "subset",
    "subseteq",
    "ll",
    "gg",
    "forall",
    "exists",
    "land",
    "lor",
    "wedge",
    "vee",
    "otimes",
    "oplus",
    "perp",
]
_SIGN = re.compile(
    r"\\(?:begin|end)\s*\{(?P<environment>[a-zA-Z]+)\*?\}|\\\\|\\left\s*(?P<left>\\?.)|\\right\s*(?P<right>\\?.)"
    r"|\\[a-zA-Z]+|\\.|:=|<=|>=|!=|==|[=<>≤≥≠≈∈≡{}()\[\],;&:]"
)
_SPACING = re.compile(r"(?:[\s~]|\\[,;:!> ]|\\(?:displaystyle|textstyle|limits|nonumber)(?![a-zA-Z]))*")
# A unit, or signs that a typesetter put into a text box: no border between formulas.
_NO_WORDS = re.compile(r"\\(?:text|mbox|textrm)\s*\{(?:\s*[a-zA-Z°/^0-9·. ]{1,15}|[^a-zA-Z{}]*)\}")
_NEXT_RELATION = re.compile(r"(?:\s|&|\\[,;:! ])*(?:=|\\approx|\\simeq|≈|\+)")
# A remark at the end of a row: `..., \quad \text{by definition} \\ &= ...`
_REMARK = re.compile(
    r"[,;.]?\s*(?:(?:\\q?quad|\\[,;: ]|&|\\hspace\*?\{[^{}]*\})\s*){0,6}"
    r"\\(?:text|mbox|textrm)\s*\{[^{}$]{0,200}\}\s*(?=\\\\)"
)


class Operand(NamedTuple):
    """One side of a relation: its place in the text and its source, alignment marks blanked out."""

    start: int
    end: int
    source: str


class Equation(NamedTuple):
    """At least two operands, and one relation less (values of vocabulary.RELATIONS)."""

    operands: tuple[Operand, ...]
    relations: tuple[str, ...]


def find_equations(text: str, span: MathSpan) -> Iterator[Equation]:
    """The chains of relations inside one piece of mathematics."""
    source = text[span.inner_start : span.inner_end]
    if not any(sign in source for sign in _RELATION_SIGNS):
        return
    source = _blanked(source)
    # Ends of operands, with the relation that follows; an empty relation ends the chain.
    cuts: list[tuple[int, int, str]] = []
    depth = matrices = 0
    for match in _SIGN.finditer(source):
        sign, environment = match.group(), match.group("environment")
        if environment:
            if environment in MATRICES | {"cases"} and environment != "array":
                matrices += 1 if sign.startswith("\\begin") else -1
            else:
                cuts.append((*match.span(), ""))
        elif matrices > 0:
            continue
        elif match.group("left") or sign in ("{", "(", "[", "\\{"):
            depth += 1
        elif match.group("right") or sign in ("}", ")", "]", "\\}"):
            depth = max(0, depth - 1)
        elif sign == "\\\\":
            if not _NEXT_RELATION.match(source, match.end()):
                cuts.append((*match.span(), ""))
            depth = 0
        elif depth == 0 and sign in _RELATION_SIGNS:
            cuts.append((*match.span(), _RELATION_SIGNS[sign]))
        elif depth == 0 and (sign in (";", ":") or (sign == "," and source[match.end() : match.end() + 1] in " \n\\~")):
            if source[match.end() : match.end() + 1] != "\\" or source[match.end() + 1 : match.end() + 2] not in "!":
                cuts.append((*match.span(), ""))
        elif depth == 0 and sign[0] == "\\" and sign[1:] in _ARROWS and not _NO_WORDS.match(source, match.start()):
            cuts.append((match.start(), _skipped(source, match), ""))
    yield from _chains(source, cuts, span.inner_start)


def _skipped(source: str, match: re.Match[str]) -> int:
    """One after a command and the words it takes."""
    if match.group()[1:] in ("text", "mbox", "textrm", "intertext", "textbf", "textit"):
        group = re.compile(r"\s*\{[^{}]*\}").match(source, match.end())
        return group.end() if group else match.end()
    return match.end()


def _blanked(source: str) -> str:
    """The source with alignment marks and remarks as white space, every character in its place."""

    def blank(match: re.Match[str]) -> str:
        return " " * len(match.group())

    source = _REMARK.sub(blank, source)
    if "matrix" in source or "cases" in source or "array" in source:
        return source
    source = re.sub(r"(?<!\\)&|\\(?:nonumber|notag)(?![a-zA-Z])", blank, source)
    return re.sub(r"\\\\(?:\[[^\]\n]{0,20}\])?(?=\s*(?:=|\\approx|\\simeq|≈|\+))", blank, source)


def _chains(source: str, cuts: list[tuple[int, int, str]], offset: int) -> Iterator[Equation]:
    operands: list[Operand] = []
    relations: list[str] = []
    start = 0
    for cut_start, cut_end, relation in (*cuts, (len(source), len(source), "")):
        operands.append(_operand(source, start, cut_start, offset))
        start = cut_end
        if relation:
            relations.append(relation)
            continue
        if len(operands) > 1:
            yield Equation(tuple(operands), tuple(relations))
        operands, relations = [], []


def _operand(source: str, start: int, end: int, offset: int) -> Operand:
    """What stands between two cuts, without white space and closing punctuation around it."""
    start = _SPACING.match(source, start, end).end()  # type: ignore[union-attr]
    while end > start and (source[end - 1].isspace() or source[end - 1] in ".,;~"):
        end -= 1
        if source[end - 1] == "\\" and source[end : end + 1] in (",", ";", " "):
            end -= 1
    return Operand(offset + start, offset + end, source[start:end])
