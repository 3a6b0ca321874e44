"""Listing and reading over S3's own protocol, from moto's server on 127.0.0.1."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import fsspec
import fsspec.config
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from mathcode_assets.config import SourceSpec, parse_sources
from mathcode_assets.sources.errors import SourceListingError, UnreadableSource
from mathcode_assets.sources.listing import check_unchanged, list_files
from mathcode_assets.sources.opening import local_path
from mathcode_assets_tests.sources.conftest import Read

s3fs = pytest.importorskip("s3fs", reason="the extra [s3] is not installed")
moto_server = pytest.importorskip("moto.server", reason="moto[server] is not installed")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[s3fs.S3FileSystem]:
    """The file system as addresses open it, with an empty bucket `data`."""
    options = {"key": "k", "secret": "s", "endpoint_url": endpoint}
    monkeypatch.setitem(fsspec.config.conf, "s3", options)
    fs = fsspec.filesystem("s3")
    fs.invalidate_cache()
    fs.mkdir("data")
    yield fs
    fs.invalidate_cache()
    fs.rm("data", recursive=True)


def spec(*uris: str) -> SourceSpec:
    return SourceSpec(key="cc_en", uris=uris)


def lines(*texts: str) -> bytes:
    return b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)


def test_files_folders_and_globs(s3: s3fs.S3FileSystem) -> None:
    for name in ("a.jsonl", "b.jsonl", "sub/c.jsonl.zst", "README.md"):
        s3.pipe(f"data/p/{name}", b"x")

    def paths(uri: str) -> list[str]:
        return [file.relative_path for file in list_files(spec(uri))]

    assert paths("s3://data/p") == ["a.jsonl", "b.jsonl", "sub/c.jsonl.zst"]
    assert paths("s3://data/p/*.jsonl") == ["a.jsonl", "b.jsonl"]
    assert paths("s3://data/p/**") == ["a.jsonl", "b.jsonl", "sub/c.jsonl.zst"]
    assert paths("s3://data/p/sub/c.jsonl.zst") == ["c.jsonl.zst"]
    (one,) = list_files(spec("s3://data/p/sub/*"))
    assert (one.uri, one.address) == ("s3://data/p/sub/c.jsonl.zst", "s3://data/p/sub/c.jsonl.zst")


def test_the_etag_is_the_fingerprint_and_new_content_is_seen(s3: s3fs.S3FileSystem, endpoint: str) -> None:
    s3.pipe("data/a.jsonl", lines("one"))
    (first,) = list_files(spec("s3://data"))
    assert first.revision == first.fingerprint
    assert first.fingerprint.startswith("etag:")
    assert '"' not in first.fingerprint
    check_unchanged(first)
    # Another client writes: this process' own listing cache does not know.
    other = s3fs.S3FileSystem(key="k", secret="s", endpoint_url=endpoint, skip_instance_cache=True)
    other.pipe("data/a.jsonl", lines("two"))
    other.pipe("data/b.jsonl", lines("three"))
    second, new = list_files(spec("s3://data"))
    assert second.fingerprint != first.fingerprint
    assert new.relative_path == "b.jsonl"
    with pytest.raises(UnreadableSource, match="has changed since it was listed"):
        check_unchanged(first)


def test_documents_from_jsonl_and_parquet(s3: s3fs.S3FileSystem, tmp_path: Path, read: Read) -> None:
    s3.pipe("data/a.jsonl.zst", zstandard.compress(lines("one", "two")))
    pq.write_table(pa.table({"text": [f"row {n}" for n in range(3_000)]}), tmp_path / "b.parquet", row_group_size=1_000)
    s3.pipe("data/b.parquet", (tmp_path / "b.parquet").read_bytes())
    first, second = list_files(spec("s3://data"))
    found = read(first)
    assert found.texts == ["one", "two"]
    assert found.rows[0]["source_uri"] == "s3://data/a.jsonl.zst#0"
    assert read(second).texts == [f"row {n}" for n in range(3_000)]


def test_a_truncated_file_keeps_its_good_records(s3: s3fs.S3FileSystem, read: Read) -> None:
    packed = zstandard.compress(lines(*(f"{number} {number * 7919}" * 20 for number in range(5_000))))
    s3.pipe("data/a.jsonl.zst", packed[: len(packed) // 2])
    found = read(list_files(spec("s3://data"))[0])
    assert found.rows
    assert str(found.error).startswith(f"s3://data/a.jsonl.zst, record {len(found.rows)}: cut off")


def test_a_local_copy(s3: s3fs.S3FileSystem) -> None:
    s3.pipe("data/a.pdf", b"%PDF")
    (file,) = list_files(SourceSpec(key="textbooks", uris=("s3://data",)))
    with local_path(file) as path:
        assert path.read_bytes() == b"%PDF"


def test_what_is_not_there_is_one_line(s3: s3fs.S3FileSystem) -> None:
    del s3
    for uri in ("s3://data/none/*.jsonl", "s3://data/none", "s3://no-such-bucket/x.jsonl"):
        with pytest.raises(SourceListingError, match=rf"^sources\.cc_en: {uri.replace('*', '.')}: ") as caught:
            list_files(parse_sources(f'sources: {{cc_en: {{uri: "{uri}"}}}}').sources["cc_en"])
        assert "\n" not in str(caught.value)


def test_a_file_that_goes_between_listing_and_reading_is_named(s3: s3fs.S3FileSystem, read: Read) -> None:
    s3.pipe("data/a.jsonl", lines("one"))
    (file,) = list_files(spec("s3://data"))
    s3.rm("data/a.jsonl")
    found = read(file)
    assert found.rows == []
    assert str(found.error).startswith("s3://data/a.jsonl: cannot be ")
