"""A model's answer to the computations it states; what does not parse is kept, with the reason.

Models write the titles that were asked for, other words for them, or none; leave fences open; put two programs
under one title; stop in the middle. Two rules hold whatever they write. **Nothing is glued together in
silence**: a section that comes a second time begins another computation, and two programs under one computation
are one only where the second clearly continues the first. **Nothing is dropped in silence**: a part of the
answer that looks like a computation (it has a title or a program) and is not a whole one becomes a row with
a `problem` and its text in `raw`; an answer with nothing of the kind becomes one row as well, unless it says
that there are no computations.

Problems, the first that applies:
    request_failed  there is no answer (made by `translation`, not here)
    empty_answer, refusal, unparsed  the whole answer, nothing in it looks like a computation
    truncated  the answer broke off inside this computation
    invalid_json  JSON that cannot be read from here on
    wrong_language  the program's fence names another language
    several_programs, several_expressions, several_results  more than one, and no saying which is meant
    unclosed_fence  a program without an end that is no program as far as it goes
    no_code, unfenced_code  there is no program, or none can be told from the text around it
    no_expression, no_result  the section is missing or empty
    constant_code  the program prints literals only, so its output would prove nothing
    prompt_example  it is the example of the prompt, not a computation of the passage
    repeated  the same expression, result and program stand further up in the answer
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from mathcode_assets.mathematical_code.answer_titles import Section, section_named
from mathcode_assets.mathematical_code.drafts import Draft, drafts_of
from mathcode_assets.mathematical_code.fences import Fence, elements_of
from mathcode_assets.mathematical_code.formulas import expression_in, formulas_in, is_stated, result_in
from mathcode_assets.mathematical_code.json_answers import JsonAnswer, read_json, without_swallowed_latex
from mathcode_assets.mathematical_code.programs import (
    cleaned,
    continues,
    is_program_in,
    looks_like_a_program,
    looks_like_octave,
    only_states_its_result,
    parsed,
    shows_something,
)
from mathcode_assets.mathematical_code.prompts import PYTHON, repeats_the_example

EMPTY_ANSWER = "empty_answer"
REFUSAL = "refusal"
UNPARSED = "unparsed"
TRUNCATED = "truncated"
INVALID_JSON = "invalid_json"
WRONG_LANGUAGE = "wrong_language"
SEVERAL_PROGRAMS = "several_programs"
UNCLOSED_FENCE = "unclosed_fence"
NO_CODE = "no_code"
UNFENCED_CODE = "unfenced_code"
NO_EXPRESSION = "no_expression"
NO_RESULT = "no_result"
CONSTANT_CODE = "constant_code"
PROMPT_EXAMPLE = "prompt_example"
REPEATED = "repeated"

# Finish reasons of servers that stopped an answer at its limit.
_CUT_OFF = frozenset({"length", "max_tokens", "max_length"})

_NO_COMPUTATIONS = re.compile(
    r"\b(?:no|not\s+(?:contain|have|include|involve|require)\s+any|(?:does\s+not|doesn't|do\s+not)\s+(?:contain|involve)(?:\s+any)?)"
    r"\s+(?:[a-z]+\s+){0,3}(?:computations?|calculations?)\b",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"\bI(?:'m|’m| am)\s+(?:sorry|unable|not able)\b|\bI\s+(?:cannot|can't|can’t|will not|won't)\b|\bas an AI\b",
    re.IGNORECASE,
)
_LONGEST_DENIAL = 600
# What a reasoning model thinks before it answers; its chat template may have opened the mark for it.
_THOUGHT_BEGINS, _THOUGHT_ENDS = "<think>", "</think>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Computation:
    """One computation of an answer, or a part of the answer that is not quite one.

    Attributes:
        conditions: what has to be known; may be empty.
        expression: LaTeX without delimiters.
        result: as stated, without delimiters.
        code: the program.
        problem: why it cannot be used; empty where it can.
        raw: the part of the answer it was read from, where there is a problem; else empty.
    """

    conditions: str = ""
    expression: str = ""
    result: str = ""
    code: str = ""
    problem: str = ""
    raw: str = ""


def computations_in(answer: str, *, language: str = PYTHON, finish_reason: str = "") -> list[Computation]:
    """The computations of an answer, in order, whole ones and those with a problem.

    Never raises. Before anything else, line ends become line feeds, and NUL characters and what stands in
    ``<think>`` marks go.

    Args:
        answer: the text as the model wrote it.
        language: in which programs were asked for, python or octave.
        finish_reason: as the server says it; with ``length`` the end of the answer is taken for broken off.
    """
    answer = answer.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    is_cut = finish_reason in _CUT_OFF
    thought, _, said = answer.rpartition(_THOUGHT_ENDS)
    if not said.strip() or (not thought and said.lstrip().startswith(_THOUGHT_BEGINS)):
        return [Computation(problem=TRUNCATED if is_cut else EMPTY_ANSWER, raw=answer)]
    answer = said
    found = _from_json(answer, language, is_cut)
    if found is None:
        found = _from_titles(answer, language, is_cut)
        if not found and not _denies(answer):
            found = [Computation(problem=_whole_answer_problem(answer, is_cut), raw=answer)]
    return list(_marked(found))


def _from_titles(answer: str, language: str, is_cut: bool) -> list[Computation]:
    """Computations under titles or around programs; none where nothing looks like one."""
    drafts = list(drafts_of(answer, language))
    found = []
    for draft in drafts:
        raw = answer[draft.start : draft.end].strip("\n")
        if _has_nothing_but_a_denial(draft, raw):
            continue
        is_last = draft is drafts[-1]
        found.append(_computation_of(draft, raw, language=language, is_cut=is_cut and is_last))
    return found


def _computation_of(draft: Draft, raw: str, *, language: str, is_cut: bool) -> Computation:
    sections = {section: "\n".join(lines).strip() for section, lines in draft.sections.items()}
    if not draft.is_titled:
        sections |= _untitled_sections("\n".join(draft.prose).strip())
    code, code_problem = _code_of(draft, sections, language)
    result_section = sections.get(Section.RESULT, "") or sections.get(Section.OUTPUT, "")
    return _judged(
        conditions=_stated(sections.get(Section.CONDITIONS, "")),
        expression=expression_in(_stated(sections.get(Section.EXPRESSION, ""))),
        result=result_in(_stated(result_section)),
        code=code,
        raw=raw,
        language=language,
        problems=[*draft.problems, code_problem],
        is_cut=is_cut,
        is_open=bool(draft.programs) and not draft.programs[-1].is_closed,
    )


def _judged(
    *,
    conditions: str,
    expression: str,
    result: str,
    code: str,
    raw: str,
    language: str,
    problems: list[str],
    is_cut: bool,
    is_open: bool,
) -> Computation:
    """The computation with the first problem that applies."""
    missing = [name for name, value in ((NO_CODE, code), (NO_EXPRESSION, expression), (NO_RESULT, result)) if not value]
    if is_cut and (is_open or missing):
        problems = [TRUNCATED]
    problems = [problem for problem in problems if problem] + missing
    if not problems and language == PYTHON and only_states_its_result(code):
        problems = [CONSTANT_CODE]
    if not problems and repeats_the_example(conditions=conditions, expression=expression, result=result, code=code):
        problems = [PROMPT_EXAMPLE]
    return Computation(
        conditions=conditions,
        expression=expression,
        result=result,
        code=code,
        problem=problems[0] if problems else "",
        raw=raw,
    )


def _code_of(draft: Draft, sections: dict[Section, str], language: str) -> tuple[str, str]:
    """The draft's program and what is wrong with it."""
    if not draft.programs:
        return _unfenced_code(draft, sections, language)
    codes = list(dict.fromkeys(cleaned(program.body) for program in draft.programs))
    code, problem = codes[0], ""
    for following in codes[1:]:
        is_one = language == PYTHON and continues(code, following)
        code = f"{code}\n\n{following}"
        problem = problem or ("" if is_one else SEVERAL_PROGRAMS)
    if any(is_program_in(program.language, language) is False for program in draft.programs):
        problem = WRONG_LANGUAGE
    elif not problem and not draft.programs[-1].is_closed and language == PYTHON and parsed(code) is None:
        problem = UNCLOSED_FENCE if code else NO_CODE
    return code, problem


