import pytest
from hypothesis import given
from hypothesis import strategies as st

from mathcode_assets.annotation.seven_types import TYPES, messages, parse_type


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Type: 2", 2),
        ("2", 2),
        (" 2.\n", 2),
        ("**Type 2**", 2),
        ("The type is 2.", 2),
        ("Answer: Type: 3", 3),
        ("type 7", 7),
        ("Type: 2. The text has 5 paragraphs.", 2),
        ("The piece has 12 formulas and 3 lemmas.\n\nType: 1", 1),
        ("I would say this is number 4", 4),
        ("(6)", 6),
        ("Type: 2\nType: 2", 2),
        ("Type 2 - an idea, definition, theorem or method of mathematics", 2),
    ],
)
def test_an_answer_is_understood_in_many_forms(answer: str, expected: int) -> None:
    assert parse_type(answer).value == expected


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("It is mathematics.", "no_number"),
        ("Type: 1 or type: 2", "several_types"),
        ("1\n2", "several_types"),
        ("between 3 and 4", "several_types"),
        ("Type: 9", "out_of_range"),
        ("0", "out_of_range"),
        ("3.14159", "no_number"),
    ],
)
def test_an_unusable_answer_says_why(answer: str, reason: str) -> None:
    assert parse_type(answer) == (None, reason)


@given(st.text())
def test_any_answer_gives_a_type_or_a_reason(answer: str) -> None:
    parsed = parse_type(answer)
    assert (parsed.value in TYPES) != bool(parsed.reason)


def test_the_question_holds_the_block_unchanged_even_with_braces_in_it() -> None:
    block = r"Let $\frac{a}{b}$ and {types} be given."
    (message,) = messages(block)
    assert block in message.content
    assert all(f"{number}. " in message.content for number in TYPES)
