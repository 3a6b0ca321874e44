"""What a killed process left behind, told apart from what a living one is writing: by locks, which die with it.

Who writes into a folder holds it (`held`); who clears up takes it (`taken`), and gets it only where nobody
holds it. The locks are the kernel's (flock), on the folder itself: no lock file, no process id, no clock, so
`kill -9` leaves nothing stale, and containers that share a disk agree. Some network file systems have no such
locks: there `held` goes on without, and `taken` says so (`NoLocks`), so that nothing is cleared up too early.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

TEMPORARY_PREFIX = ".tmp-"
# Of the folders that this program makes in the machine's folder for temporary files.
PROCESS_PREFIX = "mathcode-process-"


class NoLocks(OSError):
    """The file system has no locks: nobody can tell who writes here."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """While somebody writes into the folder, which is made where missing. Several may hold it at once."""
    descriptor = hold(folder)
    try:
        yield
    finally:
        os.close(descriptor)


def hold(folder: Path) -> int:
    """The same until the descriptor is closed, or the process ends in any way."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue  # cleared away in between
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        if _is_still(descriptor, folder):
            return descriptor
        os.close(descriptor)


@contextmanager
def taken(path: Path) -> Iterator[bool]:
    """Whether nobody held the folder or file; where True, nobody can until the end of the block.

    Raises:
        NoLocks: the file system does not tell.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = _is_still(descriptor, path)
        except BlockingIOError:
            is_ours = False
        except OSError as error:
            raise NoLocks(error.errno, f"{path}: {error.strerror}") from error
        yield is_ours
    finally:
        os.close(descriptor)


def clear_folder(folder: Path, named: Collection[str]) -> int:
    """Remove what is not named (relative paths of files) from a folder that is taken; a folder left empty too.

    Returns:
        How many files were removed.
    """
    wanted = {folder / name for name in named}
    n_removed = 0
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            with suppress(OSError):
                path.rmdir()  # stays where something is in it
        elif path not in wanted:
            path.unlink(missing_ok=True)
            n_removed += 1
    if not wanted:
        with suppress(OSError):
            folder.rmdir()
    return n_removed


def clear_abandoned(parent: Path, prefix: str) -> int:
    """Remove the folders below `parent` whose name begins so and that nobody holds. Those of other users stay.

    Returns:
        How many were removed.
    """
    n_removed = 0
    for path in parent.glob(f"{prefix}*"):
        with suppress(OSError):
            if path.is_symlink() or not path.is_dir() or path.stat().st_uid != os.getuid():
                continue
            with taken(path) as is_ours:
                if is_ours:
                    shutil.rmtree(path, ignore_errors=True)
                    n_removed += 1
    return n_removed


@contextmanager
def work_folder(parent: Path) -> Iterator[Path]:
    """A new empty folder, held, and gone afterwards. What killed processes left beside it is cleared away."""
    parent.mkdir(parents=True, exist_ok=True)
    clear_abandoned(parent, TEMPORARY_PREFIX)
    folder, descriptor = _new_folder(parent, TEMPORARY_PREFIX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def process_folder() -> Path:
    """A folder of this process for temporary files, held and private; gone when the process ends.

    What killed processes of the same user left is cleared away when it is made.
    """
    with _lock:
        folder = _folders.get(os.getpid())
        if folder is None:
            parent = Path(tempfile.gettempdir())
            clear_abandoned(parent, PROCESS_PREFIX)
            folder, _ = _new_folder(parent, PROCESS_PREFIX)
            _folders[os.getpid()] = folder
        return folder


# By process: a fork must not remove its parent's.
_folders: dict[int, Path] = {}
_lock = Lock()


def _remove_process_folder() -> None:
    folder = _folders.pop(os.getpid(), None)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


atexit.register(_remove_process_folder)


def _new_folder(parent: Path, prefix: str) -> tuple[Path, int]:
    """A new folder and the descriptor that holds it; another one where it was cleared away before it was held."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        with suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_SH)
            if _is_still(descriptor, folder):
                return folder, descriptor
            os.close(descriptor)


def _is_still(descriptor: int, path: Path) -> bool:
    """Whether the descriptor is that of what the path names now."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
