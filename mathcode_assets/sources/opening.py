"""Bytes of a source file, wherever it lies: opened, decompressed as a stream, or brought to a local path.

Decompression goes block by block, so that everything before the place where a file is cut off comes
out, and a small file that expands to gigabytes is never held whole.
"""

from __future__ import annotations

import codecs
import contextlib
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from mathcode_assets.sources.errors import BrokenStream, UnreadableSource
from mathcode_assets.sources.listing import SourceFile
from mathcode_assets.storage.filesystem import open_filesystem
from mathcode_assets.storage.leftovers import process_folder

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
GZIP_MAGIC = b"\x1f\x8b"
PARQUET_MAGIC = b"PAR1"
_MAGIC_BY_ENDING = {".zst": ZSTD_MAGIC, ".gz": GZIP_MAGIC}

_READ_BYTES = 1 << 20
# A zstd block of 4 bytes can hold 128 KiB: 1 KiB in is at most 32 MiB out (measured on 256 MiB of one
# letter), at 820 MB/s on web text, the same as with larger slices.
_ZSTD_SLICE_BYTES = 1 << 10
_GZIP_OUT_BYTES = 1 << 20
# zstd skippable frames (as written by pzstd): 0x184D2A50 to 0x184D2A5F, little-endian.
_SKIPPABLE_TAIL = b"\x2a\x4d\x18"


@contextlib.contextmanager
def open_raw(file: SourceFile, *, ranged: bool = False) -> Iterator[BinaryIO]:
    """The file's stored bytes; `ranged` for reading here and there instead of from start to end.

    Raises:
        UnreadableSource: it cannot be opened.
    """
    try:
        fs, path = open_filesystem(file.uri)
        # Read-ahead helps a stream. Parquet reads several columns in turn, which would throw away
        # each block (50 MiB in s3fs) for the next.
        cache = {"cache_type": "none"} if ranged else {"cache_type": "readahead", "block_size": 8 << 20}
        stream = fs.open(path, "rb", **cache)
    except Exception as error:  # each store has errors of its own
        raise UnreadableSource(file.address, f"cannot be opened: {type(error).__name__}: {error}") from error
    with stream:
        yield stream


def read_bytes(file: SourceFile) -> bytes:
    """The whole file; for formats that cannot be streamed, such as PDF.

    Raises:
        UnreadableSource: it cannot be opened or read.
    """
    with open_raw(file) as stream:
        try:
            return stream.read()
        except Exception as error:
            raise UnreadableSource(file.address, f"cannot be read: {type(error).__name__}: {error}") from error


@contextlib.contextmanager
def local_path(file: SourceFile) -> Iterator[Path]:
    """A local path of the file: its own, or a temporary copy that goes when the block ends.

    Raises:
        UnreadableSource: it cannot be opened or read.
    """
    if "://" not in file.uri:
        yield Path(file.uri)
        return
    with tempfile.TemporaryDirectory(prefix="source-", dir=process_folder()) as folder:
        copy = Path(folder) / Path(file.relative_path).name
        with open_raw(file) as stream, copy.open("wb") as output:
            try:
                shutil.copyfileobj(stream, output, _READ_BYTES)
            except Exception as error:
                raise UnreadableSource(file.address, f"cannot be read: {type(error).__name__}: {error}") from error
        yield copy


def head(stream: BinaryIO, n_bytes: int = 4) -> bytes:
    """The first bytes of a seekable stream, which stays at its start."""
    first = stream.read(n_bytes)
    stream.seek(0)
    return first


def decompressed(stream: BinaryIO, *, name: str) -> Iterator[bytes]:
    """The chunks of a stream, decompressed where its first bytes say zstd or gzip; chunks up to 32 MiB.

    Args:
        stream: at its start, seekable.
        name: of the file; an ending .zst or .gz whose content is neither compressed nor text is broken.

    Raises:
        BrokenStream: after the last good chunk, where compressed data is damaged or cut off.
    """
    first = head(stream)
    if first.startswith(ZSTD_MAGIC) or first[1:4] == _SKIPPABLE_TAIL:
        return _zstd(stream)
    if first.startswith(GZIP_MAGIC):
        return _gzip(stream)
    ending = name.lower()[name.rfind(".") :]
    text = first.removeprefix(codecs.BOM_UTF8).lstrip()
    if ending in _MAGIC_BY_ENDING and text and not text.startswith((b"{", b"[")):
        is_cut = _MAGIC_BY_ENDING[ending].startswith(first)
        return _broken("cut off in its first bytes" if is_cut else f"not {ending[1:]} data")
    return _plain(stream)


def _plain(stream: BinaryIO) -> Iterator[bytes]:
    while True:
        try:
            chunk = stream.read(_READ_BYTES)
        except Exception as error:  # each store has errors of its own
            raise BrokenStream(f"cannot be read: {type(error).__name__}: {error}") from error
        if not chunk:
            return
        yield chunk


def _broken(detail: str) -> Iterator[bytes]:
    raise BrokenStream(detail)
    yield b""  # a generator, so that the error comes while reading


def _zstd(stream: BinaryIO) -> Iterator[bytes]:
    """Frames one after another, as `cat a.zst b.zst` and pzstd leave them."""
    decoder = zstandard.ZstdDecompressor()
    frame: Any = None
    for chunk in _plain(stream):
        view = memoryview(chunk)
        while view:
            part, view = view[:_ZSTD_SLICE_BYTES], view[_ZSTD_SLICE_BYTES:]
            while part:
                frame = frame or decoder.decompressobj()
                try:
                    data = frame.decompress(part)
                except zstandard.ZstdError as error:
                    raise BrokenStream(f"damaged zstd data: {error}") from error
                if data:
                    yield data
                part = b""
                if frame.eof:
                    part, frame = memoryview(frame.unused_data), None
    if frame is not None:
        raise BrokenStream("cut off: the zstd data ends in the middle of a frame")


def _gzip(stream: BinaryIO) -> Iterator[bytes]:
    """Members one after another; zero bytes after the last one are padding, as gzip itself takes them."""
    member: Any = None
    for chunk in _plain(stream):
        while chunk:
            if member is None:
                chunk = chunk.lstrip(b"\0") if not chunk.startswith(GZIP_MAGIC) else chunk
                if not chunk:
                    break
                member = zlib.decompressobj(wbits=31)
            try:
                data = member.decompress(chunk, _GZIP_OUT_BYTES)
            except zlib.error as error:
                raise BrokenStream(f"damaged gzip data: {error}") from error
            if data:
                yield data
            chunk = member.unconsumed_tail
            if member.eof:
                chunk, member = member.unused_data, None
    if member is not None:
        raise BrokenStream("cut off: the gzip data ends in the middle of a member")
