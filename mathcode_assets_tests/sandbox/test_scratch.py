"""Private directories are measured and removed whatever is in them."""

from __future__ import annotations

import os
from pathlib import Path

from mathcode_assets.sandbox.scratch import is_too_full, remove_tree


def test_deep_nesting_is_removed(tmp_path: Path) -> None:
    """Deeper than Python recurses, and than a path may be long."""
    top = tmp_path / "top"
    top.mkdir()
    descriptor = os.open(top, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d" * 20, dir_fd=descriptor)
        inner = os.open("d" * 20, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)
    assert is_too_full(str(top), n_bytes=1 << 40, n_files=100)
    remove_tree(str(top))
    assert not top.exists()


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(bytes(1 << 20))
    top = tmp_path / "top"
    (top / "locked").mkdir(parents=True)
    (top / "link").symlink_to(outside)
    (top / "locked" / "file").symlink_to(outside / "kept")
    (top / "locked").chmod(0)
    assert not is_too_full(str(top), n_bytes=1 << 19, n_files=10)
    remove_tree(str(top))
    assert not top.exists()
    assert (outside / "kept").exists()


def test_bytes_and_names_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(bytes(100_000))
    assert is_too_full(str(tmp_path), n_bytes=50_000, n_files=10)
    assert is_too_full(str(tmp_path), n_bytes=500_000, n_files=1)
    assert not is_too_full(str(tmp_path), n_bytes=500_000, n_files=2)
