"""A stated result against a program's output: verified, refuted, or unverifiable.

Pure and in process: no limits of time or memory of its own (see `isolated`), no clock, no global state; the same
pair always gets the same verdict. Neither side is ever evaluated as code: both are read by parsers with a
whitelist. What is not decided is unverifiable, never verified. The rules: docs/decisions/0012-verdicts.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction

from mathcode_assets.records import REFUTED, UNVERIFIABLE, VERIFIED
from mathcode_assets.verification import units
from mathcode_assets.verification.building import number
from mathcode_assets.verification.containers import Rules, compare_values
from mathcode_assets.verification.describing import clipped, described
from mathcode_assets.verification.findings import Finding
from mathcode_assets.verification.printed import THOUSANDS, Printed, read_output
from mathcode_assets.verification.printed_octave import prints_other_digits
from mathcode_assets.verification.scalars import compare_numbers
from mathcode_assets.verification.stated import Member, Stated, read_stated
from mathcode_assets.verification.values import (
    SCALARS,
    Boolean,
    Constant,
    Mapping,
    Matrix,
    Number,
    Relation,
    Scalar,
    Sequence,
    Symbol,
    Text,
    Unreadable,
    Value,
    free_symbols,
    mentions,
    product,
)

# Limits of plain_verdict: literals this short are compared in microseconds.
PLAIN_CHARS = 40
PLAIN = re.compile(r"\s*[-+]?\d{1,30}(?:\.\d{0,30})?(?:[eE][-+]?\d{1,2})?\s*\Z|\s*[-+]?\.\d{1,30}\s*\Z", re.ASCII)
PLAIN_FRACTION = re.compile(r"\s*([-+]?\d{1,18})\s*/\s*(\d{1,18})\s*\Z", re.ASCII)
INDEFINITE = re.compile(r"\\i*int(?:\s*\\(?:no)?limits)?(?!\s*(?:\\(?:no)?limits)?\s*[_^a-zA-Z])|\\int\s+(?![_^])")
NAME = re.compile(r"\\?[A-Za-z](?:_?\{?\w{1,3}\}?)?'*(?:\s*\(\s*\w\s*\))?\Z|\\?[A-Za-z]+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A verdict with its reason.

    Attributes:
        verdict: VERIFIED, REFUTED or UNVERIFIABLE of `mathcode_assets.records`.
        method: how it came about, snake_case, e.g. exact_integer, decimal_half_unit, numeric_probing, set.
        evidence: the two values as they were compared, in words, at most some 300 characters.
    """

    verdict: str
    method: str
    evidence: str


OTHER_DIGITS = Comparison(
    verdict=UNVERIFIABLE, method="other_digits", evidence="the program prints nearby fractions, or bits"
)


def compare(gold: str, output: str, *, expression: str = "", code: str = "") -> Comparison:
    """Whether a program's output is the stated result.

    Args:
        gold: the stated result, LaTeX or plain text; untrusted.
        output: what the program printed; untrusted.
        expression: the expression whose result is stated: an indefinite integral allows a constant difference.
        code: the program: Octave's can be told to print nearby fractions for decimals.
    """
    if prints_other_digits(code):
        return OTHER_DIGITS
    quick = plain_verdict(gold, output)
    if quick is not None:
        return quick
    try:
        return _compare(gold, output, expression)
    except (ArithmeticError, ValueError, TypeError, LookupError, RecursionError, MemoryError, AttributeError) as error:
        # A stranger's text beyond what the parts foresee: open, with the kind of accident as evidence.
        return Comparison(verdict=UNVERIFIABLE, method="not_compared", evidence=type(error).__name__)


def plain_verdict(gold: str, output: str) -> Comparison | None:
    """The verdict on two plain integers, decimals or fractions of bounded length; None for anything else.

    Nothing here can evaluate, recurse or hang, so it is safe outside the sandbox.
    """
    if len(gold) > PLAIN_CHARS or len(output) > PLAIN_CHARS:
        return None
    numbers = [_plain_number(gold), _plain_number(output)]
    if numbers[0] is None or numbers[1] is None:
        return None
    return concluded(compare_numbers(numbers[0], numbers[1]), described(numbers[0]), described(numbers[1]))


