from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mathcode_assets.config import SourceSpec
from mathcode_assets.sources.errors import SourceListingError
from mathcode_assets.sources.listing import SourceFile
from mathcode_assets.sources.partitions import MAX_KEY_LENGTH, partition_key, partitions_of


def file(path: str, fingerprint: str = "f") -> SourceFile:
    return SourceFile(
        relative_path=path,
        uri=f"/d/{path}",
        address=path,
        size_bytes=1,
        revision="r",
        fingerprint=fingerprint,
    )


def spec(**more: object) -> SourceSpec:
    return SourceSpec(**{"key": "cc_en", "uris": ("x",), **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("cc_en.0000.jsonl.zst", "cc_en.0000"),
        ("education_college.contaminated_sample.jsonl.zst", "education_college.contaminated_sample"),
        ("sub/deep/train-00000-of-00002.parquet", "sub__deep__train-00000-of-00002"),
        ("A.JSONL.GZ", "A"),
        ("book.pdf", "book"),
        ("a, b & c.json", "a__b___c"),
        ("größe.jsonl", "gr__e"),
        ("a...b.jsonl", "a_b"),
        ("no_ending", "no_ending"),
    ],
)
def test_the_key_of_a_path(path: str, key: str) -> None:
    assert partition_key(path) == key


@given(st.text(min_size=1, max_size=300))
def test_every_key_is_a_safe_folder_name(path: str) -> None:
    key = partition_key(path)
    assert 0 < len(key) <= MAX_KEY_LENGTH
    assert key.strip("._")
    assert key.isascii()
    assert not set(key) & set("/\\,:*?\"'<>| \n\0")
    assert "..." not in key


def test_long_names_that_share_their_start_have_keys_of_their_own() -> None:
    assert partition_key("x" * 200 + "1.jsonl") != partition_key("x" * 200 + "2.jsonl")


def test_one_file_is_one_partition_sorted_by_key() -> None:
    found = partitions_of([file("b.jsonl"), file("a.jsonl")], spec())
    assert [(p.key, [f.relative_path for f in p.files]) for p in found] == [
        ("a", ["a.jsonl"]),
        ("b", ["b.jsonl"]),
    ]


@pytest.mark.parametrize(
    ("first", "second"), [("a.jsonl", "a.parquet"), ("a/b.jsonl", "a__b.jsonl"), ("a,.jsonl", "a;.jsonl")]
)
def test_two_files_that_ask_for_one_key_are_an_error(first: str, second: str) -> None:
    with pytest.raises(SourceListingError, match=r"sources\.cc_en: .* and .* ask for the same partition"):
        partitions_of([file(first), file(second)], spec())


def test_groups_are_stable_when_files_come_and_go() -> None:
    grouped = spec(key="textbooks", groups=4)
    files = [file(f"{number}.pdf") for number in range(40)]
    before = {p.key: p for p in partitions_of(files, grouped)}
    after = {p.key: p for p in partitions_of([*files, file("new.pdf")], grouped)}
    assert set(before) == {"group-0000", "group-0001", "group-0002", "group-0003"}
    changed = [key for key in after if after[key].fingerprint != before[key].fingerprint]
    assert changed == [key for key in after if any(f.relative_path == "new.pdf" for f in after[key].files)]
    assert len(changed) == 1
    assert sum(len(p.files) for p in after.values()) == 41


def test_the_groups_of_known_names_never_move() -> None:
    found = partitions_of([file("a.pdf"), file("b.pdf"), file("c.pdf")], spec(groups=4))
    assert {f.relative_path: p.key for p in found for f in p.files} == {
        "a.pdf": "group-0002",
        "b.pdf": "group-0000",
        "c.pdf": "group-0000",
    }


def test_a_fingerprint_follows_content_and_name_but_not_place_or_revision() -> None:
    (one,) = partitions_of([file("a.jsonl")], spec())
    (moved,) = partitions_of([replace(file("a.jsonl"), uri="/else", address="else", revision="later")], spec())
    (edited,) = partitions_of([file("a.jsonl", "g")], spec())
    (renamed,) = partitions_of([replace(file("b.jsonl"))], spec())
    assert one.fingerprint == moved.fingerprint
    assert len({one.fingerprint, edited.fingerprint, renamed.fingerprint}) == 3


def test_excluded_partitions_are_left_out() -> None:
    found = partitions_of([file("a.jsonl"), file("b.jsonl")], spec(exclude=("a",)))
    assert [p.key for p in found] == ["b"]


@pytest.mark.parametrize("name", ["exclude", "accept_contaminated"])
def test_a_name_that_is_not_there_lists_what_is(name: str) -> None:
    with pytest.raises(SourceListingError, match=rf"sources\.cc_en\.{name}: no partition a\.jsonl; there are: a, b"):
        partitions_of([file("a.jsonl"), file("b.jsonl")], spec(**{name: ("a.jsonl",)}))


def test_an_excluded_partition_may_still_be_named_as_accepted() -> None:
    both = spec(exclude=("a",), accept_contaminated=("a",))
    assert [p.key for p in partitions_of([file("a.jsonl"), file("b.jsonl")], both)] == ["b"]
