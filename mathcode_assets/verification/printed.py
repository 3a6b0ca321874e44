"""What a program printed, as values: labels, units, percent signs and NumPy's brackets taken apart."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mathcode_assets.verification.building import number
from mathcode_assets.verification.characters import depth_of, is_enclosed, plain, split_top
from mathcode_assets.verification.formulas import read_formula
from mathcode_assets.verification.functions import FUNCTIONS, GREEK
from mathcode_assets.verification.printed_octave import Display, complex_row, displays, literal
from mathcode_assets.verification.reading import check_depth, read_source
from mathcode_assets.verification.units import NO_UNITS, multiplied, scale_of
from mathcode_assets.verification.values import (
    SCALARS,
    Boolean,
    Call,
    Interval,
    Mapping,
    Number,
    Relation,
    Sequence,
    Symbol,
    Text,
    Unreadable,
    Value,
    free_symbols,
)

MAX_LINES = 200
MAX_LABELS = 3  # one after another: "Result: x = 42"
MAX_LABELLED_CHARS = 2_000  # of a line with a label

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d*)?\Z", re.ASCII)
RATIO = re.compile(r"(\d{1,18})\s*:\s*([1-9]\d{0,17})\Z", re.ASCII)
_ARRAY = re.compile(r"[\[\]\s\d.eE+\-jinfa]+\Z", re.ASCII)
_WITH_UNIT = re.compile(
    rf"(?P<number>{_NUMBER}|[-+]?\d{{1,3}}(?:,\d{{3}})+(?:\.\d*)?|[-+]?\d+/\d+)"
    r"\s*(?P<unit>°|[A-Za-zµ°][A-Za-zµ°/.\s]*(?:(?:\^|\*\*\(?)?\d\)?)?(?:\s*/\s*[A-Za-z]+(?:(?:\^|\*\*\(?)?\d\)?)?)?)\.?\Z"
)
_SPACED = re.compile(rf"{_NUMBER}(?:\s+{_NUMBER})+\Z", re.ASCII)
_INTERVAL = re.compile(r"([\[(])(.+)([\])])\Z", re.DOTALL)
_COMMA = re.compile(r",")
_ALTERNATIVES = re.compile(r",|;|\bor\b|\band\b")
_EQUALS = re.compile(r"(?<![<>=!:])=(?!=)|≈|~=")
_SAYS = re.compile(
    r":(?!=)|(?<![<>=!:])=(?!=)|≈|~=|=>|->|→|\b(?:is|are|equals|equal to|be)\b|\bapproximately\b|\babout\b"
)
_LITTLE = frozenset(
    [
        "is",
        "of",
        "to",
        "in",
        "or",
        "no",
        "an",
        "be",
        "at",
        "by",
        "on",
        "if",
        "as",
        "we",
        "it",
        "so",
        "do",
        "me",
        "my",
        "he",
        "us",
        "go",
        "up",
        "am",
        "cm",
        "mm",
        "km",
        "kg",
        "ml",
        "ft",
        "lb",
        "hr",
    ]
)
_WORDS = {"true": True, "false": False, "yes": True, "no": False}


@dataclass(frozen=True, slots=True)
class Printed:
    """One printed value.

    Attributes:
        value: as read.
        label: what stood before it ("x", "the area"); empty where nothing did.
        unit: the words after a number; empty where none.
        is_percent: a percent sign followed.
    """

    value: Value
    label: str = ""
    unit: str = ""
    is_percent: bool = False


def read_output(output: str) -> list[Printed]:
    """The printed values, one for each line (brackets join lines).

    Raises:
        Unreadable: nothing was printed, or a line is no value.
    """
    text = plain(output).strip()
    if not text:
        raise Unreadable("nothing was printed")
    check_depth(text)
    found: list[Printed] = []
    for piece in displays(text):
        if isinstance(piece, Display):
            found.append(Printed(piece.value, label=piece.label))
            continue
        lines = joined_lines(piece)
        if len(lines) + len(found) > MAX_LINES:
            raise Unreadable("too many lines")
        found += [read_line(line) for line in lines]
    return found


def joined_lines(text: str) -> list[str]:
    """Lines, those inside brackets joined to the line that opened them."""
    lines: list[str] = []
    depth = 0
    for line in text.splitlines():
        if depth > 0 and lines:
            lines[-1] += " " + line.strip()
        elif line.strip():
            lines.append(line.strip())
        else:
            continue
        depth = max(0, depth + sum(line.count(mark) for mark in "([{") - sum(line.count(mark) for mark in ")]}"))
    return lines


def read_line(line: str, depth: int = 0) -> Printed:
    """One line: a value, or a label and a value.

    Raises:
        Unreadable: neither.
    """
    line = line.strip().strip("`").strip("$").strip()
    if line.endswith((").", "].", "}.")):
        line = line[:-1]
    whole = bare_value(line)
    if whole is not None:
        return whole
    separators: list[re.Match[str]] = []
    if depth < MAX_LABELS and len(line) <= MAX_LABELLED_CHARS:
        depths = depth_of(line)
        separators = [found for found in _SAYS.finditer(line) if depths[found.start()] == 0]
    for found in separators if len(separators) <= 6 else separators[-3:]:
        label, rest = line[: found.start()].strip(), line[found.end() :].strip()
        if not label or not rest:
            continue
        try:
            inner = read_line(rest, depth + 1)
        except Unreadable:
            continue
        if found[0] in ("=", "≈", "~="):
            equation = as_equation(label, inner.value)
            if equation is not None:
                return Printed(equation)
        return Printed(inner.value, inner.label or label, inner.unit, inner.is_percent)
    words = " ".join(line.strip(" .!'\"").casefold().split())
    if re.fullmatch(r"[^\W\d_]+(?:[ '-][^\W\d_]+)*", words) and len(words) <= 200:
        return Printed(Text(words))
    raise Unreadable(f"no value: {line[:60]!r}")


def as_equation(left: str, right: Value) -> Relation | None:
    """`x + y = 5` as an equation; None where the left side only names or works out what is on the right."""
    try:
        value = read_source(left.replace("^", "**"))
    except Unreadable:
        return None
    if not isinstance(value, SCALARS) or isinstance(value, Symbol) or not free_symbols(value):
        return None
    if isinstance(value, Call) and value.name.startswith("?"):
        return None
    return Relation("=", value, right)


def bare_value(text: str) -> Printed | None:
    """A value without a label; None where the text is none."""
    word = text.strip(" .!").casefold()
    if word in _WORDS:
        return Printed(Boolean(_WORDS[word]))
    if word in ("inf", "+inf", "infinity", "-inf", "-infinity"):
        return Printed(read_source(word.replace("infinity", "oo").replace("inf", "oo")))
    readers = (_ratio, _percent, _money, _thousands, _dots, _spaced, _array, _octave, _interval, _assignments, _source)
    for reader in (*readers, _unit, _formula):
        try:
            found = reader(text)
        except Unreadable:
            continue
        if found is not None:
            return found
    return None


def _ratio(text: str) -> Printed | None:
    """3:2 as 3/2."""
    found = RATIO.match(text)
    return Printed(read_source(f"{found[1]}/{found[2]}")) if found else None


def _dots(text: str) -> Printed | None:
    """0.333... is cut, not rounded."""
    found = re.match(r"(-?\d*\.\d+)\s*(?:\.\.\.|…)\Z", text, re.ASCII)
    if not found:
        return None
    literal = number(found[1])
    return Printed(Number(literal.value, literal.places, literal.digits, True))


def _formula(text: str) -> Printed | None:
    r"""Mathematics in a printed sentence: 2ab, 5!, \\frac{1}{2}; never where words could be read as products."""
    words = re.findall(r"(?<!\\)[A-Za-z]{2,}", text)
    if len(text) > 300 or not re.search(r"[\d+*/^=!\\-]", text) or any(not _is_factor(word) for word in words):
        return None
    value, unit, _ = read_formula(text.replace("**", "^"))
    return Printed(value, unit=unit) if isinstance(value, SCALARS) else None


def _is_factor(word: str) -> bool:
    return (
        word in FUNCTIONS or word in GREEK or word in ("pi", "oo") or (len(word) == 2 and word.lower() not in _LITTLE)
    )


def _thousands(text: str) -> Printed | None:
    return Printed(number(text.replace(",", ""))) if THOUSANDS.match(text) else None


def _percent(text: str) -> Printed | None:
    if not text.endswith("%"):
        return None
    inner = bare_value(text[:-1].strip())
    return None if inner is None or inner.is_percent or inner.unit else Printed(inner.value, is_percent=True)


def _money(text: str) -> Printed | None:
    sign = re.match(r"(-?)\s*\\?[$€£]\s*(?=[\d.])", text)
    if not sign:
        return None
    inner = bare_value(sign[1] + text[sign.end() :])
    return None if inner is None else Printed(inner.value, unit=inner.unit or "dollar")


def _array(text: str) -> Printed | None:
    """NumPy's print of an array: entries apart by spaces."""
    if not text.startswith("[") or "," in text or not is_enclosed(text) or not _ARRAY.match(text):
        return None
    spaced = text.replace("[", " [ ").replace("]", " ] ").split()
    pieces: list[str] = []
    for token in spaced:
        if token not in "[]" and not re.fullmatch(rf"{_NUMBER}(?:[-+][\d.eE+-]+j)?j?|[-+]?inf|nan", token):
            return None
        if pieces and token != "]" and pieces[-1] != "[":
            pieces.append(",")
        pieces.append(token)
    return Printed(read_source("".join(pieces)))


