import pytest

from mathcode_assets.annotation.related import messages, parse_relation


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("related", True),
        ("Related.", True),
        ("**related**", True),
        ("Yes", True),
        ("not related", False),
        ("Not really related.", False),
        ("unrelated", False),
        ("No.", False),
    ],
)
def test_verdicts(answer: str, expected: bool) -> None:
    assert parse_relation(answer).value is expected


@pytest.mark.parametrize(
    ("answer", "reason"),
    [("", "empty"), ("Maybe", "no_verdict"), ("related / not related", "both_verdicts")],
)
def test_an_unusable_answer_says_why(answer: str, reason: str) -> None:
    assert parse_relation(answer) == (None, reason)


def test_the_question_holds_the_text() -> None:
    assert "{x} = {y}" in messages("{x} = {y}")[0].content