def _unfenced_code(draft: Draft, sections: dict[Section, str], language: str) -> tuple[str, str]:
    """A program that stands under its title, or indented at the end of a section, without a fence."""
    titled = "\n".join(draft.sections.get(Section.CODE, ()))
    if titled.strip():
        text = cleaned(titled.strip().strip("`") if "\n" not in titled.strip() else titled)
        for candidate in map(cleaned, _leading_parts(text)):
            if language == PYTHON and looks_like_a_program(candidate):
                return candidate, ""
            if language != PYTHON and looks_like_octave(candidate):
                return candidate, ""
        return text, UNFENCED_CODE if is_stated(text) else NO_CODE
    for section in (Section.RESULT, Section.EXPRESSION, Section.CONDITIONS):
        lines = draft.sections.get(section, [])
        begin = next((n for n, line in enumerate(lines) if n and re.match(r" {4}|\t", line)), len(lines))
        block = cleaned("\n".join(lines[begin:]))
        if looks_like_a_program(block) and shows_something(block):
            sections[section] = "\n".join(lines[:begin]).strip()
            return block, ""
    return "", ""


def _leading_parts(text: str) -> Iterator[str]:
    """The text, then shorter and shorter beginnings of it, each ending at a blank line; at most 20."""
    paragraphs = text.split("\n\n")
    for count in range(len(paragraphs), max(0, len(paragraphs) - 20), -1):
        yield "\n\n".join(paragraphs[:count]).rstrip()


