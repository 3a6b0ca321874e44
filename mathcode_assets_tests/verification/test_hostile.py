"""Texts written to run, to hang, to crash, or to look like another value: none of them is verified or raises."""

from __future__ import annotations

import builtins
from typing import Any

import pytest

from mathcode_assets.records import REFUTED, UNVERIFIABLE, VERIFIED
from mathcode_assets.verification.compare import compare

HOSTILE = [
    "__import__('os').system('touch /tmp/x')",
    "().__class__.__bases__[0].__subclasses__()",
    "(lambda: 42)()",
    "[42 for _ in range(10**9)]",
    "open('/etc/passwd').read()",
    "eval('42')",
    "exec('x = 42')",
    "f'{42}'",
    "sqrt.__globals__",
    "np.__loader__",
    "Interval.open.__class__",
    "9**9**9**9",
    "10**10**10",
    "-" * 5000 + "42",
    "(" * 5000 + "42" + ")" * 5000,
    "[" * 90 + "42" + "]" * 90,
    "not " * 3000 + "True",
    "factorial(10**9)",
    "factorial(factorial(100))",
    "binomial(10**9, 10**8)",
    "exp(exp(exp(100)))",
    "sin(10**(10**6))",
    "gamma(10**30)",
    "zeta(10**20)",
    "fibonacci(10**12)",
    "Sum(1/x, (x, 1, 10**12))",
    "Sum(1/n, (n, 1, oo))",
    "Sum(Sum(Sum(a*b*c, (a, 1, 4000)), (b, 1, 4000)), (c, 1, 4000))",
    "Product(x, (x, 1, 10**9))",
    "RootOf(x**1000 - 2, 0)",
    "Matrix(10**6, 10**6, [1])",
    "1e999999999",
    "9" * 1_000_000,
    "x" * 1_000_000,
    "1+" * 200_000 + "1",
    "1/0",
    "0**0 / 0",
    "nan",
    "zoo",
    "None",
    "...",
    "*",
    "42\x00",
    "\ud800",
    "42\u202e",
    "\u202e24",
    "10\u00b2",
    "{}",
    "{42: }",
    "42 if True else 17",
    "42; import os",
    "x := 42",
    "print(42)",
    "\\" * 10_000,
    "$" * 10_000,
    "=" * 10_000,
    ":" * 10_000,
    "a=" * 5_000,
    ",".join(["1"] * 60_000),
    "\n".join(["42"] * 10_000 + ["17"]),
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:40]))
def test_hostile_output_is_not_verified(text: str) -> None:
    assert compare("42", text).verdict in (REFUTED, UNVERIFIABLE)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:40]))
def test_hostile_result_is_not_verified(text: str) -> None:
    assert compare(text, "42").verdict in (REFUTED, UNVERIFIABLE)


def test_nothing_is_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*arguments: Any, **keywords: Any) -> None:
        raise AssertionError("evaluated")

    monkeypatch.setattr(builtins, "eval", forbidden)
    monkeypatch.setattr(builtins, "exec", forbidden)
    monkeypatch.setattr(builtins, "open", forbidden)
    for text in HOSTILE[:12]:
        compare(text, text)


@pytest.mark.parametrize(
    ("gold", "output", "verdict"),
    [
        ("42", "４２", VERIFIED),  # full-width digits are digits
        ("42", "٤٢", UNVERIFIABLE),  # digits of another script are not read
        ("102", "10²", REFUTED),  # a raised digit is an exponent, never a digit
        ("100", "10²", VERIFIED),
        ("-5", "\N{MINUS SIGN}5", VERIFIED),
        ("3/2", "1½", VERIFIED),
    ],
)
def test_digits_that_look_alike(gold: str, output: str, verdict: str) -> None:
    assert compare(gold, output).verdict == verdict


@pytest.mark.parametrize("text", ["", " ", "\n\n", "error", "no idea", "None"])
def test_text_is_no_number(text: str) -> None:
    assert compare("5", text).verdict == UNVERIFIABLE


def test_a_list_of_many_values_is_compared_in_order() -> None:
    values = ", ".join(str(number) for number in range(500))
    assert compare(f"({values})", f"[{values}]").verdict == VERIFIED
    assert compare(f"({values})", f"[{values}, 500]").verdict == REFUTED
