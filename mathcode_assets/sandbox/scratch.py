"""Private directories on an ordinary file system (second tier), filled by somebody who means harm.

Nothing here follows a symbolic link, recurses, or needs a path longer than a few names: directories may be nested
thousands deep, or without permissions.
"""

from __future__ import annotations

import contextlib
import os

BLOCK_BYTES = 512


def is_too_full(folder: str, *, n_bytes: int, n_files: int) -> bool:
    """Whether a directory holds more than `n_bytes` on disk or more than `n_files` names, subdirectories included."""
    folders = [folder]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                n_files -= 1
                with contextlib.suppress(OSError):
                    n_bytes -= entry.stat(follow_symlinks=False).st_blocks * BLOCK_BYTES
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                if n_files < 0 or n_bytes < 0:
                    return True
    return False


def remove_tree(folder: str) -> None:
    """Remove a directory and what is in it; what cannot be removed stays.

    Subdirectories are emptied into the top, where their names are short.
    """
    number = 0
    prefix = os.path.join(folder, f".{os.urandom(8).hex()}")  # noqa: PTH118 - a name no entry has yet
    with contextlib.suppress(OSError):
        while folders := _unlink_files(folder):
            for inner in folders:
                os.chmod(inner, 0o700)  # noqa: PTH101
                with os.scandir(inner) as entries:
                    for entry in list(entries):
                        if entry.is_dir(follow_symlinks=False):
                            os.chmod(entry.path, 0o700)  # noqa: PTH101
                        os.rename(entry.path, f"{prefix}-{number}")  # noqa: PTH104
                        number += 1
                os.rmdir(inner)  # noqa: PTH106
        os.rmdir(folder)  # noqa: PTH106


def _unlink_files(folder: str) -> list[str]:
    """Remove the files of a directory; the paths of its subdirectories."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            else:
                os.unlink(entry.path)  # noqa: PTH108
    return folders
