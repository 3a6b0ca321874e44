"""The value of one piece of a stated result: a literal, a formula, or values in brackets."""

from __future__ import annotations

import re

from mathcode_assets.verification.building import number
from mathcode_assets.verification.characters import is_enclosed, split_top
from mathcode_assets.verification.formulas import read_formula
from mathcode_assets.verification.printed import RATIO, THOUSANDS
from mathcode_assets.verification.reading import read_source
from mathcode_assets.verification.values import (
    SCALARS,
    Interval,
    Number,
    Sequence,
    Unreadable,
    Value,
)

DOTS = re.compile(r"(-?\d*\.\d+)\s*(?:\\[lc]?dots|\\dotsc|\.\.\.|…)\s*\Z")
BRACKETS = re.compile(r"([\[(])(.+)([\])])\Z", re.DOTALL)
COMMA = re.compile(r",")
_FRACTION = re.compile(r"(-?)(\d+)\s*\\[dt]?frac\s*\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}\Z")


def value_of(text: str) -> tuple[Value, tuple[Value, ...], str]:
    """The value of a text, further readings of it, and a unit the formula parser found.

    Raises:
        Unreadable: not understood.
    """
    if THOUSANDS.match(text):
        return number(text.replace(",", "")), (), ""
    try:
        return number(text), (), ""
    except Unreadable:
        pass
    ratio = RATIO.match(text)
    if ratio:
        return read_source(f"{ratio[1]}/{ratio[2]}"), (), ""
    dots = DOTS.match(text)
    if dots:
        literal = number(dots[1])
        return Number(literal.value, literal.places, literal.digits, True), (), ""
    mixed = _FRACTION.match(text)
    if mixed and int(mixed[3]) < int(mixed[4]):
        whole = read_source(f"{mixed[2]} + Rational({mixed[3]}, {mixed[4]})")
        return (read_source(f"-({mixed[2]} + Rational({mixed[3]}, {mixed[4]}))") if mixed[1] else whole), (), ""
    bracketed = in_brackets(text)
    if bracketed is not None:
        return *bracketed, ""
    if re.search(r"\*\*|\b(?:sqrt|Matrix|Rational|Interval|FiniteSet|Eq)\(", text) and "\\" not in text:
        try:
            return read_source(text), (), ""
        except Unreadable:
            pass
    try:
        value, unit, readings = read_formula(text)
    except Unreadable:
        if "\\" in text or re.search(r"\d_", text):
            raise
        return read_source(text.replace("^", "**")), (), ""
    return value, readings, unit


def in_brackets(text: str) -> tuple[Value, tuple[Value, ...]] | None:
    """Points, lists, intervals and sets in brackets; None where the brackets hold one value or none stand outside."""
    opened = re.match(r"\\\{|\{|\\lbrace", text)
    if opened and re.search(r"(?:\\\}|\}|\\rbrace)\Z", text) and not text.startswith("{\\"):
        inner = re.sub(r"(?:\\\}|\}|\\rbrace)\Z", "", text[opened.end() :])
        if re.search(r"\\mid|\\vert|:|\|", inner):
            raise Unreadable("set by a condition")
        items = [item for item in split_top(inner, COMMA) if item.strip()]
        return Sequence("set", tuple(value_of(item.strip())[0] for item in items)), ()
    if text in ("\\emptyset", "\\varnothing", "EmptySet", "\\{\\}", "{}"):
        return Sequence("set", ()), ()
    found = BRACKETS.match(text)
    if not found or not is_enclosed(text):
        return None
    parts = [part.strip() for part in split_top(found[2], COMMA)]
    if len(parts) < 2:
        return None
    values = tuple(value_of(part)[0] for part in parts)
    kinds = (found[1], found[3])
    low, high = values[0], values[-1]
    between = None
    if len(values) == 2 and isinstance(low, SCALARS) and isinstance(high, SCALARS):
        is_backwards = isinstance(low, Number) and isinstance(high, Number) and low.value >= high.value
        between = None if is_backwards else Interval(low, high, found[1] == "(", found[3] == ")")
    if kinds in (("(", "]"), ("[", ")")):
        if between is None:
            raise Unreadable("brackets that do not match")
        return between, ()
    row = Sequence("tuple" if found[1] == "(" else "list", values)
    return row, (between,) if between is not None else ()
