"""Values in words, for evidence: short, printable, never a stranger's raw text."""

from __future__ import annotations

from fractions import Fraction

from mathcode_assets.verification.values import (
    Add,
    Boolean,
    Call,
    Combined,
    Constant,
    Interval,
    Logic,
    Mapping,
    Matrix,
    Mul,
    Number,
    Pow,
    Relation,
    Sequence,
    Symbol,
    Text,
    Value,
)

MAX_CHARS = 130
_BRACKETS = {"tuple": "()", "list": "[]", "set": "{}", "bare": ("", "")}


def described(value: Value) -> str:
    """The value as it was understood, at most MAX_CHARS characters."""
    return clipped(_words(value, 0))


def clipped(text: str) -> str:
    """At most MAX_CHARS printable characters."""
    text = " ".join(text[: 4 * MAX_CHARS].encode("utf-8", "backslashreplace").decode().split())
    text = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 3] + "..."


def _words(value: Value, depth: int) -> str:
    if depth > 12:
        return "..."

    def inner(part: Value) -> str:
        return _words(part, depth + 1)

    match value:
        case Number():
            return _number(value)
        case Symbol() | Constant():
            return value.name
        case Add():
            return "(" + " + ".join(map(inner, value.terms[:20])) + ")"
        case Mul():
            return "*".join(map(inner, value.factors[:20]))
        case Pow():
            return f"({inner(value.base)})**{inner(value.exponent)}"
        case Call():
            return f"{value.name.lstrip('?')}({', '.join(map(inner, value.arguments[:6]))})"
        case Sequence():
            opening, closing = _BRACKETS[value.kind]
            return opening + ", ".join(map(inner, value.items[:20])) + closing
        case Matrix():
            return "matrix " + "; ".join(", ".join(map(inner, row[:8])) for row in value.rows[:8])
        case Mapping():
            return "{" + ", ".join(f"{inner(key)}: {inner(item)}" for key, item in value.items[:10]) + "}"
        case Relation():
            return f"{inner(value.left)} {value.op} {inner(value.right)}"
        case Logic():
            return (
                f" {value.op} ".join(map(inner, value.parts[:6]))
                if value.op != "not"
                else f"not {inner(value.parts[0])}"
            )
        case Combined():
            return f" {value.op} ".join(map(inner, value.parts[:6]))
        case Interval():
            left, right = "(" if value.low_open else "[", ")" if value.high_open else "]"
            return f"{left}{inner(value.low)}, {inner(value.high)}{right}"
        case Boolean():
            return str(value.value).lower()
        case Text():
            return repr(value.text)


def _number(number: Number) -> str:
    value = number.value
    if number.places is None:
        return _short(value.numerator) + (f"/{_short(value.denominator)}" if value.denominator != 1 else "")
    if -20 <= number.places <= 40:
        places = max(number.places, 0)
        scaled = abs(value * 10**places)
        digits = str(scaled.numerator // scaled.denominator).rjust(places + 1, "0")
        sign = "-" if value < 0 else ""
        return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits) + ("..." if number.cut else "")
    mantissa = abs(value) * Fraction(10) ** number.places
    return f"{'-' if value < 0 else ''}{mantissa.numerator // mantissa.denominator}e{-number.places}"


def _short(value: int) -> str:
    if abs(value) < 10**30:
        return str(value)
    if value.bit_length() > 10_000:
        return f"an integer of about {int(value.bit_length() * 0.30103) + 1} digits"
    digits = str(abs(value))
    return f"{'-' if value < 0 else ''}{digits[:10]}...{digits[-10:]} ({len(digits)} digits)"
