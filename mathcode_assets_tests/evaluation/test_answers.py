r"""Answers out of completions as models write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mathcode_assets.evaluation.answers import (
    BOXED,
    LAST_NUMBER,
    MAX_ANSWER_CHARS,
    NOTHING,
    STATED,
    extract_answer,
    extract_option,
    last_box,
)


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("so it is 3 * 6 = 18. The answer is 18.", "18"),
        ("The answer is 3.5.", "3.5"),
        ("The answer is: **1,234** dollars.", "**1,234** dollars".replace("*", "")),
        ("The answer is $\\boxed{\\frac{1}{2}}$.", "\\frac{1}{2}"),
        ("Thus \\boxed{\\text{(a, b)} \\{1, 2\\}} is it", "\\text{(a, b)} \\{1, 2\\}"),
        ("First \\boxed{1}, no: \\boxed{2}.", "2"),
        ("\\boxed 7 and done", "7"),
        ("\\fbox{12}", "12"),
        ("an unclosed \\boxed{3 + 4", "4"),
        ("\\boxed{} so the answer is 9.", "9"),
        ("5 + 6 = 11 apples\n#### 11", "11"),
        ("#### 1,080", "1,080"),
        ("Final Answer: The final answer is $x^2 + 1$. I hope it is correct.", "x^2 + 1"),
        ("The answer is $18.", "$18"),
        ("The answer is $18 per day.", "$18 per day"),
        ("The answer is \\$15.48.", "\\$15.48"),
        ("The answer is approximately 0.33.", "0.33"),
        ("The answer is therefore \\(2\\sqrt{3}\\).", "2\\sqrt{3}"),
        ("The answer is\n\n$$\\frac{3}{4}$$", "\\frac{3}{4}"),
        ("The answer is $-2$, $2$.", "-2, 2"),
        ("The answers are $1$, $2$ and $x = 3$, as wanted.", "1, 2, x = 3"),
        ("The answer is $5$ apples. They cost $7$.", "5"),
        ("The answer is $18 per day, $36 in two.", "$18 per day, $36 in two"),
        ("The answer is 40 because 4 * 10 = 40", "40"),
        ("ANSWER: 12", "12"),
        ("There are 4 boxes, so 3 apples each", "3"),
        ("It costs 1,250.75 in all", "1,250.75"),
        ("we get 10-5", "5"),
        ("that is x = -5", "-5"),
        ("that is x = \u22125", "-5"),
        ("half of it: 3/4 of a litre", "3/4"),
        ("it is \\frac{2}{3} then", "\\frac{2}{3}"),
        ("growth of 25%", "25%"),
        ("about 3e8 m/s", "3e8"),
        ("The answer is 5.\n\nProblem: What is 2 + 2?\nSolution: The answer is 4.", "5"),
        ("The answer is 5.\nQuestion: and 6?\nThe answer is 6.", "5"),
        ("The answer is not known. After all 8", "not known"),
    ],
)
def test_finds_the_answer(completion: str, answer: str) -> None:
    assert extract_answer(completion).text == answer


@pytest.mark.parametrize("completion", ["", "\n", "I do not know", "Problem: 7?", "\x00\u2028\x0c"])
def test_finds_nothing_where_nothing_is(completion: str) -> None:
    found = extract_answer(completion)
    assert (found.text, found.method) == ("", NOTHING) or "Problem" in completion


def test_says_where_it_stood() -> None:
    assert extract_answer("\\boxed{1}").method == BOXED
    assert extract_answer("the answer is 1").method == STATED
    assert extract_answer("1").method == LAST_NUMBER


@pytest.mark.parametrize(
    ("completion", "letter"),
    [
        ("so x = 9. The answer is C.", "C"),
        ("The answer is (b).", "B"),
        ("The correct option is (D), since", "D"),
        ("The answer is $\\boxed{\\text{(B)}}$.", "B"),
        ("\\boxed{A}", "A"),
        ("\\boxed{\\text{C}}", "C"),
        ("**Answer: D**", "D"),
        (" B", "B"),
        ("A.", "A"),
        ("Both fail, which leaves (C)", "C"),
        ("The answer is A. The other answer is wrong. So the answer is B.", "B"),
        ("The answer is a number. We choose (A).", "A"),
        ("The answer is Ahmed's.", ""),
        ("The answer is E.", ""),
        ("no letter here", ""),
        ("A man walks 5 km", "A"),
        ("", ""),
    ],
)
def test_finds_the_option(completion: str, letter: str) -> None:
    assert extract_option(completion, 4).text == letter


@given(st.text(alphabet="\\boxed{} $.19aA(\n#,-%", max_size=200))
def test_never_fails_and_stays_short(completion: str) -> None:
    found = extract_answer(completion)
    assert len(found.text) <= MAX_ANSWER_CHARS
    assert (found.method == NOTHING) == (found.text == "")
    assert extract_option(completion, 4).text in ("", "A", "B", "C", "D")


@given(st.text(max_size=50).filter(lambda text: text.strip() and not set(text) & set("{}\\")))
def test_reads_back_any_box(inner: str) -> None:
    assert last_box(f"so \\boxed{{{inner}}}.") == inner.strip()


def test_a_long_loop_is_read_quickly() -> None:
    assert extract_answer("the answer is " * 20_000 + "4").text == "4"
    assert extract_answer("\\boxed{" * 3_000).text == ""
