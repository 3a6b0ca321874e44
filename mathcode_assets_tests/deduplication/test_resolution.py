"""Which copy stays: nothing but the stated preference decides, and an index changes nothing but the time it takes."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathcode_assets.deduplication import comparison
from mathcode_assets.deduplication.config import DeduplicationConfig
from mathcode_assets.deduplication.exact import PROSE, content_hash
from mathcode_assets.deduplication.resolution import load_index, resolve
from mathcode_assets.deduplication.texts import Corpus, Shard
from mathcode_assets.records import FINGERPRINT, empty_batch
from mathcode_assets_tests.deduplication.shards import CONFIG, jaccard, named, shard, shards_of, verdicts, words

KEPT_ALONE = {"verdict": "kept", "duplicate_of": None, "duplicate_component": None, "similarity": None, "cluster": None}


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
        "similarity": 1.0,
        "cluster": cluster,
    }
    again = lost | {"duplicate_of": "w-4", "duplicate_component": "web", "cluster": twice}
    assert found == {
        ("books", "b1"): [{"doc_id": "b-1", **KEPT_ALONE, "cluster": cluster}],
        ("web", "w0"): [
            {"doc_id": "w-3", **lost},
            {"doc_id": "w-4", **KEPT_ALONE, "cluster": twice},
            {"doc_id": "w-5", **again},
        ],
        ("web", "w1"): [{"doc_id": "w-1", **lost}, {"doc_id": "w-2", **KEPT_ALONE}],
    }
    assert list(found) == [("books", "b1"), ("web", "w0"), ("web", "w1")]
    assert list(tmp_path.iterdir()) == []


def test_a_near_copy_names_the_text_that_stays_and_how_near_it_is(tmp_path: Path) -> None:
    page, copy = words(0, 100), words(0, 100).replace("word50 ", "other ")
    found = verdicts(
        {("web", "w"): [("copy", copy), ("far", words(40, 100))], ("books", "b"): [("page", page)]}, tmp_path
    )
    # 96 shingles each; the five with the changed word differ.
    assert found["web", "w"] == [
        {
            "doc_id": "copy",
            "verdict": "near_duplicate",
            "duplicate_of": "page",
            "duplicate_component": "books",
            "similarity": pytest.approx(91 / 101),
            "cluster": content_hash(page, PROSE).hex(),
        },
        {"doc_id": "far", **KEPT_ALONE},
    ]
    assert found["books", "b"] == [{"doc_id": "page", **KEPT_ALONE, "cluster": content_hash(page, PROSE).hex()}]


def test_the_threshold_is_inclusive_and_exact(tmp_path: Path) -> None:
    one, other = words(0, 40), words(4, 40)  # 36 shingles each, 32 shared: 32 / 40
    assert jaccard(one, other) == 0.8
    rows = {("web", "w"): [("one", one), ("other", other)]}
    assert named(verdicts(rows, tmp_path))["other"] == ("near_duplicate", "one")
    above = DeduplicationConfig(preference=("web",), threshold=0.8001)
    assert named(verdicts(rows, tmp_path, config=above))["other"] == ("kept", None)
    exact_only = DeduplicationConfig(preference=("web",), near=False)
    assert named(verdicts(rows, tmp_path, config=exact_only))["other"] == ("kept", None)


def test_no_text_goes_for_a_chain_of_likenesses(tmp_path: Path) -> None:
    """Each is 0.8 near the next, 0.64 near the one after: the second goes, the third stays, in one cluster."""
    chain = [("a", words(0, 40)), ("b", words(4, 40)), ("c", words(8, 40))]
    found = verdicts({("web", "w"): chain}, tmp_path)
    assert named(found) == {"a": ("kept", None), "b": ("near_duplicate", "a"), "c": ("kept", None)}
    assert len({row["cluster"] for row in found["web", "w"]}) == 1
    middle_first = named(verdicts({("web", "w"): chain, ("books", "b"): [("b0", chain[1][1])]}, tmp_path))
    assert middle_first == {
        "b0": ("kept", None),
        "a": ("near_duplicate", "b0"),
        "b": ("exact_duplicate", "b0"),
        "c": ("near_duplicate", "b0"),
    }


def test_a_copy_of_a_text_that_goes_names_what_stays(tmp_path: Path) -> None:
    page, near = words(0, 100), words(1, 100)
    found = named(verdicts({("web", "w"): [("page", page), ("near", near), ("again", near + "\n")]}, tmp_path))
    assert found == {"page": ("kept", None), "near": ("near_duplicate", "page"), "again": ("near_duplicate", "page")}


def test_code_and_prose_with_equal_text_both_stay(tmp_path: Path) -> None:
    found = named(verdicts({("web", "w"): [("w", "x = 1")], ("code", "c"): [("c", "x = 1")]}, tmp_path))
    assert found == {"w": ("kept", None), "c": ("kept", None)}


def test_rows_with_the_same_doc_id_are_two_rows(tmp_path: Path) -> None:
    found = verdicts({("web", "w"): [("same", "a text"), ("other", "b"), ("same", "a text")]}, tmp_path)
    assert [row["verdict"] for row in found["web", "w"]] == ["kept", "kept", "exact_duplicate"]
    assert found["web", "w"][2]["duplicate_of"] == "same"


@pytest.mark.parametrize("text", ["", " \n", "a", "$x$", words(0, 6), words(0, 300)])
def test_of_equal_texts_one_stays_however_short(tmp_path: Path, text: str) -> None:
    found = named(verdicts({("web", "w"): [(str(n), text) for n in range(7)]}, tmp_path))
    assert found == {"0": ("kept", None), **{str(n): ("exact_duplicate", "0") for n in range(1, 7)}}


def test_short_texts_that_differ_all_stay(tmp_path: Path) -> None:
    texts = ["", "a", "b", "a b", "b a", "a b c", "a b c d e", "a b c d f", "A b c d e"]
    found = named(verdicts({("web", "w"): [(text, text) for text in texts]}, tmp_path))
    assert {verdict for verdict, _ in found.values()} == {"kept"}


def test_a_text_of_many_megabytes_has_a_near_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "STRETCH_HASHES", 1000)
    book = words(0, 300_000)
    rows = [
        ("book", book),
        ("page", words(10, 50)),
        ("edition", book.replace("word777 ", "word ")),
        ("p2", words(12, 50)),
    ]
    found = named(verdicts({("web", "w"): rows}, tmp_path))
    assert found["edition"] == ("near_duplicate", "book")
    assert found["p2"] == ("near_duplicate", "page")


class TestACrowd:
    """More texts in a bucket than `crowd` are compared with its `crowd_leaders` first ones alone."""

    CONFIG = DeduplicationConfig(preference=("books", "web"), code_components=(), crowd=4, crowd_leaders=2)
    BOILERPLATE = words(0, 200)

    def page(self, number: int) -> str:
        return f"{self.BOILERPLATE} page {number} of the same notice"

    def test_of_near_copies_one_stays(self, tmp_path: Path) -> None:
        rows = [(f"{number:03}", self.page(number)) for number in range(60)]
        found = named(verdicts({("web", "w"): rows}, tmp_path, config=self.CONFIG))
        assert {name for name, (verdict, _) in found.items() if verdict == "kept"} == {"000"}

    def test_pairs_grow_with_the_texts_not_with_their_square(self, tmp_path: Path) -> None:
        def n_compared(count: int) -> int:
            index = tmp_path / str(count)
            index.mkdir()
            rows = [(f"{number:03}", self.page(number)) for number in range(count)]
            verdicts({("web", "w"): rows}, tmp_path, config=self.CONFIG, index=index)
            known = load_index(index)
            assert known is not None
            return len(known.pairs)

        assert n_compared(200) < 8 * n_compared(50)

    @pytest.mark.parametrize("leader", ["books", "web"])
    def test_the_index_follows_a_change_of_leaders(self, tmp_path: Path, leader: str) -> None:
        before = {("web", f"w{part}"): [(f"{part}-{n}", self.page(10 * part + n)) for n in range(8)] for part in (1, 2)}
        after = before | {(leader, "w0"): [("new", self.page(11)), ("new2", self.page(99))]}
        assert_rebuilt_alike([before, after, before], self.CONFIG, tmp_path)


class TestAnIndex:
    PAGE, NEAR, OTHER = words(0, 100), words(1, 100), words(5000, 100)

    def test_a_new_shard_costs_its_own_comparisons(self, tmp_path: Path) -> None:
        first = {("web", "w1"): [("page", self.PAGE), ("near", self.NEAR)], ("web", "w2"): [("other", self.OTHER)]}
        asked: list[tuple[str, int]] = []

        def watched(one: Shard) -> Shard:
            def texts(rows: np.ndarray) -> Any:
                asked.extend((one.partition, row) for row in rows.tolist())
                return one.texts(rows)

            return Shard(
                component=one.component,
                partition=one.partition,
                version=one.version,
                fingerprints=one.fingerprints,
                texts=texts,
            )

        indexes = [tmp_path / name for name in ("one", "two")]
        for index in indexes:
            index.mkdir()
        list(resolve(map(watched, shards_of(first)), work_dir=tmp_path, config=CONFIG, index=indexes[0]))
        assert asked == [("w1", 0), ("w1", 1)]
        asked.clear()
        second = first | {("web", "w3"): [("new", words(5001, 100)), ("alone", words(9000, 30))]}
        found = resolve(
            map(watched, shards_of(second)), work_dir=tmp_path, config=CONFIG, previous=indexes[0], index=indexes[1]
        )
        assert {(one.partition, one.changed) for one in found} == {("w1", False), ("w2", True), ("w3", True)}
        assert asked == [("w2", 0), ("w3", 0)]

    def test_removal_brings_a_suppressed_twin_back(self, tmp_path: Path) -> None:
        books = {("books", "b"): [("book", self.PAGE)]}
        web = {("web", "w"): [("near", self.NEAR), ("exact", self.PAGE)]}
        both = assert_rebuilt_alike([books | web, web, books | web], CONFIG, tmp_path)
        assert named(both[0])["near"] == ("near_duplicate", "book")
        assert named(both[1]) == {"near": ("kept", None), "exact": ("near_duplicate", "near")}
        assert both[2] == both[0]

    def test_another_threshold_compares_nothing_again(self, tmp_path: Path) -> None:
        index = tmp_path / "index"
        index.mkdir()
        rows = {("web", "w"): [("one", words(0, 40)), ("other", words(4, 40))]}
        verdicts(rows, tmp_path, index=index)
        stricter = DeduplicationConfig(preference=CONFIG.preference, code_components=("code",), threshold=0.9)

        def no_texts(wanted: np.ndarray) -> Any:
            raise AssertionError("a text was read again")

        (one,) = shards_of(rows)
        again = Shard(
            component="web", partition="w", version=one.version, fingerprints=one.fingerprints, texts=no_texts
        )
        (found,) = resolve([again], work_dir=tmp_path, config=stricter, previous=index)
        assert found.changed
        assert [row["verdict"] for batch in found.batches for row in batch.to_pylist()] == ["kept", "kept"]

    def test_an_index_of_other_settings_or_another_version_is_not_used(self, tmp_path: Path) -> None:
        index = tmp_path / "index"
        index.mkdir()
        rows = {("web", "w"): [("one", words(0, 40)), ("other", words(4, 40))]}
        exact_only = DeduplicationConfig(preference=CONFIG.preference, code_components=("code",), near=False)
        verdicts(rows, tmp_path, config=exact_only, index=index)
        assert named(verdicts(rows, tmp_path, previous=index))["other"] == ("near_duplicate", "one")
        (index / "index.json").write_text("{}")
        assert load_index(index) is None
        assert named(verdicts(rows, tmp_path, previous=index))["other"] == ("near_duplicate", "one")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def assert_rebuilt_alike(
    states: list[dict[tuple[str, str], list[tuple[str, str]]]], config: DeduplicationConfig, tmp_path: Path
) -> list[dict[tuple[str, str], list[dict[str, Any]]]]:
    """Go from state to state with an index; each must give what a rebuild gives, the index itself too."""
    previous, last, found = None, {}, []
    for number, state in enumerate(states):
        rebuilt, updated = tmp_path / f"{number}-rebuilt", tmp_path / f"{number}-updated"
        rebuilt.mkdir()
        updated.mkdir()
        expected = verdicts(state, tmp_path, config=config, index=rebuilt)
        assert verdicts(state, tmp_path, config=config, previous=previous, index=updated) == expected
        assert contents(updated) == contents(rebuilt)
        given = shards_of(state, config=config)
        for one in resolve(given, work_dir=tmp_path, config=config, previous=previous):
            key = one.component, one.partition
            if not one.changed:
                assert expected[key] == last[key]
        previous, last = updated, expected
        found.append(expected)
    return found


def test_a_shard_without_rows_comes_back_empty(tmp_path: Path) -> None:
    assert verdicts({("web", "empty"): [], ("books", "b"): [("b", "text")]}, tmp_path)["web", "empty"] == []
    assert verdicts({}, tmp_path) == {}
    empty = Shard(
        component="web",
        partition="w",
        version="",
        fingerprints=lambda columns: [empty_batch(FINGERPRINT).select(list(columns))],
        texts=lambda rows: [],
    )
    (found,) = resolve([empty], work_dir=tmp_path, config=CONFIG)
    assert [batch.num_rows for batch in found.batches] == [0]


def test_shards_may_be_read_in_any_order_or_not_at_all(tmp_path: Path) -> None:
    given = shards_of({("web", key): [(key, "same"), (f"{key}2", key)] for key in "ab"})
    first, last = resolve(given, work_dir=tmp_path, config=CONFIG)
    assert [row["verdict"] for batch in last.batches for row in batch.to_pylist()] == ["exact_duplicate", "kept"]
    assert [row["verdict"] for batch in first.batches for row in batch.to_pylist()] == ["kept", "kept"]
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_component_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'news' is not in the preference"):
        verdicts({("news", "n"): [("n", "text")]}, tmp_path)


def test_a_shard_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'w' of web is given twice"):
        list(resolve([shard("web", "w", [])] * 2, work_dir=tmp_path, config=CONFIG))


def test_texts_that_are_not_there_are_noticed(tmp_path: Path) -> None:
    one = shard("web", "w", [("a", words(0, 50)), ("b", words(1, 50))])
    broken = Shard(
        component="web",
        partition="w",
        version="",
        fingerprints=one.fingerprints,
        texts=lambda rows: [pa.array(["one text"])],
    )
    with pytest.raises(ValueError, match="gave 1 texts of 2 asked for"):
        list(resolve([broken], work_dir=tmp_path, config=CONFIG))


def test_a_bad_setting_is_refused() -> None:
    with pytest.raises(ValueError, match="threshold 0 is not in"):
        DeduplicationConfig(threshold=0)
    with pytest.raises(ValueError, match="compares nothing"):
        DeduplicationConfig(crowd=1)


def test_hashes_that_agree_in_half_are_two_texts() -> None:
    halves = np.array([[7, 1], [7, 2], [3, 9], [7, 1], [7, 2]], np.uint64)
    corpus = Corpus([], halves, np.array([0]))
    assert corpus.first.tolist() == [0, 1, 2, 0, 1]
    assert corpus.repeated.tolist() == [True, True, False, True, True]
    asked = np.array([[7, 2], [7, 3], [7, 0], [7, 1], [3, 9], [9, 9], [0, 0]], np.uint64)
    assert corpus.find(asked).tolist() == [1, -1, -1, 0, 2, -1, -1]


# Windows of 30 words over one long text: near, far and equal texts in every mixture; and some that are short.
TEXTS = st.integers(0, 40).map(lambda start: words(start, 30)) | st.sampled_from(["", "a", "b c", words(900, 5)])
PARTITIONS = st.dictionaries(
    st.tuples(st.sampled_from(["books", "web"]), st.sampled_from("pqr")), st.lists(TEXTS, max_size=7), max_size=6
)


def with_ids(partitions: dict[tuple[str, str], list[str]]) -> dict[tuple[str, str], list[tuple[str, str]]]:
    return {
        key: [(f"{key[0]}-{key[1]}-{row}", text) for row, text in enumerate(texts)]
        for key, texts in sorted(partitions.items())
    }


def by_hand(
    partitions: dict[tuple[str, str], list[tuple[str, str]]], threshold: float
) -> dict[str, tuple[str, str | None]]:
    """The rule as one would write it down: every text compared with every text that stays."""
    stays: list[tuple[str, str]] = []
    first: dict[str, str] = {}
    went: dict[str, str] = {}
    found: dict[str, tuple[str, str | None]] = {}
    for rows in partitions.values():
        for doc_id, text in rows:
            if text in went:
                found[doc_id] = "near_duplicate", went[text]
            elif text in first:
                found[doc_id] = "exact_duplicate", first[text]
            else:
                near = next((kept for kept, other in stays if text and jaccard(text, other) >= threshold), None)
                if near is None:
                    first[text] = doc_id
                    stays += [(doc_id, text)] if text else []
                    found[doc_id] = "kept", None
                else:
                    went[text] = near
                    found[doc_id] = "near_duplicate", near
    return found


@settings(max_examples=60, deadline=None)
@given(partitions=PARTITIONS, seed=st.integers(0, 1000), batch_rows=st.integers(1, 4))
def test_the_result_is_that_of_comparing_all_whatever_the_order(
    partitions: dict[tuple[str, str], list[str]],
    seed: int,
    batch_rows: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """At 0.9, where the bands miss one pair in 10^7."""
    config = DeduplicationConfig(preference=("books", "web"), code_components=(), threshold=0.9)
    ordered = with_ids(partitions)
    shuffled = dict(random.Random(seed).sample(list(ordered.items()), len(ordered)))
    work_dir = tmp_path_factory.mktemp("work")
    found = verdicts(shuffled, work_dir, config=config, batch_rows=batch_rows)
    assert named(found) == by_hand(ordered, 0.9)
    assert list(found) == list(ordered)


@settings(max_examples=40, deadline=None)
@given(states=st.lists(PARTITIONS, min_size=2, max_size=5), crowd=st.integers(2, 6), leaders=st.integers(1, 3))
def test_an_index_gives_what_a_rebuild_gives(
    states: list[dict[tuple[str, str], list[str]]],
    crowd: int,
    leaders: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Any sequence of adding, changing and removing shards, with crowds of any size."""
    config = DeduplicationConfig(
        preference=("books", "web"), code_components=(), threshold=0.6, crowd=crowd, crowd_leaders=leaders
    )
    assert_rebuilt_alike([with_ids(state) for state in states], config, tmp_path_factory.mktemp("work"))
