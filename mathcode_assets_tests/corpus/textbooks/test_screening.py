"""What is mathematics, by the words and symbols of a text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mathcode_assets.corpus.textbooks.screening import ScreeningConfig, math_share, tag_textbooks
from mathcode_assets.records import FILTER_ATTRIBUTES, check_batch
from mathcode_assets_tests.corpus.textbooks.documents import book_batch

ALGEBRA = "Suppose the polynomial has a rational root. By the lemma, its coefficients are integers. "
COOKING = "Stir the onions until they are golden, add the stock, and let it simmer. Serve with bread and a salad. "
MANUAL = "The option takes an integer and sets the field. The function returns the module of the group. "
SYMBOLS = "∀ε>0 ∃δ>0: |x−a|<δ ⇒ |f(x)−f(a)|<ε; así, la función es continua en a. "


@pytest.mark.parametrize(
    ("text", "share"),
    [
        (ALGEBRA * 100, 1.0),
        (COOKING * 100, 0.0),
        (MANUAL * 100, 0.0),
        (SYMBOLS * 100, 1.0),
        ("", 0.0),
        ("→ " * 9999, 0.0),
    ],
    ids=["algebra", "cooking", "manual", "symbols", "nothing", "arrows"],
)
def test_share_of_mathematical_windows(text, share):
    assert math_share(text) == share


def test_a_quarter_of_mathematics_is_a_quarter():
    window = ScreeningConfig().window_chars
    assert math_share((ALGEBRA * 99)[:window] + (COOKING * 99)[: 3 * window]) == 0.25


def test_a_short_note_needs_fewer_words():
    assert math_share("Every finite collection of sets has a rational one. " + COOKING) == 1.0


def test_attributes_of_a_batch():
    batch = book_batch({"a.pdf": ALGEBRA * 50, "b.pdf": COOKING * 50})
    (attributes,) = tag_textbooks([batch])
    check_batch(attributes, FILTER_ATTRIBUTES)
    rows = attributes.to_pylist()
    assert [(row["verdict"], row["reason"], row["score"]) for row in rows] == [
        ("kept", "", 1.0),
        ("dropped", "not_math", 0.0),
    ]
    assert attributes.column("doc_id").equals(batch.column("doc_id"))


@given(st.text())
def test_any_text_has_a_share(text):
    assert 0.0 <= math_share(text) <= 1.0
