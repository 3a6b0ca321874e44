"""The ablation as a graph: its plan, its corpora, its runs side by side, and two compositions trained in earnest."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from mathcode_assets.config import SourcesFileError, load_sources
from mathcode_assets.definitions import LAKE_ASSETS, build_definitions
from mathcode_assets.defs.ablating import COMPOSITIONS, RUNS, corpus_of, documents_of, partition_keys, plan_of
from mathcode_assets.defs.assets import ablation
from mathcode_assets.defs.assets.ablation import ALL_RUNS, PACKED_KEY, RUNS_KEY, TABLE_KEY, job_of_run
from mathcode_assets.defs.assets.scores import SCORED
from mathcode_assets.defs.drive import Driver, chains
from mathcode_assets.defs.instance import open_instance
from mathcode_assets.defs.jobs import observe_job_name
from mathcode_assets.defs.table_assets import LakeAsset
from mathcode_assets.defs.workspace import Withheld, Workspace
from mathcode_assets.records import SCORE, batch_of
from mathcode_assets.sample import sample_dir
from mathcode_assets.storage.manifest import Manifest
from mathcode_assets.tokenization.sequences import PackedDataset
from mathcode_assets_tests.conftest import BuiltLake
from mathcode_assets_tests.defs.evaluated_lake import (
    PARTITION,
    EvaluatedLake,
    clean_documents,
    document,
    documents,
    letter_tokenizer,
)

ASSETS: dict[str, LakeAsset] = {asset.key: asset for asset in ablation.ASSETS}
SEEDS = {"seeds": [1, 2]}
TOKENIZATION = {"tokenizer": "", "length": 16}

WEB = [document("w1", "Let x be two.", row=0), document("w2", "Let y be three.", row=1)]
PAIRED = [document("p1", "x = 2\n```python\nprint(2)\n```", row=0)]
SEPARATED = [
    document("s1", "x = 2", row=0),
    document("s2", "```python\nprint(2)\n```", row=0),
    document("s3", "y = 3", row=1),  # its paired form was dropped, as a copy or as contaminated
]


@pytest.fixture
def lake(tmp_path: Path) -> EvaluatedLake:
    """Clean tables of one web component and of its translated code."""
    letter_tokenizer().save(str(tmp_path / "tokenizer.json"))
    made = EvaluatedLake(tmp_path)
    configure(made)
    made.publish("clean/open_web_math", clean_documents(WEB), partition=PARTITION)
    made.publish("clean/translated_open_web_math", clean_documents(PAIRED), partition=PARTITION)
    made.publish("separated/open_web_math", documents(SEPARATED), partition=PARTITION)
    return made


def configure(lake: EvaluatedLake, ablation: Mapping[str, Any] | None = None, **more: Any) -> EvaluatedLake:
    tokenization = {**TOKENIZATION, "tokenizer": str(lake.folder / "tokenizer.json")}
    return lake.configure(ablation=SEEDS if ablation is None else ablation, tokenization=tokenization, **more)


def texts(lake: EvaluatedLake, name: str) -> list[str]:
    workspace = lake.workspace
    [composition] = [found for found in plan_of(workspace).compositions if found.name == name]
    corpus = corpus_of(workspace, composition)
    return [text for batch in documents_of(corpus) for text in batch.column("text").to_pylist()]


class TestThePlan:
    def test_there_is_none_unless_the_settings_say_so(self, lake: EvaluatedLake) -> None:
        workspace = configure(lake, {}).workspace
        assert partition_keys(workspace, COMPOSITIONS) == partition_keys(workspace, RUNS) == []
        assert not ASSETS[TABLE_KEY].is_wanted(workspace)
        assert partition_keys(workspace, "open_web_math") == [PARTITION]
        assert all(asset.automation is None for asset in ablation.ASSETS)

    def test_components_without_a_source_are_no_part_of_it(self, lake: EvaluatedLake) -> None:
        names = [composition.name for composition in plan_of(lake.workspace).compositions]
        assert names == ["basic", "basic+paired", "basic+separated", "minus open_web_math"]
        assert partition_keys(lake.workspace, RUNS)[:3] == ["basic-seed1", "basic-seed2", "basic-paired-seed1"]
        few = configure(lake, {"seeds": [7], "compositions": ["basic+paired"]}).workspace
        assert partition_keys(few, COMPOSITIONS) == ["basic-paired"]
        assert partition_keys(few, RUNS) == ["basic-paired-seed7"]
        none = {"components": {"mathematical_code": {"weight": 0.0}}}
        assert [c.name for c in plan_of(configure(lake, mixture=none).workspace).compositions] == ["basic"]

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"seeds": [1, 1]}, r"settings\.ablation\.seeds: wants some, each once"),
            ({"seeds": [1], "compositions": ["basics"]}, r"ablation\.compositions: basics; there are basic, basic"),
            ({"seed": [1]}, r"settings\.ablation\.seed: unknown"),
        ],
    )
    def test_mistakes_are_named(self, lake: EvaluatedLake, given: dict[str, Any], message: str) -> None:
        with pytest.raises(SourcesFileError, match=message):
            plan_of(configure(lake, given).workspace)

    def test_observing_adds_and_removes_partitions(self, lake: EvaluatedLake) -> None:
        definitions = build_definitions(lake.folder / "sources.yaml")
        with dg.DagsterInstance.ephemeral() as instance:
            for given, expected in ((SEEDS, 8), ({"seeds": [1], "compositions": ["basic"]}, 1), ({}, 0)):
                configure(lake, given)
                definitions.resolve_job_def(observe_job_name("ablation")).execute_in_process(instance=instance)
                assert len(instance.get_dynamic_partitions(RUNS)) == expected

    def test_the_graph_is_one(self) -> None:
        made = [asset.key for chain in chains(LAKE_ASSETS) for asset in chain.assets]
        assert [key for key in made if key.startswith("ablation/")] == [PACKED_KEY, RUNS_KEY, TABLE_KEY]
        definitions = build_definitions(sample_dir() / "sources.yaml")
        graph = definitions.resolve_asset_graph()
        keys = [dg.AssetKey(key.split("/")) for key in ("clean/code_python", PACKED_KEY, RUNS_KEY)]
        for above, below in pairwise(keys):
            # Not by equal names, which is Dagster's default: a composition is made of every shard.
            assert isinstance(graph.get_partition_mapping(below, above), dg.AllPartitionMapping)
        for name in ("ablation_corpora", "ablate", "ablation_table"):
            assert definitions.resolve_job_def(name).asset_layer.executable_asset_keys


class TestCorpora:
    def test_each_holds_what_its_name_says(self, lake: EvaluatedLake) -> None:
        web, paired = [row["text"] for row in WEB], [row["text"] for row in PAIRED]
        assert texts(lake, "basic") == web
        assert texts(lake, "basic+paired") == [*web, *paired]
        assert texts(lake, "basic+separated") == [*web, "x = 2", "```python\nprint(2)\n```"]
        assert texts(lake, "minus open_web_math") == paired

    def test_the_piles_own_weights_hold(self, lake: EvaluatedLake) -> None:
        configure(lake, mixture={"components": {"open_web_math": {"weight": 2.0}}})
        assert texts(lake, "basic") == [row["text"] for row in WEB for _ in range(2)]

    def test_they_are_packed_for_training(self, lake: EvaluatedLake) -> None:
        first = lake.make(ASSETS[PACKED_KEY], "basic")
        assert lake.make(ASSETS[PACKED_KEY], "basic").reused
        folder = lake.workspace.lake.fetch_folder(lake.workspace.lake.table(PACKED_KEY, "basic"), lake.folder / "out")
        sequences = PackedDataset(folder)
        n_tokens = sum(int(sequences.pieces(number).sum()) for number in range(len(sequences)))
        # A token a byte, and one at the end of each document.
        assert n_tokens == first.manifest.facts["n_tokens"] == sum(len(row["text"]) + 1 for row in WEB)
        lake.workspace.lake.remove(lake.workspace.lake.table(PACKED_KEY, "basic"))
        assert lake.make(ASSETS[PACKED_KEY], "basic").manifest.data_version == first.manifest.data_version

    def test_equal_documents_are_one_corpus(self, lake: EvaluatedLake) -> None:
        """A component without documents: the pile without it is the pile, and is trained on once."""
        empty = clean_documents([])
        lake.publish("clean/translated_open_web_math", empty, partition=PARTITION)
        lake.publish("separated/open_web_math", documents([]), partition=PARTITION)
        names = ("basic", "basic-paired", "basic-separated")
        manifests = [lake.make(ASSETS[PACKED_KEY], name).manifest for name in names]
        assert len({manifest.facts["corpus_fingerprint"] for manifest in manifests}) == 1
        assert len({manifest.data_version for manifest in manifests}) == 1
        tables = [lake.workspace.lake.table(PACKED_KEY, name) for name in names]
        runs = [run for run in plan_of(lake.workspace).runs if run.seed == 1][:3]
        folders = {
            ablation.run_name(job_of_run(lake.workspace, run, table)[1], table)
            for run, table in zip(runs, tables, strict=True)
        }
        assert len(folders) == 1

    def test_a_missing_clean_table_is_waited_for(self, lake: EvaluatedLake) -> None:
        lake.workspace.lake.remove(lake.workspace.lake.table("clean/open_web_math", PARTITION))
        with pytest.raises(Withheld, match=r"clean/open_web_math\[pages\]: not made yet"):
            lake.make(ASSETS[PACKED_KEY], "basic")
        with pytest.raises(Withheld, match="no such composition"):
            lake.make(ASSETS[PACKED_KEY], "minus-code")


def test_runs_differ_in_seed_and_read_equally_many_tokens(lake: EvaluatedLake) -> None:
    job = {"preset": "tiny", "batch": {"sequences": 2, "micro_per_gpu": 1}}
    configure(lake, {**SEEDS, "tokens": 1000, "job": job})
    steps = set()
    for run in plan_of(lake.workspace).runs:
        partition = ablation.slug(run.composition.name)
        lake.make(ASSETS[PACKED_KEY], partition)
        _, found = job_of_run(lake.workspace, run, lake.workspace.lake.table(PACKED_KEY, partition))
        assert found.seed == run.seed
        steps.add((found.duration.steps, found.duration.epochs))
    assert steps == {(1000 // (2 * 16), None)}
    configure(lake, {**SEEDS, "job": job})
    _, found = job_of_run(
        lake.workspace, plan_of(lake.workspace).runs[0], lake.workspace.lake.table(PACKED_KEY, "basic")
    )
    assert found.duration.epochs == 1


def score_row(composition: str, seed: int, score: float | None, **more: Any) -> dict[str, Any]:
    row = dict.fromkeys(SCORE.names, 0) | {
        "model": composition,
        "model_fingerprint": None,
        "corpus_fingerprint": None,
        "composition": composition,
        "seed": seed,
        "benchmark": "math",
        "n_shots": 4,
        "n": 50,
        "score": score,
        "low": 0.0,
        "high": 1.0,
        "score_clean": score,
        "paper_model": "Llama-3-8B",
        "paper_score": None,
        "perplexity": None,
        "bits_per_byte": None,
        "bits_per_byte_error": None,
    }
    return row | more


class TestTheTable:
    @pytest.fixture
    def runs(self, lake: EvaluatedLake) -> EvaluatedLake:
        """Three of four runs."""
        configure(lake, {**SEEDS, "compositions": ["basic", "basic+paired"]})
        for name, composition, seed, score in (
            ("basic-seed1", "basic", 1, 0.10),
            ("basic-seed2", "basic", 2, 0.20),
            ("basic-paired-seed1", "basic+paired", 1, 0.30),
        ):
            self.publish(lake, name, score_row(composition, seed, score))
        return lake

    def publish(self, lake: EvaluatedLake, name: str, row: dict[str, Any], asked: str = "same") -> None:
        lake.publish(RUNS_KEY, batch_of([row], SCORE), partition=name, asked={"math": asked}, tasks=["math"])

    def manifest(self, lake: EvaluatedLake) -> Manifest:
        return lake.workspace.lake.table(TABLE_KEY).manifest()

    def test_has_mean_deviation_and_difference(self, runs: EvaluatedLake) -> None:
        runs.make(ASSETS[TABLE_KEY])
        basic, paired = runs.rows(TABLE_KEY)
        assert (basic["n_runs"], basic["mean"], basic["difference"]) == (2, pytest.approx(0.15), pytest.approx(0.0))
        assert basic["deviation"] == pytest.approx(0.0707, abs=1e-4)
        assert (paired["n_runs"], paired["deviation"], paired["paper_score"]) == (1, None, 17.8)
        assert paired["difference"] == pytest.approx(0.15)
        preview = ASSETS[TABLE_KEY].preview
        assert preview is not None
        text = preview(runs.workspace, runs.workspace.lake.table(TABLE_KEY))["ablation"].value
        assert "| basic | 2 | 15.0 ± 7.1 |" in text and "| basic+paired (paper) | 1 | 17.8 |" in text

    def test_missing_runs_are_told_until_they_are_there(self, runs: EvaluatedLake) -> None:
        runs.make(ASSETS[TABLE_KEY])
        table = runs.workspace.lake.table(TABLE_KEY)
        outcome = ALL_RUNS.evaluate(runs.workspace, table, self.manifest(runs))
        assert not outcome.passed and "basic-paired-seed2" in outcome.description
        self.publish(runs, "basic-paired-seed2", score_row("basic+paired", 2, 0.4))
        assert not runs.make(ASSETS[TABLE_KEY]).reused
        assert ALL_RUNS.evaluate(runs.workspace, table, self.manifest(runs)).passed
        assert runs.make(ASSETS[TABLE_KEY]).reused

    def test_runs_that_were_asked_other_items_make_no_table(self, runs: EvaluatedLake) -> None:
        self.publish(runs, "basic-paired-seed2", score_row("basic+paired", 2, 0.4), asked="other")
        with pytest.raises(Withheld, match="basic-paired-seed2 was asked other items than basic-seed1"):
            runs.make(ASSETS[TABLE_KEY])

    def test_without_runs_there_is_none(self, lake: EvaluatedLake) -> None:
        with pytest.raises(Withheld, match="no run"):
            lake.make(ASSETS[TABLE_KEY])

    def test_a_run_without_a_score_is_red(self, runs: EvaluatedLake) -> None:
        self.publish(runs, "basic-seed1", score_row("basic", 1, None, n=0))
        table = runs.workspace.lake.table(RUNS_KEY, "basic-seed1")
        assert SCORED in ASSETS[RUNS_KEY].checks
        assert not SCORED.evaluate(runs.workspace, table, table.manifest()).passed


@pytest.mark.slow
@pytest.mark.train
@pytest.mark.evaluation
@pytest.mark.timeout(1200)
@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("deepspeed", "lm_eval")),
    reason="needs deepspeed and lm-eval",
)
def test_two_compositions_with_two_seeds_on_the_sample(sample_lake: BuiltLake, tmp_path: Path) -> None:
    """Trained and evaluated in earnest, through Dagster; made again from the same answers, nothing is trained."""
    root = tmp_path / "lake"
    shutil.copytree(sample_lake.root, root)
    sources = yaml.safe_load((sample_dir() / "sources.yaml").read_text())
    sources["settings"] |= {
        "evaluation": {"held_out": "data/held_out.jsonl", "model": {"dtype": "float32"}},
        "ablation": {
            **SEEDS,
            "compositions": ["basic", "basic+separated"],
            "tokens": 3 * 8 * 512,
            "job": {"preset": "tiny", "model": {"shape": {"hidden_size": 32, "n_layers": 2, "ffn_size": 64}}},
            "tasks": ["perplexity"],
        },
    }
    shutil.copytree(sample_dir() / "data", tmp_path / "data")
    sources_file = tmp_path / "sources.yaml"
    sources_file.write_text(yaml.safe_dump(json.loads(json.dumps(sources))))
    workspace = Workspace(load_sources(sources_file), str(root))
    with open_instance(root / ".dagster") as instance:
        driver = Driver(
            definitions=build_definitions(sources_file, root=str(root)),
            assets=ablation.ASSETS,
            workspace=workspace,
            instance=instance,
        )
        report = driver.run()
        assert report.failures == [] and report.is_complete
        assert report.materialized == 2 + 4 + 1
        again = driver.run()
        assert (again.materialized, again.unchanged) == (0, 7)
    rows = [row for batch in workspace.lake.table(TABLE_KEY).batches() for row in batch.to_pylist()]
    measured = {(row["composition"], row["measure"]): row for row in rows}
    assert set(measured) == {
        (composition, measure)
        for composition in ("basic", "basic+separated")
        for measure in ("perplexity", "bits_per_byte")
    }
    assert all(row["n_runs"] == 2 and row["n"] == 22 and row["deviation"] > 0 for row in rows)
    assert all(1 < measured[name, "bits_per_byte"]["mean"] < 8 for name in ("basic", "basic+separated"))
    manifests = [workspace.lake.table(RUNS_KEY, name).manifest() for name in partition_keys(workspace, RUNS)]
    assert len({manifest.facts["config_hash"] for manifest in manifests}) == 4
    assert {manifest.facts["steps"] for manifest in manifests} == {3}
    # The same run once more: its model is there, so that only the questions are asked, with the same answers.
    name, before = "basic-seed1", manifests[0]
    folders = sorted((root / ".training" / "runs").glob("*/result.json"))
    written = [path.stat().st_mtime_ns for path in folders]
    workspace.lake.remove(workspace.lake.table(RUNS_KEY, name))
    assert ASSETS[RUNS_KEY].publish(workspace, name).manifest.data_version == before.data_version
    assert [path.stat().st_mtime_ns for path in folders] == written
