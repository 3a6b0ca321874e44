"""Which texts are the same, which copy stays, and that nothing but the stated preference decides."""

from __future__ import annotations

import itertools
import json
import random
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from mathcode_assets.deduplication import exact
from mathcode_assets.deduplication.exact import (
    CODE,
    PROSE,
    ExactConfig,
    content_hash,
    deduplicate_rows,
    fingerprint_documents,
    resolve,
)
from mathcode_assets.records import DUPLICATE_ATTRIBUTES, FINGERPRINT, check_batch, empty_batch

CONFIG = ExactConfig(preference=("books", "web", "code"), code_components=("code",), n_buckets=4)


def documents(rows: Sequence[tuple[str, str]], *, batch_rows: int = 2) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(rows), batch_rows):
        ids, texts = zip(*rows[start : start + batch_rows], strict=True)
        yield pa.record_batch([pa.array(ids), pa.array(texts, pa.large_string())], names=["doc_id", "text"])


def verdicts(
    partitions: dict[tuple[str, str], list[tuple[str, str]]],
    work_dir: Path,
    *,
    config: ExactConfig = CONFIG,
    batch_rows: int = 2,
) -> dict[tuple[str, str], list[dict[str, Any]]]:
    fingerprints = (
        (
            component,
            key,
            fingerprint_documents(documents(rows, batch_rows=batch_rows), config.kind_of(component)),
        )
        for (component, key), rows in partitions.items()
    )
    found = {}
    for component, key, batches in resolve(fingerprints, work_dir=work_dir, config=config):
        rows = []
        for batch in batches:
            check_batch(batch, DUPLICATE_ATTRIBUTES)
            rows += batch.to_pylist()
        found[component, key] = rows
    return found


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


def test_the_preferred_component_keeps_its_copy(tmp_path: Path) -> None:
    found = verdicts(
        {
            ("web", "w1"): [("w-1", "Euler's formula"), ("w-2", "only here")],
            ("books", "b1"): [("b-1", "Euler's  formula")],
            ("web", "w0"): [("w-3", "Euler's\nformula"), ("w-4", "twice"), ("w-5", "twice")],
        },
        tmp_path,
    )
    cluster = content_hash("Euler's formula", PROSE).hex()
    twice = content_hash("twice", PROSE).hex()
    lost = {
        "verdict": "exact_duplicate",
        "duplicate_of": "b-1",
        "duplicate_component": "books",
        "cluster": cluster,
    }
    kept = {"verdict": "kept", "duplicate_of": None, "duplicate_component": None, "cluster": None}
    assert found == {
        ("books", "b1"): [{"doc_id": "b-1", **kept, "cluster": cluster}],
        ("web", "w0"): [
            {"doc_id": "w-3", **lost},
            {"doc_id": "w-4", **kept, "cluster": twice},
            {
                "doc_id": "w-5",
                "verdict": "exact_duplicate",
                "duplicate_of": "w-4",
                "duplicate_component": "web",
                "cluster": twice,
            },
        ],
        ("web", "w1"): [{"doc_id": "w-1", **lost}, {"doc_id": "w-2", **kept}],
    }
    assert list(found) == [("books", "b1"), ("web", "w0"), ("web", "w1")]
    assert list(tmp_path.iterdir()) == []


def test_rows_with_the_same_doc_id_are_two_rows(tmp_path: Path) -> None:
    found = verdicts({("web", "w"): [("same", "a text"), ("other", "b"), ("same", "a text")]}, tmp_path)
    assert [row["verdict"] for row in found["web", "w"]] == ["kept", "kept", "exact_duplicate"]
    assert found["web", "w"][2]["duplicate_of"] == "same"


def test_code_and_prose_with_equal_text_both_stay(tmp_path: Path) -> None:
    found = verdicts({("web", "w"): [("w", "x = 1")], ("code", "c"): [("c", "x = 1")]}, tmp_path)
    assert [row["verdict"] for rows in found.values() for row in rows] == ["kept", "kept"]


def test_a_partition_without_rows_comes_back_empty(tmp_path: Path) -> None:
    assert verdicts({("web", "empty"): [], ("books", "b"): [("b", "text")]}, tmp_path)["web", "empty"] == []
    assert verdicts({}, tmp_path) == {}
    (found,) = resolve([("web", "w", [empty_batch(FINGERPRINT)])], work_dir=tmp_path, config=CONFIG)
    assert (found.component, found.partition) == ("web", "w")


def test_unread_partitions_may_be_skipped(tmp_path: Path) -> None:
    fingerprints = [
        ("web", key, fingerprint_documents(documents([(key, "same"), (f"{key}2", key)]), PROSE)) for key in "ab"
    ]
    last = list(resolve(fingerprints, work_dir=tmp_path, config=CONFIG))[-1]
    assert last.partition == "b"
    assert list(tmp_path.iterdir()) == []


