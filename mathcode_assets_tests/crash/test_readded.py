"""Files that are removed and added again: the lake is that of a graph where they were never removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from mathcode_assets_tests.crash.conftest import Undisturbed, build
from mathcode_assets_tests.mini_graph import MiniGraph, published, write_mini_graph

pytestmark = [pytest.mark.crash, pytest.mark.timeout(1800)]


def test_removed_and_added_again_gives_the_same_lake(
    undisturbed: Undisturbed, without_files: MiniGraph, copied: MiniGraph
) -> None:
    without = published(Path(without_files.root))
    gone = undisturbed.files.keys() - without.keys()
    # With all that was made of them.
    for layer in ("raw/starcoder_python", "filtered/textbooks", "clean/synthetic", "attributes/duplicates/synthetic"):
        assert any(name.startswith(f"{layer}/") for name in gone), layer
    pile = "mixture/mathcode_pile/all/manifest.json"
    assert without[pile] != undisturbed.files[pile]

    write_mini_graph(copied.folder)
    again = build(copied)
    assert again.report.is_complete, again.report.failures
    found = published(Path(copied.root))
    assert found.keys() == undisturbed.files.keys()
    assert [name for name in found if found[name] != undisturbed.files[name]] == []
