"""A snapshot answers as the lake does, from what it read first."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pytest

from mathcode_assets.records import SCHEMA_NAME_KEY
from mathcode_assets.storage.filesystem import Location
from mathcode_assets.storage.lake import Lake, NotPublished, Table
from mathcode_assets.storage.manifest import Accounting, ManifestError, Recipe
from mathcode_assets.storage.snapshot import LakeSnapshot

SCHEMA = pa.schema([pa.field("n", pa.int64(), nullable=False)], metadata={SCHEMA_NAME_KEY: b"numbers/1"})
KEY = "attributes/deep/numbers"


@pytest.fixture(params=["local", "memory"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake") if request.param == "local" else f"memory://lake-{uuid4().hex}")


def publish(lake: Lake, partition: str, numbers: list[int], key: str = KEY) -> Table:
    table = lake.table(key, partition)
    lake.publish(
        table,
        schema=SCHEMA,
        recipe=Recipe(code_version="1", inputs={"numbers": str(numbers)}),
        batches=[pa.RecordBatch.from_pydict({"n": numbers}, schema=SCHEMA)],
        accounting=lambda n: Accounting(n_in=n, n_kept=n),
    )
    return table


def recipe(numbers: list[int]) -> Recipe:
    return Recipe(code_version="1", inputs={"numbers": str(numbers)})


def test_holds_what_the_lake_holds(lake: Lake) -> None:
    for name in ("a", "b"):
        publish(lake, name, [1, 2])
    publish(lake, "all", [3], key="attributes/deep")  # a table whose folder holds another's
    snapshot = LakeSnapshot(lake)
    assert snapshot.partitions(KEY) == lake.partitions(KEY) == ["a", "b"]
    assert snapshot.partitions("attributes/deep") == ["all"]
    for name in ("a", "b"):
        assert snapshot.table(KEY, name).manifest() == lake.table(KEY, name).manifest()
    assert [batch.to_pydict() for batch in snapshot.table(KEY, "a").batches()] == [{"n": [1, 2]}]
    assert snapshot.is_current(snapshot.table(KEY, "a"), recipe([1, 2]))
    assert not snapshot.is_current(snapshot.table(KEY, "a"), recipe([1]))


def test_of_nothing_holds_nothing(lake: Lake) -> None:
    snapshot = LakeSnapshot(lake)
    assert snapshot.partitions(KEY) == []
    assert snapshot.table(KEY, "a").find_manifest() is None
    assert not snapshot.is_current(snapshot.table(KEY, "a"), recipe([1]))
    with pytest.raises(NotPublished):
        snapshot.table(KEY, "a").manifest()


def test_does_not_see_what_is_published_later(lake: Lake) -> None:
    publish(lake, "a", [1])
    snapshot = LakeSnapshot(lake)
    before = snapshot.table(KEY, "a").manifest()
    publish(lake, "a", [1, 2])
    publish(lake, "b", [3])
    assert snapshot.table(KEY, "a").manifest() == before
    assert snapshot.partitions(KEY) == ["a"]
    assert LakeSnapshot(lake).partitions(KEY) == ["a", "b"]


def test_notices_a_file_that_is_missing_or_cut_short(lake: Lake) -> None:
    for damage in ("cut", "missing"):
        table = publish(lake, damage, [1, 2, 3])
        assert LakeSnapshot(lake).is_whole(table)
        (file,) = table.files()
        if damage == "cut":
            file.write_bytes(file.read_bytes()[:-1])
        else:
            file.remove()
        snapshot = LakeSnapshot(lake)
        assert not snapshot.is_whole(snapshot.table(KEY, damage))
        assert not snapshot.is_current(snapshot.table(KEY, damage), recipe([1, 2, 3]))


def test_says_each_time_that_a_manifest_is_damaged(lake: Lake) -> None:
    table = publish(lake, "a", [1])
    (table.location / "manifest.json").write_bytes(b"{}")
    snapshot = LakeSnapshot(lake)
    for _ in range(2):
        with pytest.raises(ManifestError):
            snapshot.table(KEY, "a").find_manifest()
    assert not snapshot.is_current(snapshot.table(KEY, "a"), recipe([1]))


def test_reads_each_manifest_once(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        publish(lake, name, [1])
    snapshot = LakeSnapshot(lake)
    snapshot.table(KEY, "a").manifest()
    monkeypatch.setattr(lake.root.filesystem, "find", None)
    monkeypatch.setattr(Location, "read_bytes", None)
    monkeypatch.setattr(Path, "read_bytes", None)
    for _ in range(2):
        assert all(snapshot.table(KEY, name).manifest().n_rows == 1 for name in "abc")


def test_refuses_to_change_anything_and_unsafe_names(lake: Lake) -> None:
    table = publish(lake, "a", [1])
    snapshot = LakeSnapshot(lake)
    with pytest.raises(NotImplementedError):
        snapshot.remove(table)
    with pytest.raises(NotImplementedError):
        snapshot.publish(table)
    with pytest.raises(ValueError, match="cannot name a folder"):
        snapshot.table("../etc")


def test_reads_again_what_it_is_told_to_forget(lake: Lake) -> None:
    for name in ("a", "b"):
        publish(lake, name, [1])
    snapshot = LakeSnapshot(lake)
    assert snapshot.partitions(KEY) == ["a", "b"]
    for name in ("a", "b", "c"):
        publish(lake, name, [2])
    snapshot.forget(KEY, "a")
    snapshot.forget(KEY, "c")
    current = {name: snapshot.is_current(snapshot.table(KEY, name), recipe([2])) for name in "abc"}
    assert current == {"a": True, "b": False, "c": True}
    lake.remove(lake.table(KEY, "c"))
    snapshot.forget(KEY, "c")
    assert snapshot.partitions(KEY) == ["a", "b"]
    snapshot.forget(KEY)
    assert snapshot.is_current(snapshot.table(KEY, "b"), recipe([2]))
