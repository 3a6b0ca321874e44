"""What identifies the content of one file: its revision and its fingerprint, by the kind of store.

| where | revision | fingerprint |
|---|---|---|
| local, and a file system without content tags | sha256 of the content | the same |
| s3:// | version id where the bucket has versions, else the ETag | ETag |
| hf:// | commit of the repository | sha256 of the large file, else git's blob id |
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CHUNK_BYTES = 1 << 20

# (path, size, mtime_ns) -> sha256: hashing reads the file whole, and observing happens every few minutes.
_LOCAL_HASHES: dict[tuple[str, int, int], str] = {}
_LOCAL_HASHES_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Size as stored, revision, and what changes if and only if the content does."""

    size_bytes: int
    revision: str
    fingerprint: str


def identity_of(fs: Any, name: str, info: Mapping[str, Any], commit: str | None) -> Identity:
    """Identity of a file of an fsspec file system, by its entry there.

    Args:
        fs: the file system.
        name: path in it.
        info: its entry, as `fs.info` or a detailed listing gives it.
        commit: of the hub repository the path is pinned to; None elsewhere.
    """
    if is_local(fs):
        return local_identity(Path(name))
    size = int(info["size"])
    if commit is not None:
        large = info.get("lfs")
        fingerprint = f"sha256:{large['sha256']}" if large else f"git:{info['blob_id']}"
        return Identity(size_bytes=size, revision=commit, fingerprint=fingerprint)
    etag = info.get("ETag")
    if etag:
        tag = f"etag:{str(etag).strip(chr(34))}"
        version = info.get("VersionId")
        revision = f"version:{version}" if version and version != "null" else tag
        return Identity(size_bytes=size, revision=revision, fingerprint=tag)
    with fs.open(name, "rb") as stream:
        digest = _sha256(stream)
    return Identity(size_bytes=size, revision=digest, fingerprint=digest)


def is_local(fs: Any) -> bool:
    """Whether the paths of an fsspec file system are paths of this machine."""
    return "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)


def local_identity(path: Path) -> Identity:
    """Identity of a local file; read again only when its path, size or modification time is another."""
    status = path.stat()
    key = (str(path), status.st_size, status.st_mtime_ns)
    with _LOCAL_HASHES_LOCK:
        digest = _LOCAL_HASHES.get(key)
    if digest is None:
        with path.open("rb") as stream:
            digest = _sha256(stream)
        with _LOCAL_HASHES_LOCK:
            _LOCAL_HASHES[key] = digest
    return Identity(size_bytes=status.st_size, revision=digest, fingerprint=digest)


def _sha256(stream: Any) -> str:
    digest = hashlib.sha256()
    while chunk := stream.read(_CHUNK_BYTES):
        digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"
