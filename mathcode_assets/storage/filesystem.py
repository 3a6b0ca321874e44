"""Files behind a URI: a local path or any fsspec address, by the same few calls.

Writes are all-or-nothing: a local file appears by rename after fsync, an object by a completed upload.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from mathcode_assets.storage.leftovers import TEMPORARY_PREFIX, process_folder


@dataclass(frozen=True, slots=True)
class Location:
    """A folder or file: an fsspec filesystem and a path in it. `/` joins, as with pathlib."""

    filesystem: fsspec.AbstractFileSystem
    path: str

    def __truediv__(self, name: str) -> Location:
        return Location(self.filesystem, f"{self.path.rstrip('/')}/{name}")

    @property
    def is_local(self) -> bool:
        """True for a folder of this machine."""
        return isinstance(self.filesystem, LocalFileSystem)

    @property
    def uri(self) -> str:
        """Address that `locate` turns into this location again; a plain path where local."""
        return self.path if self.is_local else cast(str, self.filesystem.unstrip_protocol(self.path))

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rstrip("/").rsplit("/", 1)[-1]

    def exists(self) -> bool:
        """Whether something is there now (object listings are not taken from a cache)."""
        self.filesystem.invalidate_cache()
        return cast(bool, self.filesystem.exists(self.path))

    def size_bytes(self) -> int:
        """Size of the file.

        Raises:
            FileNotFoundError: nothing is there.
        """
        return cast(int, self.filesystem.info(self.path)["size"])

    def list(self) -> list[Location]:
        """What is directly below, sorted by name; empty where nothing is."""
        self.filesystem.invalidate_cache()
        try:
            names = cast(list[str], self.filesystem.ls(self.path, detail=False))
        except FileNotFoundError:
            return []
        here = self.path.rstrip("/")
        return [Location(self.filesystem, name) for name in sorted(names) if name.rstrip("/") != here]

    def open(self) -> IO[bytes]:
        """Open for reading."""
        return cast("IO[bytes]", self.filesystem.open(self.path, "rb"))

    def read_bytes(self) -> bytes:
        """The whole file.

        Raises:
            FileNotFoundError: nothing is there.
        """
        return cast(bytes, self.filesystem.cat_file(self.path))

    def write_bytes(self, content: bytes) -> None:
        """Replace the file by this content, all or nothing."""
        if not self.is_local:
            self.filesystem.pipe_file(self.path, content)
            return
        with staged_file(self.parent()) as staged:
            staged.write_bytes(content)
            put_file(staged, self)

    def parent(self) -> Location:
        """The folder above."""
        return Location(self.filesystem, self.path.rstrip("/").rsplit("/", 1)[0])

    def remove(self) -> None:
        """Remove the file or folder; nothing happens where nothing is."""
        if self.exists():
            self.filesystem.rm(self.path, recursive=True)


def locate(uri: str | os.PathLike[str], **storage_options: Any) -> Location:
    """The location of a path or URI (`lake`, `/data/lake`, `s3://bucket/lake`, `memory://lake`)."""
    filesystem, path = fsspec.core.url_to_fs(os.fspath(uri), **storage_options)
    return Location(filesystem, path)


@contextmanager
def staged_file(folder: Location) -> Iterator[Path]:
    """A temporary local path that is gone afterwards; in `folder` itself where that is local.

    Being on the same disk, a local staged file can be renamed into place by `put_file`.
    """
    if folder.is_local:
        Path(folder.path).mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=folder.path if folder.is_local else process_folder())
    os.close(handle)
    path = Path(name)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def put_file(staged: Path, target: Location) -> None:
    """Move a finished local file to its place: fsync and rename, or a (multipart) upload."""
    if not target.is_local:
        target.filesystem.put_file(str(staged), target.path)
        return
    with staged.open("rb") as stream:
        os.fsync(stream.fileno())
    staged.chmod(0o644)
    destination = Path(target.path)
    destination.parent.mkdir(parents=True, exist_ok=True)
    if staged.parent == destination.parent:
        staged.replace(destination)
    else:
        with staged_file(target.parent()) as copy:
            shutil.copyfile(staged, copy)
            put_file(copy, target)
        return
    _fsync_folder(destination.parent)


def _fsync_folder(folder: Path) -> None:
    """Make a rename survive a power cut; file systems that refuse it (some network ones) are left as is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
