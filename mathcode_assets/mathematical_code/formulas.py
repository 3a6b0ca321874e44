"""Formulas in the prose of an answer: delimiters off, the stated value found, their place in the document."""

from __future__ import annotations

import re

# $...$ as pandoc reads it: no space inside the delimiters, no digit after the closing one, so that
# "costs $5 or $6" holds no formula.
_FORMULA = re.compile(
    r"(?<!\\)\$\$(?P<double>.+?)\$\$"
    r"|\\\[(?P<bracket>.+?)\\\]"
    r"|\\\((?P<paren>.+?)\\\)"
    r"|\\begin\{(?P<name>equation|align|gather|displaymath|math)(?P<star>\*?)\}(?P<env>.+?)\\end\{(?P=name)(?P=star)\}"
    r"|(?<![\\$])\$(?P<single>(?!\s)(?:[^$\n]|\\\$)+?)(?<![\s\\])\$(?![\d$])",
    re.DOTALL,
)
# As _FORMULA's last line, where the whole of a text is meant and spaces inside do no harm.
_ALL_SINGLE = re.compile(r"\$\s*(?P<single>(?:[^$]|\\\$)+?)\s*(?<!\\)\$", re.DOTALL)
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")
_NOTHING = re.compile(
    r"\W*(?:none|n/?a|not applicable|nothing|no conditions?(?: needed)?|unknown|not (?:given|stated))\W*|[\s*_.:`–—-]*",
    re.I,
)

# "The result is approximately", "So the area equals": words before a value.
_LEAD_IN = re.compile(
    r"^(?:[A-Za-z][\w'’-]*[ ,]+){0,12}?(?:is|equals|are|gives|yields|becomes|evaluates to|equal to)\b[ \t]*:?[ \t]*"
    r"(?:(?:approximately|about|roughly|exactly|around|equal to|given by|therefore|thus)[ \t]+)*",
    re.IGNORECASE,
)
_APPROXIMATELY = re.compile(r"^(?:approximately|approx\.?|about|roughly|exactly|around)[ \t]+", re.IGNORECASE)
_AFTER_VALUE = re.compile(
    r",[ \t]+(?=(?:so|which|since|because|where|and hence|hence|therefore|thus|i\.e|as|rounded|meaning|that is)\b)"
    r"|[.;](?=\s+[A-Z(]|\s*$)|[ \t]+\((?:rounded|approximately|approx|to\s+\w+\s+decimal)[^)]*\)\s*\.?\s*$"
    r"|\n\s*\n",
)
_FEW_WORDS = re.compile(r"\s*(?:\\?%|[°A-Za-z²³/^0-9·-]{1,20}(?:\s+[A-Za-z²³/^0-9·-]{1,20}){0,2})?\s*")
_A_WORD = re.compile(r"[A-Za-z]{2}")


def formulas_in(text: str) -> list[tuple[int, int, str]]:
    """Delimited formulas of a text: start, end (delimiters included) and the formula without them."""
    found = []
    for match in _FORMULA.finditer(text):
        content = next(match[name] for name in ("double", "bracket", "paren", "env", "single") if match[name])
        found.append((match.start(), match.end(), content.strip()))
    return found


def is_stated(text: str) -> bool:
    """Whether a section holds anything; "None" and "N/A" are nothing."""
    return _NOTHING.fullmatch(text) is None


def without_delimiters(text: str) -> str:
    """A formula without what sets it off: dollars, brackets, back-ticks, bold, a final full stop or comma.

    Text with several formulas, or with words around one, is left as it stands.
    """
    text = text.strip()
    while True:
        inner = _unwrapped(text)
        if inner == text:
            return text
        text = inner


def expression_in(section: str) -> str:
    """The expression a section states: its one formula where there is exactly one, else all of it."""
    section = section.strip()
    bare = without_delimiters(section)
    if bare != section.rstrip(".,; "):
        return bare
    formulas = formulas_in(section)
    return formulas[0][2] if len(formulas) == 1 else bare


