"""What a sources file asks for: trained without being asked only where it has a section `training`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import dagster as dg
import pytest

from mathcode_assets.config import load_sources
from mathcode_assets.definitions import LAKE_ASSETS, build_definitions
from mathcode_assets.defs.graph import CORPUS
from mathcode_assets.defs.launching import NEEDED, is_asked_for, missing_packages
from mathcode_assets.defs.workspace import Workspace

MODEL_KEYS = ("checkpoint/mathcode_pile", "scores/evaluation", "scores/mathcode_pile", "scores/items")
SOURCES = "root: lake\nsources:\n  synthetic: {uri: 'synthetic/*.jsonl'}\n"


def sources(folder: Path, settings: str = "") -> Path:
    path = folder / "sources.yaml"
    path.write_text(SOURCES + (f"settings:\n  {settings}\n" if settings else ""))
    return path


def automatic_keys(definitions: dg.Definitions) -> set[str]:
    graph = definitions.resolve_asset_graph()
    return {key.to_user_string() for key in graph.materializable_asset_keys if graph.get(key).automation_condition}


def test_a_graph_without_a_training_ends_at_the_packed_pile_by_itself(tmp_path: Path) -> None:
    found = automatic_keys(build_definitions(sources(tmp_path)))
    assert "tokens/packed" in found
    assert not found.intersection(MODEL_KEYS)


def test_a_graph_with_a_training_goes_on_to_the_scores(tmp_path: Path) -> None:
    found = automatic_keys(build_definitions(sources(tmp_path, "training: {job: {preset: tiny}}")))
    assert found.issuperset(MODEL_KEYS)


def test_every_asset_is_there_in_both_and_a_broken_file_takes_none_away(tmp_path: Path) -> None:
    keys = {asset.asset_key for asset in LAKE_ASSETS}
    broken = tmp_path / "broken.yaml"
    broken.write_text("root: [")
    for path in (sources(tmp_path), broken):
        graph = build_definitions(path).resolve_asset_graph()
        assert keys <= set(graph.materializable_asset_keys)
    assert automatic_keys(build_definitions(broken)).issuperset(MODEL_KEYS)


def test_the_corpus_knows_nothing_of_models() -> None:
    assert not {asset.key for asset in CORPUS}.intersection(MODEL_KEYS)


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ("training: {job: {preset: tiny}}", [*NEEDED, "lm_eval"]),
        ("training: {python: /opt/train/bin/python, job: {preset: tiny}}", []),
        ("training: {launcher: ray, runs: runs, job: {preset: llama-3-8b}}", []),
    ],
)
def test_what_this_interpreter_lacks(
    settings: str, missing: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(load_sources(sources(tmp_path, settings)))
    assert is_asked_for(workspace)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert missing_packages(workspace) == missing
    assert not is_asked_for(Workspace(load_sources(sources(tmp_path))))
