"""Fingerprints: the words they see, the hash of the exact kind, and how often near texts share a band."""

from __future__ import annotations

import hashlib
import random
import re
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathcode_assets.deduplication import signatures
from mathcode_assets.deduplication.exact import CODE, HASH_BYTES, PROSE, content_hash
from mathcode_assets.deduplication.fingerprints import fingerprint_documents, fixed_bytes, shingle_sets
from mathcode_assets.records import BAND_KEYS_BYTES, FINGERPRINT, check_batch
from mathcode_assets_tests.deduplication.shards import documents, jaccard, words

# White space of every width, what is nearly white space, and characters that normalise.
TEXT = st.text(
    st.sampled_from(
        "ab\u00e9e\u0301 \t\n\x1c\x1f\x85\xa0\u1680\u180e\u2000\u200a\u200b\u2028\u202f\u205f\u3000\ufeff(x)"
    )
)


def fingerprints(texts: list[str], kind: object = PROSE) -> list[dict[str, object]]:
    rows = [(str(number), text) for number, text in enumerate(texts)]
    found = []
    for batch in fingerprint_documents(documents(rows, batch_rows=3), kind):
        check_batch(batch, FINGERPRINT)
        found += batch.to_pylist()
    return found


def n_shared_bands(one: bytes, other: bytes) -> int:
    left, right = (np.frombuffer(bands, np.uint8).reshape(signatures.BANDS, -1) for bands in (one, other))
    return int((left == right).all(axis=1).sum())


def test_the_bands_fit_the_table() -> None:
    assert BAND_KEYS_BYTES == signatures.BANDS * signatures.BAND_BYTES


@settings(deadline=None)
@given(st.lists(TEXT | st.text(), max_size=5))
def test_the_hash_is_that_of_the_normal_form(texts: list[str]) -> None:
    texts = [text for text in texts if text.isascii() or text == text.encode("utf-8", "replace").decode()]
    assert [row["content_hash"] for row in fingerprints(texts)] == [content_hash(text, PROSE) for text in texts]


@settings(deadline=None)
@given(TEXT)
def test_words_of_prose_are_those_of_split(text: str) -> None:
    (found,) = shingle_sets(pa.array([text]), PROSE)
    (folded,) = shingle_sets(pa.array([" ".join(text.split())]), PROSE)
    assert found.tolist() == folded.tolist()
    assert len(found) == len({tuple(text.split()[k : k + 5]) for k in range(max(1, len(text.split()) - 4))} - {()})


@settings(deadline=None)
@given(st.text(st.sampled_from("ab_1 \t\n()+=é.'")))
def test_words_of_code_are_names_and_marks(text: str) -> None:
    tokens = re.findall(r"[\w']*?[^\W]+|[^\w\s]+", text.replace("'", "+"))
    (found,) = shingle_sets(pa.array([text.replace("'", "+")]), CODE)
    (spaced,) = shingle_sets(pa.array([" ".join(tokens)]), CODE)
    assert found.tolist() == spaced.tolist()


# Words and gaps that meet the borders of 8, 16 and 64 bytes at every place, some with white space of three bytes there.
PIECES = st.lists(
    st.sampled_from(
        ["a", "bc", "d\u00e9f", "x" * 7, "y" * 8, "z" * 9, "w" * 16, "v" * 17, "u" * 70, "f(x)", "\u201cq\u201d"]
    )
    | st.sampled_from([" ", "\n\n", "\u2003", "\u00a0", " " * 61, "\t"]),
    max_size=40,
)


@settings(deadline=None, max_examples=200)
@given(pieces=PIECES, is_code=st.booleans(), before=st.integers(0, 70))
def test_shingles_are_those_of_the_definition(pieces: list[str], is_code: bool, before: int) -> None:
    text = "".join(pieces)
    marks = r"!-/:-@\[-^`{-~"  # what is beyond ASCII belongs to identifiers
    words_found = re.findall(rf"[^\s{marks}]+|[{marks}]+", text) if is_code else text.split()
    column = pa.array(["b" * before, text])
    assert list(shingle_sets(column, CODE if is_code else PROSE))[1].tolist() == shingles_by_hand(words_found)


