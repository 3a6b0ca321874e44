import pytest
from hypothesis import given
from hypothesis import strategies as st

from mathcode_assets.filtering.hygiene import LABEL_PREFIX, clean_text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("one\ntwo\r\nthree", "one two three"),
        ("form\x0cfeed, line\u2028separator, next\x85line", "form feed, line separator, next line"),
        ("nul\x00byte and bell\x07", "nul byte and bell"),
        ("zero\u200bwidth \ufeffmark", "zero width mark"),
        (" \t\x00\u200b\n ", ""),
        ("$x^2$ stays as it is", "$x^2$ stays as it is"),
    ],
)
def test_every_kind_of_white_space_and_control_becomes_one_space(text: str, line: str) -> None:
    assert clean_text(text) == line


def test_letters_only_reads_the_same_with_and_without_formula_signs() -> None:
    with_formulas = "Let “x” be 3.5, so that $x^2$ → 12 – Größe"
    assert clean_text(with_formulas, letters_only=True) == "let x be so that x größe"


def test_only_the_first_characters_are_read() -> None:
    assert clean_text("abc " * 1_000, max_chars=7) == "abc abc"


_PIECES = st.lists(st.sampled_from(["</s>", "__label__", "__", " ", "\n", "a", "<", "\x00", "\u200b"])).map("".join)


@given(st.text() | _PIECES, st.booleans())
def test_no_token_means_anything_to_fasttext(text: str, letters_only: bool) -> None:
    line = clean_text(text, letters_only=letters_only)
    tokens = line.split(" ")
    assert not any(token.startswith(LABEL_PREFIX) or token == "</s>" for token in tokens)
    assert not set("\n\r\t\v\f\x00") & set(line)
    assert line == " ".join(line.split())
