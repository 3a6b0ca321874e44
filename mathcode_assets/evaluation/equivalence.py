"""Whether two stated answers are one: both LaTeX or plain text, neither ever evaluated as code.

`verification.compare` decides a stated result against what a program printed. A model's answer is written like a
reference answer instead, so it is read by the reader of stated results and put in the printed one's place.
Pure, and run inside the sandbox by `judging`.
"""

from __future__ import annotations

from mathcode_assets.evaluation.answers import joined_formulas
from mathcode_assets.records import UNVERIFIABLE, VERIFIED
from mathcode_assets.verification.compare import Comparison, compare, compare_stated, concluded
from mathcode_assets.verification.describing import clipped
from mathcode_assets.verification.findings import Finding
from mathcode_assets.verification.printed import Printed
from mathcode_assets.verification.stated import Stated, read_stated
from mathcode_assets.verification.values import Unreadable


def equivalent(gold: str, answer: str) -> Comparison:
    """The verdict on an answer, the reference answer being right. Undecided is unverifiable, never verified."""
    same = same_text(gold, answer)
    if same is not None:
        return same
    gold, answer = joined_formulas(gold), joined_formulas(answer)
    direct = compare(gold, answer)
    if direct.verdict != UNVERIFIABLE or direct.method in ("no_result_stated", "no_output"):
        return direct
    try:
        stated, given = read_stated(gold), read_stated(answer)
        finding = compare_stated(stated, as_printed(given), "")
    except Unreadable:
        return direct
    except (ArithmeticError, ValueError, TypeError, LookupError, RecursionError, MemoryError, AttributeError) as error:
        return Comparison(verdict=UNVERIFIABLE, method="not_compared", evidence=type(error).__name__)
    return concluded(finding, clipped(gold), clipped(answer))


def as_printed(given: Stated) -> Printed:
    """The last value of a statement, as if a program had printed it."""
    last = given.members[-1]
    value = given.equation if given.equation is not None else last.value
    unit = "degrees" if last.is_degrees else last.unit
    return Printed(value, label=given.name, unit=unit, is_percent=last.is_percent)


def same_text(gold: str, answer: str) -> Comparison | None:
    """Verified where the two are the same characters but for spacing, whether or not they can be read."""
    if not gold.strip() or "".join(gold.split()) != "".join(answer.split()):
        return None
    return concluded(Finding(VERIFIED, "same_text"), clipped(gold), clipped(answer))
