"""The lines of an answer and the fenced blocks among them, as models write them.

Markdown's rule (a fence is closed by a bare fence at least as long, of the same character) is kept where the
answer follows it. Where it does not: a fence opened while another is open closes that one; a fence mark at the
end of a line opens or closes as if it stood on a line of its own; a block still open at the end of the answer
is closed there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_INDENT = r"[ \t]*(?:>[ \t]?)*"
_OPENING = re.compile(
    rf"^(?P<indent>{_INDENT}(?:[-*+•]|\d+[.)])?[ \t]*)(?P<mark>`{{3,}}|~{{3,}})[ \t]*(?P<info>[^`]*)$"
)
_ON_ONE_LINE = re.compile(r"^[ \t]*(`{3,})(?P<info>[A-Za-z0-9+#]*)[ \t]+(?P<body>[^`]+?)[ \t]*\1[ \t]*$")
_OPENING_AT_END = re.compile(r"^(?P<before>[^`]*[^`\s])[ \t]*(?P<mark>`{3,}[A-Za-z0-9]*)[ \t]*$")
_CLOSING_AT_END = re.compile(r"^(?P<before>[^`]*[^`\s])[ \t]*(?P<mark>`{3,})[ \t]*$")
_STARTS_A_PROGRAM = re.compile(r"(?:import|from)\s+\w|print\s*\(|#|\w+ = ")
_ATTRIBUTES = re.compile(r"^[{\s.]*(?P<name>[A-Za-z0-9+#-]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line outside any block; `start` and `end` are offsets in the answer, the line end included."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """A fenced block.

    Attributes:
        start: first character of the block in the answer, its opening mark.
        end: one past its closing mark's line.
        language: first word after the opening mark, lower case; empty where there is none.
        lines: what stands inside.
        is_closed: whether it has a closing mark of its own.
    """

    start: int
    end: int
    language: str
    lines: tuple[Line, ...]
    is_closed: bool

    @property
    def body(self) -> str:
        """The text inside."""
        return "\n".join(line.text for line in self.lines)


def elements_of(answer: str) -> Iterator[Line | Fence]:
    """Lines and blocks of an answer in order. Every line of it is in one of them or is a fence mark."""
    lines = list(_lines(answer))
    number = 0
    while number < len(lines):
        line = lines[number]
        single = _ON_ONE_LINE.match(line.text)
        opening = _OPENING.match(line.text)
        if single:
            body = Line(start=line.start, end=line.end, text=single["body"])
            language = single["info"].lower()
            yield Fence(start=line.start, end=line.end, language=language, lines=(body,), is_closed=True)
            number += 1
        elif opening:
            fence, number = _read_fence(lines, number, opening)
            yield fence
        else:
            yield line
            number += 1


def _lines(answer: str) -> Iterator[Line]:
    """Lines, split at line feeds only; a fence mark that ends a line of text becomes a line of its own."""
    start = 0
    is_open = ""
    for text in answer.split("\n"):
        end = min(start + len(text) + 1, len(answer))
        mark = None if _OPENING.match(text) else (_CLOSING_AT_END if is_open else _OPENING_AT_END).match(text)
        if mark and is_open and len(mark["mark"]) < len(is_open):
            mark = None
        if mark:
            border = start + mark.start("mark")
            yield Line(start=start, end=border, text=mark["before"])
            yield Line(start=border, end=end, text=mark["mark"])
            is_open = "" if is_open else re.match("`+", mark["mark"])[0]
        else:
            opening = _OPENING.match(text)
            if opening and not (is_open and is_open[0] != opening["mark"][0]):
                closes = is_open and not opening["info"].strip() and len(opening["mark"]) >= len(is_open)
                shorter = is_open and len(opening["mark"]) < len(is_open)
                is_open = "" if closes else is_open if shorter else opening["mark"]
            yield Line(start=start, end=end, text=text)
        start = end


def _read_fence(lines: list[Line], number: int, opening: re.Match[str]) -> tuple[Fence, int]:
    """The block whose opening mark is line `number`, and the number of the line after it."""
    first, mark = lines[number], opening["mark"]
    language, code_on_mark = _split_info(opening["info"])
    inside: list[Line] = []
    if code_on_mark:
        inside.append(Line(start=first.start, end=first.end, text=code_on_mark))
    indent = opening["indent"]
    number += 1
    is_closed = False
    while number < len(lines):
        line = lines[number]
        other = _OPENING.match(line.text)
        if other and other["mark"][0] == mark[0] and len(other["mark"]) >= len(mark):
            is_closed = not other["info"].strip()
            number += is_closed
            break
        inside.append(Line(start=line.start, end=line.end, text=_without_quote(line.text, indent)))
        number += 1
    end = lines[number - 1].end
    return Fence(start=first.start, end=end, language=language, lines=tuple(inside), is_closed=is_closed), number


def _split_info(info: str) -> tuple[str, str]:
    """Language and code that a model wrote on the line of the opening mark."""
    info = info.strip()
    name = _ATTRIBUTES.match(info)
    language = name["name"] if name else ""
    rest = info[len(language) :].strip() if info.startswith(language) else ""
    if _STARTS_A_PROGRAM.match(info):
        return "", info
    return language.lower(), rest if _STARTS_A_PROGRAM.match(rest) else ""


def _without_quote(text: str, indent: str) -> str:
    """A line of a block inside a block quote, without the quote's mark."""
    if ">" in indent:
        return re.sub(r"^[ \t]*(?:>[ \t]?)+", "", text)
    return text
