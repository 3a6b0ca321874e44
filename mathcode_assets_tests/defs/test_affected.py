"""What a new benchmark touches, on a lake published by hand: shard, pile, tokens, checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mathcode_assets.defs.affected import affected, lineage_of
from mathcode_assets.defs.assets.consolidated import input_versions
from mathcode_assets.defs.assets.contamination import PART
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.records import CLEAN_DOCUMENT, CONTAMINATION_ATTRIBUTES, DUPLICATE_ATTRIBUTES
from mathcode_assets.storage.lake import Table
from mathcode_assets.storage.manifest import Accounting, Recipe
from mathcode_assets_tests.defs.test_checks import document, make_workspace, publish

OLD = {"garden": "v1"}
NEW = {"garden": "v1", "ferry": "v1"}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path)


def scanned(i: int, *items: str) -> dict[str, Any]:
    """A row of a scan in which document i holds items, given as benchmark/number."""
    matches = [
        {
            "benchmark": name.split("/")[0], "question_index": int(name.split("/")[1]), "verdict": "contaminated",
            "score": 1.0, "evidence": "span",
        }
        for name in items
    ]  # fmt: skip
    best = matches[0] if matches else {"benchmark": None, "question_index": None, "score": 0.0, "evidence": None}
    return {
        "doc_id": f"{i:032x}", "verdict": "contaminated" if items else "clean", "matches": matches,
        **{name: best[name] for name in ("benchmark", "question_index", "score", "evidence")},
    }  # fmt: skip


def publish_scan(workspace: Workspace, parts: dict[str, str], rows: list[dict[str, Any]]) -> Table:
    recipe = Recipe(code_version="1", inputs={f"{PART}{name}": version for name, version in parts.items()})
    return publish(workspace, "attributes/contamination/synthetic", CONTAMINATION_ATTRIBUTES, rows, recipe=recipe)


def publish_clean(workspace: Workspace, scan: Table, *numbers: int) -> Table:
    rows = [document(i) | {"n_tokens": 5} for i in numbers]
    return publish(
        workspace, "clean/synthetic", CLEAN_DOCUMENT, rows, recipe=Recipe(code_version="1", inputs=input_versions(scan))
    )


def publish_folder(workspace: Workspace, key: str, source: Table, facts: dict[str, Any] | None = None) -> Table:
    table = workspace.lake.table(key)
    with workspace.work_folder() as folder:
        (folder / "model.bin").write_bytes(key.encode())
        workspace.lake.publish_folder(
            table, folder=folder, recipe=Recipe(code_version="1", inputs=input_versions(source)),
            accounting=Accounting(n_in=0, n_kept=0), facts=facts or {},
        )  # fmt: skip
    return table


def trained(workspace: Workspace, *, stamped: bool) -> Table:
    """Documents 1 and 2, scanned for `garden` alone, in a pile that a checkpoint was trained on."""
    scan = publish_scan(workspace, OLD, [scanned(1), scanned(2), scanned(3, "garden/0")])
    clean = publish_clean(workspace, scan, 1, 2)
    rows = [document(i) | {"n_tokens": 5} for i in (1, 2)]
    pile = publish(
        workspace, "mixture/mathcode_pile", CLEAN_DOCUMENT, rows, partition="all",
        recipe=Recipe(code_version="1", inputs=input_versions(clean)),
    )  # fmt: skip
    packed = publish_folder(workspace, "tokens/packed", publish_folder(workspace, "tokens/mathcode_pile", pile))
    facts = {"corpus_lineage": lineage_of(workspace, packed)} if stamped else {}
    return publish_folder(workspace, "checkpoint/mathcode_pile", packed, facts)


# Document 1 holds the new benchmark's question; 3 holds both, and was taken out for the old one.
RESCANNED = [scanned(1, "ferry/4"), scanned(2), scanned(3, "garden/0", "ferry/7")]


def test_a_new_benchmark_names_documents_shards_and_checkpoints(workspace: Workspace) -> None:
    trained(workspace, stamped=False)
    assert affected(workspace, ["ferry"]).checkpoints == ()
    publish_scan(workspace, NEW, RESCANNED)
    found = affected(workspace, ["ferry"])
    assert [(d.doc_id, d.items) for d in found.documents] == [
        (f"{1:032x}", ("ferry/4",)), (f"{3:032x}", ("ferry/7",)),
    ]  # fmt: skip
    assert found.shards == {"clean/synthetic[set]": 2}
    (checkpoint,) = found.checkpoints
    assert checkpoint.checkpoint == "checkpoint/mathcode_pile[all]"
    assert checkpoint.documents == (f"{1:032x}",)  # 3 never went into the pile
    assert checkpoint.possible == ()


def test_what_was_taken_out_before_training_affects_nothing(workspace: Workspace) -> None:
    trained(workspace, stamped=False)
    assert [d.doc_id for d in affected(workspace, ["garden"]).documents] == [f"{3:032x}"]
    assert affected(workspace, ["garden"]).checkpoints == ()


def test_after_the_shard_was_cleaned_again_its_lineage_still_says_it(workspace: Workspace) -> None:
    trained(workspace, stamped=True)
    publish_clean(workspace, publish_scan(workspace, NEW, RESCANNED), 2)
    (checkpoint,) = affected(workspace, ["ferry"]).checkpoints
    assert (checkpoint.documents, checkpoint.possible) == ((f"{1:032x}",), ())


def test_without_a_lineage_the_answer_is_possibly_and_never_no(workspace: Workspace) -> None:
    trained(workspace, stamped=False)
    publish_clean(workspace, publish_scan(workspace, NEW, RESCANNED), 2)
    (checkpoint,) = affected(workspace, ["ferry"]).checkpoints
    assert (checkpoint.documents, set(checkpoint.possible)) == ((), {f"{1:032x}", f"{3:032x}"})


def test_a_benchmark_that_changed_is_possibly_another_question(workspace: Workspace) -> None:
    trained(workspace, stamped=True)
    scan = publish_scan(workspace, {"garden": "v2"}, [scanned(1, "garden/9"), scanned(2), scanned(3, "garden/0")])
    publish_clean(workspace, scan, 2)
    (checkpoint,) = affected(workspace, ["garden"]).checkpoints
    assert set(checkpoint.possible) == {f"{1:032x}", f"{3:032x}"}


def test_a_copy_that_was_left_out_is_not_counted(workspace: Workspace) -> None:
    trained(workspace, stamped=False)
    publish_scan(workspace, NEW, RESCANNED)
    kept = {"doc_id": f"{3:032x}", "verdict": "exact_duplicate", "duplicate_of": f"{1:032x}", "cluster": f"{1:032x}"}
    rows = [{name: kept.get(name) for name in DUPLICATE_ATTRIBUTES.names}]
    publish(workspace, "attributes/duplicates/synthetic", DUPLICATE_ATTRIBUTES, rows)
    assert [d.doc_id for d in affected(workspace, ["ferry"]).documents] == [f"{1:032x}"]


def test_a_lineage_says_whether_it_is_whole(workspace: Workspace) -> None:
    trained(workspace, stamped=False)
    packed = workspace.lake.table("tokens/packed")
    assert lineage_of(workspace, packed)["complete"]
    assert lineage_of(workspace, packed)["parts"] == {"clean/synthetic[set]": OLD}
    publish_scan(workspace, NEW, RESCANNED)
    assert not lineage_of(workspace, packed)["complete"]
