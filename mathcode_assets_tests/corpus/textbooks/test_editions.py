"""Which of several books are the same book, and which copy stays."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mathcode_assets.corpus.textbooks.editions import EditionConfig, find_editions, mark_editions
from mathcode_assets.corpus.textbooks.screening import tag_textbooks
from mathcode_assets.corpus.textbooks.sketches import (
    containment,
    jaccard,
    name_words,
    sketch_documents,
    text_sketches,
)
from mathcode_assets.records import TEXTBOOK_EDITION, TEXTBOOK_SKETCH, check_batch
from mathcode_assets_tests.corpus.textbooks.documents import book_batch


def prose(n_words: int, seed: int, vocabulary: int = 3000) -> list[str]:
    """Words drawn at random: texts of different seeds share words, but hardly ever five in a row."""
    generator = random.Random(seed)
    return [f"w{generator.randrange(vocabulary)}" for _ in range(n_words)]


def edited(words: list[str], share: float, seed: int) -> list[str]:
    """The same words, this share of them in passages rewritten."""
    rewritten = list(words)
    generator = random.Random(seed)
    for _ in range(int(share * len(words) / 50)):
        start = generator.randrange(len(words) - 50)
        rewritten[start : start + 50] = prose(50, generator.randrange(10**9))
    return rewritten


def duplicates(
    texts: dict[str, list[str] | str], n_pages: dict[str, int] | None = None, **config: float
) -> dict[str, tuple[str, str]]:
    """File name -> (file name of the copy that stays, rule), as `find_editions` finds."""
    batch = book_batch(
        {name: text if isinstance(text, str) else " ".join(text) for name, text in texts.items()},
        n_pages=n_pages,
    )
    names = dict(zip(batch.column("doc_id").to_pylist(), batch.column("source_file").to_pylist(), strict=True))
    editions = find_editions(sketch_documents([batch]), EditionConfig(**config))
    check_batch(editions, TEXTBOOK_EDITION)
    return {names[row["doc_id"]]: (names[row["duplicate_of"]], row["rule"]) for row in editions.to_pylist()}


BOOK = prose(20_000, seed=1)


def test_equal_texts_are_one_and_the_shorter_name_stays():
    assert duplicates({"copy-of-x.pdf": BOOK, "x.pdf": BOOK, "other.pdf": prose(20_000, 2)}) == {
        "copy-of-x.pdf": ("x.pdf", "equal_text")
    }


def test_an_edition_under_another_name_is_found():
    """Names need not be alike: aata-original.pdf and aata-20150812.pdf are two editions of one book."""
    found = duplicates({"aata-original.pdf": BOOK, "aata-20150812.pdf": edited(BOOK, 0.2, 3)}, {"aata-original.pdf": 2})
    assert found == {"aata-20150812.pdf": ("aata-original.pdf", "shared_text")}


def test_a_chapter_by_itself_is_in_the_book():
    assert duplicates({"book.pdf": BOOK, "chapter-3.pdf": BOOK[4000:6000]}) == {
        "chapter-3.pdf": ("book.pdf", "shared_text")
    }


def test_alike_names_need_alike_words():
    texts = {"algebra-notes-1.pdf": prose(3000, 4, 800), "algebra-notes-2.pdf": prose(3000, 5, 800)}
    assert duplicates(texts).popitem()[1][1] == "name_and_words"
    assert (
        duplicates({"algebra-notes-1.pdf": prose(3000, 4, 90_000), "algebra-notes-2.pdf": prose(3000, 5, 90_000)}) == {}
    )


def test_unlike_names_with_alike_words_are_two_books():
    assert duplicates({"algebra.pdf": prose(3000, 4, 800), "topology.pdf": prose(3000, 5, 800)}) == {}


def test_a_shared_licence_is_no_likeness():
    licence = prose(400, seed=9)
    assert duplicates({"one.pdf": BOOK + licence, "two.pdf": prose(20_000, 2) + licence}) == {}
    assert duplicates({"a.pdf": licence[:40] + prose(30, 6), "b.pdf": licence[:40] + prose(30, 7)}) == {}


def test_most_pages_stay_then_the_longest_text():
    longer = [*BOOK, "appendix"]
    assert duplicates({"a.pdf": BOOK, "b.pdf": longer}, {"a.pdf": 9, "b.pdf": 8}) == {"b.pdf": ("a.pdf", "shared_text")}
    assert duplicates({"a.pdf": BOOK, "b.pdf": longer}) == {"a.pdf": ("b.pdf", "shared_text")}


def test_every_copy_points_at_one_that_stays():
    """One edition after another: the first and the last share too little to be the same book."""
    chain = [prose(3000, seed) for seed in range(10)]
    texts = {
        f"edition{number}.pdf": [word for part in chain[number : number + 4] for word in part] for number in range(6)
    }
    found = duplicates(texts, {f"edition{number}.pdf": 10 - number for number in range(6)})
    assert found == {
        "edition1.pdf": ("edition0.pdf", "shared_text"),
        "edition3.pdf": ("edition2.pdf", "shared_text"),
        "edition5.pdf": ("edition4.pdf", "shared_text"),
    }


@given(st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(generator):
    names = list(TEXTS)
    generator.shuffle(names)
    assert duplicates({name: TEXTS[name] for name in names}) == EXPECTED


def test_many_copies_of_one_text():
    found = duplicates({f"copy{number:03}.pdf": BOOK[:500] for number in range(300)})
    assert len(found) == 299
    assert {keeper for keeper, _ in found.values()} == {"copy000.pdf"}


def test_no_book_and_texts_without_words():
    assert find_editions([]).num_rows == 0
    assert duplicates({"a.pdf": "∑ ∑", "b.pdf": "∫"}) == {}


def test_sketches_only_of_what_is_kept():
    batch = book_batch({"a.pdf": "cooking " * 100, "b.pdf": "Suppose the polynomial has a rational root. " * 100})
    (sketches,) = sketch_documents([batch], tag_textbooks([batch]))
    check_batch(sketches, TEXTBOOK_SKETCH)
    assert sketches.column("source_file").to_pylist() == ["b.pdf"]


def test_attributes_of_other_documents_are_refused():
    with pytest.raises(ValueError, match="order"):
        list(sketch_documents([book_batch({"a.pdf": "x"})], tag_textbooks([book_batch({"b.pdf": "x"})])))


def test_marking_keeps_the_rows_and_their_order():
    math = "Suppose the polynomial has a rational root. " * 100
    batch = book_batch({"copy-of-b.pdf": math, "a.pdf": "cooking " * 100, "b.pdf": math})
    attributes = list(tag_textbooks([batch]))
    (marked,) = mark_editions(attributes, find_editions(sketch_documents([batch], attributes)))
    ids = batch.column("doc_id").to_pylist()
    assert [(row["doc_id"], row["reason"], row["labels"]) for row in marked.to_pylist()] == [
        (ids[0], "duplicate_edition", [f"duplicate_of:{ids[2]}"]),
        (ids[1], "not_math", []),
        (ids[2], "", []),
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a/b/IBLLinearAlgebra-2nd_ed.pdf", ["2", "algebra", "ed", "ibl", "linear", "nd"]),
        ("planetmath-26D15-SchursInequality.pdf", ["15", "26", "d", "inequality", "planetmath", "schurs"]),
        ("Bücher über Zahlen.PDF", ["bücher", "zahlen", "über"]),
    ],
)
def test_words_of_a_file_name(name, words):
    assert name_words(name) == words


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9])
def test_sketches_estimate_the_truth(share):
    one, other = BOOK, edited(BOOK, share, seed=11)
    sets = [set(zip(*[words[step:] for step in range(5)], strict=False)) for words in (one, other)]
    shared = len(sets[0] & sets[1])
    _, first = text_sketches(" ".join(one))
    _, second = text_sketches(" ".join(other))
    assert jaccard(first, second) == pytest.approx(shared / len(sets[0] | sets[1]), abs=0.06)
    assert containment(first, second) == pytest.approx(shared / min(map(len, sets)), abs=0.08)


def test_small_sets_are_compared_exactly():
    first, _ = text_sketches("a b c d")
    second, _ = text_sketches("c d e f")
    assert jaccard(first, second) == 2 / 6
    assert containment(first, second) == 0.5


@given(st.text(), st.text())
def test_likeness_is_bounded_and_symmetric(one, other):
    for first, second in zip(text_sketches(one), text_sketches(other), strict=True):
        assert 0.0 <= jaccard(first, second) == jaccard(second, first) <= 1.0
        assert 0.0 <= containment(first, second) == containment(second, first) <= 1.0
        assert np.all(first[1:] > first[:-1])


TEXTS = {
    "a.pdf": BOOK[:4000],
    "copy-of-a.pdf": BOOK[:4000],
    "a-2nd.pdf": edited(BOOK[:4000], 0.2, 5),
    "chapter.pdf": BOOK[1000:2000],
    "other.pdf": prose(4000, 8),
}
EXPECTED = duplicates(TEXTS)