def _interval(text: str) -> Printed | None:
    """(0, 1] and [0, oo): brackets that differ, or that Python would not read."""
    found = _INTERVAL.match(text)
    if not found or (found[1] == "[") == (found[3] == "]") or not is_enclosed(text):
        return None
    ends = split_top(found[2], _COMMA)
    if len(ends) != 2:
        return None
    low, high = (read_source(end.replace("inf", "oo") if "inf" in end else end) for end in ends)
    if not isinstance(low, SCALARS) or not isinstance(high, SCALARS):
        return None
    return Printed(Interval(low, high, found[1] == "(", found[3] == ")"))


def _assignments(text: str) -> Printed | None:
    """`x = 1, y = 2` as a dictionary, `x = 2 or x = 3` as the values of x, `x = 2` as x and its value."""
    if "=" not in text and "≈" not in text:
        return None
    pairs: list[tuple[str, Printed]] = []
    for piece in split_top(text, _ALTERNATIVES):
        sides = split_top(piece, _EQUALS)
        name = sides[0].strip()
        if len(sides) < 2 or not re.fullmatch(r"[^\W\d]\w{0,30}(?:\([^()]{0,20}\))?", name):
            return None
        inner = bare_value(sides[-1].strip())
        if inner is None:
            return None
        pairs.append((name, inner))
    if len(pairs) == 1:
        name, inner = pairs[0]
        return Printed(inner.value, label=name, unit=inner.unit, is_percent=inner.is_percent)
    if any(inner.is_percent for _, inner in pairs):
        return None
    names = [name for name, _ in pairs]
    if len(set(names)) == 1:
        return Printed(Sequence("set", tuple(inner.value for _, inner in pairs)), label=names[0])
    return Printed(Mapping(tuple((read_source(name), inner.value) for name, inner in pairs)))


