"""Long texts are cut before white space, and nothing is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mathcode_assets.text.pieces import pieces_at_white_space

TEXTS = st.text(st.sampled_from("ab \n\u2028\x1cé")) | st.text()


@given(TEXTS, st.integers(1, 6), st.none() | st.integers(6, 9))
def test_the_pieces_are_the_text(text: str, size: int, longest: int | None) -> None:
    pieces = list(pieces_at_white_space(text, size=size, longest=longest))
    assert "".join(pieces) == text
    assert all(pieces)
    if longest is not None:
        assert all(len(piece) <= longest for piece in pieces)


@given(TEXTS, st.integers(1, 6))
def test_no_word_and_no_run_of_white_space_is_cut(text: str, size: int) -> None:
    for piece in list(pieces_at_white_space(text, size=size))[1:]:
        assert piece[0].isspace()
    words = [word for piece in pieces_at_white_space(text, size=size) for word in piece.split()]
    assert words == text.split()


def test_a_border_is_the_start_of_a_run() -> None:
    assert list(pieces_at_white_space("aaa   bbb cc", size=4)) == ["aaa   bbb", " cc"]
    assert list(pieces_at_white_space("aaa bbb cc", size=3)) == ["aaa", " bbb", " cc"]


def test_a_text_without_white_space_is_cut_only_where_a_longest_piece_is_asked_for() -> None:
    assert list(pieces_at_white_space("x" * 10, size=3)) == ["x" * 10]
    assert list(pieces_at_white_space("x" * 10, size=3, longest=4)) == ["xxxx", "xxxx", "xx"]
    assert list(pieces_at_white_space("", size=3)) == []
