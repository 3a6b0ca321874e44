"""Which files make a partition: the recipe that both the graph and the commands use.

One file is one partition, keyed by its relative path; with `groups: N` a file belongs to the group
that a hash of its relative path names, so adding or removing a file touches its own partition only.
A key is safe as a folder name and as a Dagster partition key (which allows neither comma nor `...`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mathcode_assets.config import BENCHMARKS_KEY, SourceSpec
from mathcode_assets.sources.errors import SourceListingError
from mathcode_assets.sources.listing import SourceFile, ending_of, list_files

# Names of files go up to 255 bytes; the key shares that with a shard's own name and ending.
MAX_KEY_LENGTH = 120

_FORBIDDEN = re.compile(r"[^A-Za-z0-9._=+-]|\.{3,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """Files that are built together: the key, and the files by relative path (never none)."""

    key: str
    files: tuple[SourceFile, ...]

    @property
    def fingerprint(self) -> str:
        """Changes if and only if a file comes, goes, is renamed or changes its content; 64 hex digits."""
        digest = hashlib.sha256()
        for file in self.files:
            for part in (file.relative_path, file.fingerprint):
                data = part.encode("utf-8", "surrogateescape")
                digest.update(len(data).to_bytes(8, "big") + data)
        return digest.hexdigest()

    @property
    def size_bytes(self) -> int:
        """Bytes of the files as stored."""
        return sum(file.size_bytes for file in self.files)


def list_partitions(spec: SourceSpec) -> list[Partition]:
    """The partitions of a source that are to be built, sorted by key; lists the files.

    Raises:
        SourceListingError: as `list_files` and `partitions_of`.
    """
    return partitions_of(list_files(spec), spec)


def partitions_of(files: Iterable[SourceFile], spec: SourceSpec) -> list[Partition]:
    """The partitions of listed files without those the spec excludes, sorted by key.

    Raises:
        SourceListingError: two files ask for the same key, or `exclude` or `accept_contaminated`
            names a partition that is not there.
    """
    grouped: dict[str, list[SourceFile]] = {}
    for file in sorted(files):
        key = partition_key(file.relative_path) if spec.groups is None else _group_key(file, spec.groups)
        if spec.groups is None and key in grouped:
            first, second = grouped[key][0].relative_path, file.relative_path
            raise SourceListingError(f"{_where(spec)}: {first} and {second} ask for the same partition {key}")
        grouped.setdefault(key, []).append(file)
    _want_known(spec, "exclude", spec.exclude, sorted(grouped))
    _want_known(spec, "accept_contaminated", spec.accept_contaminated, sorted(grouped))
    kept = sorted(grouped.keys() - set(spec.exclude))
    return [Partition(key=key, files=tuple(grouped[key])) for key in kept]


def partition_key(relative_path: str) -> str:
    """The key of a file of this relative path.

    The ending goes, `/` becomes `__`, what a key may not hold becomes `_`; a key that would be too
    long, or of which nothing is left, ends in a hash.
    """
    ending = ending_of(relative_path) or ""
    stem = relative_path[: len(relative_path) - len(ending)]
    key = _FORBIDDEN.sub("_", stem.replace("/", "__"))
    if len(key) <= MAX_KEY_LENGTH and key.strip("._"):
        return key
    digest = hashlib.sha256(relative_path.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return f"{key[: MAX_KEY_LENGTH - 13]}-{digest}"


def _group_key(file: SourceFile, n_groups: int) -> str:
    digest = hashlib.sha256(file.relative_path.encode("utf-8", "surrogateescape")).digest()
    return f"group-{int.from_bytes(digest[:8], 'big') % n_groups:04d}"


def _where(spec: SourceSpec) -> str:
    return spec.key if spec.key == BENCHMARKS_KEY else f"sources.{spec.key}"


def _want_known(spec: SourceSpec, name: str, given: Sequence[str], known: Sequence[str]) -> None:
    unknown = [key for key in given if key not in known]
    if unknown:
        shown = ", ".join(known[:20]) + (f" and {len(known) - 20} more" if len(known) > 20 else "")
        raise SourceListingError(f"{_where(spec)}.{name}: no partition {', '.join(unknown)}; there are: {shown}")
