"""The parser of completions: awkward answers, random styles, any text at all, the reference's bugs."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathcode_assets.mathematical_code.extraction import Computation, computations_in
from mathcode_assets.mathematical_code.fences import Fence, elements_of
from mathcode_assets.mathematical_code.prompts import titled_answer
from mathcode_assets_tests.mathematical_code.awkward_completions import CASES, Case, Row


@pytest.mark.parametrize("case", [case for _, case in CASES], ids=[name for name, _ in CASES])
def test_awkward_answer(case: Case) -> None:
    found = computations_in(case.answer, language=case.language, finish_reason=case.finish_reason)
    assert [_row(computation, wanted) for computation, wanted in zip(found, case.rows, strict=False)] == list(case.rows)
    assert len(found) == len(case.rows)
    for computation in found:
        assert bool(computation.raw.strip()) == bool(computation.problem and case.answer.strip())


def _row(computation: Computation, wanted: Row) -> Row:
    return Row(
        expression=computation.expression,
        result=computation.result,
        code=computation.code,
        problem=computation.problem,
        conditions=None if wanted.conditions is None else computation.conditions,
    )


@pytest.mark.parametrize(
    "title", ["**{}:** {}", "**{}**: {}", "{}: {}", "- {}: {}", "2. {}: {}", "### {}\n{}", "*{}*: {}"]
)
def test_two_computations_never_become_one_whatever_the_titles(title: str) -> None:
    """The reference made one record of two computations without bold titles."""
    parts = [("a = 1", "a + 1", "2", "print(1 + 1)"), ("b = 2", "b + 3", "5", "print(2 + 3)")]
    answer = "\n\n".join(
        f"{title.format('Conditions', conditions)}\n{title.format('Expression', f'${expression}$')}\n"
        f"{title.format('Result', result)}\n```python\n{code}\n```"
        for conditions, expression, result, code in parts
    )
    found = [(c.conditions, c.expression, c.result, c.code, c.problem) for c in computations_in(answer)]
    assert found == [(*part, "") for part in parts]


def test_unclosed_fence_keeps_its_last_character() -> None:
    """The reference cut three characters off a block that was never closed, closed or not."""
    (computation,) = computations_in("Expression: $6 \\cdot 7$\nResult: 42\n```python\nprint(6 * 7)")
    assert computation.code == "print(6 * 7)"


LABELS = {
    "conditions": ["Conditions needed", "Conditions", "conditions required", "Given", "Assumptions"],
    "expression": ["Computation expression", "Expression", "LaTeX expression", "Formula", "EXPRESSION"],
    "result": ["Computation result", "Result", "Final answer", "Numerical result", "result"],
    "code": ["Python code", "Code", "Python code snippet", "Program"],
}
TITLE_STYLES = [
    "**{}:** ",
    "**{}**: ",
    "__{}:__ ",
    "### {}\n",
    "#### {}:\n\n",
    "{}: ",
    "{}:\n",
    "3. **{}:** ",
    "* **{}**: ",
]
DELIMITERS = ["${}$", "$$\n{}\n$$", "\\({}\\)", "\\[ {} \\]", "{}"]
FENCE_STYLES = [
    "```python\n{}\n```",
    "```\n{}\n```",
    "~~~py\n{}\n~~~",
    "````python3\n{}\n````",
    "  ```Python\n  {}\n  ```",
]


@st.composite
def computations(draw: st.DrawFn) -> tuple[str, str, str, str]:
    a, b = draw(st.integers(2, 10**6)), draw(st.integers(2, 10**6))
    return f"the factors are {a} and {b}", f"{a} \\cdot {b}", str(a * b), f"print({a} * {b})"


@st.composite
def rendered(draw: st.DrawFn, parts: list[tuple[str, str, str, str]]) -> str:
    title, delimiters = draw(st.sampled_from(TITLE_STYLES)), draw(st.sampled_from(DELIMITERS))
    fence, header = (
        draw(st.sampled_from(FENCE_STYLES)),
        draw(st.sampled_from(["", "### Computation {}\n\n", "**Example {}**\n"])),
    )
    labels = {name: draw(st.sampled_from(choices)) for name, choices in LABELS.items()}
    has_code_title = draw(st.booleans())
    line_end = draw(st.sampled_from(["\n", "\n\n", "\r\n"]))
    text = draw(st.sampled_from(["", "Here is what I found.\n\n"]))
    for number, (conditions, expression, result, code) in enumerate(parts, start=1):
        text += header.format(number)
        text += title.format(labels["conditions"]) + conditions + line_end
        text += title.format(labels["expression"]) + delimiters.format(expression) + line_end
        text += title.format(labels["result"]) + delimiters.format(result) + line_end
        text += (title.format(labels["code"]) if has_code_title else "") + "\n" + fence.format(code) + "\n" + line_end
    return text


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_known_computations_in_any_style_come_back_exactly(data: st.DataObject) -> None:
    parts = data.draw(st.lists(computations(), min_size=1, max_size=4, unique=True))
    answer = data.draw(rendered(parts))
    found = [(c.conditions, c.expression, c.result, c.code, c.problem) for c in computations_in(answer)]
    assert found == [(*part, "") for part in parts]


@given(st.lists(computations(), min_size=1, max_size=5, unique=True), st.integers(0, 400))
@settings(max_examples=150, deadline=None)
def test_json_cut_anywhere_keeps_its_whole_items(parts: list[tuple[str, str, str, str]], n_cut: int) -> None:
    names = ("conditions", "expression", "result", "code")
    answer = json.dumps({"computations": [dict(zip(names, part, strict=True)) for part in parts]})
    answer = answer[: max(1, len(answer) - n_cut)]
    found = computations_in(answer, finish_reason="length")
    whole = [(c.conditions, c.expression, c.result, c.code) for c in found if not c.problem]
    assert whole == parts[: len(whole)]
    assert len(whole) == answer.count("}") - answer.endswith("]}")
    assert [c.problem for c in found[len(whole) :]] in ([], ["truncated"])


ANSWER_PIECES = st.sampled_from(
    [
        "```",
        "```python",
        "~~~",
        "print(1 + 1)",
        "**Result:** 2",
        "Result: 3",
        "### Computation 2",
        "$x$",
        "\\[",
        "\n",
        "\n\n",
        "Conditions: a",
        "Code:",
        "**Expression:** $a$",
        '{"computations": [',
        '{"result": "1"}',
        "]}",
        "    x = 1",
        "> ",
        "- ",
        "**",
        "text",
    ]
)


@given(st.lists(st.one_of(ANSWER_PIECES, st.text(max_size=20)), max_size=30), st.sampled_from(["stop", "length"]))
@settings(max_examples=400, deadline=None)
def test_any_answer_is_accounted_for(pieces: list[str], finish_reason: str) -> None:
    """Never raises, gives a row or knows why not, and no marked program goes missing."""
    answer = "\n".join(pieces)
    found = computations_in(answer, finish_reason=finish_reason)
    assert found or '"computations"' in answer  # an empty list says that there are none
    normal = answer.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    kept = "".join("".join(c.code + c.raw for c in found).split())
    for element in elements_of(normal):
        if isinstance(element, Fence) and element.language == "python":
            for line in element.lines:
                if "print(" in line.text:
                    assert "".join(line.text.split()) in kept
    for computation in found:
        assert computation.problem or (computation.expression and computation.result and computation.code)


@given(st.text(max_size=300))
@settings(deadline=None)
def test_elements_hold_every_character_but_fence_marks(answer: str) -> None:
    position = 0
    for element in elements_of(answer):
        assert element.start == position
        position = element.end
    assert position == len(answer)


def test_long_answers_take_time_in_proportion() -> None:
    """A repetition loop of a megabyte is read like any other answer."""
    one = titled_answer(number=1, conditions="", expression="1+1", result="2", code="print(1+1)", language="python")
    found = computations_in((one + "\n\n") * 3_000)
    assert [computation.problem for computation in found] == ["", *["repeated"] * 2_999]
    assert computations_in("(" * 200_000)[0].problem == "unparsed"
    assert computations_in("```python\n" + "-" * 5_000 + "1\n```")[0].problem == "no_expression"
    assert computations_in("**" * 100_000 + "\n" + "$" * 100_001 + "\n```" * 1_000)