def _plain_number(text: str) -> Number | None:
    if PLAIN.match(text):
        return number(text.strip())
    fraction = PLAIN_FRACTION.match(text)
    if fraction and int(fraction[2]):
        return Number(Fraction(int(fraction[1]), int(fraction[2])))
    if THOUSANDS.match(text.strip()):
        return number(text.strip().replace(",", ""))
    return None


def concluded(finding: Finding, stated: str, printed: str) -> Comparison:
    """The comparison of a finding."""
    evidence = f"stated {stated}, printed {printed}"
    return Comparison(verdict=finding.verdict, method=finding.method, evidence=evidence)


def _compare(gold: str, output: str, expression: str) -> Comparison:
    shown = clipped(gold), clipped(output)
    if not gold.strip():
        return concluded(Finding(UNVERIFIABLE, "no_result_stated"), "nothing", shown[1] or "nothing")
    if not output.strip():
        return concluded(Finding(UNVERIFIABLE, "no_output"), shown[0], "nothing")
    try:
        stated = read_stated(gold)
    except Unreadable as error:
        return concluded(Finding(UNVERIFIABLE, "result_not_read"), f"{shown[0]} ({clipped(str(error))})", shown[1])
    try:
        lines = read_output(output)
    except Unreadable as error:
        return concluded(Finding(UNVERIFIABLE, "output_not_read"), shown[0], f"{shown[1]} ({clipped(str(error))})")
    printed = one_printed(lines, stated)
    if printed is None:
        return concluded(all_lines(lines, stated, expression), shown[0], f"{len(lines)} lines: {shown[1]}")
    finding = compare_stated(stated, printed, expression)
    words = described(stated.members[-1].value), described(printed.value)
    return concluded(finding, words[0] + suffix(stated.members[-1]), words[1] + ("%" if printed.is_percent else ""))


def suffix(member: Member) -> str:
    """Percent sign, degree sign, unit and constant of a stated value."""
    sign = (
        "%"
        if member.is_percent
        else " degrees"
        if member.is_degrees
        else f" {clipped(member.unit)}"
        if member.unit
        else ""
    )
    return sign + (" + C" if member.plus_constant else "")


def one_printed(lines: list[Printed], stated: Stated) -> Printed | None:
    """The lines as one value, where the claim is about several: x = 1, y = 2 on two lines; None where they differ."""
    if len(lines) == 1:
        return lines[0]
    claimed = stated.members[-1].value
    labels = [line.label for line in lines]
    if any(line.is_percent for line in lines):
        return None
    if isinstance(claimed, Mapping) and all(NAME.match(label) for label in labels) and len(set(labels)) == len(labels):
        return Printed(Mapping(tuple((Symbol(label), line.value) for label, line in zip(labels, lines, strict=True))))
    n_claimed = (
        len(claimed.items) if isinstance(claimed, Sequence) else len(claimed.rows) if isinstance(claimed, Matrix) else 0
    )
    if n_claimed == len(lines):
        return Printed(Sequence("bare", tuple(line.value for line in lines)), unit=lines[0].unit)
    return None


def all_lines(lines: list[Printed], stated: Stated, expression: str) -> Finding:
    """Several lines where one value is claimed: verified only where every line says that same value."""
    if all(compare_stated(stated, line, expression).is_verified for line in lines):
        return Finding(VERIFIED, "several_lines")
    return Finding(UNVERIFIABLE, "several_lines")


def compare_stated(stated: Stated, printed: Printed, expression: str) -> Finding:
    """The last value of a chain decides; a value before it that is decided to differ refutes the statement."""
    rules = Rules(name=stated.name)
    if stated.name and is_other_name(stated, printed):
        return Finding(UNVERIFIABLE, "other_name")
    if stated.equation is not None and isinstance(unlisted(printed.value), Relation):
        return compare_values(stated.equation, unlisted(printed.value), rules)
    may_differ = bool(INDEFINITE.search(expression))
    if stated.equation is not None:
        # Not meant as an equation where its sides are equal everywhere: sin^2 x + cos^2 x = 1.
        sides = [*stated.members, Member(stated.equation.left)]
        if all(compare_member(side, printed, rules, may_differ).is_verified for side in sides):
            return Finding(VERIFIED, "identity")
        return Finding(UNVERIFIABLE, "equation")
    finding = compare_member(stated.members[-1], printed, rules, may_differ)
    if not finding.is_verified:
        return finding
    for member in stated.members[:-1]:
        other = compare_member(member, printed, rules, may_differ)
        if other.is_refuted:
            has_symbols = isinstance(member.value, SCALARS) and free_symbols(member.value)
            return Finding(UNVERIFIABLE if has_symbols else REFUTED, "chain")
    return finding


