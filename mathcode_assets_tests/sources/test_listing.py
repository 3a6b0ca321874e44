from __future__ import annotations

import hashlib
import os
from pathlib import Path

import fsspec
import pytest

from mathcode_assets.config import SourceSpec, parse_sources
from mathcode_assets.sources.errors import SourceListingError, UnreadableSource
from mathcode_assets.sources.listing import (
    KNOWN_ENDINGS,
    check_unchanged,
    list_files,
    list_inputs,
    list_label_files,
    local_file,
)


def spec(*uris: str, key: str = "cc_en", **more: object) -> SourceSpec:
    return SourceSpec(key=key, uris=uris, **more)  # type: ignore[arg-type]


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f'{{"text": "{name}"}}\n')


def paths(*uris: str, key: str = "cc_en") -> list[str]:
    return [file.relative_path for file in list_files(spec(*uris, key=key))]


def test_a_glob_stays_in_its_folder_and_a_double_star_goes_below(tmp_path: Path) -> None:
    write(tmp_path, "b.jsonl", "a.jsonl", "sub/c.jsonl")
    assert paths(f"{tmp_path}/*.jsonl") == ["a.jsonl", "b.jsonl"]
    assert paths(f"{tmp_path}/**/*.jsonl") == ["a.jsonl", "b.jsonl", "sub/c.jsonl"]
    assert paths(f"{tmp_path}/*/c.jsonl") == ["sub/c.jsonl"]


def test_a_folder_gives_what_the_component_reads(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a.jsonl",
        "b.parquet",
        "sub/c.jsonl.zst",
        "README.md",
        ".hidden.jsonl",
        "_tmp/x.jsonl",
        "d.pdf",
    )
    assert paths(str(tmp_path)) == ["a.jsonl", "b.parquet", "sub/c.jsonl.zst"]
    assert paths(f"{tmp_path}/") == ["a.jsonl", "b.parquet", "sub/c.jsonl.zst"]
    assert paths(f"{tmp_path}/**") == ["a.jsonl", "b.parquet", "sub/c.jsonl.zst"]
    assert paths(f"{tmp_path}/*") == ["a.jsonl", "b.parquet"]
    assert paths(str(tmp_path), key="textbooks") == ["d.pdf"]


def test_a_named_file_or_glob_of_an_ending_that_is_not_read_is_no_silent_loss(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", "a.jsonl.bz2")
    with pytest.raises(SourceListingError, match=r"sources\.cc_en: .*a\.jsonl\.bz2: the ending is none of"):
        list_files(spec(f"{tmp_path}/a.jsonl*"))
    with pytest.raises(SourceListingError, match=r"a\.jsonl: the ending is none of \.pdf"):
        list_files(spec(f"{tmp_path}/a.jsonl", key="textbooks"))


@pytest.mark.parametrize("uri", ["none", "none/*.jsonl", "none.jsonl", "empty", "empty/*.jsonl"])
def test_nothing_there_names_the_key_and_the_address(tmp_path: Path, uri: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceListingError, match=rf"^sources\.cc_en: .*{uri.replace('*', '.')}: no ") as caught:
        list_files(spec(f"{tmp_path}/{uri}"))
    assert "\n" not in str(caught.value)


def test_a_real_name_may_hold_the_marks_of_a_glob(tmp_path: Path) -> None:
    write(tmp_path, "a[1].jsonl", "a1.jsonl", "spaced name, with comma.jsonl", "größe.jsonl")
    assert paths(f"{tmp_path}/a[1].jsonl") == ["a[1].jsonl"]
    assert len(paths(str(tmp_path))) == 4


def test_the_same_relative_path_from_two_addresses_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "x/a.jsonl", "y/a.jsonl")
    with pytest.raises(SourceListingError, match=r"a\.jsonl is listed twice: .*x/a\.jsonl and .*y/a\.jsonl"):
        list_files(spec(f"{tmp_path}/x", f"{tmp_path}/y"))
    with pytest.raises(SourceListingError, match="listed twice"):
        list_files(spec(f"{tmp_path}/x/*.jsonl", f"{tmp_path}/x/a.jsonl"))


