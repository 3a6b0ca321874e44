"""Files behind a URI: a local path or any fsspec address, by the same few calls.

Writes are all-or-nothing: a local file appears by rename after fsync, an object by a completed upload.
A store that refuses or fails raises `StorageError`, one line with the URI. Decision 0027 has the reasons of what
is set for S3.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import fsspec
import fsspec.config
from fsspec.implementations.local import LocalFileSystem

from mathcode_assets.storage.leftovers import TEMPORARY_PREFIX, process_folder

S3 = "s3"
# How botocore asks again: each request six times, 15 s of waiting in all, over throttling, 5xx and lost connections;
# s3fs begins that anew up to five times where the connection was lost, also in the middle of an answer.
S3_CLIENT = {
    "retries": {"mode": "standard", "total_max_attempts": 6},
    "connect_timeout": 10,
    "read_timeout": 60,
}
# Of one file, at a time: s3fs holds ten parts of 50 MB in memory by default. A download in parts asks for the size
# first, and fails for good where one part breaks off; a single stream goes on where it broke off.
DOWNLOADS_AT_ONCE, UPLOADS_AT_ONCE = 1, 4
UPLOAD_PART_BYTES = 16 << 20  # multipart from twice this on
MAX_UPLOAD_PARTS = 10_000  # S3's own
# Whole uploads, where the store has lost one: what its end was answered with did not arrive, and it ended.
UPLOAD_ATTEMPTS = 3
FILES_AT_ONCE = 256  # small ones; ten connections carry them
# A smaller object comes in one request; of a larger one, what is asked for and this much after it.
WHOLE_BYTES, READ_AHEAD_BYTES = 8 << 20, 1 << 20


class StorageError(OSError):
    """A store that cannot be reached, refuses, or failed again and again; one line with the URI."""


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
        with _told(self):
            return cast(bool, self.filesystem.exists(self.path))

    def sizes(self) -> dict[str, int]:
        """Size of every file here and below, by its path from here; empty where nothing is. One listing of a store."""
        self.filesystem.invalidate_cache()
        with _told(self):
            found: dict[str, dict[str, Any]] = self.filesystem.find(self.path, detail=True)
        start = len(self.path.rstrip("/")) + 1
        return {path[start:]: info["size"] for path, info in found.items()}

    def list(self) -> list[Location]:
        """What is directly below, sorted by name; empty where nothing is."""
        self.filesystem.invalidate_cache()
        try:
            with _told(self):
                names = cast(list[str], self.filesystem.ls(self.path, detail=False))
        except FileNotFoundError:
            return []
        here = self.path.rstrip("/")
        return [Location(self.filesystem, name) for name in sorted(names) if name.rstrip("/") != here]

    def age_s(self) -> float:
        """Seconds since the newest file here or below was written, by the store's clock; 0 where it does not tell."""
        if self.is_local:
            return time.time() - Path(self.path).stat().st_mtime
        with _told(self):
            found = self.filesystem.find(self.path, detail=True)
        written = [info["LastModified"].timestamp() for info in found.values() if info.get("LastModified")]
        return time.time() - max(written) if written else 0.0

    def open(self, *, size_bytes: int | None = None) -> IO[bytes]:
        """Open for reading; a size that is known spares a store a question, and a small object comes whole."""
        if self.is_local:
            return cast("IO[bytes]", self.filesystem.open(self.path, "rb"))
        if size_bytes is not None and size_bytes <= WHOLE_BYTES:
            return io.BytesIO(self.read_bytes())
        options = {} if size_bytes is None else {"size": size_bytes}
        with _told(self):
            stream = self.filesystem.open(
                self.path, "rb", block_size=READ_AHEAD_BYTES, cache_type="readahead", **options
            )
        return cast("IO[bytes]", stream)

    def read_bytes(self) -> bytes:
        """The whole file.

        Raises:
            FileNotFoundError: nothing is there.
        """
        with _told(self):
            return cast(bytes, self.filesystem.cat_file(self.path))

    def fetch(self, into: Path) -> None:
        """Copy the file to a local path.

        Raises:
            FileNotFoundError: nothing is there.
        """
        if self.is_local:
            shutil.copyfile(self.path, into)
            return
        with _told(self):
            self.filesystem.get_file(self.path, str(into))

    def write_bytes(self, content: bytes) -> None:
        """Replace the file by this content, all or nothing."""
        if not self.is_local:
            with _told(self, missing_is_error=True):
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
            with _told(self):
                self.filesystem.rm(self.path, recursive=True)

    def check_reachable(self) -> None:
        """Ask an S3 store for anything at all below here; another store is asked when it is used.

        Raises:
            StorageError: no such bucket, a wrong key or secret, no right to list, no answer.
        """
        if not _is_s3(self.filesystem):
            return
        bucket, key, _ = self.filesystem.split_path(self.path)
        prefix = f"{key.rstrip('/')}/" if key else ""
        with _told(self, missing_is_error=True):
            self.filesystem.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1)