def test_closing_early_leaves_nothing_behind(tmp_path: Path) -> None:
    fingerprints = [("web", key, fingerprint_documents(documents([(key, "same")]), PROSE)) for key in "ab"]
    found = resolve(fingerprints, work_dir=tmp_path, config=CONFIG)
    next(found)
    found.close()
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_component_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'news' is not in the preference"):
        verdicts({("news", "n"): [("n", "text")]}, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_partition_given_twice_is_refused(tmp_path: Path) -> None:
    fingerprints = [("web", "w", iter(())), ("web", "w", iter(()))]
    with pytest.raises(ValueError, match="'w' of web is given twice"):
        list(resolve(fingerprints, work_dir=tmp_path, config=CONFIG))


def test_fingerprints_keep_rows_and_batches() -> None:
    batches = list(fingerprint_documents(documents([("a", "é"), ("b", "xyz"), ("c", "q")]), PROSE))
    assert [batch.num_rows for batch in batches] == [2, 1]
    assert [row["n_chars"] for batch in batches for row in batch.to_pylist()] == [1, 3, 1]
    for batch in batches:
        check_batch(batch, FINGERPRINT)


def test_fingerprints_may_be_slices_of_a_larger_table(tmp_path: Path) -> None:
    (whole,) = fingerprint_documents(documents([(str(n), "ab"[n % 2]) for n in range(8)], batch_rows=8), PROSE)
    sliced = [("web", "w", [whole.slice(1, 3), whole.slice(4, 0), whole.slice(4, 4)])]
    (found,) = [
        [(row["doc_id"], row["duplicate_of"]) for batch in partition.batches for row in batch.to_pylist()]
        for partition in resolve(sliced, work_dir=tmp_path, config=CONFIG)
    ]
    assert found == [("1", None), ("2", None), ("3", "1"), ("4", "2"), ("5", "1"), ("6", "2"), ("7", "1")]


@settings(max_examples=40, deadline=None)
@given(
    partitions=st.dictionaries(
        st.tuples(st.sampled_from(["books", "web"]), st.sampled_from("pqr")),
        st.lists(st.sampled_from("abcdefgh"), max_size=9),
    ),
    seed=st.integers(0, 1000),
    n_buckets=st.integers(1, 9),
    batch_rows=st.integers(1, 4),
)
def test_the_result_is_that_of_a_dictionary_whatever_the_order(
    partitions: dict[tuple[str, str], list[str]],
    seed: int,
    n_buckets: int,
    batch_rows: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    ordered = {
        key: [(f"{key[0]}-{key[1]}-{row}", text) for row, text in enumerate(texts)]
        for key, texts in sorted(partitions.items())
    }
    first: dict[str, str] = {}
    expected = {
        key: [(doc_id, owner if (owner := first.setdefault(text, doc_id)) != doc_id else None) for doc_id, text in rows]
        for key, rows in ordered.items()
    }
    shuffled = random.Random(seed).sample(list(ordered.items()), len(ordered))
    config = ExactConfig(preference=("books", "web"), code_components=(), n_buckets=n_buckets)
    found = verdicts(dict(shuffled), tmp_path_factory.mktemp("work"), config=config, batch_rows=batch_rows)
    assert {key: [(row["doc_id"], row["duplicate_of"]) for row in rows] for key, rows in found.items()} == expected
    assert list(found) == list(expected)


def test_rows_of_the_command_keep_order_and_ids(tmp_path: Path) -> None:
    rows = [{"id": 7, "text": "a b"}, {"id": "x", "text": "c"}, {"id": "7", "text": "a\nb"}]
    cluster = content_hash("a b", PROSE).hex()
    assert list(deduplicate_rows(rows, work_dir=tmp_path)) == [
        {"id": 7, "verdict": "kept", "duplicate_of": None, "cluster": cluster},
        {"id": "x", "verdict": "kept", "duplicate_of": None, "cluster": None},
        {"id": "7", "verdict": "exact_duplicate", "duplicate_of": 7, "cluster": cluster},
    ]
    assert list(deduplicate_rows([], work_dir=tmp_path)) == []


@pytest.mark.shared_data
def test_every_labelled_exact_duplicate_of_real_pages_is_found(shared_data: Path, tmp_path: Path) -> None:
    labels = pq.read_table(shared_data / "cc_en" / "labels.shards-0000-0003.parquet").to_pylist()
    lines = itertools.chain.from_iterable(
        zstandard.open(path, "rb").read().split(b"\n") for path in sorted((shared_data / "cc_en").glob("*.zst"))
    )
    rows = (json.loads(line) for line in lines if line)
    clusters = {row["id"]: row["cluster"] for row in deduplicate_rows(rows, work_dir=tmp_path)}
    pairs = [(label["id"], label["duplicate_of"], label["duplicate_kind"]) for label in labels if label["duplicate_of"]]
    together = [kind for one, other, kind in pairs if clusters[one] and clusters[one] == clusters[other]]
    assert together == [kind for *_, kind in pairs if kind == "exact"]
    assert together
