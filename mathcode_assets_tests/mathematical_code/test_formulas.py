"""Delimiters, stated values, and the place of an expression in its document."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathcode_assets.mathematical_code.formulas import expression_in, place_of, result_in, without_delimiters


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("$x$", "x"),
        ("$ x $", "x"),
        ("$$\nx\n$$", "x"),
        (r"\(x\)", "x"),
        (r"\[ x \].", "x"),
        ("**$x$**", "x"),
        ("`x`", "x"),
        (r"\begin{equation}x\end{equation}", "x"),
        ("$x$ and $y$", "$x$ and $y$"),
        ("$5 and $6", "$5 and $6"),
        ("1, 2, 3, ...", "1, 2, 3, ..."),
        (r"\text{\$}5", r"\text{\$}5"),
        ("$", "$"),
        ("", ""),
    ],
)
def test_delimiters_go_words_stay(text: str, bare: str) -> None:
    assert without_delimiters(text) == bare


@pytest.mark.parametrize(
    ("section", "result"),
    [
        ("$70.9$", "70.9"),
        ("The result is approximately 3.14 meters, so the rope is long enough.", "3.14 meters"),
        ("approximately 3.14", "3.14"),
        ("So the area equals $12$ square feet.", "12 square feet"),
        ("The answer is 42.", "42"),
        ("$x = 5$", "x = 5"),
        ("x = 5", "x = 5"),
        ("5 (rounded to two decimals)", "5"),
        ("$0.25$ (or 25%)", "0.25"),
        (r"Thus, $\boxed{\frac{1}{2}}$", r"\frac{1}{2}"),
        (r"\boxed{1} and finally \boxed{2}", "2"),
        (r"\boxed{1", r"\boxed{1"),
        ("$12.5$ \\%", "12.5\\%"),
        ("$3$\n\nThis shows that the series converges.", "3"),
        ("1,234.5", "1,234.5"),
        ("(1, 2)", "(1, 2)"),
        ("Yes", "Yes"),
        ("The number 7 is prime", "The number 7 is prime"),
        ("$1$, $2$ and $3$", "$1$, $2$ and $3$"),
    ],
)
def test_result_as_stated(section: str, result: str) -> None:
    assert result_in(section) == result


def test_expression_is_the_one_formula_or_all_of_it() -> None:
    assert expression_in("We compute $a + b$ here.") == "a + b"
    assert expression_in("$a$ and $b$") == "$a$ and $b$"
    assert expression_in("a + b") == "a + b"


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("a + b", "a + b"),
        ("a+b", "a + b"),
        (r"\frac{1}{ 2 }", r"\frac{1}{2}"),
        ("c", None),
        ("", None),
        ("xa", None),
    ],
)
def test_place_is_literal_or_differs_in_white_space(expression: str, found: str | None) -> None:
    text = r"Words: a + b and \frac{1}{2}, cab"
    span = place_of(expression, text, 0, len(text))
    assert (text[slice(*span)] if span else None) == found


def test_place_after_the_one_before_is_preferred() -> None:
    text = "n^2 and n^2"
    assert place_of("n^2", text, 0, len(text)) == (0, 3)
    assert place_of("n^2", text, 0, len(text), after=3) == (8, 11)
    assert place_of("n^2", text, 0, len(text), after=11) == (0, 3)


@given(st.text(max_size=60), st.text(max_size=8))
@settings(deadline=None)
def test_any_place_holds_the_expression(text: str, expression: str) -> None:
    span = place_of(expression, text, 0, len(text))
    if span:
        assert "".join(text[slice(*span)].split()) == "".join(expression.split())


@given(st.text(max_size=80))
@settings(deadline=None)
def test_any_section_is_read(text: str) -> None:
    expression_in(text)
    result_in(text)
