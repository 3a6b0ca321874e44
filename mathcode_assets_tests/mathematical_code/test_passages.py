"""Documents in passages: nothing cut off, borders where a reader would put them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathcode_assets.mathematical_code.passages import PassageConfig, passages


def _texts(text: str, max_chars: int) -> list[str]:
    return [passage.text for passage in passages(text, PassageConfig(max_chars=max_chars))]


def test_document_that_fits_is_one_passage_without_context() -> None:
    (passage,) = passages("One.\n\nTwo.")
    assert (passage.number, passage.start, passage.end, passage.text) == (0, 0, 10, "One.\n\nTwo.")
    assert passage.context == ""


def test_empty_document_has_none() -> None:
    assert list(passages("")) == []


def test_paragraphs_stay_whole_and_keep_their_blank_lines() -> None:
    assert _texts("aaaa aaaa\n\nbbbb bbbb\n\n\ncccc cccc", 24) == ["aaaa aaaa\n\nbbbb bbbb\n\n\n", "cccc cccc"]


def test_long_paragraph_is_cut_after_a_line_else_a_sentence_else_a_word() -> None:
    assert _texts("one line here\nanother line\nlast", 20) == ["one line here\n", "another line\nlast"]
    assert _texts("A first sentence. A second one. A third.", 20) == [
        "A first sentence. ",
        "A second one. ",
        "A third.",
    ]
    assert _texts("words without any end or border", 12) == ["words ", "without any ", "end or ", "border"]
    assert _texts("x" * 25, 10) == ["x" * 10, "x" * 10, "x" * 5]


@pytest.mark.parametrize(
    ("opening", "closing"),
    [("$$", "$$"), ("\\[", "\\]"), ("\\begin{align*}", "\\end{align*}"), ("```python", "```"), ("~~~", "~~~")],
)
def test_formulas_environments_and_programs_stay_whole(opening: str, closing: str) -> None:
    display = f"{opening}\na = b. c\n\nd = e\n{closing}\n"
    text = f"Some words that lead to it.\n{display}And some more of them."
    assert any(display in passage for passage in _texts(text, 28 + len(display) - 12))


def test_inline_formula_is_not_cut_at_a_full_stop_inside_it() -> None:
    text = "The value of $f(x. y) = 1$ is known. Next words"
    assert _texts(text, 40) == ["The value of $f(x. y) = 1$ is known. ", "Next words"]


def test_formula_longer_than_a_passage_is_cut_all_the_same() -> None:
    text = "Words.\n\\begin{align}\n" + "a = b \\\\\n" * 20 + "\\end{align}\nMore."
    found = _texts(text, 60)
    assert "".join(found) == text
    assert all(passage.endswith("\n") for passage in found[:-1])


def test_context_is_the_heading_and_the_end_of_the_paragraph_before() -> None:
    text = "# Circles\n\nWe measure areas in metres.\n\nLet the radius be 3.\n\n" + "The area follows from it. " * 3
    first, second = passages(text, PassageConfig(max_chars=90, context_chars=60))
    assert first.text.endswith("Let the radius be 3.\n\n")
    assert second.context == "# Circles\n\nLet the radius be 3."
    assert text[second.start : second.end] == second.text


def test_title_line_of_a_page_is_its_heading() -> None:
    found = list(passages("The birthday problem\n\n" + "A sentence about it.\n\n" * 8, PassageConfig(max_chars=80)))
    assert found[2].context.startswith("The birthday problem\n\n")


PIECES = st.sampled_from(
    ["\n", "\n\n", " ", "word", "A. ", "$$", "$x$", "\\[", "\\]", "\\begin{a}", "\\end{a}", "```\n", "\x0c", "  "]
)


@given(st.lists(st.one_of(PIECES, st.text(max_size=8)), max_size=60), st.integers(1, 50), st.integers(0, 30))
@settings(deadline=None)
def test_passages_partition_any_document(pieces: list[str], max_chars: int, context_chars: int) -> None:
    text = "".join(pieces)
    found = list(passages(text, PassageConfig(max_chars=max_chars, context_chars=context_chars)))
    assert "".join(passage.text for passage in found) == text
    assert [passage.start for passage in found] == [0, *(passage.end for passage in found[:-1])][: len(found)]
    for number, passage in enumerate(found):
        assert passage.number == number
        assert 0 < passage.end - passage.start <= max_chars
        assert passage.text == text[passage.start : passage.end]
        assert len(passage.context) <= context_chars


def test_sizes_are_checked() -> None:
    with pytest.raises(ValueError, match="at least one character"):
        PassageConfig(max_chars=0)
