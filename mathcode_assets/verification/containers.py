"""Two values compared whatever they are: scalars, rows, sets, matrices, named values, equations, words."""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass
from fractions import Fraction

from mathcode_assets.records import REFUTED, UNVERIFIABLE, VERIFIED
from mathcode_assets.verification.findings import Finding
from mathcode_assets.verification.numeric import Evaluation
from mathcode_assets.verification.probing import points
from mathcode_assets.verification.real_sets import compare_real_sets, is_real_set
from mathcode_assets.verification.scalars import compare_scalars, without_logarithm_bars
from mathcode_assets.verification.special_functions import Undefined
from mathcode_assets.verification.values import (
    MINUS_ONE,
    SCALARS,
    Boolean,
    Call,
    Interval,
    Logic,
    Mapping,
    Matrix,
    Number,
    Pow,
    Relation,
    Scalar,
    Sequence,
    Symbol,
    Text,
    Value,
    free_symbols,
    negated,
    product,
    renamed,
    total,
)

MAX_ITEMS = 2_000  # of a row
MAX_SET = 60  # of a set: every pair may have to be compared


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the claim allows.

    Attributes:
        name: the symbol the stated value is the value of, empty where there is none.
        up_to_constant: antiderivatives.
        is_approximate: integers were rounded too.
    """

    name: str = ""
    up_to_constant: bool = False
    is_approximate: bool = False


def compare_values(gold: Value, output: Value, rules: Rules) -> Finding:
    """Whether two values are equal; never decided for kinds that cannot be compared."""
    if isinstance(gold, (Text, Boolean)) or isinstance(output, (Text, Boolean)):
        return compare_words(gold, output)
    output = unwrapped(output, gold, rules)
    if isinstance(gold, SCALARS):
        if isinstance(output, SCALARS):
            return compare_scalar_values(gold, output, rules)
        if isinstance(output, Relation) and output.op == "=":
            name = rules.name or solved_name(output)
            if name and isinstance(output.left, SCALARS) and isinstance(output.right, SCALARS):
                return compare_equations(Relation("=", Symbol(name), gold), output)
        return Finding(UNVERIFIABLE, "different_kinds")
    if isinstance(gold, Relation) and gold.op == "=" and isinstance(output, Relation) and output.op == "=":
        return compare_equations(gold, output)
    if isinstance(gold, Relation) and isinstance(output, Relation) and len(free_symbols(gold)) > 1:
        return compare_inequalities(gold, output)
    if is_real_set(gold) and is_real_set(output):
        return compare_real_sets(gold, output)
    if is_real_set(gold) and isinstance(output, Sequence):
        return compare_with_brackets(gold, output)
    if isinstance(gold, Sequence) and gold.kind == "set" and is_real_set(output):
        return compare_real_sets(gold, output)
    if isinstance(gold, Mapping):
        return compare_mappings(gold, output, rules)
    if isinstance(gold, Matrix):
        return compare_matrices(gold, output, rules)
    if isinstance(gold, Sequence):
        return compare_sequences(gold, output, rules)
    return Finding(UNVERIFIABLE, "different_kinds")


def compare_with_brackets(gold: Value, output: Sequence) -> Finding:
    """A set of reals against a row: (3, oo) may be meant as an interval, {1, 2} and [1, 2] as points."""
    if len(output.items) == 2 and output.kind in ("tuple", "list"):
        low, high = output.items
        if isinstance(low, SCALARS) and isinstance(high, SCALARS):
            is_open = output.kind == "tuple"
            if compare_real_sets(gold, Interval(low, high, is_open, is_open)).is_verified:
                return Finding(VERIFIED, "interval")
        return Finding(UNVERIFIABLE, "interval")
    return compare_real_sets(gold, output)


def compare_scalar_values(gold: Scalar, output: Scalar, rules: Rules) -> Finding:
    """Scalars, antiderivatives with or without the bars of ln|x|."""
    finding = compare_scalars(gold, output, up_to_constant=rules.up_to_constant, is_approximate=rules.is_approximate)
    if finding.is_verified:
        return finding
    plain_gold, plain_output = without_logarithm_bars(gold), without_logarithm_bars(output)
    if (plain_gold, plain_output) != (gold, output):
        again = compare_scalars(plain_gold, plain_output, up_to_constant=True)  # type: ignore[arg-type]
        if again.is_verified:
            return Finding(VERIFIED, "antiderivative")
    return finding


def unwrapped(output: Value, gold: Value, rules: Rules) -> Value:
    """The output without a container that holds the one value claimed: [2], {x: 2}, Eq(x, 2), Matrix([[2]])."""
    for _ in range(4):
        match output:
            case Sequence(items=(inner,)) if not isinstance(gold, Sequence) or isinstance(inner, (Sequence, Mapping)):
                if (
                    isinstance(gold, Sequence)
                    and isinstance(inner, Sequence)
                    and isinstance(gold.items, tuple)
                    and len(gold.items) == 1
                ):
                    return output
                output = inner
            case Matrix(rows=((inner,),)) if not isinstance(gold, Matrix):
                output = inner
            case Mapping(items=((Symbol() | Call() as key, inner),)) if not isinstance(gold, Mapping):
                if isinstance(key, Symbol) and rules.name and not same_name(key.name, rules.name):
                    return output
                output = inner
            case Relation(op="=", left=Symbol(name) | Call(arguments=(Symbol(name),)), right=inner):
                is_function = isinstance(output.left, Call)
                label = output.left.name.lstrip("?") if isinstance(output.left, Call) else name
                if isinstance(gold, (Relation, Logic, Interval)) or (
                    is_function and not output.left.name.startswith("?")
                ):
                    return output
                if rules.name and not same_name(label, rules.name):
                    return output
                if not rules.name and isinstance(gold, SCALARS) and label in free_symbols(gold):
                    return output
                output = inner
            case _:
                return output
    return output


def solved_name(relation: Relation) -> str:
    """The symbol an equation is solved for, empty where for none."""
    return relation.left.name if isinstance(relation.left, Symbol) else ""


def same_name(one: str, other: str) -> bool:
    """Whether two symbols are spellings of one."""
    return one.casefold() == other.casefold()


def compare_words(gold: Value, output: Value) -> Finding:
    """yes, no, true, false; other words only count where they are the same."""
    if isinstance(gold, Boolean) and isinstance(output, Boolean):
        return Finding(VERIFIED if gold.value == output.value else REFUTED, "truth_value")
    if isinstance(gold, (Text, Symbol)) and isinstance(output, (Text, Symbol)):
        words = [part.text if isinstance(part, Text) else part.name.casefold() for part in (gold, output)]
        if words[0].strip(" .!'\"") == words[1].strip(" .!'\"") != "nan":
            return Finding(VERIFIED, "text")
        return Finding(UNVERIFIABLE, "text")
    return Finding(UNVERIFIABLE, "different_kinds")


def combined(findings: Many[Finding], method: str) -> Finding:
    """All verified: verified; one refuted: refuted."""
    if all(finding.is_verified for finding in findings):
        return Finding(VERIFIED, method)
    if any(finding.is_refuted for finding in findings):
        return Finding(REFUTED, method)
    return Finding(UNVERIFIABLE, method)


def items_of(output: Value) -> tuple[Value, ...] | None:
    """The entries of what a program uses for several values; None where it is one value."""
    match output:
        case Sequence():
            items = output.items
            if items and all(isinstance(item, (Sequence, Matrix)) and len(flat(item)) == 1 for item in items):
                return tuple(flat(item)[0] for item in items)
            return items
        case Matrix():
            if len(output.rows) == 1:
                return output.rows[0]
            return tuple(row[0] for row in output.rows) if len(output.rows[0]) == 1 else None
        case Mapping():
            keys = [key for key, _ in output.items]
            counts = [item for _, item in output.items]
            # SymPy's roots(): {root: multiplicity}
            if all(isinstance(key, SCALARS) and not isinstance(key, Symbol) for key in keys) and all(
                isinstance(count, Number) and count.value.denominator == 1 and count.value > 0 for count in counts
            ):
                return tuple(keys)
    return None


def flat(value: Value) -> tuple[Value, ...]:
    """Entries of a row or matrix, one after another."""
    if isinstance(value, Matrix):
        return tuple(entry for row in value.rows for entry in row)
    return value.items if isinstance(value, Sequence) else (value,)


def compare_sequences(gold: Sequence, output: Value, rules: Rules) -> Finding:
    """Rows in order; sets, and values stated one after another, in any order."""
    items = items_of(output)
    if items is None and isinstance(output, Mapping) and gold.kind in ("tuple", "bare", "list"):
        items = tuple(item for _, item in output.items)  # {x: 1, y: 2} against the point (1, 2)
        if sorted(names := [key.name for key, _ in output.items if isinstance(key, Symbol)]) != names:
            items = None
    if items is None and isinstance(output, SCALARS):
        items = (output,)
    if items is None or len(items) > MAX_ITEMS or len(gold.items) > MAX_ITEMS:
        return Finding(UNVERIFIABLE, "different_kinds")
    items = tuple(unwrapped(item, gold.items[0] if gold.items else item, rules) for item in items)
    if gold.kind in ("set", "bare"):
        return compare_sets(gold.items, items, rules)
    if isinstance(output, Sequence) and output.kind == "set":
        unordered = compare_sets(gold.items, items, rules)
        if unordered.is_refuted or len(gold.items) == 1:
            return unordered
        return Finding(UNVERIFIABLE, "set")  # a set has lost the order that is stated
    if len(items) != len(gold.items):
        return Finding(REFUTED, gold.kind)
    findings = [compare_values(one, other, rules) for one, other in zip(gold.items, items, strict=True)]
    finding = combined(findings, gold.kind)
    if finding.is_refuted and gold.kind == "list" and compare_sets(gold.items, items, rules).is_verified:
        return Finding(UNVERIFIABLE, "list")  # a list in another order: perhaps only a set is meant
    return finding


def compare_sets(gold: Many[Value], output: Many[Value], rules: Rules) -> Finding:
    """Sets, repetitions aside: every member of one is a member of the other."""
    if max(len(gold), len(output)) > MAX_SET:
        return Finding(UNVERIFIABLE, "set")
    if not gold or not output:
        return Finding(VERIFIED if not gold and not output else REFUTED, "set")
    table = [[compare_values(one, other, rules) for other in output] for one in gold]
    rows = [[finding.verdict for finding in row] for row in table]
    columns = list(zip(*rows, strict=True))
    lines = [*rows, *columns]
    if all(VERIFIED in line for line in lines):
        return Finding(VERIFIED, "set")
    if any(all(verdict == REFUTED for verdict in line) for line in lines):
        return Finding(REFUTED, "set")
    return Finding(UNVERIFIABLE, "set")


def compare_matrices(gold: Matrix, output: Value, rules: Rules) -> Finding:
    """Entry by entry; a vector may be printed as a flat list."""
    rows: Many[Many[Value]] | None = None
    if isinstance(output, Matrix):
        rows = output.rows
    elif isinstance(output, Sequence) and output.kind != "set":
        items = output.items
        if items and all(isinstance(item, (Sequence, Matrix)) for item in items):
            rows = [flat(item) for item in items]
        elif len(gold.rows) == 1:
            rows = [items]
        elif len(gold.rows[0]) == 1:
            rows = [(item,) for item in items]
    if rows is None:
        return Finding(UNVERIFIABLE, "different_kinds")
    is_vector = len(gold.rows) == 1 or len(gold.rows[0]) == 1
    if is_vector and (len(rows) == 1 or all(len(row) == 1 for row in rows)):
        # A row for a column: NumPy has no difference between them.
        entries = [entry for row in rows for entry in row]
        stated = [entry for row in gold.rows for entry in row]
        if len(entries) != len(stated):
            return Finding(REFUTED, "matrix")
        return combined(
            [compare_values(one, other, rules) for one, other in zip(stated, entries, strict=True)], "matrix"
        )
    if [len(row) for row in rows] != [len(row) for row in gold.rows]:
        return Finding(REFUTED, "matrix")
    pairs = [pair for one, other in zip(gold.rows, rows, strict=True) for pair in zip(one, other, strict=True)]
    if len(pairs) > MAX_ITEMS:
        return Finding(UNVERIFIABLE, "matrix")
    return combined([compare_values(one, other, rules) for one, other in pairs], "matrix")


def compare_mappings(gold: Mapping, output: Value, rules: Rules) -> Finding:
    """X = 1, y = 2 against {x: 1, y: 2}, [Eq(x, 1), Eq(y, 2)], or (1, 2) in the order stated and of the alphabet."""
    stated = [(key.name, value) for key, value in gold.items if isinstance(key, Symbol)]
    if len(stated) != len(gold.items):
        return Finding(UNVERIFIABLE, "mapping")
    if isinstance(output, Sequence) and output.items:
        equations = [item for item in output.items if isinstance(item, Relation) and isinstance(item.left, Symbol)]
        if len(equations) == len(output.items):
            output = Mapping(tuple((item.left, item.right) for item in equations))
    if isinstance(output, Mapping):
        printed = {key.name: value for key, value in output.items if isinstance(key, Symbol)}
        folded = {name.casefold(): value for name, value in printed.items()}
        pairs = [(value, printed.get(name, folded.get(name.casefold()))) for name, value in stated]
        if len(printed) != len(stated) or any(other is None for _, other in pairs):
            return Finding(UNVERIFIABLE, "mapping")
        return combined([compare_values(one, other, rules) for one, other in pairs if other is not None], "mapping")
    items = items_of(output)
    if items is None or len(items) != len(stated):
        return Finding(UNVERIFIABLE, "different_kinds")
    findings = [compare_values(one, other, rules) for (_, one), other in zip(stated, items, strict=True)]
    if [name for name, _ in stated] != sorted(name for name, _ in stated):
        return Finding(UNVERIFIABLE, "mapping")  # which value is whose is a guess
    return combined(findings, "mapping")


def compare_equations(gold: Relation, output: Relation) -> Finding:
    """Equations with the same solutions: one is a multiple of the other, or the other fails on a solution."""
    sides = (gold.left, gold.right, output.left, output.right)
    if not all(isinstance(side, SCALARS) for side in sides):
        return Finding(UNVERIFIABLE, "equation")
    stated = total((gold.left, negated(gold.right)))  # type: ignore[arg-type]
    printed = total((output.left, negated(output.right)))  # type: ignore[arg-type]
    if free_symbols(stated) != free_symbols(printed):
        folded = {name.casefold(): name for name in free_symbols(stated)}
        names: dict[str, Value] = {
            name: Symbol(folded[name.casefold()]) for name in free_symbols(printed) if name.casefold() in folded
        }
        printed = renamed(printed, names)  # type: ignore[assignment]
    ratio = constant_ratio(stated, printed)
    if ratio:
        return Finding(VERIFIED, "equation")
    for one, other in ((gold, printed), (output, stated)):
        if (
            isinstance(one.left, Symbol)
            and isinstance(one.right, SCALARS)
            and one.left.name not in free_symbols(one.right)
        ):
            remainder = renamed(other, {one.left.name: one.right})
            if compare_scalars(remainder, Number(Fraction(0))).is_refuted:  # type: ignore[arg-type]
                return Finding(REFUTED, "equation")
    return Finding(UNVERIFIABLE, "equation")


def constant_ratio(stated: Scalar, printed: Scalar) -> int:
    """Sign of the constant that one scalar is of the other; 0 where it is none or not seen."""
    names = sorted(free_symbols(stated) | free_symbols(printed))
    quotient = product((stated, Pow(printed, MINUS_ONE)))
    for point in points(names, "real"):
        try:
            value = Evaluation(point, is_real=True)(quotient)
        except Undefined:
            continue
        size = Number(Fraction(int(value * 2**200), 2**200)) if abs(value) < 10**9 else None
        if size is None or not size.value:
            return 0
        same = compare_scalars(quotient, Number(size.value, 30, 30)) if names else None
        if same is not None and same.is_verified:
            return 1 if size.value > 0 else -1
        return 0
    return 0


def compare_inequalities(gold: Relation, output: Relation) -> Finding:
    """Inequalities in several symbols: multiples of each other, the sign turned where the factor is negative."""
    sides = (gold.left, gold.right, output.left, output.right)
    flipped = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!="}
    if not all(isinstance(side, SCALARS) for side in sides) or gold.op not in flipped or output.op not in flipped:
        return Finding(UNVERIFIABLE, "inequality")
    stated = total((gold.left, negated(gold.right)))  # type: ignore[arg-type]
    printed = total((output.left, negated(output.right)))  # type: ignore[arg-type]
    sign = constant_ratio(stated, printed)
    wanted = output.op if sign > 0 else flipped[output.op]
    if not sign:
        return Finding(UNVERIFIABLE, "inequality")
    return Finding(VERIFIED if wanted == gold.op else REFUTED, "inequality")
