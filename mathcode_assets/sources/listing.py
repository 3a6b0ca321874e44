"""The files of a source, wherever they are, each with its revision and fingerprint.

An address is a file, a folder or a glob: a local path, `s3://`, `hf://datasets/OWNER/NAME[@REVISION]/...`
or whatever else fsspec opens. `*` stays within a folder, `**` goes below it; local links to files are
followed, links to folders inside a folder are not.

- A **folder** (or a glob whose last part is `*` or `**`) gives the files whose ending the component
  reads; hidden files, and files such as README.md, are passed over.
- A **file** or a **glob that names an ending** gives what it names; an ending the component cannot
  read is an error, so no data is left out in silence.

Revision and fingerprint of a file are told in `fingerprints`.
Files are listed anew at each call: nothing is remembered but the hash of a local file that has not
changed in path, size and modification time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from mathcode_assets.config import BENCHMARKS_KEY, SourceSpec
from mathcode_assets.sources.errors import SourceListingError, UnreadableSource
from mathcode_assets.sources.fingerprints import Identity, identity_of, is_local, local_identity
from mathcode_assets.sources.hub import HUB_PREFIX, pin_to_commit
from mathcode_assets.storage.filesystem import open_filesystem

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
    written = spec.written_uris or spec.uris
    files = _list(_where(spec), spec.uris, written, revision=spec.revision, endings=endings)
    labels = {file.uri for file in list_label_files(spec)} if spec.labels else set()
    return [file for file in files if file.uri not in labels]


def list_label_files(spec: SourceSpec) -> list[SourceFile]:
    """The given labels of a source, sorted by relative path; empty where it has none.

    Raises:
        SourceListingError: as `list_files`.
    """
    return _list(_where(spec), spec.labels, spec.labels, revision=None, endings=LABEL_ENDINGS)


def list_inputs(*uris: str, endings: Sequence[str] = DATA_ENDINGS) -> list[SourceFile]:
    """The files at addresses given on a command line, relative to the current folder, sorted.

    Raises:
        SourceListingError: as `list_files`.
    """
    absolute = [uri if "://" in uri else str(Path(uri).expanduser().absolute()) for uri in uris]
    return _list("", absolute, uris, revision=None, endings=endings)


def local_file(path: str | Path, *, address: str | None = None) -> SourceFile:
    """One local file, for a command that works on files instead of a sources file.

    Raises:
        SourceListingError: it is not there.
    """
    absolute = Path(path).absolute()
    if not absolute.is_file():
        raise SourceListingError(f"{path}: no such file")
    return _source_file(absolute.name, str(absolute), address or str(path), local_identity(absolute))


def check_unchanged(file: SourceFile) -> None:
    """Raise unless the content is still what was listed; to be asked before anything is published.

    Raises:
        UnreadableSource: it has changed or gone. (On the hub the commit is pinned: nothing to ask.)
    """
    if file.uri.startswith(HUB_PREFIX):
        return
    try:
        fs, path = open_filesystem(file.uri)
        fs.invalidate_cache()
        found = identity_of(fs, path, fs.info(path), None).fingerprint
    except Exception as error:  # each store has errors of its own
        raise UnreadableSource(file.address, f"has gone since it was listed: {_one_line(error)}") from error
    if found != file.fingerprint:
        raise UnreadableSource(file.address, f"has changed since it was listed: {file.fingerprint} to {found}")


def ending_of(path: str, endings: Sequence[str] = KNOWN_ENDINGS) -> str | None:
    """The longest of the endings that a path has, in any case; None for none."""
    lower = path.lower()
    return next((ending for ending in sorted(endings, key=len, reverse=True) if lower.endswith(ending)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """What one address gives: files by relative path, and how many parts of it those replace."""

    files: dict[str, tuple[str, Identity]]
    n_parts: int


def _list(
    where: str,
    uris: Sequence[str],
    written: Sequence[str],
    *,
    revision: str | None,
    endings: Sequence[str],
) -> list[SourceFile]:
    by_path: dict[str, SourceFile] = {}
    for uri, shown in zip(uris, written, strict=True):
        try:
            listed = _listed(uri, revision, endings)
        except SourceListingError as error:
            raise SourceListingError(f"{where}{shown}: {error}") from error
        except ImportError as error:
            raise SourceListingError(f"{where}{shown}: {error} (s3:// wants the extra [s3])") from error
        except Exception as error:  # each store has errors of its own: S3, hub, HTTP, permissions
            raise SourceListingError(f"{where}{shown}: cannot be listed: {_one_line(error)}") from error
        base = _base(shown, listed.n_parts)
        for relative, (file_uri, identity) in sorted(listed.files.items()):
            other = by_path.get(relative)
            if other is not None:
                raise SourceListingError(f"{where}{shown}: {relative} is listed twice: {other.uri} and {file_uri}")
            by_path[relative] = _source_file(relative, file_uri, base + relative, identity)
    return [by_path[path] for path in sorted(by_path)]


def _source_file(relative_path: str, uri: str, address: str, identity: Identity) -> SourceFile:
    return SourceFile(
        relative_path=relative_path,
        uri=uri,
        address=address,
        size_bytes=identity.size_bytes,
        revision=identity.revision,
        fingerprint=identity.fingerprint,
    )


def _where(spec: SourceSpec) -> str:
    return f"{spec.key}: " if spec.key == BENCHMARKS_KEY else f"sources.{spec.key}: "


def _base(written: str, n_parts: int) -> str:
    """The address as written without its last parts, which the relative paths replace."""
    scheme, mark, path = written.rpartition("://")
    parts = path.rstrip("/").split("/")
    fixed = "/".join(parts[: len(parts) - n_parts]).removeprefix("./")
    return scheme + mark + (f"{fixed}/" if fixed or path.startswith("/") else "")


def _has_glob(part: str) -> bool:
    return any(mark in part for mark in "*?[")


def _listed(uri: str, revision: str | None, endings: Sequence[str]) -> _Listed:
    commit = None
    if uri.startswith(HUB_PREFIX):
        uri, commit = pin_to_commit(uri, revision)
    fs, path = open_filesystem(uri)
    fs.invalidate_cache()  # a long-running observer would otherwise see the first listing for ever
    path = path.rstrip("/") or "/"
    prefix, entries = _entries(fs, path, endings)
    if not entries:
        raise SourceListingError(f"no file with an ending of {', '.join(endings)} is there")
    files = {
        name[len(prefix) :].lstrip("/"): (
            name if is_local(fs) else fs.unstrip_protocol(name),
            identity_of(fs, name, info, commit),
        )
        for name, info in entries.items()
    }
    return _Listed(files=files, n_parts=path.count("/") - prefix.count("/"))


def _entries(fs: Any, path: str, endings: Sequence[str]) -> tuple[str, dict[str, Mapping[str, Any]]]:
    """The prefix that relative paths are below, and the entry of each file found."""
    # Before the question for a file, which a store then answers from this listing instead of being asked twice more.
    globbed = fs.glob(path, detail=True) if _has_glob(path) else {}
    if fs.isfile(path):  # a real name may hold the marks of a glob
        _want_ending(path, endings)
        return path.rpartition("/")[0], {path: fs.info(path)}
    if not _has_glob(path):
        if not fs.isdir(path):
            _raise_why_not_there(fs, path)
        # By default a local folder that may not be read is passed over in silence.
        found = fs.find(path, detail=True, **({"on_error": "raise"} if is_local(fs) else {}))
        files = {name: info for name, info in found.items() if _is_file(fs, name, info)}
        return path, _readable(path, files, endings)
    parts = path.split("/")
    prefix = "/".join(parts[: next(i for i, part in enumerate(parts) if _has_glob(part))])
    found = {name: info for name, info in globbed.items() if _is_file(fs, name, info)}
    if parts[-1] in ("*", "**"):
        return prefix, _readable(prefix, found, endings)
    for name in found:
        _want_ending(name, endings)
    return prefix, found


def _raise_why_not_there(fs: Any, path: str) -> NoReturn:
    """`isfile` and `isdir` take every error for a no, also a refused permission; `info` tells."""
    try:
        fs.info(path)
    except FileNotFoundError as error:
        raise SourceListingError(f"no such file or folder ({path})") from error
    raise SourceListingError(f"neither a file nor a folder ({path})")


def _is_file(fs: Any, name: str, info: Mapping[str, Any]) -> bool:
    """Whether an entry is a file; a local link counts as what it leads to, and a broken one as a file."""
    if is_local(fs) and info["type"] == "other":
        path = Path(name)
        return path.is_file() or not path.exists()
    return info["type"] == "file"


def _want_ending(name: str, endings: Sequence[str]) -> None:
    if ending_of(name, endings) is None:
        raise SourceListingError(f"{name.rpartition('/')[2]}: the ending is none of {', '.join(endings)}")


def _readable(
    prefix: str, entries: Mapping[str, Mapping[str, Any]], endings: Sequence[str]
) -> dict[str, Mapping[str, Any]]:
    def is_hidden(name: str) -> bool:
        return any(part[:1] in (".", "_") for part in name[len(prefix) :].strip("/").split("/"))

    return {name: info for name, info in entries.items() if ending_of(name, endings) and not is_hidden(name)}


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
