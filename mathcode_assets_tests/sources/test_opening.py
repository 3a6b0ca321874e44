from __future__ import annotations

import gzip
import io
import random
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from mathcode_assets.config import SourceSpec
from mathcode_assets.sources.errors import BrokenStream, UnreadableSource
from mathcode_assets.sources.listing import SourceFile, list_files, local_file
from mathcode_assets.sources.opening import decompressed, local_path, read_bytes

Compress = Callable[[bytes], bytes]


def streamed_zstd(data: bytes) -> bytes:
    """As a pipe writes it: without the size of the content in the header."""
    writer = zstandard.ZstdCompressor().compressobj()
    return writer.compress(data) + writer.flush()


COMPRESSIONS = pytest.mark.parametrize("compress", [zstandard.compress, streamed_zstd, gzip.compress])


def drain(data: bytes, name: str = "x.jsonl") -> tuple[bytes, str | None]:
    """What comes out, and how it broke."""
    out = bytearray()
    try:
        for chunk in decompressed(io.BytesIO(data), name=name):
            out += chunk
    except BrokenStream as error:
        return bytes(out), str(error)
    return bytes(out), None


def noise(n_bytes: int) -> bytes:
    """Bytes that hardly compress, always the same."""
    return random.Random(7).randbytes(n_bytes)


@COMPRESSIONS
@given(data=st.binary(max_size=5_000), n_parts=st.integers(1, 4))
def test_any_bytes_come_back_also_from_several_frames(compress: Compress, data: bytes, n_parts: int) -> None:
    assert drain(compress(data) * n_parts) == (data * n_parts, None)


@COMPRESSIONS
def test_more_than_a_read_comes_back(compress: Compress) -> None:
    data = noise(3 << 20)
    assert drain(compress(data) + compress(data)) == (data * 2, None)


def test_what_is_not_compressed_comes_back_under_any_name() -> None:
    assert drain(b'{"a": 1}\n', "x.jsonl.zst") == (b'{"a": 1}\n', None)
    assert drain(b'\xef\xbb\xbf {"a": 1}\n', "x.jsonl.gz") == (b'\xef\xbb\xbf {"a": 1}\n', None)
    assert drain(b"", "x.jsonl.zst") == (b"", None)


@COMPRESSIONS
def test_the_name_does_not_matter_for_compressed_data(compress: Compress) -> None:
    assert drain(compress(b"text"), "x.jsonl") == (b"text", None)


def test_an_ending_that_lies_about_its_content_is_broken() -> None:
    assert drain(b"\x89PNG....", "x.jsonl.zst") == (b"", "not zst data")
    assert drain(zstandard.compress(b"x" * 99)[:3], "x.jsonl.zst") == (b"", "cut off in its first bytes")
    assert drain(gzip.compress(b"x")[:1], "x.jsonl.gz") == (b"", "cut off in its first bytes")


def test_skippable_frames_are_skipped() -> None:
    skippable = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"
    assert drain(skippable + zstandard.compress(b"a") + skippable + zstandard.compress(b"b")) == (b"ab", None)


def test_zeros_after_the_last_gzip_member_are_padding() -> None:
    assert drain(gzip.compress(b"a") + b"\0" * 512) == (b"a", None)


@COMPRESSIONS
def test_every_block_before_a_cut_comes_out(compress: Compress) -> None:
    data = noise(1 << 20)
    packed = compress(data)
    for share in (0.2, 0.5, 0.9):
        out, broken = drain(packed[: int(len(packed) * share)])
        assert broken is not None
        assert "cut off" in broken
        assert data.startswith(out)
        assert len(out) > len(data) * share - 2 * (128 << 10)  # but for the block that is cut


@COMPRESSIONS
@given(data=st.binary(min_size=1, max_size=300), share=st.floats(0.0, 1.0, exclude_max=True))
def test_a_cut_anywhere_is_noticed(compress: Compress, data: bytes, share: float) -> None:
    packed = compress(data)
    n_kept = max(4, int(len(packed) * share))
    if n_kept < len(packed):
        out, broken = drain(packed[:n_kept])
        assert broken is not None
        assert data.startswith(out)


@COMPRESSIONS
def test_rubbish_after_the_data_is_noticed_and_the_data_comes_out(compress: Compress) -> None:
    out, broken = drain(compress(b"good") + b"rubbish rubbish rubbish")
    assert out == b"good"
    assert broken is not None
    assert "damaged" in broken


def test_damage_in_the_middle_is_noticed() -> None:
    writer = zstandard.ZstdCompressor(write_checksum=True)
    packed = bytearray(writer.compress(noise(400_000)))
    packed[200_000] ^= 0xFF
    _, broken = drain(bytes(packed))
    assert broken is not None
    assert "damaged zstd data" in broken


def test_a_small_file_that_expands_is_given_out_in_bounded_chunks() -> None:
    bomb = zstandard.compress(b"a" * (256 << 20))
    assert len(bomb) < 10_000
    sizes = [len(chunk) for chunk in decompressed(io.BytesIO(bomb), name="x.zst")]
    assert sum(sizes) == 256 << 20
    assert max(sizes) <= 32 << 20


def test_whole_bytes_and_a_local_path(tmp_path: Path, memory_folder: str) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF local")
    file = local_file(tmp_path / "a.pdf")
    assert read_bytes(file) == b"%PDF local"
    with local_path(file) as path:
        assert path == tmp_path / "a.pdf"
    fsspec.filesystem("memory").pipe("/sources-test/b.pdf", b"%PDF remote")
    (remote,) = list_files(SourceSpec(key="textbooks", uris=(memory_folder,)))
    assert read_bytes(remote) == b"%PDF remote"
    with local_path(remote) as path:
        assert path.read_bytes() == b"%PDF remote"
        assert path.name == "b.pdf"
    assert not path.exists()


@pytest.mark.parametrize("uri", ["/nowhere/a.pdf", "memory://nowhere/a.pdf", "nonsense://a.pdf"])
def test_a_file_that_cannot_be_opened_is_named(uri: str) -> None:
    file = SourceFile(relative_path="a.pdf", uri=uri, address="books/a.pdf", size_bytes=1, revision="", fingerprint="")
    with pytest.raises(UnreadableSource, match=r"^books/a\.pdf: cannot be opened: \w+Error"):
        read_bytes(file)
