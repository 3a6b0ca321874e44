"""Which lines of an answer are titles of its sections, in the wordings and the mark-up that models use."""

from __future__ import annotations

import enum
import re
from typing import NamedTuple


class Section(enum.Enum):
    """What a title announces."""

    COMPUTATION = "computation"
    """The beginning of a computation."""
    CONDITIONS = "conditions"
    EXPRESSION = "expression"
    RESULT = "result"
    CODE = "code"
    OUTPUT = "output"
    """What the model says its program prints."""
    REMARK = "remark"
    """Text that belongs to no part of a computation: explanations, notes."""


class Title(NamedTuple):
    """A title.

    Attributes:
        section: what it announces.
        rest: what follows it on its line.
        weight: 2 for a heading or bold words, 1 for an item of a list, 0 for plain words before a colon.
    """

    section: Section
    rest: str
    weight: int


_NUMBERED = r"(?:\s*(?:no\.?|number|nr\.?|#))?\s*#?(?:\d{1,3}|[ivx]{1,4}|one|two|three|four|five)"
_OF_IT = r"(?:\s+(?:for|of)\s+(?:the|this|each)\s+(?:computation|calculation|expression|problem|result))?"
_WORDINGS: tuple[tuple[Section, str], ...] = (
    (
        Section.COMPUTATION,
        rf"(?:(?:complex|mathematical|next)\s+)?(?:computation|calculation|example|problem|exercise){_NUMBERED}"
        r"|(?:first|second|third|fourth|fifth|next)\s+(?:complex\s+)?(?:computation|calculation)",
    ),
    (
        Section.CONDITIONS,
        r"(?:the\s+)?(?:initial\s+|required\s+|necessary\s+|needed\s+|computation\s+)?"
        r"(?:conditions?|assumptions?|prerequisites?|requirements?|preconditions?|givens?)"
        rf"(?:\s+(?:needed|required|necessary))?{_OF_IT}",
    ),
    (
        Section.EXPRESSION,
        r"(?:the\s+)?(?:(?:computation(?:al)?|latex|math(?:ematical)?|calculation|symbolic)\s+)*"
        rf"(?:expression|formula|equation)s?(?:\s+(?:in\s+)?latex|\s*\(\s*latex\s*\))?{_OF_IT}"
        r"|computation|calculation|latex",
    ),
    (
        Section.OUTPUT,
        r"(?:the\s+)?(?:(?:expected|program|code|sample|printed|python|octave)\s+)?outputs?(?:\s+of\s+the\s+(?:code|program))?",
    ),
    (
        Section.RESULT,
        r"(?:the\s+)?(?:(?:computation(?:al)?|final|expected|numerical|computed|calculated|calculation|stated)\s+)*"
        rf"(?:results?|answers?|value)(?:\s+(?:in\s+)?latex|\s*\(\s*latex\s*\))?{_OF_IT}",
    ),
    (
        Section.CODE,
        r"(?:the\s+)?(?:(?:corresponding|complete|full|executable|sample)\s+)*"
        r"(?:(?:python|python\s*3|octave|gnu\s+octave|matlab|sympy|source|computation)\s+)*"
        rf"(?:code|program|script|code\s+snippet|snippet|implementation)(?:\s+(?:snippet|block|in\s+python))?{_OF_IT}"
        r"|python",
    ),
    (
        Section.REMARK,
        r"(?:brief\s+|short\s+)?(?:explanations?|notes?|remarks?|comments?|solutions?|steps?|derivations?"
        r"|descriptions?|discussions?|summary|conclusions?|title|reasoning|verification|interpretation)",
    ),
)
_PATTERNS = tuple((section, re.compile(wording, re.IGNORECASE)) for section, wording in _WORDINGS)

# Longer lines are prose; a title is recognised at the beginning of its line only.
_LONGEST_TITLE = 80
_LEAD = re.compile(
    r"^[ \t]*(?:>[ \t]?)*(?P<heading>\#{1,6})?[ \t]*"
    r"(?P<item>[-*+•](?=[ \t])|\(?(?:\d{1,2}|[a-hA-H]|[ivx]{1,4})[.)](?=\s|\*))?[ \t]*"
)
_BOLD = re.compile(
    r"^(?P<mark>\*{1,3}|_{1,3}|<b>|<strong>)(?:\(?\d{1,2}[.)][ \t]*)?(?P<label>[^*_<>\n]{1,80}?)"
    r"(?P<colon>[ \t]*[:：])?[ \t]*(?:\*{1,3}|_{1,3}|</b>|</strong>)(?P<after>[ \t]*[:：])?(?P<rest>.*)$"
)
_PLAIN = re.compile(r"^(?P<label>[A-Za-z][^:：\n]{0,79}?)[ \t]*[:：](?P<rest>.*)$")
_SUBJECT = re.compile(r"\s*(?:[-–—.(]|\s).*", re.DOTALL)


def title_of(line: str) -> Title | None:
    """The title a line is or begins with; None for any other line.

    A word alone is a title where mark-up sets it off (``### Result``, ``**Result**``) or a colon follows it
    (``Result: 5``, ``2. result:``). A computation's header may carry a subject (``Computation 2: the area``).
    """
    lead = _LEAD.match(line)
    body = line[lead.end() :] if lead else line
    has_heading = bool(lead and lead["heading"])
    is_item = bool(lead and lead["item"])
    bold = _BOLD.match(body)
    if bold:
        has_colon = bool(bold["colon"] or bold["after"])
        rest = bold["rest"].strip()
        section = _section_of(bold["label"], is_alone=not rest or has_colon)
        # "**Result** 5" is a title, "**Result** of the first step" is prose.
        if section and (has_colon or not rest or not re.match(r"[a-z]{2}", rest)):
            return Title(section, rest, 2)
    if has_heading:
        label, _, rest = body.strip().rstrip("#").strip().partition(":")
        section = _section_of(label.strip(" *_"), is_alone=True)
        if section:
            return Title(section, rest.strip(" *_") if section is not Section.COMPUTATION else "", 2)
        return None
    plain = _PLAIN.match(body)
    if plain:
        section = _section_of(plain["label"], is_alone=True, with_subject=False)
        if section:
            rest = "" if section is Section.COMPUTATION else plain["rest"].strip()
            return Title(section, rest, int(is_item))
    if _section_of(body.strip(), is_alone=True, with_subject=False) is Section.COMPUTATION:
        return Title(Section.COMPUTATION, "", int(is_item))
    return None


def section_named(name: str) -> Section | None:
    """The section that a key of a JSON answer names: ``expression``, ``python_code``, ``Result``."""
    return _section_of(name.replace("_", " ").strip(), is_alone=True, with_subject=False)


def is_heading(line: str) -> bool:
    """Whether a line is a Markdown heading of any wording."""
    return re.match(r"#{1,6}[ \t]+\S", line) is not None


def _section_of(label: str, *, is_alone: bool, with_subject: bool = True) -> Section | None:
    label = label.strip()
    if not label or len(label) > _LONGEST_TITLE:
        return None
    for section, pattern in _PATTERNS:
        match = pattern.match(label)
        if match is None:
            continue
        if match.end() == len(label):
            return section if is_alone or section is not Section.COMPUTATION else None
        # "Computation 2 - the area": the header of a computation may name its subject.
        if section is Section.COMPUTATION and with_subject and _SUBJECT.fullmatch(label, match.end()):
            return section
        longest = pattern.fullmatch(label)
        if longest:
            return section
    return None
