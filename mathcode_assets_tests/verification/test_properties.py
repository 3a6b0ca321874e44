"""Whatever is printed of a value is verified against it, whatever differs is not, and nothing raises."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from mathcode_assets.records import REFUTED, UNVERIFIABLE, VERIFIED
from mathcode_assets.verification.compare import compare

VERDICTS = {VERIFIED, REFUTED, UNVERIFIABLE}
integers = st.integers(-(10**12), 10**12)
rationals = st.fractions(min_value=-1000, max_value=1000, max_denominator=999)
PIECES = [r"\frac{1}{2}", "x", "^2", "+", "-", "=", "(", ")", "[", "]", "{", "}", ",", "1", "0.5", r"\sqrt", "e", "i"]
PIECES += [
    "sqrt(",
    "oo",
    r"\pi",
    "%",
    "$",
    r"\text{ cm}",
    "log",
    "!",
    "|",
    " ",
    "\n",
    ":",
    "is",
    "**",
    "1e9",
    "Eq(",
    "_",
]
texts = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
decimals = st.tuples(st.integers(-(10**6), 10**6), st.integers(1, 6))


def latex(value: Fraction) -> str:
    sign = "-" if value < 0 else ""
    whole = str(abs(value.numerator))
    return sign + (whole if value.denominator == 1 else rf"\frac{{{whole}}}{{{value.denominator}}}")


def decimal(digits: int, places: int) -> str:
    text = str(abs(digits)).rjust(places + 1, "0")
    return ("-" if digits < 0 else "") + f"{text[:-places]}.{text[-places:]}"


@settings(deadline=None)
@given(rationals)
def test_a_rational_in_any_print_is_verified(value: Fraction) -> None:
    for printed in (
        str(value),
        repr(value),
        repr(float(value)),
        f"x = {value}",
        f"The answer is {value}",
        f"[{value}]",
    ):
        assert compare(latex(value), printed).verdict == VERIFIED


@settings(deadline=None)
@given(rationals, rationals)
def test_another_rational_is_refuted(value: Fraction, other: Fraction) -> None:
    for printed in (str(other), f"Result: {other}", repr(float(other))):
        assert (compare(latex(value), printed).verdict == VERIFIED) == (value == other)


@settings(deadline=None)
@given(integers, st.sampled_from([-1, 1, 10, -100]))
def test_an_integer_is_never_its_neighbour(value: int, step: int) -> None:
    assert compare(str(value), str(value + step)).verdict == REFUTED
    assert compare(str(value), repr(float(value + step))).verdict == REFUTED
    assert compare(f"{value:,}", str(value)).verdict == VERIFIED


@settings(deadline=None)
@given(decimals, st.integers(-49, 49))
def test_a_decimal_accepts_what_rounds_to_it(stated: tuple[int, int], hundredths: int) -> None:
    digits, places = stated
    output = decimal(100 * digits + hundredths, places + 2)
    assert compare(decimal(digits, places), output).verdict == VERIFIED


@settings(deadline=None)
@given(decimals, st.integers(52, 10_000), st.booleans())
def test_a_decimal_refuses_what_does_not(stated: tuple[int, int], hundredths: int, below: bool) -> None:
    digits, places = stated
    output = decimal(100 * digits + (-hundredths if below else hundredths), places + 2)
    assert compare(decimal(digits, places), output).verdict == REFUTED


@settings(deadline=None)
@given(st.lists(st.lists(rationals, min_size=2, max_size=2), min_size=2, max_size=3), st.integers(0, 3))
def test_matrices(rows: list[list[Fraction]], place: int) -> None:
    gold = (
        r"\begin{pmatrix}" + r" \\ ".join(" & ".join(latex(value) for value in row) for row in rows) + r"\end{pmatrix}"
    )
    text = ", ".join("[" + ", ".join(str(value) for value in row) + "]" for row in rows)
    assert compare(gold, f"Matrix([{text}])").verdict == VERIFIED
    changed = [list(row) for row in rows]
    changed[place // 2][place % 2] += 1
    text = ", ".join("[" + ", ".join(str(value) for value in row) + "]" for row in changed)
    assert compare(gold, f"Matrix([{text}])").verdict == REFUTED


@settings(deadline=None)
@given(st.lists(st.integers(-20, 20), min_size=1, max_size=5, unique=True), st.randoms(use_true_random=False))
def test_a_set_has_no_order(values: list[int], generator: object) -> None:
    shuffled = sorted(values, key=lambda value: (value * 7919) % 101)
    gold = r"\{" + ", ".join(map(str, values)) + r"\}"
    assert compare(gold, str(shuffled)).verdict == VERIFIED
    assert compare(gold, str([*shuffled[1:], 21])).verdict == REFUTED


@settings(deadline=None)
@given(st.lists(st.integers(-9, 9), min_size=2, max_size=5), st.integers(0, 4))
def test_polynomials_by_their_coefficients(coefficients: list[int], place: int) -> None:
    def polynomial(numbers: list[int], power: str, times: str) -> str:
        return " + ".join(f"({number}){times}x{power}{degree}" for degree, number in enumerate(numbers))

    gold = polynomial(coefficients, "^", " ")
    assert compare(gold, polynomial(coefficients[::1], "**", "*")).verdict == VERIFIED
    changed = list(coefficients)
    changed[place % len(changed)] += 1
    assert compare(gold, polynomial(changed, "**", "*")).verdict != VERIFIED


@settings(deadline=None)
@given(rationals, rationals)
def test_exact_values_are_compared_alike_from_both_sides(one: Fraction, other: Fraction) -> None:
    assert compare(str(one), str(other)).verdict == compare(str(other), str(one)).verdict


@settings(deadline=None)
@given(texts, texts)
def test_pieces_of_mathematics_get_a_verdict(gold: str, output: str) -> None:
    found = compare(gold, output)
    assert found.verdict in VERDICTS
    assert found == compare(gold, output)


@settings(deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_gets_a_verdict(gold: str, output: str) -> None:
    assert compare(gold, output).verdict in VERDICTS