def locate(uri: str | os.PathLike[str], **storage_options: Any) -> Location:
    """The location of a path or URI (`lake`, `/data/lake`, `s3://bucket/lake`, `memory://lake`)."""
    return Location(*open_filesystem(os.fspath(uri), **storage_options))


def open_filesystem(uri: str, **storage_options: Any) -> tuple[Any, str]:
    """The filesystem of a URI and the path in it; for S3 with the retries and sizes of this module.

    Endpoint, key and secret of S3 are what botocore finds (AWS_ENDPOINT_URL and its like, a profile, a role), unless
    the options or fsspec's own configuration name others.
    """
    if uri.startswith((f"{S3}://", "s3a://")):
        given = {**fsspec.config.conf.get(S3, {}), **storage_options}
        storage_options = {
            "max_concurrency": DOWNLOADS_AT_ONCE,
            **given,
            "config_kwargs": {**S3_CLIENT, **given.get("config_kwargs", {})},
        }
    return cast(tuple[Any, str], fsspec.core.url_to_fs(uri, **storage_options))


def configure_s3(**options: Any) -> None:
    """What every S3 address of this process is opened with from now on: arguments of s3fs, as fsspec's own settings."""
    fsspec.config.conf[S3] = options


def read_files(places: Sequence[Location]) -> dict[str, bytes]:
    """Contents of small files of one filesystem by path, without those that are not there.

    A store is asked for many at once.
    """
    found: dict[str, bytes] = {}
    if places and not places[0].is_local:
        with _told(places[0].parent()):
            paths = [place.path for place in places]
            for start in range(0, len(paths), FILES_AT_ONCE):
                found |= places[0].filesystem.cat(paths[start : start + FILES_AT_ONCE], on_error="omit")
        return found
    for place in places:
        with suppress(FileNotFoundError):
            found[place.path] = place.read_bytes()
    return found


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
        with _told(target, missing_is_error=True):
            _upload(staged, target)
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


def _upload(staged: Path, target: Location) -> None:
    if not _is_s3(target.filesystem):
        target.filesystem.put_file(str(staged), target.path)
        return
    part_bytes = max(UPLOAD_PART_BYTES, -(-staged.stat().st_size // MAX_UPLOAD_PARTS))
    for attempt in range(1, UPLOAD_ATTEMPTS + 1):
        try:
            target.filesystem.put_file(str(staged), target.path, chunksize=part_bytes, max_concurrency=UPLOADS_AT_ONCE)
            return
        except FileNotFoundError:  # the upload, or else the bucket
            if attempt == UPLOAD_ATTEMPTS:
                raise


@contextmanager
def _told(place: Location, *, missing_is_error: bool = False) -> Iterator[None]:
    """Errors of a store name the place. A local file's do already, and what is missing is an answer when reading."""
    try:
        yield
    except Exception as error:  # each store has errors of its own: S3, HTTP, permissions
        if place.is_local or (isinstance(error, FileNotFoundError) and not missing_is_error):
            raise
        raise StorageError(f"{place.uri}: {' '.join(f'{type(error).__name__}: {error}'.split())}") from error


def _is_s3(filesystem: Any) -> bool:
    return S3 in ((filesystem.protocol,) if isinstance(filesystem.protocol, str) else filesystem.protocol)


def _fsync_folder(folder: Path) -> None:
    """Make a rename survive a power cut; file systems that refuse it (some network ones) are left as is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
