"""The fast reader gives exactly the tokens of the plain one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mathcode_assets.decontamination.reading import read_token
from mathcode_assets.text.kernel import next_token
from mathcode_assets.text.tables import tables

PIECES = [
    "a", "Word", "antidisestablishmentarianism", "eightlet", "sixteenletterword", "1", "23", "1,000", "1,000.50", "3.",
    ".5",
    "1\\,000", "$1$,$000$", "**7**", "{1}{,}{000}", "two", "Twenty-one", "three hundred", "\\frac12", "\\alpha",
    "don't",
    "it’s", "caf\u00e9", "&rsquo;s", "<b>", "&amp;", " ", "  ", "\n", "\u00a0", "½", "x_1", "𝟙𝟚", "ﬁ", ".", ",", "-",
    "{", "}",
    "\u2028", "\x00", "\\text{cm}", "@", "[", "`", "~", "Z", "z", "A",
]  # fmt: skip


def tokens(reader, data: bytes, begin: int, end: int) -> list[tuple]:
    buffer, found, at = np.frombuffer(data, np.uint8), [], begin
    while True:
        at, value, number, start = reader(buffer, at, end, tables())
        if value == 0:
            return found
        found.append((int(at), int(value), bool(number), int(start)))


@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=6)), max_size=30), st.integers(0, 20))
@example(["1", "\\,", "000"], 0)
@example([".", "5", " ", "."], 0)
def test_the_same_tokens(pieces: list[str], tail: int) -> None:
    data = "".join(pieces).encode("utf-8", "replace")
    buffer = data + b"x1 .9" * tail  # what follows the end of a document must not matter
    if buffer:
        assert tokens(read_token, buffer, 0, len(data)) == tokens(next_token, buffer, 0, len(data))


@pytest.mark.parametrize("length", range(1, 40))
def test_words_of_every_length_at_every_place(length: int) -> None:
    for lead in range(9):
        data = (" " * lead + "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP"[:length] + " 12 end of it").encode()
        assert tokens(read_token, data, 0, len(data)) == tokens(next_token, data, 0, len(data))
