"""The whole graph on the embedded sample: what it builds, what a change touches, what a leak stops."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mathcode_assets.defs.assets.mixture import published_counts
from mathcode_assets.defs.components import PILE_COMPONENTS
from mathcode_assets.records import CONTAMINATED, iter_column
from mathcode_assets.sample import sample_dir
from mathcode_assets.storage.catalog import iter_manifests, open_catalog
from mathcode_assets.storage.lake import Lake
from mathcode_assets_tests.conftest import BuiltLake, drive

# What is made of the whole pile, and so again with every change.
MIXTURE = (
    "mixture/mathcode_pile", "mixture/data_card", "mixture/hub_dataset", "tokens/mathcode_pile", "tokens/packed",
    "report/contamination",
)  # fmt: skip
Rebuild = Callable[[], BuiltLake]


def contents(root: Path) -> dict[str, bytes]:
    """Every published file of a lake, by path below the root."""
    files = [p for p in root.rglob("*") if p.is_file() and ".dagster" not in p.parts and p.suffix != ".duckdb"]
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in files}


def versions(root: Path) -> dict[str, str]:
    return {f"{m.key}[{m.partition}]": m.data_version for m in iter_manifests(Lake(root))}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


class TestTheSample:
    def test_is_complete(self, sample_lake: BuiltLake) -> None:
        assert sample_lake.report.failures == []
        assert sample_lake.report.is_complete

    def test_every_component_is_in_the_pile(self, sample_lake: BuiltLake) -> None:
        pile = sample_lake.workspace.lake.table("mixture/mathcode_pile").manifest()
        counts = {count.name: count for count in published_counts(sample_lake.workspace, pile)}
        assert list(counts) == list(PILE_COMPONENTS)
        assert all(count.documents > 0 and count.tokens > 0 for count in counts.values())
        assert sum(count.tokens for count in counts.values()) == pile.n_tokens

    def test_every_stage_dropped_something(self, sample_lake: BuiltLake) -> None:
        dropped: Counter[str] = Counter()
        for manifest in iter_manifests(sample_lake.workspace.lake):
            if manifest.key.split("/")[0] in ("raw", "filtered", "clean"):
                dropped.update(manifest.accounting.dropped)
                dropped.update(manifest.accounting.quarantined)
        expected = {
            "not_mathematical", "programming", "no_math_package", "not_python", "few_dollar_signs", "not_math",
            "duplicate_edition", "exact_duplicate", "near_duplicate", "contaminated", "invalid_json", "damaged",
        }  # fmt: skip
        assert expected <= {reason for reason, n in dropped.items() if n > 0}

    def test_rows_add_up_from_sources_to_pile(self, sample_lake: BuiltLake) -> None:
        for manifest in iter_manifests(sample_lake.workspace.lake):
            accounting = manifest.accounting
            assert accounting.n_in == accounting.n_kept + accounting.n_dropped + accounting.n_quarantined

    def test_provenance_reaches_the_pile(self, sample_lake: BuiltLake) -> None:
        rows = [
            row for b in sample_lake.workspace.lake.table("mixture/mathcode_pile").batches() for row in b.to_pylist()
        ]
        assert all(row["source_id"] and row["source_uri"] and row["source_revision"] and row["licence"] for row in rows)
        assert len({row["doc_id"] for row in rows}) == len(rows)
        assert {"CC0-1.0", "unknown"} <= {row["licence"] for row in rows}
        assert not [row["source_uri"] for row in rows if str(sample_dir()) in row["source_uri"]]

    @pytest.mark.slow
    def test_two_builds_are_byte_identical(self, sample_lake: BuiltLake, tmp_path: Path) -> None:
        again = drive(sample_dir() / "sources.yaml", tmp_path / "lake")
        assert contents(again.root) == contents(sample_lake.root)

    def test_a_second_drive_changes_nothing_and_says_so(self, sample_copy: Rebuild, tmp_path: Path) -> None:
        before = contents(tmp_path / "lake")
        again = sample_copy()
        assert again.report.materialized == 0
        assert again.report.unchanged > 100
        assert again.report.is_complete
        assert contents(tmp_path / "lake") == before

    def test_the_catalog_has_a_view_for_each_table(self, sample_lake: BuiltLake) -> None:
        connection = open_catalog(sample_lake.workspace.lake)
        pile = sample_lake.workspace.lake.table("mixture/mathcode_pile").manifest()
        assert connection.sql("SELECT count(*) FROM mixture__mathcode_pile").fetchall() == [(pile.n_rows,)]
        kept = connection.sql("SELECT count(*) FROM attributes__code_python WHERE verdict = 'kept'").fetchall()
        assert kept == connection.sql("SELECT count(*) FROM filtered__code_python").fetchall()
        partitions = connection.sql('SELECT DISTINCT "partition" FROM raw__cc_en ORDER BY 1').fetchall()
        assert partitions == [("cc_en.0000",), ("cc_en.0001",), ("cc_en.0002",)]
        total = "SELECT sum(n_rows) FROM manifests WHERE fate = 'quarantined' AND asset = 'raw/cc_en'"
        assert connection.sql(total).fetchall() == [(3,)]


@pytest.mark.slow
class TestALeakyShard:
    def test_turns_its_check_red_and_no_pile_is_built_until_it_is_accepted(
        self, sample_lake: BuiltLake, tmp_path: Path
    ) -> None:
        shutil.copytree(sample_lake.root, tmp_path / "lake")
        shutil.rmtree(tmp_path / "lake" / "mixture")
        lake = drive(sample_dir() / "sources-leaky.yaml", tmp_path / "lake")
        red = [c for c in lake.report.checks if c.name == "contaminated_share" and not c.passed]
        assert [c.partition for c in red] == ["education_college.leaky"]
        assert "withheld" in red[0].description
        assert lake.workspace.lake.table("clean/synthetic", "education_college.leaky").find_manifest() is None
        assert lake.workspace.lake.table("mixture/mathcode_pile").find_manifest() is None
        assert not lake.report.is_complete
        # The other shards go all the way.
        assert lake.workspace.lake.table("clean/synthetic", "maths_college.0000").manifest().n_rows > 0

        text = (sample_dir() / "sources-leaky.yaml").read_text()
        accepted = text.replace(
            'leaky/*.jsonl.zst"]}', 'leaky/*.jsonl.zst"], accept_contaminated: ["education_college.leaky"]}'
        )
        assert accepted != text
        sources = tmp_path / "accepted.yaml"
        sources.write_text(accepted.replace("data/", f"{sample_dir()}/data/"))
        again = drive(sources, tmp_path / "lake")
        assert again.report.is_complete
        clean = again.workspace.lake.table("clean/synthetic", "education_college.leaky").manifest()
        assert clean.accounting.dropped[CONTAMINATED] == 6
        assert clean.n_rows == 4
        pile = again.workspace.lake.table("mixture/mathcode_pile")
        files = list(iter_column(pile.batches(columns=["source_file"]), "source_file"))
        assert sum("leaky" in name for name in files) == 4

    def test_taking_the_acceptance_back_withholds_the_pile_again(self, sample_copy: Rebuild, tmp_path: Path) -> None:
        shutil.copy(tmp_path / "data" / "leaky" / "education_college.leaky.jsonl.zst", tmp_path / "data" / "synthetic")
        text = (tmp_path / "sources.yaml").read_text()
        accepting = text.replace(
            'synthetic/*.jsonl.zst"', 'synthetic/*.jsonl.zst", accept_contaminated: ["education_college.leaky"]'
        )
        (tmp_path / "sources.yaml").write_text(accepting)
        assert sample_copy().report.is_complete
        (tmp_path / "sources.yaml").write_text(text)
        taken_back = sample_copy().report
        assert not taken_back.is_complete
        assert any("withheld" in failure.reason or "contaminated" in failure.reason for failure in taken_back.failures)


class TestASourceThatChanges:
    def test_a_changed_file_touches_its_own_chain(self, sample_copy: Rebuild, tmp_path: Path) -> None:
        before = versions(tmp_path / "lake")
        path = tmp_path / "data" / "starcoder" / "python" / "train-00001-of-00002.parquet"
        table = pq.read_table(path)
        pq.write_table(table.slice(1), path)
        after = sample_copy()
        assert after.report.is_complete
        touched = changed(before, versions(tmp_path / "lake"))
        own = {name for name in touched if name.endswith("[train-00001-of-00002]") and "code_python" in name}
        whole = {f"{key}[all]" for key in ("index/duplicates", *MIXTURE)}
        assert touched - own - whole <= {
            "raw/starcoder_python[train-00001-of-00002]",
            "quarantine/starcoder_python[train-00001-of-00002]",
        }
        assert "clean/code_python[train-00001-of-00002]" in touched

    def test_a_removed_file_takes_its_documents_out_and_brings_twins_back(
        self, sample_copy: Rebuild, tmp_path: Path
    ) -> None:
        lake = Lake(tmp_path / "lake")
        suppressed = suppressed_copies(lake)
        kept_in = {(component, of) for component, _, of, partition in suppressed}
        assert kept_in
        # Remove a shard that holds the copy that stays of some pair.
        _, doc_id, original, _ = suppressed[0]
        home = home_of(lake, original)
        folder = {
            "cc_en_math": "cc_en",
            "open_web_math": "open_web_math",
            "synthetic": "synthetic",
            "code_python": "starcoder/python",
        }
        removed = next(p for p in (tmp_path / "data" / folder[home[0]]).iterdir() if p.name.startswith(home[1]))
        removed.unlink()
        after = sample_copy()
        assert after.report.is_complete, after.report.failures
        ids = set(iter_column(lake.table("mixture/mathcode_pile").batches(columns=["doc_id"]), "doc_id"))
        assert original not in ids
        assert doc_id in ids
        assert home[1] not in {m.partition for m in iter_manifests(lake) if m.key.endswith(home[0])}

    def test_removed_and_added_again_gives_the_same_pile(self, sample_copy: Rebuild, tmp_path: Path) -> None:
        before = contents(tmp_path / "lake" / "mixture")
        path = tmp_path / "data" / "synthetic" / "maths_college.0000.jsonl.zst"
        content = path.read_bytes()
        path.unlink()
        without = sample_copy()
        assert without.report.is_complete
        assert contents(tmp_path / "lake" / "mixture") != before
        path.write_bytes(content)
        again = sample_copy()
        assert again.report.is_complete
        assert contents(tmp_path / "lake" / "mixture") == before

    def test_a_new_benchmark_turns_clean_documents_out(self, sample_copy: Rebuild, tmp_path: Path) -> None:
        lake = Lake(tmp_path / "lake")
        documents = (row for batch in lake.table("mixture/mathcode_pile").batches() for row in batch.to_pylist())
        row = next(row for row in documents if row["component"] == "synthetic" and "maths" in row["source_file"])
        sentence = max(row["text"].split("\n\n"), key=lambda part: len(part.split()))
        item = {"idx": 0, "question": sentence, "answer": "none"}
        (tmp_path / "data" / "benchmarks" / "leaked.jsonl").write_text(json.dumps(item) + "\n")
        after = sample_copy()
        ids = set(iter_column(lake.table("mixture/mathcode_pile").batches(columns=["doc_id"]), "doc_id"))
        assert after.report.is_complete, [c for c in after.report.checks if not c.passed and c.is_blocking]
        assert row["doc_id"] not in ids


class TestAnUnreadableFile:
    def test_fails_its_own_partition_and_withholds_the_pile(self, sample_copy: Rebuild, tmp_path: Path) -> None:
        path = tmp_path / "data" / "starcoder" / "python" / "train-00001-of-00002.parquet"
        path.write_bytes(path.read_bytes()[:400])
        lake = Lake(tmp_path / "lake")
        other = lake.table("clean/code_python", "train-00000-of-00002").manifest()
        after = sample_copy()
        failed = {(failure.asset, failure.partition) for failure in after.report.failures}
        assert ("raw/starcoder_python", "train-00001-of-00002") in failed
        assert {asset for asset, _ in failed} <= {"raw/starcoder_python", "mixture/mathcode_pile"}
        assert "train-00001-of-00002.parquet" in after.report.failures[0].reason
        assert lake.table("clean/code_python", "train-00000-of-00002").manifest() == other
        assert not after.report.is_complete


@pytest.mark.parametrize("damage", ["missing", "changed", "verdicts lost"])
def test_a_damaged_lake_is_mended(sample_copy: Rebuild, tmp_path: Path, damage: str) -> None:
    before = contents(tmp_path / "lake" / "mixture")
    file = next((tmp_path / "lake" / "filtered" / "code_python").rglob("*.parquet"))
    if damage == "missing":
        file.unlink()
    elif damage == "verdicts lost":
        shutil.rmtree(tmp_path / "lake" / "attributes" / "duplicates" / "code_python")
        shutil.rmtree(tmp_path / "lake" / "clean" / "code_python")
    else:
        file.write_bytes(file.read_bytes()[:-1] + b"x")
    after = sample_copy()
    assert after.report.is_complete, after.report.failures
    assert after.report.materialized >= 1
    assert contents(tmp_path / "lake" / "mixture") == before


def suppressed_copies(lake: Lake) -> list[tuple[str, str, str, str]]:
    """Component, doc_id, doc_id of the copy that stayed, and partition of each suppressed copy."""
    connection = open_catalog(lake)
    names = [row[0] for row in connection.sql("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()]
    found = []
    for name in sorted(n for n in names if n.startswith("attributes__duplicates__")):
        rows = connection.sql(
            f"SELECT doc_id, duplicate_of, \"partition\" FROM {name} WHERE verdict <> 'kept'"
        ).fetchall()
        found += [(name.rsplit("__", 1)[1], *row) for row in rows]
    return found


def home_of(lake: Lake, doc_id: str) -> tuple[str, str]:
    """Component and partition of a clean document."""
    for manifest in iter_manifests(lake):
        if manifest.key.startswith("clean/"):
            table = lake.table(manifest.key, manifest.partition)
            if doc_id in set(iter_column(table.batches(columns=["doc_id"]), "doc_id")):
                return manifest.key.split("/")[1], manifest.partition
    raise AssertionError(doc_id)