def shingles_by_hand(found: list[str]) -> list[int]:
    """Hashes of the 5-grams of words, as numbers without a limit would give them."""
    base, prime, seed = 0x9E3779B97F4A7C15, 0xD1342543DE82EF95, 0x9E3779B97F4A7C15

    def word_hash(word: bytes) -> int:
        pieces = [int.from_bytes(word[place : place + 8], "little") for place in range(0, len(word), 8)]
        value = seed
        *others, last = pieces if len(pieces) > 1 else [*pieces, 0]
        for piece in others:
            value = (value ^ piece) * prime % 2**64
            value ^= value >> 32
        value = (value ^ last) * prime % 2**64
        return ((value ^ value >> 29) + len(word)) * prime % 2**64

    def mix(value: int) -> int:
        value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        value = (value ^ value >> 27) * 0x94D049BB133111EB % 2**64
        return value ^ value >> 31

    hashes = [word_hash(word.encode()) for word in found]
    grams = [hashes[place : place + 5] for place in range(max(1, len(hashes) - 4))] if hashes else []
    sums = [sum(value * base ** (len(gram) - 1 - place) for place, value in enumerate(gram)) for gram in grams]
    if 0 < len(hashes) < 5:
        sums[0] += len(hashes)
    return sorted({mix(value % 2**64) for value in sums})


@pytest.mark.parametrize("n_shingles", [1, 7, 126, 600, 2500])
def test_a_signature_depends_on_the_set_alone(n_shingles: int) -> None:
    """Of each slot the lowest hash in it; of a slot that is empty the lowest of its own function."""
    draw = random.Random(n_shingles)
    numbers = [draw.getrandbits(64) for _ in range(n_shingles)]
    expected = []
    functions = zip(signatures.MASKS.tolist(), signatures.MULTIPLIERS.tolist(), strict=True)
    for slot, (mask, multiplier) in enumerate(functions):
        here = [number % 2**32 for number in numbers if (number >> 32) * 126 >> 32 == slot]
        own = [((number >> 32) ^ mask) * multiplier % 2**32 for number in numbers]
        expected.append(min(here or own))
    repeated = np.array(numbers + draw.choices(numbers, k=100), np.uint64)
    chosen, chunk = np.empty(signatures.SLOTS, np.uint32), np.empty(2048, np.uint32)
    for shingles in (repeated[:n_shingles], repeated, repeated[::-1].copy()):
        signatures.signature(shingles, signatures.MASKS, signatures.MULTIPLIERS, chosen, chunk)
        assert chosen.tolist() == expected


@settings(deadline=None, max_examples=300)
@given(
    st.text(
        st.characters(exclude_categories=["Cs"]) | st.sampled_from("aeo\u0301\u0327\u0338\u1161\u11a8\u09c7\u09be≠é가")
    )
)
def test_texts_are_composed_as_python_does(text: str) -> None:
    """Vowel signs that join what is before them, Hangul letters, marks on Latin letters and on relations."""
    (row,) = fingerprints([text])
    assert row["content_hash"] == content_hash(unicodedata.normalize("NFC", text), PROSE)
    assert row["bands"] == fingerprints([unicodedata.normalize("NFD", text)])[0]["bands"]


def test_code_of_one_normal_form_has_the_same_words() -> None:
    text = "import sympy\n\nx = sympy.Symbol('x')  \nprint(x ** 2 + 1)\n"
    variants = [text, "\ufeff" + text, text.replace("\n", "\r\n"), text.replace("  \n", "\n")]
    assert len({row["content_hash"] for row in fingerprints(variants, CODE)}) == 1
    assert len({row["bands"] for row in fingerprints(variants, CODE)}) == 1


def test_signs_of_a_program_count() -> None:
    plus, minus = shingle_sets(pa.array(["y = x + 1", "y = x - 1"]), CODE)
    assert not set(plus.tolist()) & set(minus.tolist())


