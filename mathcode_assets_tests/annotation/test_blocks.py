import pytest
from hypothesis import given
from hypothesis import strategies as st

from mathcode_assets.annotation.blocks import split_blocks

_WHITE = st.sampled_from([" ", "\n", "\n\n", "\n \n", "\t", "word", "a sentence. ", "x" * 30, "\u2028"])


def test_paragraphs_are_put_together_while_they_fit() -> None:
    text = "one\n\ntwo\n\nthree\n\nfour"
    assert list(split_blocks(text, 12)) == ["one\n\ntwo\n\n", "three\n\nfour"]


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("First one. Second one. Third", ["First one. ", "Second one. ", "Third"]),
        ("alpha beta gamma delta", ["alpha beta ", "gamma delta"]),
        ("line one\nline two\nl3", ["line one\n", "line two\nl3"]),
        ("x" * 30, ["x" * 12, "x" * 12, "x" * 6]),
    ],
)
def test_a_long_paragraph_is_cut_at_the_best_border(text: str, blocks: list[str]) -> None:
    assert list(split_blocks(text, 12)) == blocks


def test_nothing_gives_nothing() -> None:
    assert list(split_blocks("", 10)) == []
    with pytest.raises(ValueError, match="at least one"):
        list(split_blocks("a", 0))


@given(st.text() | st.lists(_WHITE).map("".join), st.integers(1, 60))
def test_blocks_lose_nothing_and_are_never_too_long(text: str, max_chars: int) -> None:
    blocks = list(split_blocks(text, max_chars))
    assert "".join(blocks) == text
    assert all(0 < len(block) <= max_chars for block in blocks)


def test_a_huge_text_without_white_space_takes_linear_time() -> None:
    assert sum(map(len, split_blocks("y" * 5_000_000, 5_000))) == 5_000_000
