"""Verdicts on pairs a reader can check by eye."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mathcode_assets.records import REFUTED, UNVERIFIABLE, VERIFIED
from mathcode_assets.verification.compare import compare


def verdict(gold: str, output: str, expression: str = "") -> str:
    return compare(gold, output, expression=expression).verdict


EQUAL = [
    # integers, fractions, decimals
    ("10", "10.0"),
    ("0.5", "1/2"),
    (r"\frac{1}{3}", "0.3333333333333333"),
    ("0.33", "0.3333333333333333"),
    ("25", "25.0000000001"),
    ("2", "1.9999999999999996"),
    ("0", "1e-16"),
    ("1,000,000", "1000000"),
    (r"1.2\times 10^{-3}", "0.0012"),
    (r"6 \frac{3}{4}", "27/4"),
    (r"0.333\ldots", "0.33333333"),
    ("3:2", "3/2"),
    ("1267650600228229401496703205376", "1.2676506002282294e+30"),
    # percent, degrees, units, money
    (r"50\%", "0.5"),
    (r"50\%", "50"),
    ("0.5", "50%"),
    (r"12.5\%", "0.125"),
    (r"90^\circ", "90.0 degrees"),
    (r"45^\circ", "pi/4"),
    (r"10\text{ cm}", "10"),
    ("12 km", "12000 m"),
    (r"\$1,234.50", "1234.5"),
    ("1.5 million", "1500000"),
    # constants and symbolic expressions
    (r"\sqrt{2}", "1.4142135623730951"),
    (r"\pi", "3.14159"),
    ("3+4i", "(3+4j)"),
    (r"\log 100", "2"),
    (r"\log 8", "3*log(2)"),
    (r"\infty", "inf"),
    ("x^2-1", "(x - 1)*(x + 1)"),
    (r"\sin^2 x+\cos^2 x", "1"),
    (r"\sin^2 x+\cos^2 x = 1", "1"),
    (r"\theta + x_1", "theta + x1"),
    ("X^2", "x**2"),
    ("0.33x", "x/3"),
    ("x/3", "0.333333333333333*x"),
    ("n!", "factorial(n)"),
    (r"\sum_{k=1}^{10} k", "55"),
    ("(-1)^n", "cos(pi*n)"),
    # antiderivatives
    (r"\frac{x^3}{3}+C", "x**3/3"),
    (r"-\frac12\cos(2x)+C", "sin(x)**2"),
    (r"\ln|x|", "log(x)"),
    # labels, chains, equations
    ("42", "The answer is 42"),
    ("42", "x = 42"),
    ("5", "Sum: 2 + 3 = 5"),
    (r"\frac{40}{8} = 5", "5.0"),
    (r"\frac{2}{3} \approx 0.67", "0.6666666666666666"),
    (r"\approx 3", "3.14159"),
    ("f(x) = x^2", "x**2"),
    ("y=2x+1", "Eq(2*x - y, -1)"),
    ("x^2 - 1 = 0", "Eq(x**2, 1)"),
    ("y = C e^{x}", "Eq(y(x), C1*exp(x))"),
    # several values
    ("x=2, x=3", "[2, 3]"),
    (r"\{3,2\}", "{2, 3}"),
    (r"x = \pm 2", "[-2, 2]"),
    ("x=1,y=2", "{x: 1, y: 2}"),
    ("x=1,y=2", "x = 1\ny = 2"),
    ("(x, y) = (2, 3)", "{x: 2, y: 3}"),
    ("2, 3", "2\n3"),
    (r"\begin{pmatrix}1\\ 2\end{pmatrix}", "[1. 2.]"),
    (r"\begin{bmatrix}1&2\\3&4\end{bmatrix}", "[[1 2]\n [3 4]]"),
    (r"\begin{bmatrix}1&2\\3&4\end{bmatrix}", "array([[1, 2],\n       [3, 4]])"),
    # sets of reals
    (r"[0,1)", "Interval.Ropen(0, 1)"),
    (r"(1,\infty)", "Interval.open(1, oo)"),
    ("x>3", "(3 < x) & (x < oo)"),
    ("2x + 1 > 7", "x > 3"),
    (r"(-\infty, 3] \cup (5, \infty)", "(x <= 3) | (5 < x)"),
    (r"\mathbb{R}", "Reals"),
    # words
    ("true", "True"),
    (r"\text{No solution}", "no solution"),
    # several lines that say the same
    ("42", "42\n42.0"),
]

UNEQUAL = [
    ("3.15", "3.141592653589793"),
    ("1000", "1000.009"),
    ("0.001", "0.002"),
    ("7", "7.004"),
    ("0", "0.009"),
    ("-5", "5"),
    ("22/7", "3.14159"),
    ("12345678901", "12345678902.0"),
    (r"6.02\times10^{23}", "6.03e+23"),
    (r"\sqrt{2}", "1.5"),
    (r"\frac{\pi}{6}", "30"),
    (r"\infty", "-oo"),
    ("x^2+1", "x**2 - 1"),
    (r"\frac{1}{x+1}", "1/x + 1"),
    (r"\frac{a}{b}", "b/a"),
    (r"\sqrt{x^2}", "x"),
    ("|x|", "x"),
    (r"\frac{x^3}{3}", "x**3/3 + 1"),
    (r"\frac{40}{8} = 6", "5.0"),
    (r"\frac{40}{8} = 6", "6"),
    ("y=2x+1", "Eq(y, 2*x + 2)"),
    ("(3,2)", "(2, 3)"),
    (r"\{1,2,3\}", "{1, 2}"),
    ("x=1,y=2", "{x: 2, y: 1}"),
    (r"\begin{bmatrix}1&2\\3&4\end{bmatrix}", "[[1. 3.]\n [2. 4.]]"),
    ("[0,1)", "Interval(0, 1)"),
    ("x>3", "x >= 3"),
    (r"12\text{ km}", "12000"),
    (r"10\text{ cm}", "10 m"),
    ("false", "True"),
    ("yes", "no"),
    ("42", "Result: 41"),
]

OPEN = [
    (r"\frac{1}{3}", "0.333"),  # rounded to too few digits to confirm an exact value
    (r"\pi", "3.14"),
    ("0.3333", "0.33"),
    (r"45^\circ", "0.785398163"),  # radians or a wrong number of degrees?
    ("42", "42\n17"),
    ("5", ""),
    ("", "5"),
    ("", ""),
    ("k=3", "n=3"),
    ("E", "2.718281828"),  # energy or Euler's number
    ("5", "x"),
    ("nan", "nan"),
    ("1", "True"),
    (r"x \equiv 3 \pmod 7", "3"),
    ("1200_7", "1200"),
    ("(9, 3)", "Interval.open(9, 2)"),
    (r"\text{undefined}", "zoo"),
    ("42", "[42, 17]"),
    ("5", "Traceback (most recent call last):\nZeroDivisionError: division by zero"),
]


@pytest.mark.parametrize(("gold", "output"), EQUAL)
def test_equal_results_are_verified(gold: str, output: str) -> None:
    assert verdict(gold, output) == VERIFIED


@pytest.mark.parametrize(("gold", "output"), UNEQUAL)
def test_unequal_results_are_refuted(gold: str, output: str) -> None:
    assert verdict(gold, output) == REFUTED


@pytest.mark.parametrize(("gold", "output"), OPEN)
def test_undecided_results_are_unverifiable(gold: str, output: str) -> None:
    assert verdict(gold, output) == UNVERIFIABLE


@pytest.mark.parametrize(
    ("gold", "output"),
    # What the reference's execution filter keeps: its tolerance is an absolute 0.01, and what it cannot read passes.
    [
        ("5", ""),
        ("$5$", "7"),
        ("x = 5", "x = 9"),
        ("5", "Result: 7"),
        ("1/3", "0.9"),
        ("50%", "0.7"),
        ("0.001", "0.009"),
    ],
)
def test_wrong_results_the_reference_keeps(gold: str, output: str) -> None:
    assert verdict(gold, output) != VERIFIED


def test_an_indefinite_integral_allows_a_constant_without_saying_so() -> None:
    assert verdict(r"\frac{x^3}{3}", "x**3/3 + 1", expression=r"\int x^2 \, dx") == VERIFIED
    assert verdict(r"\frac{x^3}{3}", "x**3/3 + x", expression=r"\int x^2 \, dx") == REFUTED
    assert verdict("9", "10", expression=r"\int_0^3 x^2 \, dx") == REFUTED


def test_evidence_names_both_values_as_they_were_read() -> None:
    found = compare(r"\frac{1}{3}", "The answer is 0.25")
    assert (found.verdict, found.method) == (REFUTED, "decimal_half_unit")
    assert found.evidence == "stated 1/3, printed 0.25"


def test_evidence_is_short_and_valid_text() -> None:
    found = compare("x" * 5000, "\ud800" + "9" * 5000 + "\x00")
    assert len(found.evidence) <= 400
    assert found.evidence.isprintable()
    found.evidence.encode()


@pytest.mark.shared_data
def test_given_pairs(shared_data: Path) -> None:
    lines = (shared_data / "execution" / "result_pairs.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    verdicts = [verdict(row["gold"], row["output"]) for row in rows]
    false_accepts = [row for row, one in zip(rows, verdicts, strict=True) if one == VERIFIED and not row["equal"]]
    right = [row for row, one in zip(rows, verdicts, strict=True) if (one == VERIFIED) == row["equal"]]
    assert false_accepts == []
    assert len(right) >= 107


@pytest.mark.shared_data
def test_no_falsified_passage_is_verified(shared_data: Path) -> None:
    """The result of each passage is printed by a program; what is stated is that plus one."""
    lines = (shared_data / "passages" / "passages.jsonl").read_text().splitlines()
    expressions = [entry for line in lines for entry in json.loads(line)["expressions"]]
    assert len(expressions) == 264
    accepted = []
    for entry in expressions:
        for false in (f"{entry['result']} + 1", f"{entry['latex']} = {entry['result']} + 1"):
            if verdict(false, entry["result"], entry["latex"]) == VERIFIED:
                accepted.append((false, entry["result"]))
    assert accepted == []
