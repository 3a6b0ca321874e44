"""An answer cut into drafts of computations, by its titles and its programs.

Where one draft ends and the next begins is the whole matter: see `Draft` for what a draft collects, and
`_Reader` for the rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mathcode_assets.mathematical_code.answer_titles import Section, Title, is_heading, title_of
from mathcode_assets.mathematical_code.fences import Fence, Line, elements_of
from mathcode_assets.mathematical_code.formulas import formulas_in, result_in
from mathcode_assets.mathematical_code.programs import (
    is_no_program,
    is_program_in,
    looks_like_a_program,
    looks_like_octave,
    parsed,
    shows_something,
)
from mathcode_assets.mathematical_code.prompts import PYTHON

SEVERAL_EXPRESSIONS = "several_expressions"
SEVERAL_RESULTS = "several_results"

_SEVERAL = {Section.EXPRESSION: SEVERAL_EXPRESSIONS, Section.RESULT: SEVERAL_RESULTS}
_PARTS = (Section.CONDITIONS, Section.EXPRESSION, Section.RESULT)


@dataclass(slots=True)
class Draft:
    """What an answer says about one computation, as far as read.

    Attributes:
        start: first character in the answer.
        end: one past the last one; the next draft may begin later.
        sections: lines under each title.
        prose: lines under no title.
        programs: blocks that are code, in whatever language.
        problems: what went wrong on the way.
        weight: of the heaviest title of a section.
    """

    start: int
    end: int
    sections: dict[Section, list[str]] = field(default_factory=dict)
    prose: list[str] = field(default_factory=list)
    programs: list[Fence] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    weight: int = 0

    @property
    def is_titled(self) -> bool:
        """Whether any of its parts but the program stands under a title."""
        return any(section in self.sections for section in _PARTS)

    def text_of(self, section: Section) -> str:
        """The lines of a section."""
        return "\n".join(self.sections.get(section, ())).strip()


def drafts_of(answer: str, language: str) -> Iterator[Draft]:
    """The drafts of an answer in order; none where it has neither titles nor programs.

    The drafts together reach from the first title or program (or the prose that leads to it) to the end of the
    answer.
    """
    reader = _Reader(language)
    for element in elements_of(answer):
        for part in _split_at_titles(element, language) if isinstance(element, Fence) else (element,):
            if isinstance(part, Fence):
                yield from reader.read_fence(part)
            else:
                yield from reader.read_line(part)
    yield from reader.finish(len(answer))


class _Reader:
    """Reads lines and blocks in order and knows which draft and section they belong to."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.draft: Draft | None = None
        self.section: Section | None = None
        # Lines outside of any section since the last program: chatter, or the prose of a next computation.
        self.loose: list[Line] = []

    def read_line(self, line: Line) -> Iterator[Draft]:
        """Take a line; gives the draft it ends, if it does."""
        title = title_of(line.text)
        if title and not self._is_prose(title):
            yield from self._read_title(title, line)
        elif self.section and self.draft and not (self.section is not Section.CODE and is_heading(line.text)):
            self.draft.sections[self.section].append(line.text)
        else:
            self.section = None
            self.loose.append(line)

    def read_fence(self, fence: Fence) -> Iterator[Draft]:
        """Take a block; gives the draft it ends, if it does."""
        if self._is_program(fence):
            yield from self._make_room_for_a_program(fence.start)
            self.draft.programs.append(fence)
            self.section, self.loose = None, []
        elif self.section and self.draft:
            self.draft.sections[self.section].append(fence.body)
        else:
            self.loose.append(Line(start=fence.start, end=fence.end, text=""))

    def _read_title(self, title: Title, line: Line) -> Iterator[Draft]:
        section = title.section
        if section is Section.COMPUTATION:
            yield from self._begin(line.start)
            self.section = None
            return
        if section in _PARTS and (self.draft is None or self._begins_another(title)):
            yield from self._begin(line.start)
        elif section is Section.CODE:
            yield from self._make_room_for_a_program(line.start)
        if self.draft is None:  # a remark before the first computation
            self.loose.append(line)
            return
        if section is Section.RESULT and self.draft.programs and self.draft.text_of(section):
            section = Section.REMARK  # the same result, said once more
        lines = self.draft.sections.setdefault(section, [])
        if section is self.section and "".join(lines).strip() and section in _SEVERAL:
            self.draft.problems.append(_SEVERAL[section])
        if title.rest:
            lines.append(title.rest)
        if section in _PARTS:
            self.draft.weight = max(self.draft.weight, title.weight)
            self.draft.prose += [loose.text for loose in self.loose]
            self.loose = []
        self.section = section

    def _is_prose(self, title: Title) -> bool:
        """Whether words with a colon are a part of the section they stand in, and no title."""
        if self.section is Section.CODE and title.weight < 2 and title.section in (Section.REMARK, Section.RESULT):
            return False
        if title.section is Section.REMARK:
            return title.weight < 2 and self.section is not Section.OUTPUT
        if self.section is Section.CONDITIONS and self.draft and not self.draft.programs:
            return title.weight < self.draft.weight
        return False

    def _begins_another(self, title: Title) -> bool:
        """Whether a title of a part begins another computation rather than going on with this one."""
        draft, section = self.draft, title.section
        if draft is None:
            return True
        if draft.programs:
            stated = draft.text_of(Section.RESULT)
            if section is not Section.RESULT:
                return True
            return bool(stated) and result_in(title.rest) != result_in(stated)
        return section in draft.sections and section is not self.section

    def _make_room_for_a_program(self, start: int) -> Iterator[Draft]:
        """Begin a draft where the program to come cannot belong to this one."""
        leads = bool(formulas_in("\n".join(line.text for line in self.loose)))
        if self.draft is None or (self.draft.programs and leads):
            loose = self.loose
            yield from self._begin(loose[0].start if loose else start)
            self.draft.prose += [line.text for line in loose]
        elif not self.draft.programs:
            self.draft.prose += [line.text for line in self.loose]
            self.loose = []

    def finish(self, end: int) -> Iterator[Draft]:
        """Give the draft that is being read, if there is one."""
        if self.draft:
            self.draft.end = end
            if not self.draft.programs:
                self.draft.prose += [line.text for line in self.loose]
            yield self.draft

    def _begin(self, start: int) -> Iterator[Draft]:
        yield from self.finish(start)
        self.draft, self.section, self.loose = Draft(start=start, end=start), None, []

    def _is_program(self, fence: Fence) -> bool:
        if not fence.body.strip():
            return False
        says = is_program_in(fence.language, self.language)
        if says is not None:
            return says or not is_no_program(fence.language)
        if self.section is Section.CODE:
            return True
        if self.section in (Section.OUTPUT, Section.REMARK):
            return False
        if self.language != PYTHON:
            return self.section is None and looks_like_octave(fence.body)
        if self.section in _PARTS:
            return shows_something(fence.body)
        return looks_like_a_program(fence.body)


def _split_at_titles(fence: Fence, language: str) -> Iterator[Fence | Line]:
    """A block, or where it was left open and swallowed the next titles: the block up to them, and the lines.

    A title is taken for one only where the block is no program with it: ``# Result: 5`` is a comment, and a
    bold title is no Python.
    """
    first = next((number for number, line in enumerate(fence.lines) if _is_certain_title(line.text)), None)
    if first is None or (language == PYTHON and parsed(fence.body) is not None):
        yield fence
        return
    first = _with_header(fence.lines, first)
    inside = fence.lines[:first]
    yield Fence(start=fence.start, end=fence.lines[first].start, language=fence.language, lines=inside, is_closed=False)
    yield from fence.lines[first:]


def _is_certain_title(text: str) -> bool:
    title = title_of(text)
    return title is not None and title.section is not Section.REMARK and text[:1] in "*_" and title.weight == 2


def _with_header(lines: tuple[Line, ...], first: int) -> int:
    """The number of the header of a computation above line `first`, if blank lines alone are between them."""
    number = first - 1
    while number > 0 and not lines[number].text.strip():
        number -= 1
    title = title_of(lines[number].text) if number >= 0 else None
    return number if title and title.section is Section.COMPUTATION else first
