"""Publishing is atomic, idempotent and byte-identical; readers trust the manifest alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathcode_assets.records import LABEL, SchemaMismatch, batch_of
from mathcode_assets.storage.lake import Lake, NotPublished, Table
from mathcode_assets.storage.manifest import Accounting, AccountingError, Manifest, ManifestError, Recipe

RECIPE = Recipe(code_version="1", inputs={"raw/x": "abc"})


def label_rows(n: int, prefix: str = "id") -> list[dict[str, str]]:
    return [{"source_id": f"{prefix}-{i}", "label": "math", "split": "train"} for i in range(n)]


def all_kept(n_rows: int) -> Accounting:
    return Accounting(n_in=n_rows, n_kept=n_rows)


def publish(lake: Lake, rows: list[dict[str, str]], *, recipe: Recipe = RECIPE, cut: int = 10**9) -> Table:
    table = lake.table("labels/x", "p1")
    batches = [batch_of(rows[i : i + cut], LABEL) for i in range(0, len(rows), cut)]
    lake.publish(table, schema=LABEL, recipe=recipe, batches=batches, accounting=all_kept)
    return table


def folder_content(table: Table) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in table.location.list()}


def test_what_is_published_is_read_back(lake: Lake) -> None:
    rows = label_rows(3)
    table = publish(lake, rows)
    assert [row for batch in table.batches() for row in batch.to_pylist()] == rows
    assert lake.partitions("labels/x") == ["p1"]
    assert table.manifest().n_rows == 3
    table.verify()


def test_columns_are_projected(lake: Lake) -> None:
    table = publish(lake, label_rows(2))
    assert [batch.schema.names for batch in table.batches(columns=["label"])] == [["label"]]


def test_nothing_published_says_so(lake: Lake) -> None:
    table = lake.table("labels/x", "p1")
    assert table.find_manifest() is None
    assert lake.partitions("labels/x") == []
    with pytest.raises(NotPublished, match="labels/x has no published partition 'p1'"):
        table.manifest()


@given(cut=st.integers(1, 40), n=st.integers(0, 40))
@settings(max_examples=30, deadline=None)
def test_bytes_do_not_depend_on_batch_borders(tmp_path_factory: pytest.TempPathFactory, cut: int, n: int) -> None:
    rows = label_rows(n)
    whole = publish(Lake(tmp_path_factory.mktemp("a")), rows)
    pieces = publish(Lake(tmp_path_factory.mktemp("b")), rows, cut=cut)
    assert folder_content(whole) == folder_content(pieces)


def test_row_groups_are_cut_by_size_whatever_the_batches(tmp_path: Path) -> None:
    from mathcode_assets.storage import shards

    rows = [{"source_id": "x" * 200_000, "label": str(i), "split": ""} for i in range(200)]
    one = publish(Lake(tmp_path / "one"), rows)
    many = publish(Lake(tmp_path / "many"), rows, cut=7)
    assert folder_content(one) == folder_content(many)
    groups = list(shards.row_groups([batch_of(rows, LABEL)], LABEL))
    assert [group.num_rows for group in groups] == [84, 84, 32]  # 84 x 200 kB is the first to reach 16 MB


def test_files_are_split_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mathcode_assets.storage import shards

    monkeypatch.setattr(shards, "ROW_GROUP_ROWS", 10)
    monkeypatch.setattr(shards, "FILE_BYTES", 1)
    rows = label_rows(25)
    table = publish(Lake(tmp_path), rows)
    assert [file.n_rows for file in table.manifest().files] == [10, 10, 5]
    assert [row for batch in table.batches() for row in batch.to_pylist()] == rows


def test_a_second_publication_replaces_the_first_and_leaves_nothing_behind(lake: Lake) -> None:
    publish(lake, label_rows(3, "old"))
    table = publish(lake, label_rows(2, "new"), recipe=Recipe(code_version="2"))
    assert [row["source_id"] for batch in table.batches() for row in batch.to_pylist()] == ["new-0", "new-1"]
    names = {entry.name for entry in table.location.list()}
    assert names == {"manifest.json", table.manifest().files[0].name}


def test_is_current_only_for_the_same_recipe_and_whole_files(lake: Lake) -> None:
    table = publish(lake, label_rows(3))
    assert lake.is_current(table, RECIPE)
    assert not lake.is_current(table, Recipe(code_version="1", inputs={"raw/x": "changed"}))
    table.files()[0].remove()
    assert not lake.is_current(table, RECIPE)
    with pytest.raises(ManifestError, match="missing"):
        table.verify()


def test_rows_that_do_not_add_up_are_not_published(lake: Lake) -> None:
    table = lake.table("labels/x", "p1")
    with pytest.raises(AccountingError, match="4 rows in, but 3 kept"):
        lake.publish(
            table,
            schema=LABEL,
            recipe=RECIPE,
            batches=[batch_of(label_rows(3), LABEL)],
            accounting=lambda n: Accounting(n_in=4, n_kept=n),
        )
    assert table.find_manifest() is None


def test_a_wrong_batch_is_not_published(lake: Lake) -> None:
    table = lake.table("labels/x", "p1")
    wrong = pa.RecordBatch.from_pylist([{"source_id": "a", "labels": "math"}])
    with pytest.raises(SchemaMismatch, match="wants columns"):
        lake.publish(table, schema=LABEL, recipe=RECIPE, batches=[wrong], accounting=all_kept)
    assert table.find_manifest() is None


def test_an_error_in_the_stream_leaves_the_old_partition(lake: Lake) -> None:
    table = publish(lake, label_rows(3))
    before = folder_content(table)

    def broken() -> object:
        yield batch_of(label_rows(2, "half"), LABEL)
        raise OSError("source went away")

    with pytest.raises(OSError, match="went away"):
        lake.publish(table, schema=LABEL, recipe=RECIPE, batches=broken(), accounting=all_kept)  # type: ignore[arg-type]
    assert folder_content(table) == before


def test_a_kill_between_files_and_manifest_leaves_the_old_partition(tmp_path: Path) -> None:
    """Files in place without their manifest change nothing for readers."""
    table = publish(Lake(tmp_path), label_rows(3))
    before = table.manifest()
    script = f"""
