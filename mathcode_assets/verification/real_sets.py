"""Sets of real numbers: intervals, unions, inequalities in one symbol, compared by their end points."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction

from mathcode_assets.records import REFUTED, UNVERIFIABLE, VERIFIED
from mathcode_assets.verification.exact import exact
from mathcode_assets.verification.findings import Finding
from mathcode_assets.verification.scalars import compare_scalars, real_value
from mathcode_assets.verification.special_functions import Undefined
from mathcode_assets.verification.values import (
    INFINITY,
    SCALARS,
    Boolean,
    Combined,
    Interval,
    Logic,
    Number,
    Relation,
    Scalar,
    Sequence,
    Symbol,
    Value,
    free_symbols,
    negated,
    renamed,
    total,
)

FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}
MAX_ENDS = 100
FAR = Fraction(10**12)  # stands for a point beyond every end


class NotASet(ValueError):
    """The value is no set of reals that can be worked out."""


def is_real_set(value: Value) -> bool:
    """Whether the value is meant as a set of reals (an equation or a point is not)."""
    if isinstance(value, Relation):
        return value.op != "="
    if isinstance(value, Logic):
        return all(isinstance(part, (Relation, Logic, Boolean)) for part in value.parts)
    return isinstance(value, (Interval, Combined))


def compare_real_sets(gold: Value, output: Value) -> Finding:
    """Whether two sets of reals are equal."""
    try:
        symbols = [free_symbols_of_set(value) for value in (gold, output)]
        if isinstance(gold, Interval) and isinstance(output, Interval) and any(symbols):
            return compare_intervals(gold, output)
        gold, output = solved(gold), solved(output)
        gold_ends, output_ends = ends(gold), ends(output)
        for end in (*gold_ends, *output_ends):
            position(end)
    except (NotASet, Undefined):
        return Finding(UNVERIFIABLE, "interval")
    if len(gold_ends) + len(output_ends) > MAX_ENDS or any(len(names) > 1 for names in symbols):
        return Finding(UNVERIFIABLE, "interval")
    positions: dict[Scalar, Fraction] = {}
    is_open = False
    for end in gold_ends:
        positions[end] = position(end)
    for end in output_ends:
        same = None
        for other in gold_ends:
            finding = compare_scalars(other, end)
            if finding.is_verified:
                same = other
                break
            is_open |= not finding.is_refuted
        positions[end] = position(end) if same is None else positions[same]
    cuts = sorted({value for value in positions.values() if abs(value) < FAR})
    probes = [-FAR / 2, *cuts, *((low + high) / 2 for low, high in itertools.pairwise(cuts)), FAR / 2]
    members = [(holds(gold, probe, positions), holds(output, probe, positions)) for probe in probes]
    if not any(map(any, members)):
        return Finding(UNVERIFIABLE, "interval")  # (9, 3) read as an interval is empty, and so is (9, 2)
    for stated, printed in members:
        if stated != printed:
            return Finding(UNVERIFIABLE if is_open else REFUTED, "interval")
    return Finding(VERIFIED, "interval")


def compare_intervals(gold: Interval, output: Interval) -> Finding:
    """Intervals whose ends hold symbols: end by end."""
    findings = [compare_scalars(gold.low, output.low), compare_scalars(gold.high, output.high)]
    same_kind = (gold.low_open, gold.high_open) == (output.low_open, output.high_open)
    if same_kind and all(finding.is_verified for finding in findings):
        return Finding(VERIFIED, "interval")
    return Finding(UNVERIFIABLE, "interval")


def free_symbols_of_set(value: Value) -> frozenset[str]:
    """The variable of an inequality; empty for an interval."""
    return free_symbols(value)


def position(end: Scalar) -> Fraction:
    """Where an end lies on the line.

    Raises:
        NotASet: it is not real.
    """
    if end == INFINITY:
        return FAR
    if end == negated(INFINITY):
        return -FAR
    value = exact(end)
    if value is None:
        try:
            value = real_value(end)
        except Undefined:
            value = None
    if value is None or abs(value) >= FAR / 4:
        raise NotASet
    return value


def solved(value: Value) -> Value:
    """Inequalities brought to the form symbol op number.

    Raises:
        NotASet: one is not linear in one symbol.
    """
    match value:
        case Logic():
            return Logic(value.op, tuple(solved(part) for part in value.parts))
        case Combined():
            return Combined(value.op, tuple(solved(part) for part in value.parts))
        case Relation():
            return _solved(value)
        case Interval() | Boolean():
            return value
        case Sequence(kind="set" | "list" | "bare"):
            if all(isinstance(item, SCALARS) for item in value.items):
                return Sequence("set", value.items)
    raise NotASet


def _solved(relation: Relation) -> Relation:
    left, right = relation.left, relation.right
    if not isinstance(left, SCALARS) or not isinstance(right, SCALARS) or relation.op not in FLIPPED:
        raise NotASet
    names = sorted(free_symbols(left) | free_symbols(right))
    if len(names) != 1:
        raise NotASet
    if isinstance(left, Symbol) and not free_symbols(right):
        return relation
    if isinstance(right, Symbol) and not free_symbols(left):
        return Relation(FLIPPED[relation.op], right, left)
    difference = total((left, negated(right)))
    samples = [exact(renamed(difference, {names[0]: Number(Fraction(at))})) for at in (0, 1, 2, 5)]
    zero, one, two, five = samples
    if zero is None or one is None or two is None or five is None:
        raise NotASet
    slope = one - zero
    if not slope or two != zero + 2 * slope or five != zero + 5 * slope:
        raise NotASet
    op = relation.op if slope > 0 else FLIPPED[relation.op]
    return Relation(op, Symbol(names[0]), Number(-zero / slope))


def ends(value: Value) -> list[Scalar]:
    """The end points of a solved set, each once, in order of appearance."""
    return list(dict.fromkeys(_ends(value)))


def _ends(value: Value) -> Iterator[Scalar]:
    match value:
        case Interval():
            yield value.low
            yield value.high
        case Relation():
            if not isinstance(value.right, SCALARS):
                raise NotASet
            yield value.right
        case Sequence():
            for item in value.items:
                if isinstance(item, SCALARS):
                    yield item
        case Logic() | Combined():
            for part in value.parts:
                yield from _ends(part)


def holds(value: Value, at: Fraction, positions: dict[Scalar, Fraction]) -> bool:
    """Whether a point belongs to a solved set."""
    match value:
        case Boolean():
            return value.value
        case Interval():
            low, high = positions[value.low], positions[value.high]
            above = at > low or (at == low and not value.low_open)
            return above and (at < high or (at == high and not value.high_open))
        case Relation():
            end = positions[value.right]  # type: ignore[index]
            return {
                "<": at < end,
                "<=": at <= end,
                ">": at > end,
                ">=": at >= end,
                "=": at == end,
                "!=": at != end,
            }[value.op]
        case Sequence():
            return any(positions[item] == at for item in value.items)  # type: ignore[index]
        case Logic():
            parts = [holds(part, at, positions) for part in value.parts]
            return not parts[0] if value.op == "not" else (all if value.op == "and" else any)(parts)
        case Combined():
            parts = [holds(part, at, positions) for part in value.parts]
            if value.op == "difference":
                return parts[0] and not any(parts[1:])
            return (all if value.op == "intersection" else any)(parts)
    return False
