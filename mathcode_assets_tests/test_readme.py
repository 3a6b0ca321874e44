"""What README.md and docs/ print is what the code prints."""

from __future__ import annotations

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from docs.data_model import TABLES
from docs.graph import COMPONENTS, assets, box_of, collapse
from docs.readme_blocks import (
    FILES,
    OF_SAMPLE,
    REPOSITORY,
    STATIC,
    blocks,
    leaky_block,
    model_block,
    sample_block,
    with_blocks,
)
from mathcode_assets.cli import main
from mathcode_assets.config import SOURCE_KEYS, parse_sources
from mathcode_assets.defs.annotator import annotator_of
from mathcode_assets.defs.assets.mixture import mixture_config
from mathcode_assets.defs.checks import CheckConfig
from mathcode_assets.defs.launching import NEEDED
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.records import ALL_SCHEMAS, schema_name
from mathcode_assets.sample import sample_dir
from mathcode_assets_tests.conftest import BuiltLake, drive

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
HINT = "not as printed now: python -m docs.refresh_readme"
MAX_IMAGE_BYTES = 300_000


def comparable(text: str) -> str:
    """A block without what the processor's own arithmetic decides: hashes of models, late digits of scores."""
    return re.sub(r"(0\.\d\d)\d+", r"\1", re.sub(r"@[0-9a-f]{12}", "@...", text))


def as_written(name: str) -> str:
    for file in FILES:
        found = blocks((REPOSITORY / file).read_text(encoding="utf-8"))
        if name in found:
            return comparable(found[name])
    raise AssertionError(f"no file has the block {name}")


def as_printed(name: str, made: str) -> str:
    return comparable(f"<!-- block: {name} -->\n{made}\n<!-- end: {name} -->")


@pytest.mark.parametrize("name", STATIC)
def test_blocks_that_need_no_sample(name: str) -> None:
    assert as_written(name) == as_printed(name, STATIC[name]()), HINT


@pytest.mark.parametrize("name", OF_SAMPLE)
def test_blocks_of_the_sample(name: str, sample_lake: BuiltLake) -> None:
    assert as_written(name) == as_printed(name, OF_SAMPLE[name](sample_lake.workspace)), HINT


def test_the_table_of_the_sample(sample_lake: BuiltLake) -> None:
    assert as_written("sample") == as_printed("sample", sample_block(sample_lake.workspace, sample_lake.report)), HINT


@pytest.mark.train
@pytest.mark.timeout(600)
@pytest.mark.skipif(not all(map(find_spec, (*NEEDED, "lm_eval"))), reason="needs the extras train and eval")
def test_the_sample_ends_in_a_trained_and_scored_model(sample_lake: BuiltLake, tmp_path: Path) -> None:
    shutil.copytree(sample_lake.root, tmp_path / "lake")
    sources = sample_dir() / "sources.yaml"
    first = drive(sources, tmp_path / "lake", corpus_only=False)
    assert first.report.is_complete
    assert first.report.materialized == 4
    # The losses are the processor's own arithmetic: what stands beside them is not.
    made = model_block(first.workspace)
    assert re.sub(r"\d", "0", as_written("model")) == re.sub(r"\d", "0", as_printed("model", made)), HINT
    again = drive(sources, tmp_path / "lake", corpus_only=False)
    assert again.report.materialized == 0


def test_the_leaky_shard(sample_lake: BuiltLake, tmp_path: Path) -> None:
    # The leaky shard added to the built sample: nothing else is made again.
    shutil.copytree(sample_lake.root, tmp_path / "lake")
    leaky = drive(sample_dir() / "sources-leaky.yaml", tmp_path / "lake")
    assert as_written("leaky") == as_printed("leaky", leaky_block(leaky.report)), HINT


def test_the_first_command_is_on_the_first_screen() -> None:
    lines = README.splitlines()
    assert next(number for number, line in enumerate(lines, start=1) if line.startswith("make sample")) < 60


def test_every_link_into_the_repository_leads_somewhere() -> None:
    pages = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_sources_file_shown_is_one(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    sources = parse_sources(text, name="README", folder=tmp_path)
    assert set(sources.sources) == set(SOURCE_KEYS)
    workspace = Workspace(sources)
    assert workspace.settings("checks", CheckConfig) == CheckConfig()
    assert mixture_config(workspace).components["code"].max_share == 0.2
    annotator = annotator_of(workspace)
    assert annotator is not None and annotator.model == "NAME"


def test_images_are_small() -> None:
    large = [p.name for p in (REPOSITORY / "docs" / "images").iterdir() if p.stat().st_size > MAX_IMAGE_BYTES]
    assert large == []


def test_every_command_stands_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = re.findall(r"^    ([a-z][a-z-]+)\b", capsys.readouterr().out, re.MULTILINE)
    assert "sample" in listed
    assert [command for command in listed if f"`mathcode {command} " not in README] == []


def test_the_paper_map_names_assets_that_exist() -> None:
    keys = set(assets())
    text = (REPOSITORY / "docs" / "paper-map.md").read_text(encoding="utf-8")
    layers = {key.split("/")[0] for key in keys}
    named = {name for name in re.findall(r"`([a-z_]+/[a-z0-9_/*]+)`", text) if name.split("/")[0] in layers}
    assert len(named) > 20
    for name in sorted(named):
        assert any(re.fullmatch(name.replace("*", ".+"), key) for key in keys), name


class TestTheGraph:
    def test_has_a_box_for_every_asset(self) -> None:
        found = assets()
        boxes, _ = collapse(found)
        drawn = {key for keys in boxes.values() for key in keys}
        left_out = {key for key in set(found) - drawn if not key.startswith("index/ngrams/")}
        assert left_out == {"source/listing", "source/ablation"}

    def test_refuses_an_asset_that_has_no_place(self) -> None:
        with pytest.raises(KeyError, match="no place"):
            box_of("surprise/table", "surprises")

    def test_names_every_component(self) -> None:
        assert set(COMPONENTS) <= set(collapse(assets())[0])


def test_the_data_model_tells_of_every_schema() -> None:
    assert {schema_name(schema).split("/")[0] for schema in ALL_SCHEMAS} == set(TABLES)


class TestBlocks:
    TEXT = "before\n<!-- block: one -->\nold\n<!-- end: one -->\nafter\n"

    def test_are_replaced_between_their_marks(self) -> None:
        assert with_blocks(self.TEXT, {"one": r"new \1"}) == self.TEXT.replace("old", r"new \1")

    def test_that_nobody_made_stay(self) -> None:
        assert with_blocks(self.TEXT, {"other": "new"}) == self.TEXT

    def test_an_empty_one_can_be_filled_and_made_again(self) -> None:
        empty = self.TEXT.replace("old\n", "")
        assert with_blocks(with_blocks(empty, {"one": "x"}), {"one": "old"}) == self.TEXT