def _source(text: str) -> Printed | None:
    """Python or SymPy text; a row of values without brackets is told apart from a tuple."""
    if re.fullmatch(rf"{_NUMBER}\.?", text, re.ASCII):
        try:
            return Printed(number(text))
        except Unreadable:
            return Printed(number(text.rstrip(".")))
    value = read_source(text.replace("^", "**"))
    if isinstance(value, Sequence) and value.kind == "tuple" and not is_enclosed(text):
        value = Sequence("bare", value.items)
    if isinstance(value, Symbol) and len(text) > 2 and not text.isascii():
        return None
    if isinstance(value, Text):
        return Printed(value)
    return Printed(value)


def _unit(text: str) -> Printed | None:
    found = _WITH_UNIT.match(text)
    if not found or found["unit"].split()[0].casefold() in NO_UNITS:
        return None
    inner = bare_value(found["number"])
    size, unit = scale_of(found["unit"].strip())
    return None if inner is None else Printed(multiplied(inner.value, size), unit=unit)


def _octave(text: str) -> Printed | None:
    found = complex_row(text) or literal(text)
    return None if found is None else Printed(found)


def _spaced(text: str) -> Printed | None:
    """Numbers apart by spaces, each with its own sign: `2 -3` is no difference."""
    if not _SPACED.match(text):
        return None
    return Printed(Sequence("bare", tuple(number(token) for token in text.split())))
