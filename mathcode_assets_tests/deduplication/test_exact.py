"""Which texts are the same."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mathcode_assets.deduplication import exact
from mathcode_assets.deduplication.exact import CODE, PROSE, content_hash


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Let $x = 2$.\n\nThen", "Let $x = 2$. Then"),
        ("  a\tb  ", "a b"),
        ("a\r\nb", "a\nb"),
        ("a\u00a0b", "a b"),
        ("a\u2028b\x0cc", "a b c"),
        ("caf\u00e9", "cafe\u0301"),  # one letter, spelt in two ways
    ],
)
def test_prose_that_is_the_same(one: str, other: str) -> None:
    assert content_hash(one, PROSE) == content_hash(other, PROSE)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Let x be", "let x be"),
        ("2\u2075 = 32", "25 = 32"),  # NFKC would make an exponent a digit
        ("x\u00b2 + 1", "x2 + 1"),
        ("a b", "ab"),
        ("a", "a."),
    ],
)
def test_prose_that_differs(one: str, other: str) -> None:
    assert content_hash(one, PROSE) != content_hash(other, PROSE)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1\ny = 2\n", "x = 1\r\ny = 2"),
        ("x = 1   \ny = 2\t", "x = 1\ny = 2"),
        ("\n\nx = 1\n\n\n", "x = 1"),
        ("\ufeffimport sympy", "import sympy"),
        ("a\n   \nb", "a\n\nb"),
    ],
)
def test_code_that_is_the_same(one: str, other: str) -> None:
    assert content_hash(one, CODE) == content_hash(other, CODE)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("if x:\n    a()\n    b()", "if x:\n    a()\nb()"),
        ("    x = 1", "x = 1"),
        ("N = 1", "n = 1"),
        ("s = 'a  b'", "s = 'a b'"),
        ("a\n\nb", "a\nb"),
        ("s = '\u00e9'", "s = 'e\u0301'"),
        ("a\n\x0cb", "a\nb"),
    ],
)
def test_code_that_differs(one: str, other: str) -> None:
    assert content_hash(one, CODE) != content_hash(other, CODE)


def test_texts_of_two_kinds_are_never_the_same() -> None:
    assert content_hash("import sympy", PROSE) != content_hash("import sympy", CODE)


@given(st.text(), st.integers(1, 5))
def test_prose_is_folded_alike_however_long_the_pieces(text: str, size: int) -> None:
    whole = " ".join(unicodedata.normalize("NFC", text).split())
    pieces = exact.pieces_at_white_space
    try:
        exact.pieces_at_white_space = lambda long_text: pieces(long_text, size=size)
        assert "".join(exact.normalised_prose(text)) == whole
    finally:
        exact.pieces_at_white_space = pieces


def test_a_long_text_is_hashed_in_pieces() -> None:
    words = "theorem proof lemma " * 200_000
    assert content_hash(words, PROSE) == content_hash(words.replace(" ", "\n\n"), PROSE)
    assert content_hash("x" * 3_000_000, PROSE) != content_hash("x" * 3_000_001, PROSE)
