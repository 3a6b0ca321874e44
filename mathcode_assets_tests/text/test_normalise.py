import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathcode_assets.text.ngrams import gram_hashes, masked
from mathcode_assets.text.normalise import normalised_words, operators, tokenise
from mathcode_assets.text.tables import tables, word_hash


def hashes(text: str) -> list[int]:
    return tokenise(text).hashes.tolist()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Janet’s ducks lay 16 eggs", "JANET'S   DUCKS\nlay 16\teggs"),  # case, white space, quotes
        ("Janet&#8217;s ducks", "Janet&rsquo;s ducks"),  # HTML entities
        ("A\u00a0square\u00a0has", "a square has"),  # no-break spaces
        ("soft\u00adware zero\u200bwidth", "software zerowidth"),  # invisible characters
        ("ﬁnd naïve Straße", "find naive strasse"),  # ligature, accent, sharp s
        ("𝑥 + 𝟐 − ５", "x + 2 - 5"),  # mathematical and full-width forms
        ("$x^2 + 1$", "\\( x^{2}+1 \\)"),  # delimiters and braces
        ("x² + 1", "x^2 + 1"),  # superscript digits
        ("2πr ≤ 3", "2\\pi r \\leq 3"),  # symbols and their commands; relations only separate
        ("√2 ∈ S", "\\sqrt{2} \\in S"),
        ("\\dfrac{1}{2}\\left(x\\right)", "\\tfrac12 (x)"),  # \frac12 is one half
        ("\\text{ if }\\mathrm{gcd}\\,(a,b)", "if gcd(a, b)"),
        ("\\begin{align*}a&=b\\end{align*}", "\\begin{aligned} a = b \\end{aligned}"),
        ("> Let **4***y = 3", "Let 4*y = 3"),  # quote mark and bold numbers of Markdown
        ("| a | 1,000 |\n|---|---|", "a 1000"),  # table pipes
        ("<p>How many<br/>cats</p>", "How many cats"),
        ("\\\\frac{1}{2} of \\\\text{it}", "\\frac{1}{2} of it"),  # backslashes escaped once more, as in JSON
        ("\\$1,234.50 and $1{,}234.5$", "1234.50 and 1234.5"),
        ("$10,\\!000$ or 10\\,000", "10000 or 10000"),
        ("costs $**10**,**000**$ and $2$,$817$", "costs 10000 and 2817"),
        ("$.40 and 0.40", "0.4 and .4"),
        ("three cats, Twenty-one dogs", "3 cats, 21 dogs"),
        ("two hundred thousand", "200,000"),
        ("½ cup", "half cup"),
    ],
)
def test_the_same_text_in_another_dress_has_the_same_tokens(one, other):
    assert hashes(one) == hashes(other), (normalised_words(one), normalised_words(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3 cats", "4 cats"),
        ("1.5", "15"),
        ("1,00", "100"),
        ("cat", "cats"),
        ("half", "third"),
        ("12", "1 2"),
        ("1.05", "1.5"),
    ],
)
def test_different_words_and_numbers_differ(one, other):
    assert hashes(one) != hashes(other)


def test_offsets_point_at_the_original_bytes():
    text = "Ärger: **1,000** cats’ \\text{end}"
    data, tokens = text.encode(), tokenise(text)
    pieces = [data[a:b].decode() for a, b in zip(tokens.starts, tokens.stops, strict=True)]
    assert pieces == ["Ärger", "1,000", "cats", "end"]
    assert tokens.is_number.tolist() == [False, True, False, False]


@pytest.mark.parametrize("word", ["cat", "photosynthesis", "электрон", "naïve", "naturwissenschaftlich"])
def test_the_kernel_and_the_tables_hash_words_alike(word):
    folded = word.replace("ï", "i")
    assert hashes(word) == [word_hash(folded)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x+1", "+"), ("x − 1", "-"), ("a \\leq b", "≤"), ("a <= b", "≤"), ("well-known", ""),
        ("> - item", ""),
        ("\\frac{1}{2}", "/"), ("1/2", "/"), ("**4***y", ""), ("a \\left< b", "<"), ("<b>x</b> = 2", "="),
    ],
)  # fmt: skip
def test_operators_in_one_spelling(text, expected):
    assert operators(text) == expected


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_text_has_ordered_offsets_inside_it(text):
    tokens, size = tokenise(text), len(text.encode("utf-8", "replace"))
    assert np.all(tokens.starts < tokens.stops)
    assert np.all(tokens.stops[:-1] <= tokens.starts[1:])
    assert not len(tokens) or (tokens.starts[0] >= 0 and tokens.stops[-1] <= size)
    assert np.all(tokens.hashes != 0)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_damaged_bytes_do_not_stop_the_kernel(data):
    assert len(tokenise(data)) <= len(data)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sampled_from(["the", "cat", "sat", "on", "a", "mat", "with", "two", "17", "hats"]), max_size=40),
    st.integers(1, 6),
)
def test_rolling_hashes_depend_on_their_window_alone(words, n):
    tokens = tokenise(" ".join(words))
    rolled = gram_hashes(tokens.hashes, n)
    assert len(rolled) == max(0, len(tokens) - n + 1)
    for k in range(len(rolled)):
        assert rolled[k] == gram_hashes(tokens.hashes[k : k + n], n)[0]


def test_masking_makes_all_numbers_one():
    one, other = tokenise("add 3 to 17"), tokenise("add 5 to 99")
    assert masked(one.hashes, one.is_number).tolist() == masked(other.hashes, other.is_number).tolist()


def test_tables_hold_no_collision_of_keys():
    assert tables().dtype == np.uint64
