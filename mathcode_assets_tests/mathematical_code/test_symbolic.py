"""What the rule-based translator finds in a passage, what it writes, and what it leaves alone."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathcode_assets.llm.generator import OK, Message, Parameters, Request
from mathcode_assets.mathematical_code.symbolic import (
    NO_COMPUTATIONS,
    SymbolicTranslator,
    translate_passage,
    write_completion,
)

FOUND = [
    ("The sum is $2+3=5$.", [("2+3", "5")]),
    ("A false one: $2+2=5$.", [("2+2", "5")]),
    (r"$x = 3 + 4 = 7$", [("3 + 4", "7")]),
    (r"$f(2) = 2^2+1 = 5$", [("2^2+1", "5")]),
    (r"$12 = 3 \cdot 4$", [(r"3 \cdot 4", "12")]),
    (
        r"$\frac{6}{8} = \frac{3}{4} = 0.75$",
        [(r"\frac{6}{8}", "0.75"), (r"\frac{6}{8}", r"\frac{3}{4}"), (r"\frac{3}{4}", "0.75")],
    ),
    (r"$\sqrt{2} \approx 1.414$", [(r"\sqrt{2}", "1.414")]),
    (r"$(x+y)^2 = x^2+2xy+y^2$", [("(x+y)^2", "x^2+2xy+y^2")]),
    (r"$a \cdot 0 = 0$", [(r"a \cdot 0", "0")]),
    (r"$\sin^2 t + \cos^2 t = 1$", [(r"\sin^2 t + \cos^2 t", "1")]),
    (r"$\frac{d}{dx}(x^2) = 2x$", [(r"\frac{d}{dx}(x^2)", "2x")]),
    (r"$\int 2x\,dx = x^2 + C$", [(r"\int 2x\,dx", "x^2 + C")]),
    (r"$\sum_{k=1}^n c = nc$", [(r"\sum_{k=1}^n c", "nc")]),
    (r"$3 \cdot 5 = 15\text{ cm}$", [(r"3 \cdot 5", r"15\text{ cm}")]),
    (r"\begin{align} 1+2+3 &= 3+3 \\ &= 6 \end{align}", [("1+2+3", "6"), ("1+2+3", "3+3"), ("3+3", "6")]),
]

LEFT_ALONE = [
    ("no mathematics", "2 + 2 = 4 in prose has no delimiters"),
    ("$x = 5$", "an assignment"),
    ("$f(x) = x^2$", "a definition"),
    (r"$A = \pi r^2$", "a definition"),
    ("$2x+3=7$", "a condition on x"),
    ("$x+y=5$", "a condition"),
    ("$PV = nRT$", "a law between quantities"),
    ("$x^2-5x+6=0$", "an equation to solve"),
    ("Solve $2(x+1) = x(x+1)$.", "posed as a problem"),
    ("$2+2 = 2+2$", "the same on both sides"),
    (r"$a_1 + \ldots + a_n = n$", "an ellipsis"),
    (r"$\log 100 = 2$", "a logarithm whose base is not given"),
    ("In a group $G$ we have $ab = ba$.", "letters that are no numbers"),
    (r"$\lim_{n\to\infty} a_n = 0$", "an unknown sequence"),
    ("$r^2 = r$", "a power of a letter: nothing to work out"),
    ("it costs $5 = five$ dollars", "money"),
    ("", "nothing"),
]


@pytest.mark.parametrize(("text", "pairs"), FOUND)
def test_computations_of_a_passage(text: str, pairs: list[tuple[str, str]]) -> None:
    found = translate_passage(text)
    assert [(computation.expression, computation.result) for computation in found] == pairs
    for computation in found:
        start, end = computation.expression_span
        assert text[start:end] == computation.expression
        start, end = computation.result_span
        assert text[start:end] == computation.result


@pytest.mark.parametrize(("text", "why"), LEFT_ALONE)
def test_what_is_no_computation_is_left_alone(text: str, why: str) -> None:
    assert translate_passage(text) == [], why


PRINTED = [
    (r"$70+\frac{9}{\sqrt{100}}=70.9$", "70.9"),
    (r"$\frac{24+24}{121}=\frac{1}{2}$", "48/121"),
    (r"$(x+1)^2 = x^2+2x+1$", "x**2 + 2*x + 1"),
    (r"$\int_0^1 x^2\,dx = \frac{1}{3}$", "1/3"),
    (r"$\frac{d}{dx}(x^3) = 3x^2$", "3*x**2"),
    (r"$\begin{vmatrix}1&2\\3&4\end{vmatrix} = -2$", "-2"),
    (r"$\lim_{x\to 0} \frac{\sin x}{x} = 1$", "1"),
    (r"$17 \bmod 5 = 2$", "2"),
    (r"$\sin 30^\circ = \frac{1}{2}$", "1/2"),
    (r"$2+2=5$", "4"),
    (r"$(8.4\times 10^{31}) / (2.1\times 10^{7}) = 4\times 10^{24}$", "4000000000000000000000000"),
]


@pytest.mark.parametrize(("text", "printed"), PRINTED)
def test_the_program_prints_what_the_expression_is_worth(text: str, printed: str) -> None:
    code = translate_passage(text)[0].code
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip().rstrip("0") == printed.rstrip("0")


@given(st.integers(-10_000, 10_000))
def test_the_stated_result_never_enters_the_program(stated: int) -> None:
    first, second = (translate_passage(f"$12 \\cdot 34 = {value}$")[0].code for value in (stated, 408))
    assert first == second


@given(st.text(alphabet="$x1+=^{}\\ a2,.()|/", max_size=60) | st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_gives_programs_that_compile(text: str) -> None:
    for computation in translate_passage(text):
        compile(computation.code, "program", "exec")
        start, end = computation.expression_span
        assert 0 <= start < end <= len(text)


def test_a_long_hostile_text_ends() -> None:
    for unit in ("$1+1=", "{", "$$ = ", r"\begin{align} 1 &= ", r"\quad\quad = ", "$x=$"):
        translate_passage(unit * (200_000 // len(unit)))


def test_a_completion_has_the_sections_that_prompts_ask_for() -> None:
    text = write_completion(translate_passage("We add. Here $2+3=5$ holds, and $4 \\cdot 5 = 20$."))
    headings = re.findall(r"^(### Computation \d|\*\*[A-Z][a-z ]+:\*\*|```\w*)", text, re.MULTILINE | re.IGNORECASE)
    one = ["**Conditions needed:**", "**Computation expression:**", "**Computation result:**"]
    fences = ["**Python code:**", "```python", "```"]
    assert headings == ["### Computation 1", *one, *fences, "### Computation 2", *one, *fences]
    assert "**Computation expression:** $4 \\cdot 5$\n" in text


def test_the_translator_answers_every_request_in_order() -> None:
    def request(*turns: tuple[str, str]) -> Request:
        messages = tuple(Message(role=role, content=content) for role, content in turns)
        return Request(messages=messages, model="symbolic", parameters=Parameters(), prompt_version="none")

    requests = [
        request(("system", "$1+1=2$"), ("user", "$9+1=10$"), ("user", "$2+3=5$")),
        request(("user", "nothing here")),
        request(("system", "$1+1=2$")),
    ]
    completions = list(SymbolicTranslator().generate(requests))
    assert [completion.key for completion in completions] == [request.key for request in requests]
    assert all(completion.status == OK and completion.finish_reason == "stop" for completion in completions)
    assert "$2+3$" in completions[0].text
    assert "9+1" not in completions[0].text
    assert [completion.text for completion in completions[1:]] == [NO_COMPUTATIONS] * 2


def test_translation_does_not_import_sympy() -> None:
    code = (
        "import sys; from mathcode_assets.mathematical_code.symbolic import translate_passage; "
        "translate_passage('$1+1=2$'); assert 'sympy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
