"""What a stated result claims: its value or chain of values, with unit, percent sign and + C taken apart."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mathcode_assets.verification.characters import is_enclosed, plain, split_top
from mathcode_assets.verification.formulas import read_formula
from mathcode_assets.verification.printed import THOUSANDS, bare_value
from mathcode_assets.verification.reading import check_depth, read_source
from mathcode_assets.verification.stated_values import BRACKETS, DOTS, in_brackets, value_of
from mathcode_assets.verification.units import multiplied, scale_of
from mathcode_assets.verification.values import (
    SCALARS,
    Boolean,
    Call,
    Combined,
    Interval,
    Logic,
    Mapping,
    Relation,
    Sequence,
    Symbol,
    Text,
    Unreadable,
    Value,
    free_symbols,
)

MAX_CHARS = 20_000

_DELIMITERS = re.compile(r"\s*(?:\$\$(.*)\$\$|\$(.*)\$|\\\((.*)\\\)|\\\[(.*)\\\]|\\boxed\s*\{(.*)\})\s*\Z", re.DOTALL)
_SPACING = re.compile(r"(?<!\\)\\(?:[,;:!> ]|quad\b|qquad\b|displaystyle\b|limits\b|nolimits\b)|~")
_SIZES = re.compile(r"\\(?:left|right|bigl?|bigr?|Bigl?|Bigr?|biggl?|biggr?)(?![A-Za-z])\s*\.?")
_PERCENT = re.compile(r"\s*(?:\\%|%|\\text\s*\{\s*(?:\\?%|percent)\s*\}|\bpercent)\s*\Z")
_DEGREES = re.compile(r"\s*(?:\^\s*\{?\s*\\circ\s*\}?|\\degree|°|\\text\s*\{\s*degrees?\s*\}|\bdegrees?)\s*\Z")
_UNIT = re.compile(
    r"\s*\\(?:text|mbox|mathrm|textrm|textup|rm|hbox)\s*\{([^{}]*)\}\s*((?:\^\s*\{?-?\d\}?)?(?:\s*/\s*\\(?:text|mathrm)\s*\{[^{}]*\}(?:\^\s*\{?\d\}?)?)?)\s*\Z"
)
_MONEY = re.compile(r"(-?)\s*(?:\\\$|[€£]|\\pounds|\\text\s*\{\s*\\?\$\s*\}|\$(?=\s*[\d.]))\s*(?=[\d.])")
_PLAIN_UNIT = re.compile(r"([-+]?[\d.,]*\d(?:/\d+)?)\s+([A-Za-z][A-Za-z/ ]*(?:\^?\d)?)\.?\Z")
_CONSTANT = re.compile(
    r"\s*\+\s*(?:[CcKk]|C_\{?\d\}?|\\text\s*\{\s*(?:C|const(?:ant)?\.?)\s*\}|\\mathrm\s*\{\s*(?:C|const)\s*\}|const(?:ant)?)\s*\Z"
)
_RELATION = re.compile(r"\\approx|\\simeq|\\cong|\\doteq|≈|\\equiv|(?<![<>!:\\])=(?!=)|\\eq(?![A-Za-z])")
_APPROXIMATE = re.compile(r"\\approx|\\simeq|\\cong|\\doteq|≈")
_SEPARATOR = re.compile(
    r",|;|\\text\s*\{\s*,?\s*(?:or|and)\s*\}|\\mbox\s*\{\s*,?\s*(?:or|and)\s*\}|\bor\b|\band\b|\\quad"
)
_MEMBER = re.compile(r"\\in(?![A-Za-z])| in ")
_NAME = re.compile(r"\\?[A-Za-z]+(?:_(?:\w|\{[^{}]*\}))?'*(?:\s*\([^()=<>]{0,30}\))?\Z")
_WORDS = re.compile(r"[A-Za-z][A-Za-z' ,-]*\.?\Z")
_TEXT = re.compile(r"\s*\\(?:text|mbox|textbf|mathrm|textrm|textit)\s*\{([^{}]*)\}\s*\.?\Z")


@dataclass(frozen=True, slots=True)
class Member:
    r"""One value of a chain `a = b \\approx c`.

    Attributes:
        value: as read.
        readings: further meanings of the same text: (1, 2) is a point and an open interval.
        is_approximate: an approximation sign stands before it.
        is_percent: followed by a percent sign.
        is_degrees: followed by a degree sign.
        unit: the words after it.
        plus_constant: followed by + C.
    """

    value: Value
    readings: tuple[Value, ...] = ()
    is_approximate: bool = False
    is_percent: bool = False
    is_degrees: bool = False
    unit: str = ""
    plus_constant: bool = False


@dataclass(frozen=True, slots=True)
class Stated:
    """A stated result.

    Attributes:
        members: the values said to be equal, the result last; never empty.
        name: the symbol they are the value of (x of `x = 2`), empty where there is none.
        equation: the whole as an equation, where its left side is more than a name or a value.
    """

    members: tuple[Member, ...]
    name: str = ""
    equation: Relation | None = field(default=None)


def read_stated(gold: str) -> Stated:
    """What the stated result claims.

    Raises:
        Unreadable: it is not understood.
    """
    if len(gold) > MAX_CHARS:
        raise Unreadable("too long")
    text = stripped(gold)
    if not text:
        raise Unreadable("no result is stated")
    check_depth(text)
    words = stated_words(text)
    if words is not None:
        return Stated((Member(words),))
    several = several_values(text)
    if several is not None:
        return several
    return one_value(text)


def stripped(gold: str) -> str:
    """The formula without delimiters, spacing commands and a closing full stop."""
    text = plain(gold).strip()
    for _ in range(3):
        found = _DELIMITERS.match(text)
        if not found or not next(filter(None, found.groups()), ""):
            break
        inner = next(filter(None, found.groups()))
        if "$" in inner.replace("\\$", ""):
            break
        text = inner.strip()
    text = _SIZES.sub("", _SPACING.sub(" ", text)).replace("{,}", "").strip()
    text = re.sub(r"\\langle(?![a-zA-Z])", "(", re.sub(r"\\rangle(?![a-zA-Z])", ")", text))
    if not DOTS.search(text):
        text = text.rstrip(" .;,") if not text.endswith("\\.") else text
    return " ".join(text.split())


def stated_words(text: str) -> Value | None:
    """yes, false, `no solution`: words; None where the text is mathematics."""
    found = _TEXT.match(text)
    words = " ".join((found[1] if found else text).strip(" .!").casefold().split())
    if words in ("true", "yes", "false", "no"):
        return Boolean(words in ("true", "yes"))
    if found and re.search("[a-z]", words):
        inner = bare_value(found[1].strip())
        if inner is None or isinstance(inner.value, Symbol) or not re.search(r"\d", words):
            return Text(words)
        return inner.value
    if _WORDS.match(text) and len(text.split()) > 1 and all(len(word) > 1 or word in "aA" for word in text.split()):
        return Text(words)
    if re.fullmatch("[A-Za-z]{4,}", text) and text not in KNOWN_WORDS:
        return Text(words)
    return None


KNOWN_WORDS = frozenset(
    ["alpha", "beta", "gamma", "delta", "theta", "lambda", "sigma", "omega", "zeta", "infty", "EmptySet", "Reals", "oo"]
)


def several_values(text: str) -> Stated | None:
    """`x = 2, x = 3` as a set, `x = 1, y = 2` as a dictionary, `2, 3` as a row; None where it is one value."""
    if THOUSANDS.match(text) or "\\begin" in text or (BRACKETS.match(text) and is_enclosed(text)):
        return None
    pieces = [piece.strip() for piece in split_top(text, _SEPARATOR)]
    if len(pieces) < 2 or (len(pieces) == 2 and not pieces[1]):
        return None
    pieces = rejoined_thousands([piece for piece in pieces if piece])
    if len(pieces) < 2:
        return None
    stated = [one_value(piece) for piece in pieces]
    if all(isinstance(item.members[-1].value, (Relation, Logic, Interval, Combined)) for item in stated):
        if re.search(r"\bor\b|,|;", text) and not re.search(r"\band\b", text):
            return Stated((Member(Logic("or", tuple(item.members[-1].value for item in stated))),))
        raise Unreadable("several conditions")
    percents = {item.members[-1].is_percent for item in stated}
    first = stated[0].members[-1]
    values = tuple(item.members[-1].value for item in stated)
    member = Member(
        Sequence("set", values),
        is_percent=percents == {True},
        is_degrees=any(item.members[-1].is_degrees for item in stated),
        unit=stated[-1].members[-1].unit or first.unit,
        is_approximate=any(item.members[-1].is_approximate for item in stated),
    )
    if any(item.equation for item in stated):
        equations = tuple(item.equation or item.members[-1].value for item in stated)
        return Stated((Member(Sequence("set", equations)),))
    names = [item.name for item in stated]
    if any(names[1:]) and len(set(names)) > 1:
        if not all(names):
            raise Unreadable("some values with a name, some without")
        if len(set(names)) != len(names):
            raise Unreadable("several values for several names")
        return Stated(
            (Member(Mapping(tuple((Symbol(name), value) for name, value in zip(names, values, strict=True)))),)
        )
    if not names[0]:
        member = Member(
            Sequence("bare", values),
            is_percent=member.is_percent,
            is_degrees=member.is_degrees,
            unit=member.unit,
            is_approximate=member.is_approximate,
        )
    return Stated((member,), name=names[0])


def rejoined_thousands(pieces: list[str]) -> list[str]:
    r"""12,500,000 \\text{ m} was cut at its commas: put together again."""
    if (
        re.fullmatch(r"(?:.*[^\d.])?-?\d{1,3}", pieces[0])
        and all(re.match(r"\d{3}(?![\d])", piece) for piece in pieces[1:])
        and all(re.fullmatch(r"\d{3}", piece) for piece in pieces[1:-1])
    ):
        return ["".join(pieces)]
    return pieces


def one_value(text: str) -> Stated:
    """A value, a chain of values, a named value, or an equation.

    Raises:
        Unreadable: not understood.
    """
    belongs = split_top(text, _MEMBER)
    if len(belongs) == 2 and _NAME.match(belongs[0].strip()):
        inner = one_value(belongs[1].strip())
        return Stated(tuple(as_set(member) for member in inner.members), name=plain_name(belongs[0]))
    pieces = [piece.strip() for piece in split_top(text, _RELATION)]
    if len(pieces) == 1:
        return Stated((member_of(text),))
    if not all(pieces[1:]):
        raise Unreadable("a relation without a side")
    signs = [found[0] for found in _RELATION.finditer(text)]
    if any(sign == "\\equiv" for sign in signs) or "pmod" in text:
        raise Unreadable("congruence")
    approximate = [False, *(bool(_APPROXIMATE.match(sign)) for sign in signs)]
    if len(approximate) != len(pieces):
        approximate = [any(approximate)] * len(pieces)
    name = ""
    if not pieces[0] or is_name(pieces[0]):
        name = plain_name(pieces[0])
        pieces, approximate = pieces[1:], approximate[1:]
    if len(pieces) == 2 and not name:
        point = named_point(pieces[0], pieces[1])
        if point is not None:
            return Stated((point,))
    members: list[Member] = []
    for number_, (piece, near) in enumerate(zip(pieces, approximate, strict=True)):
        try:
            member = member_of(piece)
        except Unreadable:
            if number_ == len(pieces) - 1:
                raise
            continue  # a left side that cannot be read names the value: \\lim_{x \\to 0} f(x) = 3
        members.append(
            Member(
                member.value,
                member.readings,
                near,
                member.is_percent,
                member.is_degrees,
                member.unit,
                member.plus_constant,
            )
        )
    return chain_or_equation(members, name)


def named_point(left: str, right: str) -> Member | None:
    """(x, y) = (2, 3) as the point and as named values; None where the left side is no row of names."""
    names = in_brackets(left)
    values = in_brackets(right) if names is not None else None
    if names is None or values is None:
        return None
    keys, point = names[0], values[0]
    if not isinstance(keys, Sequence) or not isinstance(point, Sequence) or len(keys.items) != len(point.items):
        return None
    if not all(isinstance(key, Symbol) for key in keys.items):
        return None
    return Member(point, (Mapping(tuple(zip(keys.items, point.items, strict=True))),))


def chain_or_equation(members: list[Member], name: str) -> Stated:
    """A chain of equal values, unless its sides differ in their symbols: then an equation."""
    last = members[-1]
    if len(members) == 2 and all(isinstance(member.value, SCALARS) for member in members):
        symbols = [free_symbols(member.value) for member in members]
        if symbols[0] and not symbols[0] <= symbols[1] and not last.plus_constant:
            equation = Relation("=", members[0].value, last.value)
            return Stated((last,), name=name, equation=equation)
    return Stated(tuple(members), name=name)


def is_name(text: str) -> bool:
    r"""Whether a left side only names what follows: x, y', V_1, f(x), P(A \\cap B), \\text{Area}."""
    if _TEXT.match(text):
        return True
    if not _NAME.match(text):
        return False
    try:
        value, _, _ = read_formula(text)
    except Unreadable:
        return True
    return isinstance(value, Symbol) or (isinstance(value, Call) and value.name.startswith("?"))


