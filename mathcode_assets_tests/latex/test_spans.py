"""Where mathematics begins and ends in a text, and which dollars are money."""

from __future__ import annotations

import pytest

from mathcode_assets.latex.equations import find_equations
from mathcode_assets.latex.spans import find_math

TEXTS = [
    ("a $x+1$ b", ["x+1"]),
    ("$a$$b$", ["a", "b"]),
    ("$$a = b$$ and $c$", ["a = b", "c"]),
    (r"\(a\) and \[b\]", ["a", "b"]),
    (r"\begin{align*} a &= b \\ &= c \end{align*}", [r" a &= b \\ &= c "]),
    ("it costs $5 and $7 today", []),
    ("it costs $5, and $x=2$ holds", ["x=2"]),
    ("between $5 and $10 for $x$ apples", ["x"]),
    (r"\$5 and $y$", ["y"]),
    ("$ x^2 $", [" x^2 "]),
    ("open $x\n\nthen $y$", ["y"]),
    ("open $$x\n\nthen $y$", ["y"]),
    (r"$$ \text{for $x$} y $$", [r" \text{for $x$} y "]),
    (r"row \\[4pt] is no display, \[x\] is", ["x"]),
    (r"\begin{equation} x", []),
    ("$ $", []),
    ("", []),
]


@pytest.mark.parametrize(("text", "inner"), TEXTS)
def test_the_mathematics_of_a_text(text: str, inner: list[str]) -> None:
    assert [text[span.inner_start : span.inner_end] for span in find_math(text)] == inner


@pytest.mark.parametrize("unit", ["$", "$$", r"\(", r"\[", r"\begin{align}", "{", "$5 ", "\\", "$x", "\n\n$"])
def test_a_megabyte_of_openers_ends(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    assert sum(1 for _ in find_math(text)) <= len(text)


CHAINS = [
    ("$a = b = c$", [["a", "b", "c"]]),
    (r"\begin{align} x &= 1+1 \\ &= 2 \\ y &= 3 \end{align}", [["x", "1+1", "2"], ["y", "3"]]),
    (r"$$\begin{aligned} 1+2 &= 3,\quad\text{by hand}\\ &= 2+1 \end{aligned}$$", [["1+2", "3", "2+1"]]),
    (r"$2+2=4, \quad 3+3=6$", [["2+2", "4"], ["3+3", "6"]]),
    (r"$x=1 \implies x+1=2$", [["x", "1"], ["x+1", "2"]]),
    (r"$f(a, b) = (a = b)$", [["f(a, b)", "(a = b)"]]),
    (r"$1+1=2\text{ cm}.$", [["1+1", r"2\text{ cm}"]]),
    (r"$\;\; 1+1 = 2\,$", [["1+1", "2"]]),
    (r"$\text{−}\sqrt{4} = -2$", [[r"\text{−}\sqrt{4}", "-2"]]),
    ("$x+1$", []),
]


@pytest.mark.parametrize(("text", "chains"), CHAINS)
def test_operands_of_chains(text: str, chains: list[list[str]]) -> None:
    equations = [equation for span in find_math(text) for equation in find_equations(text, span)]
    assert [[operand.source for operand in equation.operands] for equation in equations] == chains
    for equation in equations:
        for operand in equation.operands:
            assert len(operand.source) == operand.end - operand.start
            assert 0 <= operand.start <= operand.end <= len(text)