def _untitled_sections(prose: str) -> dict[Section, str]:
    """Sections of prose without titles, where its formulas leave one way to read them.

    Either its last two paragraphs are a formula each (expression, result), or its last formula with an equals
    sign is cut at the last one. What comes before is the conditions.
    """
    paragraphs = [paragraph.strip() for paragraph in re.split(r"\n[ \t]*\n", prose) if paragraph.strip()]
    bare = [len(formulas_in(p)) == 1 and formulas_in(p)[0][:2] == (0, len(p)) for p in paragraphs]
    if len(paragraphs) >= 2 and bare[-1] and bare[-2]:
        conditions, expression, result = "\n\n".join(paragraphs[:-2]), paragraphs[-2], paragraphs[-1]
        return {Section.CONDITIONS: conditions, Section.EXPRESSION: expression, Section.RESULT: result}
    equations = [formula for formula in formulas_in(prose) if re.search(r"(?<![<>!])=|\\approx", formula[2])]
    if not equations:
        return {Section.CONDITIONS: prose}
    left, right = _sides(equations[-1][2])
    return {Section.CONDITIONS: prose, Section.EXPRESSION: left, Section.RESULT: right}


def _sides(equation: str) -> tuple[str, str]:
    last = list(re.finditer(r"(?<![<>!])=|\\approx", equation))[-1]
    return equation[: last.start()].strip(" &"), equation[last.end() :].strip(" &")


def _from_json(answer: str, language: str, is_cut: bool) -> list[Computation] | None:
    """Computations of an answer that is JSON, or holds it in a fence; None for any other answer."""
    stretches = [(0, len(answer))] if answer.lstrip()[:1] in ("{", "[") else []
    fences = [element for element in elements_of(answer) if isinstance(element, Fence)]
    stretches += [(fence.start, fence.end) for fence in fences if fence.body.lstrip()[:1] in ("{", "[")]
    if not stretches and not fences:
        begin = answer.find('{"computations"')
        stretches = [(begin, len(answer))] if begin >= 0 else []
    for start, end in stretches:
        read = read_json(answer, start, end)
        if read is not None and (_is_of_computations(read) or '"computations"' in answer[start:end]):
            after = max(read.end, end) if fences else read.end
            return [
                *_from_titles(answer[: read.start].rstrip("`jsonJSON \n"), language, False),
                *_from_items(read, answer, language, is_cut),
                *_from_rest(answer, after, language, is_cut),
            ]
    return None


