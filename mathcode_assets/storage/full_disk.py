"""A full disk, said so that somebody can act on it: what was being written, where, and how much room is missing."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mathcode_assets.storage.filesystem import Location

# A full file system, a quota, a limit on the size of files.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class FullDisk(OSError):
    """There was no room for a partition; nothing of it was published, and what was there before still is."""


@contextmanager
def explained(folder: Location, what: str, *, needed_bytes: int = 0) -> Iterator[None]:
    """Turn the system's error for a full disk into one that says what to do.

    Args:
        folder: where it is written.
        what: it is.
        needed_bytes: size of the whole, where that is known before.

    Raises:
        FullDisk: in place of the system's error.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL or isinstance(error, FullDisk):
            raise
        raise FullDisk(error.errno, _described(folder, what, needed_bytes)) from error


def _described(folder: Location, what: str, needed_bytes: int) -> str:
    if not folder.is_local:
        return f"{what}: no space left for temporary files of this machine"
    path = _existing(Path(folder.path))
    usage = shutil.disk_usage(path)
    written = _bytes_below(Path(folder.path))
    missing = max(needed_bytes - usage.free, 0)
    needs = f"at least {missing:,} bytes more are needed" if missing else "more is needed than that"
    return (
        f"{what}: no space left on the disk of {path}: {usage.free:,} of {usage.total:,} bytes are free, "
        f"{written:,} bytes were written; {needs}. Nothing was published; make room and run again"
    )


def _bytes_below(folder: Path) -> int:
    """What is in a folder, the unfinished included."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0


def _existing(path: Path) -> Path:
    """The path or the nearest folder above that is there."""
    return next(place for place in (path, *path.parents) if place.exists())
