"""What killed processes leave: files and folders that nobody holds any more are cleared away, others are not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mathcode_assets.records import LABEL, batch_of
from mathcode_assets.storage import leftovers
from mathcode_assets.storage.full_disk import FullDisk
from mathcode_assets.storage.lake import Lake, Table
from mathcode_assets.storage.leftovers import clear_abandoned, held, taken, work_folder
from mathcode_assets.storage.manifest import Accounting, Recipe
from mathcode_assets_tests.conftest import REPOSITORY

KEY = "labels/x"
# Each prints a line once it writes, and would go on for ever.
PUBLISHING = """
import sys, time
from mathcode_assets_tests.storage.test_leftovers import publish
from mathcode_assets.storage import shards
from mathcode_assets.storage.lake import Lake
shards.ROW_GROUP_ROWS = 1
def rows():
    yield "half"
    print("writing", flush=True)
    time.sleep(600)
publish(Lake(sys.argv[1]).table("labels/x", "p1"), rows())
"""
WORKING = """
import sys, time
from mathcode_assets.storage.lake import Lake
with Lake(sys.argv[1]).work_folder() as folder:
    (folder / "spool").write_text("half")
    print("writing", flush=True)
    time.sleep(600)
"""
USING_A_PROCESS_FOLDER = """
import time
from mathcode_assets.storage.leftovers import process_folder
(process_folder() / "model").write_text("large")
print("writing", flush=True)
time.sleep(600)
"""


def publish(table: Table, rows: object) -> None:
    batches = (batch_of([{"source_id": text, "label": "math", "split": ""}], LABEL) for text in rows)  # type: ignore[attr-defined]
    Lake(Path(table.location.path).parents[2]).publish(
        table,
        schema=LABEL,
        recipe=Recipe(code_version="1"),
        batches=batches,
        accounting=lambda n: Accounting(n_in=n, n_kept=n),
    )


def started(script: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """A process that runs until it has printed its line."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "writing\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.communicate()


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_publication_under_way_is_left_alone_and_a_killed_one_is_cleared(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    table = lake.table(KEY, "p1")
    publish(table, ["whole"])
    before = names(tmp_path)
    other = started(PUBLISHING, str(tmp_path))
    try:
        assert names(tmp_path) > before
        assert lake.clear_leftovers([KEY]) == 0
        publish(table, ["whole, and another publication meanwhile"])
        assert any(".tmp-" in name for name in names(tmp_path))
    finally:
        kill(other)
    assert lake.clear_leftovers([KEY]) == 2  # what it had begun, and the shard of before that had to wait for it
    assert names(tmp_path) == {f"{KEY}/p1/{name}" for name in ("manifest.json", table.manifest().files[0].name)}
    table.verify()
    assert lake.clear_leftovers([KEY]) == 0


def test_a_partition_that_never_came_to_be_leaves_no_folder(tmp_path: Path) -> None:
    kill(started(PUBLISHING, str(tmp_path)))
    assert names(tmp_path)
    Lake(tmp_path).clear_leftovers([KEY])
    assert not (tmp_path / KEY / "p1").exists()


def test_a_removal_that_was_killed_is_finished(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    publish(lake.table(KEY, "p1"), ["text"])
    (tmp_path / KEY / "p1" / "manifest.json").unlink()  # what `remove` does first
    lake.clear_leftovers([KEY])
    assert names(tmp_path) == set()


def test_files_inside_a_published_folder_are_looked_at(tmp_path: Path) -> None:
    """The temporary file of a killed publication lies beside one that is named."""
    lake, model = Lake(tmp_path / "lake"), tmp_path / "model"
    model.mkdir()
    (model / "model.bin").write_bytes(b"weights")
    table = lake.table("models/x")
    lake.publish_folder(
        table, folder=model, recipe=Recipe(code_version="1"), accounting=Accounting(n_in=0, n_kept=0), facts={}
    )
    place = Path(table.files()[0].path)
    (place.parent / ".tmp-left").write_bytes(b"half")
    assert lake.clear_leftovers(["models/x"]) == 1
    table.verify()


def test_work_folders_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    dead = started(WORKING, str(tmp_path))
    alive = started(WORKING, str(tmp_path))
    try:
        kill(dead)
        assert len(names(tmp_path)) == 2
        with lake.work_folder() as mine:
            assert mine.is_dir() and len(names(tmp_path)) == 1
        lake.clear_leftovers([])
        assert len(names(tmp_path)) == 1
    finally:
        kill(alive)
    lake.clear_leftovers([])
    assert list(tmp_path.iterdir()) == []


def test_the_temporary_files_of_a_killed_process_go_with_the_next_one(tmp_path: Path) -> None:
    kill(started(USING_A_PROCESS_FOLDER, TMPDIR=str(tmp_path)))
    (left,) = tmp_path.iterdir()
    nxt = started(USING_A_PROCESS_FOLDER, TMPDIR=str(tmp_path))
    assert not left.exists() and len(list(tmp_path.iterdir())) == 1
    kill(nxt)


def test_what_is_held_cannot_be_taken(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    with held(folder), held(folder), taken(folder) as is_ours:
        assert not is_ours
    with taken(folder) as is_ours, taken(folder) as is_theirs:
        assert is_ours and not is_theirs
    with taken(tmp_path / "missing") as is_ours:
        assert not is_ours


def test_files_and_links_of_that_name_are_nobodys_folder(tmp_path: Path) -> None:
    (tmp_path / ".tmp-file").write_text("a user's")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".tmp-link").symlink_to(tmp_path / "elsewhere")
    assert clear_abandoned(tmp_path, ".tmp-") == 0
    with work_folder(tmp_path) as folder:
        (folder / "deep" / "er").mkdir(parents=True)
    assert {path.name for path in tmp_path.iterdir()} == {".tmp-file", "elsewhere", ".tmp-link"}


def test_without_locks_age_decides_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems refuse flock; then nothing young goes that the manifest before did not name."""

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(37, "No locks available")

    table = Lake(tmp_path).table(KEY, "p1")
    publish(table, ["old"])
    monkeypatch.setattr(leftovers.fcntl, "flock", refuse)
    young, old = (tmp_path / KEY / "p1" / f"part-{name}.parquet" for name in ("young", "old"))
    for path in (young, old):
        path.write_bytes(b"orphan")
    os.utime(old, (0, 0))
    publish(table, ["new"])
    assert names(tmp_path / KEY / "p1") == {"manifest.json", table.manifest().files[0].name, young.name}
    assert Lake(tmp_path).clear_leftovers([KEY]) == 0


def test_a_failed_publication_gives_its_space_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of several shards is in its place when the stream fails."""
    from mathcode_assets.storage import shards

    monkeypatch.setattr(shards, "ROW_GROUP_ROWS", 1)
    monkeypatch.setattr(shards, "FILE_BYTES", 1)
    table = Lake(tmp_path).table(KEY, "p1")

    def broken() -> object:
        yield from ("one", "two", "three")
        raise OSError("source went away")

    with pytest.raises(OSError, match="went away"):
        publish(table, broken())
    assert names(tmp_path) == set()


def test_too_large_a_file_is_told_by_table_partition_and_place(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk here; the real one is in the crash tests."""
    script = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from mathcode_assets_tests.storage.test_leftovers import publish
from mathcode_assets.storage.lake import Lake
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
import random
texts = (str(random.Random(n).random()) * 10 for n in range(2000))
publish(Lake({str(tmp_path)!r}).table({KEY!r}, "p1"), texts)
"""
    ended = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    last = ended.stderr.rstrip().rpartition("\n")[2]
    told = f"{KEY}[p1]: no space left on the disk of {tmp_path}"
    assert FullDisk.__name__ in last and told in last, ended.stderr
    assert "bytes are free" in last
    assert names(tmp_path) == set()
