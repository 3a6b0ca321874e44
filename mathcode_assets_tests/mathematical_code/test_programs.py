"""Programs judged without being run."""

from __future__ import annotations

import pytest

from mathcode_assets.mathematical_code.programs import cleaned, continues, only_states_its_result, parsed


@pytest.mark.parametrize(
    "code",
    [
        'print("70.9")',
        "print(70.9)",
        "result = 70.9\nprint(result)",
        'result = 70.9\nprint(f"{result:.1f}")',
        'print("%.1f" % 70.9)',
        'print("x =", 4)',
        "import math\n\n# the area\nprint(28.27)",
        "from fractions import Fraction\nprint(Fraction(1, 3))",
        "import sympy as sp\nprint(sp.Rational(709, 10))",
        "def main():\n    print(5)\n\nif __name__ == '__main__':\n    main()",
        "a = 2 * 3\nprint(6)",
        "def area(r):\n    'The area.'\n    return 28.27\n\nr = 3\nprint(area(r))",
        "print((1, -2))",
        "print(round(70.94, 1))",
        "import sys\nsys.stdout.write('5')",
    ],
)
def test_program_that_only_states_its_result(code: str) -> None:
    assert only_states_its_result(code)


@pytest.mark.parametrize(
    "code",
    [
        "print(70 + 0.9)",
        "x = 1\nx = x + 1\nprint(x)",
        "x = 1\nx += 1\nprint(x)",
        "for x in (1, 2):\n    print(x)",
        "if 7 % 2:\n    print('odd')",
        "import math\nprint(math.pi)",
        "import sympy as sp\nprint(sp.solve('x**2 - 4'))",
        "def f(x):\n    print(x)\n\nf(2 * 3)",
        "def area(r):\n    return 3 * r\n\nprint(area(2))",
        "def area(r):\n    if r:\n        return 3\n    return 4\n\nprint(area(2))",
        "x = 5",
        "print(",
        "",
        "print(max(1, 2))",
        "from sympy import Rational\n\nresult = Rational(4800, 120)\nprint(result)",
        "from fractions import Fraction\nprint(Fraction(-3, 3))",
    ],
)
def test_program_that_computes_or_prints_nothing(code: str) -> None:
    assert not only_states_its_result(code)


def test_second_block_continues_only_what_it_needs() -> None:
    assert continues("r = 3", "print(r**2)")
    assert continues("def f(x):\n    return x", "print(f(2))")
    assert not continues("r = 3", "print(3**2)"), "needs nothing of the first"
    assert not continues("r = 3\nprint(r)", "print(r**2)"), "the first prints"
    assert not continues("r = 3", "r = 4\nprint(r)"), "binds the name itself"
    assert not continues("r = ", "print(r)"), "no program"


def test_cleaned_takes_off_what_mark_up_added() -> None:
    assert cleaned("\n    a = 1\n    if a:\n        b = 2\n\n") == "a = 1\nif a:\n    b = 2"
    assert cleaned(">>> a = 1\n>>> a\n1") == "a = 1\na"
    assert cleaned("a = 1\n  b = 2 ") == "a = 1\n  b = 2"


@pytest.mark.parametrize(
    "code", ["(" * 300, "-" * 50_000 + "1", "x = '\\s'", "\0", "[" * 150 + "]" * 150, "a" * 300_000]
)
def test_hostile_sources_are_parsed_or_refused_without_an_exception(code: str) -> None:
    parsed(code)
    only_states_its_result(f"print({code})")