def _from_rest(answer: str, position: int, language: str, is_cut: bool) -> Iterator[Computation]:
    """What follows JSON from `position` on: more of it, as one object a line, then anything else."""
    while answer[position:].lstrip()[:1] in ("{", "["):
        read = read_json(answer, position)
        if read is None or answer[position : read.start].strip():
            break
        yield from _from_items(read, answer, language, is_cut)
        position = read.end
    yield from _from_titles(answer[position:], language, is_cut)


def _is_of_computations(read: JsonAnswer) -> bool:
    known = {Section.CONDITIONS, Section.EXPRESSION, Section.RESULT, Section.CODE}
    return any(len({section_named(key) for key in item} & known) >= 2 for item in read.items)


def _from_items(read: JsonAnswer, answer: str, language: str, is_cut: bool) -> list[Computation]:
    found = []
    for item in read.items:
        sections = {section_named(key): _text(value) for key, value in item.items()}
        code, is_foreign = _code_in(sections.get(Section.CODE, ""), language)
        found.append(
            _judged(
                conditions=_stated(sections.get(Section.CONDITIONS, "")),
                expression=expression_in(_stated(sections.get(Section.EXPRESSION, ""))),
                result=result_in(_stated(sections.get(Section.RESULT, ""))),
                code=code,
                raw=json.dumps(item, ensure_ascii=False),
                language=language,
                problems=[WRONG_LANGUAGE if is_foreign else ""],
                is_cut=False,
                is_open=False,
            )
        )
    if read.rest or not (read.is_whole or found):
        raw = read.rest or answer[read.start : read.end]
        looks_cut = is_cut or not raw.rstrip().endswith(("}", "]", "`"))
        found.append(Computation(problem=TRUNCATED if looks_cut else INVALID_JSON, raw=raw))
    return found


def _code_in(text: str, language: str) -> tuple[str, bool]:
    """A program that may stand in a fence inside its JSON string, and whether that names another language."""
    fences = [element for element in elements_of(text) if isinstance(element, Fence)]
    if len(fences) == 1:
        return cleaned(fences[0].body), is_program_in(fences[0].language, language) is False
    return cleaned(text), False


def _text(value: object) -> str:
    """A value of a JSON object as text: lists line by line, numbers as they print."""
    if isinstance(value, list):
        return "\n".join(_text(item) for item in value)
    if value is None:
        return ""
    return without_swallowed_latex(value) if isinstance(value, str) else str(value)


def _stated(section: str) -> str:
    return section if is_stated(section) else ""


def _has_nothing_but_a_denial(draft: Draft, raw: str) -> bool:
    has_parts = draft.programs or any(is_stated("\n".join(lines)) for lines in draft.sections.values())
    return not has_parts and _denies(raw)


def _denies(text: str) -> bool:
    """Whether a text says that there are no computations, and little else."""
    return len(text) <= _LONGEST_DENIAL and _NO_COMPUTATIONS.search(text) is not None


def _whole_answer_problem(answer: str, is_cut: bool) -> str:
    if is_cut:
        return TRUNCATED
    return REFUSAL if _REFUSAL.search(answer[:_LONGEST_DENIAL]) else UNPARSED


def _marked(found: list[Computation]) -> Iterator[Computation]:
    """The computations, those that say the same as an earlier one marked; raw text only where there is a problem."""
    seen: set[tuple[str, ...]] = set()
    for computation in found:
        parts = (computation.expression, computation.result, computation.code)
        key = tuple("".join(part.split()) for part in parts)
        if any(key) and key in seen:
            yield dataclasses.replace(computation, problem=REPEATED)
        else:
            seen.add(key)
            yield computation if computation.problem else dataclasses.replace(computation, raw="")