def unlisted(value: Value) -> Value:
    """[Eq(...)] as Eq(...)."""
    return value.items[0] if isinstance(value, Sequence) and len(value.items) == 1 else value


def is_other_name(stated: Stated, printed: Printed) -> bool:
    """Whether the program names another symbol than the statement: `y = 2` for `x = 2`."""
    if not printed.label or not NAME.match(printed.label) or len(printed.label) > 8:
        return False
    label = re.sub(r"[\\_{}']|\(.*", "", printed.label).strip()
    is_symbol = len(label) <= 2 or (len(label) == 3 and label[-1].isdigit())
    return is_symbol and len(stated.name) <= 3 and label.casefold() != stated.name.casefold()


def compare_member(member: Member, printed: Printed, rules: Rules, may_differ: bool) -> Finding:
    """One stated value against one printed value, over the readings that percent signs and brackets allow."""
    rules = replace(rules, up_to_constant=member.plus_constant or may_differ, is_approximate=member.is_approximate)
    findings = []
    for value in (member.value, *member.readings):
        for gold, output in percent_readings(value, member, printed):
            findings.append(compare_measured(gold, output, member, printed, rules))
            if findings[-1].is_verified:
                return findings[-1]
    open_ones = [finding for finding in findings if not finding.is_refuted]
    return open_ones[0] if open_ones and len(findings) == 1 else open_ones[0] if is_open(findings) else findings[0]


def is_open(findings: list[Finding]) -> bool:
    """Whether a reading stays undecided for another reason than being of another kind."""
    undecided = [finding for finding in findings if not finding.is_refuted]
    return len(undecided) == len(findings) or any(finding.method != "different_kinds" for finding in undecided)


def percent_readings(value: Value, member: Member, printed: Printed) -> list[tuple[Value, Value]]:
    """50 % is 50 and 0.5; where both sides have the sign, only 50."""
    if member.is_percent == printed.is_percent:
        return [(value, printed.value)]
    hundredth = Fraction(1, 100)
    if member.is_percent:
        return [(value, printed.value), (units.multiplied(value, hundredth), printed.value)]
    return [(value, printed.value), (value, units.multiplied(printed.value, hundredth))]


def compare_measured(gold: Value, output: Value, member: Member, printed: Printed, rules: Rules) -> Finding:
    """Values in their units: known ones converted, degrees and radians told apart."""
    if member.is_degrees:
        return compare_degrees(gold, output, printed, rules)
    if isinstance(output, (Text, Boolean)) or not member.unit or not printed.unit:
        return compare_values(gold, output, rules)
    factor = units.factor(member.unit, printed.unit)
    if factor is None:
        finding = compare_values(gold, output, rules)
        return Finding(UNVERIFIABLE, "other_unit") if not finding.is_refuted else finding
    return compare_values(gold, units.multiplied(output, factor), rules)


def compare_degrees(gold: Value, output: Value, printed: Printed, rules: Rules) -> Finding:
    """90 degrees is 90, and pi/2 where pi is written; a bare decimal in radians leaves it open."""
    unit = units.normalised(printed.unit)
    if unit not in ("", "degrees", "radians"):
        return Finding(UNVERIFIABLE, "other_unit")
    plain = compare_values(gold, output, rules)
    if unit == "degrees" or (plain.is_verified and unit == ""):
        return plain
    if not isinstance(gold, SCALARS) or not isinstance(output, SCALARS):
        return plain
    in_radians: Scalar = product((gold, Number(Fraction(1, 180)), Constant("pi")))
    radians = compare_values(in_radians, output, rules)
    if not radians.is_verified:
        return plain if unit == "" else radians
    if unit == "radians" or mentions(output, frozenset({"pi"})):
        return Finding(VERIFIED, "degrees_in_radians")
    return Finding(UNVERIFIABLE, "degrees_or_radians")