def test_a_text_of_few_words_is_one_shingle() -> None:
    sets = [
        found.tolist()
        for found in shingle_sets(pa.array(["", " \n", "a", "a b", "b a", "a b c d", "a b c d e"]), PROSE)
    ]
    assert [len(found) for found in sets] == [0, 0, 1, 1, 1, 1, 1]
    assert len({found[0] for found in sets[2:]}) == 5


def test_a_text_without_words_has_no_bands() -> None:
    empty, blank, word = fingerprints(["", "\u2028 \n", "word"])
    assert empty["bands"] == blank["bands"] == bytes(BAND_KEYS_BYTES)
    assert word["bands"] != empty["bands"]


def test_prose_and_code_never_share_a_band() -> None:
    (prose,), (code,) = fingerprints(["import sympy"]), fingerprints(["import sympy"], CODE)
    assert n_shared_bands(prose["bands"], code["bands"]) == 0


def test_rows_and_batches_stay() -> None:
    rows = [("a", "é"), ("b", "xyz"), ("c", "q")]
    batches = list(fingerprint_documents(documents(rows), PROSE))
    assert [batch.num_rows for batch in batches] == [2, 1]
    assert [row["n_chars"] for batch in batches for row in batch.to_pylist()] == [1, 3, 1]


def test_a_slice_of_a_batch_gives_its_rows() -> None:
    (whole,) = documents([(str(n), words(n, 20)) for n in range(8)], batch_rows=8)
    (all_rows,) = fingerprint_documents([whole], PROSE)
    (part,) = fingerprint_documents([whole.slice(3, 4)], PROSE)
    assert part.equals(all_rows.slice(3, 4))
    (nothing,) = fingerprint_documents([whole.slice(3, 0)], PROSE)
    assert nothing.num_rows == 0
    assert (
        fixed_bytes(part.column("content_hash").slice(1), HASH_BYTES)[0].tobytes()
        == all_rows["content_hash"][4].as_py()
    )


def test_a_long_text_is_read_like_a_short_one() -> None:
    text = "theorem proof lemma corollary example " * 200_000
    (row,) = fingerprints([text])
    assert row["content_hash"] == content_hash(text, PROSE)
    (short,) = fingerprints(["theorem proof lemma corollary example " * 3])
    assert row["bands"] == short["bands"]  # the same five shingles


def test_the_functions_never_change() -> None:
    """Signatures are kept in the lake: another order of the same numbers would lose every pair."""
    (row,) = fingerprints(["the quick brown fox jumps over the lazy dog"])
    assert hashlib.sha256(row["bands"]).hexdigest()[:16] == "c4c3469a4ca07444"


@pytest.mark.parametrize(("shortest", "longest"), [(20, 60), (200, 600)])
@pytest.mark.parametrize(("similarity", "lowest", "highest"), [(0.9, 0.999, 1.0), (0.8, 0.985, 1.0), (0.3, 0.0, 0.06)])
def test_texts_share_a_band_as_often_as_their_similarity_says(
    similarity: float, lowest: float, highest: float, shortest: int, longest: int
) -> None:
    """At 0.8 the bands promise 99.8 %, at 0.3 1.5 %; 400 pairs of texts of every length at each."""
    draw = random.Random(11)
    texts = []
    for _ in range(400):
        count, start = draw.randint(shortest, longest), draw.randrange(10**6)
        # Texts that overlap: of n words each, s shared, their sets have s - 4 of 2 (n - 4) - (s - 4) in common.
        moved = round((count - 4) * (1 - similarity) / (1 + similarity))
        texts += [words(start, count), words(start + moved, count)]
        assert jaccard(*texts[-2:]) == pytest.approx(similarity, abs=0.05)
    found = [row["bands"] for row in fingerprints(texts)]
    shared = sum(n_shared_bands(one, other) > 0 for one, other in zip(found[::2], found[1::2], strict=True))
    assert lowest <= shared / 400 <= highest