def test_label_files_are_not_documents(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", "labels.jsonl")
    with_labels = spec(str(tmp_path), labels=(f"{tmp_path}/labels.jsonl",))
    assert [file.relative_path for file in list_files(with_labels)] == ["a.jsonl"]
    assert [file.relative_path for file in list_label_files(with_labels)] == ["labels.jsonl"]
    assert list_label_files(spec(str(tmp_path))) == []


def test_a_local_fingerprint_changes_if_and_only_if_the_content_does(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"one\n")
    (first,) = list_files(spec(str(path)))
    assert first.fingerprint == first.revision == f"sha256:{hashlib.sha256(b'one' + bytes([10])).hexdigest()}"
    assert first.size_bytes == 4
    os.utime(path, ns=(1, 1))
    assert list_files(spec(str(path))) == [first]
    path.write_bytes(b"two\n")  # of the same size
    (second,) = list_files(spec(str(path)))
    assert second.fingerprint != first.fingerprint


def test_addresses_are_as_written_so_that_another_folder_gives_the_same_documents(tmp_path: Path) -> None:
    write(tmp_path, "data/a.jsonl", "data/sub/b.jsonl")
    text = 'sources: {cc_en: {uri: "%s"}}'
    expected = ["data/a.jsonl", "data/sub/b.jsonl"]
    for uri in ("data", "./data/", "data/**", "data/**/*.jsonl"):
        found = list_files(parse_sources(text % uri, folder=tmp_path).sources["cc_en"])
        assert [file.address for file in found] == expected
        assert all(Path(file.uri).is_file() for file in found)
    (one,) = list_files(parse_sources(text % "data/a.jsonl", folder=tmp_path).sources["cc_en"])
    assert one.address == "data/a.jsonl"
    (bare,) = list_files(parse_sources(text % "*.jsonl", folder=tmp_path / "data").sources["cc_en"])
    assert bare.address == "a.jsonl"
    absolute = list_files(spec(f"{tmp_path}/data"))
    assert [file.address for file in absolute] == [f"{tmp_path}/{path}" for path in expected]


def test_another_file_system_without_tags_is_hashed(memory_folder: str) -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe("/sources-test/x/b.jsonl", b"b\n")
    fs.pipe("/sources-test/a.jsonl", b"a\n")
    found = list_files(spec(memory_folder))
    assert [file.relative_path for file in found] == ["a.jsonl", "x/b.jsonl"]
    assert [file.address for file in found] == [
        "memory://sources-test/a.jsonl",
        "memory://sources-test/x/b.jsonl",
    ]
    assert found[0].fingerprint == f"sha256:{hashlib.sha256(b'a' + bytes([10])).hexdigest()}"
    assert [file.relative_path for file in list_files(spec(f"{memory_folder}/*.jsonl"))] == ["a.jsonl"]


def test_a_store_that_cannot_be_opened_is_one_line() -> None:
    for uri in ("nonsense://x/y.jsonl", "s3://"):
        with pytest.raises(SourceListingError, match=r"^sources\.cc_en: ") as caught:
            list_files(spec(uri))
        assert "\n" not in str(caught.value)


def test_a_change_after_listing_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"one\n")
    file = local_file(path)
    check_unchanged(file)
    path.write_bytes(b"two more\n")
    with pytest.raises(UnreadableSource, match="has changed since it was listed"):
        check_unchanged(file)
    path.unlink()
    with pytest.raises(UnreadableSource, match="has gone since it was listed"):
        check_unchanged(file)


def test_inputs_of_a_command_are_relative_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "d/a.jsonl", "d/b.jsonl", "c.pdf")
    monkeypatch.chdir(tmp_path)
    assert [file.address for file in list_inputs("d")] == ["d/a.jsonl", "d/b.jsonl"]
    assert [file.address for file in list_inputs("d/*.jsonl")] == ["d/a.jsonl", "d/b.jsonl"]
    assert [file.relative_path for file in list_inputs("d/b.jsonl", "c.pdf", endings=KNOWN_ENDINGS)] == [
        "b.jsonl",
        "c.pdf",
    ]
    with pytest.raises(SourceListingError, match=r"^none\.jsonl: no such file or folder"):
        list_inputs("none.jsonl")


def test_a_single_local_file(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl")
    assert local_file(tmp_path / "a.jsonl").relative_path == "a.jsonl"
    with pytest.raises(SourceListingError, match="no such file"):
        local_file(tmp_path)


def test_a_broken_link_is_an_error_not_a_silent_loss(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl")
    (tmp_path / "b.jsonl").symlink_to(tmp_path / "gone.jsonl")
    for uri in (str(tmp_path), f"{tmp_path}/*.jsonl"):
        with pytest.raises(SourceListingError, match=r"b\.jsonl"):
            list_files(spec(uri))


def test_a_link_to_a_file_is_a_file(tmp_path: Path) -> None:
    write(tmp_path, "real/a.jsonl")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "b.jsonl").symlink_to(tmp_path / "real" / "a.jsonl")
    assert paths(f"{tmp_path}/links") == ["b.jsonl"]
    assert paths(f"{tmp_path}/links/*.jsonl") == ["b.jsonl"]
