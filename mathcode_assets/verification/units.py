"""Units of measure after a number: one unit converts into another, a bare number into none."""

from __future__ import annotations

import re
from fractions import Fraction

from mathcode_assets.verification.values import SCALARS, Number, Sequence, Value, product

# Dimension and size of what is convertible; everything else is compared by its spelling.
_SIZES: dict[str, tuple[str, Fraction]] = {}
for _dimension, _table in {
    "length": {
        "mm millimeter millimetre": "1/1000",
        "cm centimeter centimetre": "1/100",
        "dm decimeter decimetre": "1/10",
        "m meter metre": "1",
        "km kilometer kilometre": "1000",
        "in inch inches": "0.0254",
        "ft foot feet": "0.3048",
        "yd yard": "0.9144",
        "mi mile": "1609.344",
    },
    "mass": {"mg milligram": "1/1000000", "g gram": "1/1000", "kg kilogram": "1", "lb pound lbs": "0.45359237"},
    "time": {
        "ms millisecond": "1/1000",
        "s sec second": "1",
        "min minute": "60",
        "h hr hour": "3600",
        "day": "86400",
        "week": "604800",
    },
    "volume": {"ml mL milliliter millilitre": "1/1000", "l L liter litre": "1"},
    "money": {"dollar usd USD": "1", "cent ¢": "1/100"},
}.items():
    for _names, _size in _table.items():
        for _name in _names.split():
            _SIZES[_name] = (_dimension, Fraction(_size))

_SCALES = {"thousand": Fraction(10**3), "million": Fraction(10**6), "billion": Fraction(10**9)}
_SCALES |= {"trillion": Fraction(10**12), "hundred": Fraction(100), "dozen": Fraction(12)}
_WORD = re.compile(r"[A-Za-z°µΩ¢]+")
# Words that follow a number without being a unit of it.
NO_UNITS = frozenset(
    [
        "and",
        "or",
        "to",
        "of",
        "plus",
        "minus",
        "times",
        "over",
        "is",
        "are",
        "the",
        "mod",
        "modulo",
        "i",
        "e",
        "x",
        "y",
        "z",
    ]
)
_SPELLINGS = {"degree": "degrees", "deg": "degrees", "°": "degrees", "radian": "radians", "rad": "radians"}


def scale_of(unit: str) -> tuple[Fraction, str]:
    """Million, billion ... at the head of the words after a number, and the other words."""
    head, _, rest = unit.strip().partition(" ")
    size = _SCALES.get(head.casefold().rstrip("s"))
    return (size, rest) if size else (Fraction(1), unit)


def multiplied(value: Value, factor: Fraction) -> Value:
    """A scalar or row times a rational; a decimal stays a decimal, its last place moved by powers of ten."""
    if factor == 1:
        return value
    if isinstance(value, Number):
        return moved(value, factor)
    if isinstance(value, SCALARS):
        return product((Number(factor), value))
    if isinstance(value, Sequence):
        return Sequence(value.kind, tuple(multiplied(item, factor) for item in value.items))
    return value


def moved(value: Number, factor: Fraction) -> Number:
    """A literal in another unit, its last printed place scaled to the next power of ten not below."""
    if value.places is None:
        return Number(value.value * factor)
    shift = 0
    while Fraction(10) ** shift < factor:
        shift += 1
    while shift > -400 and Fraction(10) ** (shift - 1) >= factor:
        shift -= 1
    return Number(value.value * factor, value.places - shift, value.digits, value.cut)


def normalised(unit: str) -> str:
    """The unit in one spelling: singular, without dots and spaces, powers as digits."""
    words = []
    for word in unit.replace("\\", " ").replace("{", "").replace("}", "").split():
        word = word.strip(".,;:!~")
        if not word:
            continue
        singular = word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
        for name in (word, singular, word.lower(), singular.lower()):
            if name in _SIZES:
                word = name
                break
        else:
            word = singular.lower() if len(word) > 3 else word
        words.append(_SPELLINGS.get(word, word))
    return " ".join(words).replace("^", "").replace("**", "")


def factor(gold: str, output: str) -> Fraction | None:
    """What an output in its unit is multiplied by to be in the gold's; None where that is not known.

    A unit on one side only is no contradiction: the number is taken as it stands.
    """
    gold, output = normalised(gold), normalised(output)
    if gold == output or not gold or not output:
        return Fraction(1)
    if gold in _SIZES and output in _SIZES and _SIZES[gold][0] == _SIZES[output][0]:
        return _SIZES[output][1] / _SIZES[gold][1]
    return Fraction(1) if is_loose(gold) and is_loose(output) else None


def is_loose(unit: str) -> bool:
    """Whether the words only say what is counted (apples, ways), and are no known measure."""
    return all(word not in _SIZES and word not in _SPELLINGS.values() for word in _WORD.findall(unit)) and bool(unit)