def plain_name(text: str) -> str:
    """The name of a left side as the symbol it would be in a program, empty for words."""
    text = text.strip()
    found = re.match(r"\\?([A-Za-z]+)(?:_(?:(\w)|\{([^{}]*)\}))?('*)", text)
    if not found or _TEXT.match(text):
        return ""
    return symbol_of(found[1] + (found[2] or found[3] or "") + ("prime" * len(found[4])))


def symbol_of(name: str) -> str:
    """The normalised name."""
    value = read_source(name) if name.isidentifier() else Symbol(name)
    return value.name if isinstance(value, Symbol) else name


def member_of(text: str) -> Member:
    """One value with what stands around it.

    Raises:
        Unreadable: not understood.
    """
    text = text.strip()
    words = stated_words(text)
    if words is not None:
        return Member(words)
    is_percent = bool(_PERCENT.search(text))
    if is_percent:
        text = _PERCENT.sub("", text)
    is_degrees = bool(_DEGREES.search(text))
    if is_degrees:
        text = _DEGREES.sub("", text)
    unit = ""
    sign = _MONEY.match(text)
    if sign:
        text, unit = sign[1] + text[sign.end() :], "dollar"
    found = _UNIT.search(text)
    if found and text[: found.start()].strip():
        text, unit = text[: found.start()], (found[1] + found[2]).strip()
    spelled = _PLAIN_UNIT.match(text)
    if spelled and not re.search(r"\b(and|or|to)\b", spelled[2]):
        text, unit = spelled[1], spelled[2]
    plus_constant = bool(_CONSTANT.search(text))
    if plus_constant:
        text = _CONSTANT.sub("", text)
    value, readings, formula_unit = value_of(text.strip())
    size, unit = scale_of(unit or formula_unit)
    value, readings = multiplied(value, size), tuple(multiplied(reading, size) for reading in readings)
    is_degrees |= formula_unit == "degree"
    return Member(value, readings, False, is_percent, is_degrees, unit, plus_constant)


def as_set(member: Member) -> Member:
    r"""The right side of x \\in ...: an interval where it could be one."""
    intervals = [reading for reading in (member.value, *member.readings) if isinstance(reading, Interval)]
    return Member(intervals[0]) if intervals else member