def result_in(section: str) -> str:
    r"""The value a section states, in its own words and without delimiters.

    Looked for in this order: the content of the last ``\boxed{}``; the section as one formula; its one
    formula, with a unit of up to three words behind it; what follows "The result is" up to the end of the
    clause. Several formulas in prose are left as they stand: which of them is meant is not guessed.
    """
    section = section.strip()
    boxed = _last_boxed(section)
    if boxed:
        return without_delimiters(boxed)
    bare = without_delimiters(section)
    formulas = formulas_in(bare)
    if len(formulas) == 1:
        start, end, formula = formulas[0]
        before, after = bare[:start], _AFTER_VALUE.split(bare[end:].rstrip(". "), maxsplit=1)[0]
        if _FEW_WORDS.fullmatch(after) and after.strip():
            return f"{formula} {after.strip()}".replace(" \\%", "\\%").replace(" %", "%")
        return formula if _A_WORD.search(before) or _A_WORD.search(after) or not before else _value(bare)
    return _value(bare) if not formulas else bare


def place_of(expression: str, text: str, start: int, end: int, *, after: int = 0) -> tuple[int, int] | None:
    """Where an expression occurs in ``text[start:end]``, as a span of `text`; None where it does not.

    Looked for literally, then with white space left out on both sides; in both cases the first place from
    `after` on is preferred to an earlier one. Letters and digits next to a place, where the expression itself
    ends in one, make it a part of another formula and no place.
    """
    wanted = "".join(expression.split())
    if not wanted:
        return None
    for begin in (max(start, after), start):
        found = _literal_place(expression.strip(), text, begin, end)
        if found:
            return found
    offsets = [offset for offset in range(start, end) if not text[offset].isspace()]
    compact = "".join(text[offset] for offset in offsets)
    places = []
    position = compact.find(wanted)
    while position >= 0:
        span = (offsets[position], offsets[position + len(wanted) - 1] + 1)
        if _stands_alone(text, *span):
            places.append(span)
        position = compact.find(wanted, position + 1)
    return next((span for span in places if span[0] >= after), places[0] if places else None)


def _literal_place(expression: str, text: str, start: int, end: int) -> tuple[int, int] | None:
    position = text.find(expression, start, end)
    while position >= 0:
        if _stands_alone(text, position, position + len(expression)):
            return position, position + len(expression)
        position = text.find(expression, position + 1, end)
    return None


def _stands_alone(text: str, start: int, end: int) -> bool:
    joins_before = start > 0 and text[start - 1].isalnum() and text[start].isalnum()
    joins_after = end < len(text) and text[end].isalnum() and text[end - 1].isalnum()
    return not joins_before and not joins_after


def _unwrapped(text: str) -> str:
    trimmed = text.rstrip(".,; \t\n") if not text.endswith(("\\,", "\\;", "...")) else text
    for candidate in (text, trimmed):
        match = _FORMULA.fullmatch(candidate) or _ALL_SINGLE.fullmatch(candidate)
        if match:
            return next(
                content for name, content in match.groupdict().items() if content and name not in _NAMES
            ).strip()
        for mark in ("**", "__", "`", "*"):
            inner = candidate[len(mark) : -len(mark)]
            if candidate.startswith(mark) and candidate.endswith(mark) and inner.strip() and mark not in inner:
                return inner.strip()
    return trimmed if trimmed else text


_NAMES = ("name", "star")


def _last_boxed(text: str) -> str:
    """Content of the last boxed command whose braces close."""
    content = ""
    for match in _BOXED.finditer(text):
        depth = 1
        for position in range(match.end(), len(text)):
            if text[position - 1] == "\\":
                continue
            depth += {"{": 1, "}": -1}.get(text[position], 0)
            if not depth:
                content = text[match.end() : position].strip() or content
                break
    return content


def _value(text: str) -> str:
    """A value in prose without the words around it; the text itself where it reads as a value."""
    stripped = _APPROXIMATELY.sub("", text)
    lead = _LEAD_IN.match(stripped)
    value = stripped[lead.end() :] if lead else stripped
    value = _AFTER_VALUE.split(value, maxsplit=1)[0] if lead or " " in value else value
    return without_delimiters(value) or text
