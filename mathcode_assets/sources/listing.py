"""The files of a source, wherever they are, each with its revision and fingerprint.

An address is a file, a folder or a glob: a local path, `s3://`, `hf://datasets/OWNER/NAME[@REVISION]/...`
or whatever else fsspec opens. `*` stays within a folder, `**` goes below it.

- A **folder** (or a glob whose last part is `*` or `**`) gives the files whose ending the component
  reads; hidden files, and files such as README.md, are passed over.
- A **file** or a **glob that names an ending** gives what it names; an ending the component cannot
  read is an error, so no data is left out in silence.

| where | revision | fingerprint |
|---|---|---|
| local, and a file system without content tags | sha256 of the content | the same |
| s3:// | version id where the bucket has versions, else the ETag | ETag |
| hf:// | commit of the repository | sha256 of the large file, else git's blob id |

Files are listed anew at each call: nothing is remembered but the hash of a local file that has not
changed in path, size and modification time.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec

from mathcode_assets.config import BENCHMARKS_KEY, SourceSpec
from mathcode_assets.sources.errors import SourceListingError
from mathcode_assets.sources.hub import HUB_PREFIX, pin_to_commit

# Longest first: an ending is cut off whole.
DATA_ENDINGS: tuple[str, ...] = (
    ".jsonl.zst",
    ".jsonl.gz",
    ".json.zst",
    ".json.gz",
    ".jsonl",
    ".json",
    ".parquet",
)
PDF_ENDINGS: tuple[str, ...] = (".pdf",)
LABEL_ENDINGS: tuple[str, ...] = (*DATA_ENDINGS, ".csv")
KNOWN_ENDINGS: tuple[str, ...] = (*DATA_ENDINGS, ".csv", ".pdf")

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class SourceFile:
    """One file of a source, as it was when it was listed.

    Attributes:
        relative_path: below the part of its address that holds no glob; unique in its source.
        uri: where to open it; absolute, and for the hub pinned to the commit.
        address: the same as the sources file writes it (a relative path stays relative).
        size_bytes: as stored, compressed where it is compressed.
        revision: see the module's table.
        fingerprint: changes if and only if the content does.
    """

    relative_path: str
    uri: str
    address: str
    size_bytes: int
    revision: str
    fingerprint: str


def list_files(spec: SourceSpec) -> list[SourceFile]:
    """The data files of a source or of the benchmarks, sorted by relative path; label files left out.

    Raises:
        SourceListingError: nothing there, not reachable, an ending that is not read, or two files
            of the same relative path (also one file that two addresses name).
    """
    endings = PDF_ENDINGS if spec.key == "textbooks" else DATA_ENDINGS
    files = _list(spec, spec.uris, spec.written_uris or spec.uris, endings)
    labels = {file.uri for file in list_label_files(spec)} if spec.labels else set()
    return [file for file in files if file.uri not in labels]


def list_label_files(spec: SourceSpec) -> list[SourceFile]:
    """The given labels of a source, sorted by relative path; empty where it has none.

    Raises:
        SourceListingError: as `list_files`.
    """
    return _list(spec, spec.labels, spec.labels, LABEL_ENDINGS)


def local_file(path: str | Path, *, address: str | None = None) -> SourceFile:
    """One local file, for a command that works on files instead of a sources file.

    Raises:
        SourceListingError: it is not there.
    """
    absolute = Path(path).absolute()
    if not absolute.is_file():
        raise SourceListingError(f"{path}: no such file")
    return _source_file(_local_found(absolute, absolute.name), address or str(path))


def ending_of(path: str, endings: Sequence[str] = KNOWN_ENDINGS) -> str | None:
    """The longest of the endings that a path has, in any case; None for none."""
    lower = path.lower()
    return next((ending for ending in sorted(endings, key=len, reverse=True) if lower.endswith(ending)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    relative_path: str
    uri: str
    size_bytes: int
    revision: str
    fingerprint: str


def _source_file(found: _Found, address: str) -> SourceFile:
    return SourceFile(
        relative_path=found.relative_path,
        uri=found.uri,
        address=address,
        size_bytes=found.size_bytes,
        revision=found.revision,
        fingerprint=found.fingerprint,
    )


def _list(spec: SourceSpec, uris: Sequence[str], written: Sequence[str], endings: Sequence[str]) -> list[SourceFile]:
    by_path: dict[str, SourceFile] = {}
    where = spec.key if spec.key == BENCHMARKS_KEY else f"sources.{spec.key}"
    for uri, shown in zip(uris, written, strict=True):
        base = _base(shown)
        try:
            found = sorted(_find(uri, spec.revision, endings), key=lambda file: file.relative_path)
        except SourceListingError as error:
            raise SourceListingError(f"{where}: {shown}: {error}") from error
        except ImportError as error:
            raise SourceListingError(f"{where}: {shown}: {error} (s3:// wants the extra [s3])") from error
        except Exception as error:  # each store has errors of its own: S3, hub, HTTP, permissions
            raise SourceListingError(f"{where}: {shown}: cannot be listed: {_one_line(error)}") from error
        for file in found:
            other = by_path.get(file.relative_path)
            if other is not None:
                raise SourceListingError(
                    f"{where}: {shown}: {file.relative_path} is listed twice: {other.uri} and {file.uri}"
                )
            address = f"{base}/{file.relative_path}" if base else file.relative_path
            by_path[file.relative_path] = _source_file(file, address)
    return [by_path[path] for path in sorted(by_path)]


def _base(written: str) -> str:
    """The address below which relative paths lie, as written."""
    scheme, mark, path = written.rpartition("://")
    parts = path.rstrip("/").split("/")
    fixed = parts[: next((i for i, part in enumerate(parts) if _has_glob(part)), len(parts))]
    if len(fixed) == len(parts) and ending_of(path):
        fixed = fixed[:-1]
    return scheme + mark + "/".join(part for i, part in enumerate(fixed) if part != "." or i)


def _has_glob(part: str) -> bool:
    return any(mark in part for mark in "*?[")


def _find(uri: str, revision: str | None, endings: Sequence[str]) -> Iterator[_Found]:
    commit = None
    if uri.startswith(HUB_PREFIX):
        uri, commit = pin_to_commit(uri, revision)
    fs, path = fsspec.core.url_to_fs(uri)
    fs.invalidate_cache()  # a long-running observer would otherwise see the first listing for ever
    path = path.rstrip("/") or "/"
    prefix, entries = _entries(fs, path, endings)
    if not entries:
        raise SourceListingError(f"no file with an ending of {', '.join(endings)} is there")
    local = _is_local(fs)
    for name, info in entries.items():
        relative = name[len(prefix) :].lstrip("/")
        if local:
            yield _local_found(Path(name), relative)
        else:
            revision_found, fingerprint = _tags(fs, name, info, commit)
            yield _Found(
                relative_path=relative,
                uri=fs.unstrip_protocol(name),
                size_bytes=int(info["size"]),
                revision=revision_found,
                fingerprint=fingerprint,
            )


def _entries(fs: Any, path: str, endings: Sequence[str]) -> tuple[str, dict[str, Mapping[str, Any]]]:
    """The prefix that relative paths are below, and the entry of each file found."""
    if fs.isfile(path):  # first: a real name may hold the marks of a glob
        _want_ending(path, endings)
        return path.rpartition("/")[0], {path: fs.info(path)}
    if not _has_glob(path):
        if not fs.isdir(path):
            raise SourceListingError(f"no such file or folder ({path})")
        return path, _readable(path, fs.find(path, detail=True), endings)
    parts = path.split("/")
    prefix = "/".join(parts[: next(i for i, part in enumerate(parts) if _has_glob(part))])
    found = {name: info for name, info in fs.glob(path, detail=True).items() if info["type"] == "file"}
    if parts[-1] in ("*", "**"):
        return prefix, _readable(prefix, found, endings)
    for name in found:
        _want_ending(name, endings)
    return prefix, found


def _want_ending(name: str, endings: Sequence[str]) -> None:
    if ending_of(name, endings) is None:
        raise SourceListingError(f"{name.rpartition('/')[2]}: the ending is none of {', '.join(endings)}")


def _readable(
    prefix: str, entries: Mapping[str, Mapping[str, Any]], endings: Sequence[str]
) -> dict[str, Mapping[str, Any]]:
    def is_hidden(name: str) -> bool:
        return any(part[:1] in (".", "_") for part in name[len(prefix) :].strip("/").split("/"))

    return {name: info for name, info in entries.items() if ending_of(name, endings) and not is_hidden(name)}


def _is_local(fs: Any) -> bool:
    return "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)


def _tags(fs: Any, name: str, info: Mapping[str, Any], commit: str | None) -> tuple[str, str]:
    """Revision and fingerprint of a file that is not local."""
    if commit is not None:
        large = info.get("lfs")
        return commit, f"sha256:{large['sha256']}" if large else f"git:{info['blob_id']}"
    etag = info.get("ETag")
    if etag:
        tag = f"etag:{str(etag).strip(chr(34))}"
        version = info.get("VersionId")
        return (f"version:{version}" if version and version != "null" else tag), tag
    with fs.open(name, "rb") as stream:
        digest = f"sha256:{_sha256(stream)}"
    return digest, digest


# (path, size, mtime_ns) -> sha256: hashing reads the file whole, and observing happens every few minutes.
_LOCAL_HASHES: dict[tuple[str, int, int], str] = {}
_LOCAL_HASHES_LOCK = threading.Lock()


def _local_found(path: Path, relative_path: str) -> _Found:
    status = path.stat()
    key = (str(path), status.st_size, status.st_mtime_ns)
    with _LOCAL_HASHES_LOCK:
        digest = _LOCAL_HASHES.get(key)
    if digest is None:
        with path.open("rb") as stream:
            digest = f"sha256:{_sha256(stream)}"
        with _LOCAL_HASHES_LOCK:
            _LOCAL_HASHES[key] = digest
    return _Found(
        relative_path=relative_path,
        uri=str(path),
        size_bytes=status.st_size,
        revision=digest,
        fingerprint=digest,
    )


def _sha256(stream: Any) -> str:
    digest = hashlib.sha256()
    while chunk := stream.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