import os
from mathcode_assets.storage import lake as module
from mathcode_assets_tests.storage.test_lake import label_rows, publish
module._commit = lambda *a: os._exit(9)
publish(module.Lake({str(tmp_path)!r}), label_rows(5, "new"))
"""
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", script], cwd=root, check=False).returncode == 9
    assert table.manifest() == before
    table.verify()


def test_a_tampered_manifest_or_file_is_noticed(lake: Lake) -> None:
    table = publish(lake, label_rows(3))
    place = table.location / "manifest.json"
    document = json.loads(place.read_bytes())
    document["files"][0]["sha256"] = "0" * 64
    good = place.read_bytes()
    place.write_bytes(json.dumps(document).encode())
    with pytest.raises(ManifestError, match="does not fit its files"):
        table.manifest()
    place.write_bytes(good)
    table.files()[0].write_bytes(b"PAR1 nonsense")
    with pytest.raises(ManifestError, match="differs"):
        table.verify()


@pytest.mark.parametrize("key, partition", [("raw/x", "../up"), ("raw/../x", "p"), ("raw/x", ""), ("raw/x", ".p")])
def test_unsafe_names_are_refused(tmp_path: Path, key: str, partition: str) -> None:
    with pytest.raises(ValueError, match="cannot name a folder"):
        Lake(tmp_path).table(key, partition)


def test_folders_are_published_whole_and_come_back(lake: Lake, tmp_path: Path) -> None:
    source = tmp_path / "model"
    (source / "sub").mkdir(parents=True)
    (source / "model.bin").write_bytes(b"weights")
    (source / "sub" / "report.json").write_bytes(b"{}")
    table = lake.table("models/x")
    manifest = lake.publish_folder(
        table, folder=source, recipe=RECIPE, accounting=all_kept(0), facts={"precision": 0.9}
    )
    back = lake.fetch_folder(table, tmp_path / "back")
    assert (back / "model.bin").read_bytes() == b"weights"
    assert (back / "sub" / "report.json").read_bytes() == b"{}"
    (source / "model.bin").write_bytes(b"others")
    changed = lake.publish_folder(table, folder=source, recipe=RECIPE, accounting=all_kept(0), facts={})
    assert changed.data_version != manifest.data_version
    table.verify()


def test_removed_partitions_are_gone(lake: Lake) -> None:
    table = publish(lake, label_rows(3))
    lake.remove(table)
    lake.remove(table)
    assert lake.partitions("labels/x") == []
    assert table.find_manifest() is None


def test_manifests_survive_the_way_to_bytes_and_back() -> None:
    manifest = Manifest(
        key="raw/x", partition="p", schema="label/1", recipe=RECIPE, files=(),
        accounting=Accounting(n_in=3, n_kept=1, dropped={"a": 1}, quarantined={"b": 1}), n_tokens=7,
        tokenizer="t@1", facts={"precision": 0.5},
    )  # fmt: skip
    assert Manifest.from_bytes(manifest.to_bytes(), origin="here") == manifest
    with pytest.raises(ManifestError, match="here: not a manifest"):
        Manifest.from_bytes(b"[]", origin="here")
