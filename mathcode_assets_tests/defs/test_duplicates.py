"""The step of deduplication in the graph: what it publishes, again or not, as shards come, change and go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mathcode_assets.config import parse_sources
from mathcode_assets.defs.assets import duplicates
from mathcode_assets.defs.assets.duplicates import INDEX_KEY, duplicates_key, fingerprints_key
from mathcode_assets.defs.workspace import Withheld, Workspace
from mathcode_assets.records import DOCUMENT, batch_of
from mathcode_assets.storage.manifest import Accounting, Recipe

ASSETS = {asset.key: asset for asset in duplicates.ASSETS}


def words(start: int, count: int = 100) -> str:
    return " ".join(f"word{number}" for number in range(start, start + count))


class Build:
    """A lake of one component, `synthetic`, with a file for each shard."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        self.folder = folder
        (folder / "data").mkdir(parents=True)
        text = f"root: {folder}/lake\nsources:\n  synthetic: {{uri: {folder}/data/*.jsonl}}\n{settings}"
        self.workspace = Workspace(parse_sources(text))
        self.lake = self.workspace.lake

    def put(self, shard: str, texts: Sequence[str], *, fingerprint: bool = True) -> None:
        (self.folder / "data" / f"{shard}.jsonl").write_text("{}\n")
        rows = [
            {
                "doc_id": f"{shard}-{row}", "source": "synthetic", "source_id": str(row), "source_uri": "u",
                "source_file": shard, "source_row": row, "source_revision": "r", "licence": "MIT",
                "text": text, "source_metadata": "{}",
            }
            for row, text in enumerate(texts)
        ]  # fmt: skip
        self.lake.publish(
            self.lake.table("filtered/synthetic", shard),
            schema=DOCUMENT,
            recipe=Recipe(code_version="1"),
            batches=[batch_of(rows, DOCUMENT)],
            accounting=lambda n: Accounting(n_in=n, n_kept=n),
        )
        if fingerprint:
            ASSETS[fingerprints_key("synthetic")].publish(self.workspace, shard)

    def remove(self, shard: str) -> None:
        (self.folder / "data" / f"{shard}.jsonl").unlink()
        for key in ("filtered/synthetic", fingerprints_key("synthetic"), duplicates_key("synthetic")):
            self.lake.remove(self.lake.table(key, shard))

    def index(self) -> Any:
        return ASSETS[INDEX_KEY].publish(self.workspace, "all")

    def verdicts(self) -> dict[str, tuple[str, str | None]]:
        return {
            row["doc_id"]: (row["verdict"], row["duplicate_of"])
            for shard in self.lake.partitions(duplicates_key("synthetic"))
            for batch in self.lake.table(duplicates_key("synthetic"), shard).batches()
            for row in batch.to_pylist()
        }

    def times(self) -> dict[str, int]:
        """When each verdict table was written last."""
        folder = self.folder / "lake" / "attributes" / "duplicates" / "synthetic"
        return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("*/*.parquet")}

    def contents(self) -> dict[str, bytes]:
        root = self.folder / "lake"
        kept = [root / "attributes" / "duplicates", root / "index"]
        return {
            str(path.relative_to(root)): path.read_bytes() for top in kept for path in top.rglob("*") if path.is_file()
        }


@pytest.fixture
def build(tmp_path: Path) -> Build:
    made = Build(tmp_path / "one")
    made.put("a", [words(0), words(5000)])
    made.put("b", [words(1), words(7000)])
    made.put("c", [words(9000)])
    made.index()
    return made


def test_verdicts_go_to_their_shards(build: Build) -> None:
    assert build.verdicts() == {
        "a-0": ("kept", None),
        "a-1": ("kept", None),
        "b-0": ("near_duplicate", "a-0"),
        "b-1": ("kept", None),
        "c-0": ("kept", None),
    }
    manifest = build.lake.table(INDEX_KEY).manifest()
    assert manifest.accounting.dropped == {"exact_duplicate": 0, "near_duplicate": 1}
    assert build.index().reused


def test_a_new_shard_writes_the_tables_it_touches_and_equals_a_rebuild(build: Build, tmp_path: Path) -> None:
    before = build.times()
    build.put("d", [words(9001), words(12000)])
    published = build.index()
    assert not published.reused
    assert build.verdicts()["d-0"] == ("near_duplicate", "c-0")
    after = build.times()
    assert {shard for shard in after if after[shard] != before.get(shard)} == {"c", "d"}
    again = Build(tmp_path / "two")
    for shard, texts in {
        "d": [words(9001), words(12000)],
        "c": [words(9000)],
        "b": [words(1), words(7000)],
        "a": [words(0), words(5000)],
    }.items():
        again.put(shard, texts)
    again.index()
    assert again.contents() == build.contents()


def test_removal_brings_a_suppressed_twin_back(build: Build) -> None:
    build.remove("a")
    build.index()
    assert build.verdicts() == {"b-0": ("kept", None), "b-1": ("kept", None), "c-0": ("kept", None)}


def test_a_table_of_another_state_is_written_again(build: Build) -> None:
    """As a crash leaves it: tables of a newer state beside an index of the old one."""
    old = build.lake.fetch_folder(build.lake.table(INDEX_KEY), build.folder / "old")
    manifest = build.lake.table(INDEX_KEY).manifest()
    build.put("0", [words(0)])
    build.index()
    assert build.verdicts()["a-0"] == ("exact_duplicate", "0-0")
    table = build.lake.table(INDEX_KEY)
    recipe = Recipe(code_version="crashed before")
    build.lake.publish_folder(table, folder=old, recipe=recipe, accounting=manifest.accounting, facts={})
    build.remove("0")
    build.index()
    assert build.verdicts()["a-0"] == ("kept", None)


def test_a_damaged_index_is_not_built_upon(build: Build) -> None:
    for path in (build.folder / "lake" / "index").rglob("pairs.npy"):
        path.write_bytes(b"\x00" * path.stat().st_size)
    build.put("d", [words(2)])
    build.index()
    assert build.verdicts()["d-0"] == ("near_duplicate", "a-0")


def test_near_copies_stay_where_the_settings_say_so(tmp_path: Path) -> None:
    build = Build(tmp_path / "exact", "settings: {deduplication: {near: false}}\n")
    build.put("a", [words(0), words(1), words(0)])
    build.index()
    assert build.verdicts() == {"a-0": ("kept", None), "a-1": ("kept", None), "a-2": ("exact_duplicate", "a-0")}


def test_documents_newer_than_their_fingerprints_are_waited_for(build: Build) -> None:
    build.put("a", [words(3)], fingerprint=False)
    build.put("d", [words(4)])
    with pytest.raises(Withheld, match=r"synthetic\[a\]: the documents are newer than their fingerprints"):
        build.index()
    ASSETS[fingerprints_key("synthetic")].publish(build.workspace, "a")
    build.index()
    assert build.verdicts()["b-0"] == ("near_duplicate", "a-0")


def test_fingerprints_of_an_earlier_version_are_waited_for(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its signatures would share no band with those of today, and nothing would tell."""
    with monkeypatch.context() as patch:
        patch.setattr(duplicates, "CODE_VERSION", "earlier")
        build.put("d", [words(1)])
    with pytest.raises(Withheld, match=r"synthetic\[d\]: the fingerprints are of an earlier version"):
        build.index()
    ASSETS[fingerprints_key("synthetic")].publish(build.workspace, "d")
    build.index()
    assert build.verdicts()["d-0"][0] != "kept"
