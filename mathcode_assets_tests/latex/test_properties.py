"""Trees written as LaTeX come back with the same value; any text is read or refused, never more."""

from __future__ import annotations

import ast

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from mathcode_assets.latex.nodes import LatexSyntaxError
from mathcode_assets.latex.python_source import latex_to_python
from mathcode_assets.latex.spans import find_math

X, Y = sympy.symbols("x y")
POINT = {X: sympy.Rational(7, 10), Y: sympy.Rational(13, 10)}

PIECES = st.sampled_from(
    [
        r"\frac",
        r"\sqrt",
        r"\sin",
        r"\left(",
        r"\right)",
        r"\left|",
        r"\right|",
        r"{",
        r"}",
        r"(",
        r")",
        r"[",
        r"]",
        r"|",
        r"^",
        r"_",
        r"+",
        r"-",
        r"=",
        r",",
        r".",
        r"!",
        r"%",
        r"&",
        r"\\",
        r"\int",
        r"\sum",
        r"\lim",
        r"d",
        r"x",
        r"y",
        r"e",
        r"i",
        r"1",
        r"2",
        r"0.5",
        r"\pi",
        r"\infty",
        r"\begin{pmatrix}",
        r"\end{pmatrix}",
        r"\text{",
        r"cm}",
        r"\{",
        r"\}",
        r"\cdot",
        r"/",
        r"\pm",
        r"\to",
        r"\in",
        r"$",
        r"'",
        r"\circ",
        r"\log",
        r"\binom",
        *(" ", r"\,", "\n", "−", "½", "²", "\u2028", "\x00"),
    ]
)


def leaves() -> st.SearchStrategy[tuple[str, sympy.Expr]]:
    numbers = st.integers(0, 99).map(lambda value: (str(value), sympy.Integer(value)))
    letters = st.sampled_from([("x", X), ("y", Y), (r"\pi", sympy.pi)])
    return numbers | letters


def grown(inner: st.SearchStrategy) -> st.SearchStrategy:
    two = st.tuples(inner, inner)
    return st.one_of(
        two.map(lambda p: (f"({p[0][0]} + {p[1][0]})", p[0][1] + p[1][1])),
        two.map(lambda p: (rf"\left({p[0][0]} - {p[1][0]}\right)", p[0][1] - p[1][1])),
        two.map(lambda p: (rf"{p[0][0]} \cdot {p[1][0]}", p[0][1] * p[1][1])),
        two.map(lambda p: (rf"\frac{{{p[0][0]}}}{{{p[1][0]} + 101}}", p[0][1] / (p[1][1] + 101))),
        inner.map(lambda p: (rf"\left({p[0]}\right)^{{2}}", p[1] ** 2)),
        inner.map(lambda p: (rf"\sqrt{{{p[0]}}}", sympy.sqrt(p[1]))),
        inner.map(lambda p: (rf"\sin\left({p[0]}\right)", sympy.sin(p[1]))),
        inner.map(lambda p: (rf"\left|{p[0]}\right|", sympy.Abs(p[1]))),
        inner.map(lambda p: (rf"\left(-{p[0]}\right)", -p[1])),
    )


@given(st.recursive(leaves(), grown, max_leaves=8))
@settings(max_examples=120, deadline=None)
def test_a_tree_written_as_latex_keeps_its_value(pair: tuple[str, sympy.Expr]) -> None:
    latex, value = pair
    code = latex_to_python(latex).code
    names = {name: getattr(sympy, name) for name in ("sqrt", "sin", "Abs", "Rational", "Integer", "pi")}
    found = sympy.sympify(eval(code, {"__builtins__": {}}, {**names, "x": X, "y": Y}))
    difference = sympy.N((found - value).subs(POINT), 30)
    size = abs(sympy.N(sympy.sympify(value).subs(POINT), 30))
    assert abs(difference) <= 1e-15 * (1 + size)


@given(st.lists(PIECES, max_size=25).map("".join) | st.text(max_size=60))
@settings(max_examples=400, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = latex_to_python(text)
    except LatexSyntaxError as error:
        assert 0 <= error.position <= len(text)
        return
    ast.parse(found.code, mode="eval")


@given(st.lists(PIECES, max_size=40).map("".join) | st.text(alphabet="$\\()[]ab 1\n", max_size=80))
def test_spans_are_in_order_and_inside(text: str) -> None:
    last = 0
    for span in find_math(text):
        assert last <= span.start < span.inner_start <= span.inner_end < span.end <= len(text)
        last = span.end


@pytest.mark.parametrize("latex", [r"\frac{7}{2}", "7/2", "3.5", r"3\frac{1}{2}", "3½"])
def test_several_ways_to_write_one_number(latex: str) -> None:
    code = latex_to_python(latex).code
    assert float(eval(code, {"Rational": sympy.Rational})) == 3.5
