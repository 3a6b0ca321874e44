"""A document as passages that a model is asked about one by one: nothing cut off, nothing twice.

The reference cuts a document at 3,072 tokens and throws the rest away. Here a long document becomes several
passages; their spans partition it, so that joining them gives the document back. Borders are looked for where
a reader would put them: at blank lines, then lines, then sentences, then words, and inside a displayed formula,
a LaTeX environment or fenced code only where there is no other.

A passage comes with a little context, the heading it stands under and the end of the paragraph before it. The
model may read it to learn what a symbol means; it is no part of the passage, and nothing is extracted from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# A border between paragraphs may leave a passage this empty, any other border no emptier than half.
_LEAST_PARAGRAPH_FILL = 0.25
_LEAST_LINE_FILL = 0.5

_BLANK_LINES = re.compile(r"\n[^\S\n]*\n\s*")
_LINES = re.compile(r"\n")
_SENTENCES = re.compile(r"(?<=[.!?。！？])\s+")
_WORDS = re.compile(r"\s+")

# What opens or closes a stretch that should stay whole.
_MARKS = re.compile(
    r"\\(?P<side>begin|end)\s*\{(?P<name>[^{}\n]{1,40})\}"
    r"|(?P<open>\\\[)|(?P<close>\\\])"
    r"|(?P<display>(?<!\\)\$\$)"
    r"|^[ \t]*(?P<fence>```+|~~~+)[^\n]*$",
    re.MULTILINE,
)
_INLINE = re.compile(r"(?<!\\)\$(?!\s)[^$\n]{1,300}(?<!\s)\$(?!\d)|\\\((?:[^\\]|\\(?!\))){1,300}\\\)")
_HEADING = re.compile(r"^(?:#{1,6}[ \t]+\S[^\n]{0,150}|\\(?:sub)*section\*?\{[^{}\n]{1,150}\}.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PassageConfig:
    """How long a passage and its context are."""

    max_chars: int = 6_000
    """Characters of a passage. About 2,000 tokens of mathematical text: instructions, passage and answer fit in
    a window of 8,192, and it stays below the 3,072 tokens at which the reference cuts."""

    context_chars: int = 600
    """Characters of context at most; 0 for none."""

    def __post_init__(self) -> None:
        if self.max_chars < 1 or self.context_chars < 0:
            raise ValueError("a passage holds at least one character, a context none or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A stretch of a document.

    Attributes:
        number: 0-based within the document.
        start: first character in the document's text.
        end: one past the last one.
        text: the document's text from start to end.
        context: what stands before it, shortened; empty for the first passage.
    """

    number: int
    start: int
    end: int
    text: str
    context: str


def passages(text: str, config: PassageConfig | None = None) -> Iterator[Passage]:
    """The passages of a document, in order; none of an empty one.

    Every passage has 1 to ``max_chars`` characters, the first starts at 0, each next one where the one before
    ends, the last ends with the text.
    """
    config = config or PassageConfig()
    start = number = 0
    heading = ""
    while start < len(text):
        end = _end_of(text, start, config.max_chars)
        context = _context(text, start, heading, config.context_chars) if start else ""
        passage = Passage(number=number, start=start, end=end, text=text[start:end], context=context)
        yield passage
        heading = _last_heading(passage.text, first=not number) or heading
        start, number = end, number + 1


def _end_of(text: str, start: int, max_chars: int) -> int:
    """Where the passage that begins at `start` ends: in (start, start + max_chars]."""
    limit = start + max_chars
    if limit >= len(text):
        return len(text)
    window = text[start:limit]
    whole = _displays(window)
    with_inline = whole + [match.span() for match in _INLINE.finditer(window)]
    least_paragraph, least_line = int(max_chars * _LEAST_PARAGRAPH_FILL), int(max_chars * _LEAST_LINE_FILL)
    attempts = (
        (_BLANK_LINES, whole, least_paragraph),
        (_LINES, whole, least_line),
        (_SENTENCES, with_inline, least_line),
        (_LINES, whole, 0),
        (_SENTENCES, with_inline, 0),
        # Only a formula or a program longer than the rest of the passage is cut.
        (_BLANK_LINES, [], least_line),
        (_LINES, [], least_line),
        (_WORDS, with_inline, least_line),
        (_WORDS, [], 0),
    )
    for border, protected, least in attempts:
        end = _last_border(window, border, protected, least)
        if end:
            return start + end
    return limit


def _last_border(window: str, border: re.Pattern[str], protected: list[tuple[int, int]], least: int) -> int:
    """End of the last border past `least` that no protected stretch holds inside; 0 if there is none."""
    found = 0
    for match in border.finditer(window):
        end = match.end()
        if end > least and not any(begin < end < stop for begin, stop in protected):
            found = end
    return found


def _displays(window: str) -> list[tuple[int, int]]:
    """Stretches of the window that are a displayed formula, an environment or fenced code.

    One that is still open at the end of the window reaches beyond it; one that was open before the window
    began reaches from its beginning.
    """
    beyond = len(window) + 1
    stretches: list[tuple[int, int]] = []
    opened: dict[str, list[int]] = {}
    for match in _MARKS.finditer(window):
        kind = _kind(match)
        is_toggle = match.group("display") or match.group("fence")
        opens = not opened.get(kind) if is_toggle else bool(match.group("open") or match.group("side") == "begin")
        if opens:
            opened.setdefault(kind, []).append(match.start())
        else:
            stretches.append((opened[kind].pop() if opened.get(kind) else -1, match.end()))
    stretches += [(begin, beyond) for begins in opened.values() for begin in begins]
    return stretches


def _kind(match: re.Match[str]) -> str:
    if match.group("side"):
        return "environment " + match.group("name")
    if match.group("fence"):
        return "fence " + match.group("fence")[0]
    return "$$" if match.group("display") else "\\["


def _last_heading(text: str, *, first: bool) -> str:
    """The last heading of a passage; of a first passage without one, its first line if that is short."""
    headings = _HEADING.findall(text)
    if headings:
        return headings[-1].strip()
    title = text.lstrip().partition("\n")[0].strip()
    return title if first and len(title) <= 150 else ""


def _context(text: str, start: int, heading: str, max_chars: int) -> str:
    """The heading and the end of the paragraph before `start`, at most `max_chars` characters."""
    if not max_chars:
        return ""
    before = text[max(0, start - max_chars) : start].rstrip()
    borders = list(_BLANK_LINES.finditer(before))
    paragraph = before[borders[-1].end() :] if borders else before
    room = max_chars - len(heading) - 2
    if not heading or room < 1 or heading in paragraph:
        return paragraph
    return f"{heading}\n\n{paragraph[-room:]}"
