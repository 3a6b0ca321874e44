"""Pages as PDFium gives them, and the text a reader would want."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mathcode_assets.corpus.textbooks.cleanup import clean_pages
from mathcode_assets.corpus.textbooks.repetition import drop_repetitions

LONG = "This line of prose is as wide as the column of the book and so it runs on,"


def page(*lines: str) -> str:
    return "\r\n".join(lines)


def test_full_lines_run_on_and_a_short_end_of_sentence_ends_the_paragraph():
    text = clean_pages([page(LONG, LONG, "to its end.", LONG, "and stops.")])
    assert text == f"{LONG} {LONG} to its end.\n\n{LONG} and stops."


def test_short_lines_without_end_keep_their_break():
    assert clean_pages([page("z1 = zeta(t1);", "until (norm(z2) < eps,", "  t3 = t1;", ")")]) == (
        "z1 = zeta(t1);\nuntil (norm(z2) < eps,\nt3 = t1;\n)"
    )


def test_pieces_of_a_formula_come_together():
    text = clean_pages([page("where the binomial coefficient is", "\x12", "n", "k", "\x13", "=", "n!", "k!(n − k)!")])
    assert text == "where the binomial coefficient is ( n k ) = n! k!(n − k)!"


def test_items_of_a_list_stand_on_lines_of_their_own():
    text = clean_pages([page("1. Show that " + LONG[:-1] + ".", "2. Show the converse.", "3. Prove it.")])
    assert text.split("\n")[1:] == ["2. Show the converse.", "3. Prove it."]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["the di\ufffeference"], "the diference"),
        (["the di\ufffe\r\nference"], "the diference"),
        (["the dif-", "ference"], "the difference"),
        (["well-known, well\ufffeknown"], "well-known, well-known"),
        (["the Cauchy-", "Schwarz inequality"], "the Cauchy-Schwarz inequality"),
        (["n-", "1"], "n- 1"),
        (["soft\u00adhyphen"], "softhyphen"),
    ],
)
def test_cut_words(lines, expected):
    assert clean_pages([page(*lines)]) == expected


def test_ligatures_brackets_and_struck_signs():
    assert clean_pages(["ﬁnite ﬂow, eﬃcient oﬀ"]) == "finite flow, efficient off"
    assert clean_pages(["xi 6= xj and x ∈/ S, 6 = 6"]) == "xi ≠ xj and x ∉ S, 6 = 6"
    assert clean_pages([page("⎡", "⎢", "1", "2", "⎤", "⎥")]) == "[ 1 2 ]"
    assert clean_pages([page("if", "\x0c", "\x0c", "\x0c", "an", "\x0c", "\x0c", "< 1")]) == "if | an | < 1"
    assert clean_pages(["1.2 Groups . . . . . . . . 7"]) == "1.2 Groups … 7"


def test_running_heads_and_page_numbers_go():
    words = ["ten", "eleven", "twelve", "thirteen"]
    pages = [
        page(f"{number} CHAPTER 2. GROUPS", f"{word.title()}: {LONG}", f"and ends {word}.", "Footer")
        for number, word in enumerate(words, start=10)
    ]
    assert clean_pages(pages) == "\n\n".join(f"{word.title()}: {LONG} and ends {word}." for word in words)


def test_a_head_on_one_page_goes_by_the_page_number_it_ends_with():
    bodies = [f"{LONG} number {word}." for word in ("one", "two", "three", "four", "five")]
    heads = ["7", "8", "2.1. RATIONAL FUNCTIONS 9", "10", "11"]
    pages = [page(head, body, "A line below.") for head, body in zip(heads, bodies, strict=True)]
    assert "RATIONAL" not in clean_pages(pages)
    assert "7" not in clean_pages(pages)


def test_roman_page_numbers_go():
    pages = [
        page(LONG, f"and ends {word}.", numeral)
        for word, numeral in [("here", "ii"), ("there", "iii"), ("now", "iv"), ("so", "v")]
    ]
    assert clean_pages(pages).split("\n\n")[-1] == f"{LONG} and ends so."


def test_a_result_at_the_foot_of_a_page_stays():
    pages = [
        page(LONG, f"gap> {word};", result) for word, result in [("a", "22"), ("b", "1024"), ("c", "7"), ("d", "22")]
    ]
    assert "a; 22" in clean_pages(pages).replace("\n", " ")


def test_a_line_at_the_top_of_far_pages_is_no_head():
    pages = [
        page(f"Page of words {number * 37 % 11} {'abcdefghij'[number]}", LONG, "end.", "x = 1") for number in range(10)
    ]
    pages[0] = pages[4] = pages[9] = page("Example", LONG, "and an end.", "y = 2")
    assert clean_pages(pages).count("Example") == 3


def test_a_paragraph_runs_over_the_page():
    assert clean_pages([page(LONG, LONG), page("which goes on here.", LONG)]).count("\n\n") == 1
    assert clean_pages([page(LONG, LONG), page("Theorem 2 is new.")]).count("\n\n") == 1


def test_marks_of_missing_pages_go():
    text = clean_pages(
        [page("Before.", "[MISSING_PAGE_EMPTY:3]", "[MISSING_PAGE_FAIL:12]", "[MISSING_PAGE_POST]", "After.")]
    )
    assert text == "Before.\n\nAfter."


def test_nothing_gives_nothing():
    assert clean_pages([]) == clean_pages(["", "\r\n", " \x00 "]) == ""


def paragraphs(n: int) -> list[str]:
    return [
        f"Paragraph {n} is about the number {n} and about {n * n}, which is its square, and {n**3}." for n in range(n)
    ]


def test_the_book_goes_on_behind_a_repeated_paragraph():
    """The reference leaves its loop at the first repetition: 102 paragraphs become 11."""
    book = paragraphs(101)
    book.insert(10, book[10])
    assert len(book) == 102
    assert drop_repetitions(book) == paragraphs(101)


def test_near_equal_neighbours_are_one():
    words = [f"word{n}" for n in range(60)]
    one, other = " ".join(words), " ".join([*words[:-1], "another"])
    assert drop_repetitions([one, other, "next"]) == [one, "next"]
    half = " ".join(words[:50])
    assert drop_repetitions([one, half]) == [one, half]


@pytest.mark.parametrize("period", [2, 3, 8])
def test_a_period_is_kept_once(period):
    loop = paragraphs(period)
    assert drop_repetitions(["before", *loop * 5, "after"]) == ["before", *loop, "after"]


def test_short_paragraphs_may_repeat():
    exercises = [
        "Prove it.",
        "True or false?",
        "Prove it.",
        "True or false?",
        "x + y = y + x",
        "y + x = x + y",
    ]
    assert drop_repetitions(exercises) == exercises


def test_a_long_run_of_a_short_paragraph_is_a_loop():
    assert drop_repetitions(["a", *["0 0 1"] * 50, "b"]) == ["a", "0 0 1", "b"]


@given(st.lists(st.text()))
def test_any_pages_have_a_text_without_control_characters(pages):
    text = clean_pages(pages)
    assert not any(char < " " and char not in "\n\t" for char in text)
    assert text == text.strip("\n")


@given(st.lists(st.sampled_from(["a", "b", *paragraphs(3)])))
def test_repetition_only_drops_and_keeps_one_of_each(book):
    kept = drop_repetitions(book)
    assert set(kept) == set(book)
    remaining = iter(book)
    assert all(paragraph in remaining for paragraph in kept)
