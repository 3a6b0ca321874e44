"""What makes a corpus unfit to be trained on, each on a lake of three code shards that was whole before."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mathcode_assets.config import load_sources
from mathcode_assets.defs.currency import SHOWN, behind, evaluated_red, recorded_red, require_current
from mathcode_assets.defs.graph import CORPUS, PROMOTED, lineage
from mathcode_assets.defs.workspace import Withheld, Workspace
from mathcode_assets.storage.lake import WHOLE
from mathcode_assets_tests.defs.reported import report_checked, report_made

PACKED = "tokens/packed"
ASSETS = {asset.key: asset for asset in CORPUS}
QUESTION = (
    "A gardener plants 14 rows of tulips with 23 bulbs in each row, and a neighbour gives her 17 more bulbs "
    "on Saturday. How many bulbs does the gardener have in the ground at the end of the weekend?"
)
SOURCES = """\
root: lake
sources:
  starcoder_python: {{uri: 'code/*.jsonl', licence: {licence}{options}}}
benchmarks: {{uri: 'benchmarks/*.jsonl'}}
settings:
  self_test: {{plants_per_kind: 2, min_recall: {{verbatim: 0.9}}}}
  tokenizer: {{vocab_size: 300}}
{settings}"""


class Corpus:
    """A folder with code, a benchmark, a sources file and a lake; made without Dagster, for it needs none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def workspace(self) -> Workspace:
        return Workspace(load_sources(self.folder / "sources.yaml"))

    def sources(self, licence: str = "MIT", options: str = "", settings: str = "") -> None:
        text = SOURCES.format(licence=licence, options=options, settings=settings)
        (self.folder / "sources.yaml").write_text(text)

    def code(self, name: str, *programs: str) -> None:
        rows = [{"id": f"{name}{i}", "content": f"import sympy\n{text}\n"} for i, text in enumerate(programs)]
        for row in rows:
            row |= {"max_stars_repo_name": "owner/repository", "max_stars_repo_path": f"{row['id']}.py"}
        (self.folder / "code").mkdir(exist_ok=True)
        (self.folder / "code" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def benchmark(self, name: str, question: str) -> None:
        (self.folder / "benchmarks").mkdir(exist_ok=True)
        item = {"idx": 0, "question": question, "answer": "339"}
        (self.folder / "benchmarks" / f"{name}.jsonl").write_text(json.dumps(item) + "\n")

    def make(self, *keys: str, only: str = "") -> None:
        """Publish every partition of these tables, or one of them."""
        workspace = self.workspace
        for key in keys:
            source = ASSETS[key].partitioned_by
            partitions = list(workspace.partitions(source)) if source else [WHOLE]
            for partition in partitions:
                if only in ("", partition):
                    ASSETS[key].publish(workspace, partition)

    def make_all(self) -> None:
        keys = [asset.key for asset in lineage(PACKED) if not asset.key.startswith(PROMOTED)]
        self.make(*keys)

    def behind(self) -> list[str]:
        return behind(self.workspace, PACKED)


@pytest.fixture(scope="module")
def whole_corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    corpus = Corpus(tmp_path_factory.mktemp("corpus"))
    corpus.code("a", "print(sympy.integrate('x**2'))", "print(sympy.factorint(91))")
    corpus.code("b", "print(sympy.integrate('x**3'))", "print(sympy.factorint(92))")
    corpus.code("c", "print(sympy.prime(17))", "print(sympy.divisors(28))")
    corpus.benchmark("garden", QUESTION)
    corpus.sources()
    for model in ("benchmark_frequencies", "tokenizer"):
        corpus.make(*CODE, f"models/{model}", f"promoted/{model}")
    corpus.make_all()
    return corpus


@pytest.fixture
def corpus(whole_corpus: Corpus, tmp_path: Path) -> Corpus:
    """A copy, to change."""
    shutil.copytree(whole_corpus.folder, tmp_path / "corpus")
    return Corpus(tmp_path / "corpus")


CODE = ("raw/starcoder_python", "attributes/code_python", "filtered/code_python")


class TestTheLineage:
    def test_reaches_the_sources_and_stops_at_promoted_models(self) -> None:
        keys = [asset.key for asset in lineage(PACKED)]
        assert {"raw/textbooks", "raw/cc_en", "index/benchmarks", "index/duplicates", "clean/code_python"} <= set(keys)
        assert "promoted/tokenizer" in keys
        assert not [key for key in keys if key.startswith(("models/", "separated/"))]
        assert "mixture/hub_dataset" not in keys

    def test_puts_what_is_made_from_after_what_it_is_made_of(self) -> None:
        place = {asset.key: n for n, asset in enumerate(lineage(PACKED))}
        for asset in lineage(PACKED):
            if not asset.key.startswith(PROMOTED):
                assert all(place[dep] < place[asset.key] for dep in asset.deps if dep in place)
        assert max(place, key=place.__getitem__) == PACKED

    def test_of_an_unknown_asset_is_an_error(self) -> None:
        with pytest.raises(KeyError):
            lineage("tokens/unknown")


class TestNothingIsBehind:
    def test_after_all_was_made(self, corpus: Corpus) -> None:
        assert corpus.behind() == []
        workspace = corpus.workspace
        assert require_current(workspace, PACKED) == workspace.version(PACKED)

    def test_when_a_candidate_model_is_newer_than_the_promoted_one(self, corpus: Corpus) -> None:
        text = (corpus.folder / "sources.yaml").read_text().replace("vocab_size: 300", "vocab_size: 280")
        (corpus.folder / "sources.yaml").write_text(text)
        before = corpus.workspace.version("models/tokenizer")
        corpus.make("models/tokenizer")
        assert corpus.workspace.version("models/tokenizer") != before
        assert corpus.behind() == []

    def test_when_what_is_no_input_of_the_pile_is_missing(self, corpus: Corpus) -> None:
        assert corpus.workspace.lake.table("mixture/data_card").find_manifest() is None
        assert corpus.behind() == []

    def test_again_once_what_was_behind_is_made(self, corpus: Corpus) -> None:
        corpus.code("b", "print(sympy.integrate('x**4'))")
        before = corpus.workspace.version(PACKED)
        assert corpus.behind()
        corpus.make_all()
        assert corpus.behind() == []
        assert require_current(corpus.workspace, PACKED) != before


class TestASource:
    def test_that_changed_is_named_with_its_shard(self, corpus: Corpus) -> None:
        corpus.code("b", "print(sympy.integrate('x**4'))")
        assert corpus.behind() == ["raw/starcoder_python[b]: made from another starcoder_python:b.jsonl"]

    def test_that_changed_is_followed_layer_by_layer(self, corpus: Corpus) -> None:
        corpus.code("b", "print(sympy.integrate('x**4'))")
        corpus.make("raw/starcoder_python")
        assert corpus.behind() == ["attributes/code_python[b]: made from another raw/starcoder_python[b]",
                                   "filtered/code_python[b]: made from another raw/starcoder_python[b]"]  # fmt: skip
        corpus.make("attributes/code_python", "filtered/code_python", "attributes/fingerprints/code_python")
        assert corpus.behind()[0].startswith("index/duplicates: made from another attributes/fingerprints/code_python")

    def test_with_a_new_file_is_behind_although_every_table_fits_its_recipe(self, corpus: Corpus) -> None:
        corpus.code("d", "print(sympy.isprime(5))")
        found = corpus.behind()
        assert found[0] == "raw/starcoder_python[d]: not made yet"
        assert any(line.startswith("mixture/mathcode_pile: ") and "clean/code_python[d]" in line for line in found)

    def test_with_a_removed_file_is_behind(self, corpus: Corpus) -> None:
        (corpus.folder / "code" / "b.jsonl").unlink()
        assert corpus.behind() == [
            "index/duplicates: made from what is gone: attributes/fingerprints/code_python[b]",
            "mixture/mathcode_pile: made from what is gone: clean/code_python[b]",
        ]

    def test_of_another_licence_is_behind(self, corpus: Corpus) -> None:
        corpus.sources(licence="Apache-2.0")
        assert corpus.behind()[0] == "raw/starcoder_python[a]: made with other settings: licence"

    def test_that_cannot_be_listed_is_named(self, corpus: Corpus) -> None:
        shutil.rmtree(corpus.folder / "code")
        assert any("starcoder_python" in line and "code/*.jsonl" in line for line in corpus.behind())


class TestTheBenchmarks:
    @pytest.mark.parametrize("name", ["ferry", "garden"])
    def test_that_are_new_or_changed_make_the_index_behind(self, corpus: Corpus, name: str) -> None:
        corpus.benchmark(name, QUESTION.replace("tulips", "ferries"))
        how = "from another" if name == "garden" else "without"
        assert corpus.behind() == [f"index/benchmarks: made {how} benchmarks:{name}"]

    def test_whose_index_is_newer_make_every_scan_behind(self, corpus: Corpus) -> None:
        corpus.benchmark("ferry", QUESTION.replace("tulips", "ferries"))
        corpus.make("index/benchmarks")
        scan = "attributes/contamination/code_python"
        assert corpus.behind() == [f"{scan}[{name}]: made without benchmark:ferry" for name in "abc"]
        corpus.make(scan)
        assert corpus.behind() == []  # the same verdicts: nothing that follows is made from other bytes

    def test_may_not_be_found_in_a_shard_above_the_limit(self, corpus: Corpus) -> None:
        corpus.code("c", f'print("""{QUESTION}""")', f'note = """\n{QUESTION}\n"""')
        corpus.sources(options=", accept_contaminated: [c]")
        corpus.make_all()
        assert corpus.behind() == []
        corpus.sources()  # a person takes the acceptance back: no recipe changes
        found = corpus.behind()
        assert found[0].startswith("clean/code_python[c]: ")
        assert "withheld" in found[0]


class TestAModel:
    def test_that_was_promoted_makes_behind_what_the_other_scored(self, corpus: Corpus) -> None:
        before = corpus.workspace.model_version("tokenizer")
        text = (corpus.folder / "sources.yaml").read_text().replace("vocab_size: 300", "vocab_size: 310")
        (corpus.folder / "sources.yaml").write_text(text)
        corpus.code("a", *(f"print(sympy.integrate('tanh(x)**{i} + cosh(x)'))" for i in range(20)))
        corpus.make(*CODE, "models/tokenizer")
        assert not [line for line in corpus.behind() if "made with tokenizer" in line]
        corpus.make("promoted/tokenizer")
        after = corpus.workspace.model_version("tokenizer")
        assert after != before
        assert f"clean/code_python[b]: made with tokenizer {before}, now {after}" in corpus.behind()


class TestSettings:
    @pytest.mark.parametrize(
        ("section", "key", "name"),
        [
            ("tokenization: {length: 512}", "tokens/packed", "length"),
            ("clean: {drop_near: true}", "clean/code_python[a]", "drop_near"),
            ("mixture: {seed: 7}", "mixture/mathcode_pile", "seed"),
        ],
    )
    def test_that_a_table_was_not_made_with_are_named(self, corpus: Corpus, section: str, key: str, name: str) -> None:
        corpus.sources(settings=f"  {section}\n")
        assert corpus.behind()[0] == f"{key}: made with other settings: {name}"

    def test_that_cannot_be_used_are_no_licence_to_train(self, corpus: Corpus) -> None:
        corpus.sources(settings="  clean: {drop_nearly: true}\n")
        assert "clean.drop_nearly: unknown" in corpus.behind()[0]


class TestStorage:
    @pytest.mark.parametrize("key", ["raw/starcoder_python", "clean/code_python", "attributes/duplicates/code_python"])
    def test_with_a_lost_or_shortened_file_is_behind(self, corpus: Corpus, key: str) -> None:
        path = next((corpus.folder / "lake" / key / "b").glob("*.parquet"))
        path.write_bytes(path.read_bytes()[:-1])
        (line,) = corpus.behind()
        assert line.endswith(f"files of {key}[b] are missing or cut short")
        path.unlink()
        assert corpus.behind() == [line]

    def test_with_a_lost_or_damaged_manifest_is_behind(self, corpus: Corpus) -> None:
        path = corpus.folder / "lake" / "filtered" / "code_python" / "b" / "manifest.json"
        path.write_text(path.read_text().replace('"format": 1', '"format": 99'))
        assert any(line.startswith("filtered/code_python[b]: ") and "format" in line for line in corpus.behind())
        path.unlink()
        assert "filtered/code_python[b]: not made yet" in corpus.behind()

    def test_that_another_run_published_meanwhile_is_behind(self, corpus: Corpus) -> None:
        other = Corpus(corpus.folder)
        other.code("c", "print(sympy.prime(18))")
        other.make(*CODE, "attributes/fingerprints/code_python", "index/duplicates")
        other.make("attributes/contamination/code_python", "clean/code_python")
        assert other.behind() == ["mixture/mathcode_pile: made from another clean/code_python[c]"]

    def test_that_is_empty_is_not_trained_on(self, corpus: Corpus) -> None:
        shutil.rmtree(corpus.folder / "lake")
        with pytest.raises(Withheld, match=r"raw/starcoder_python\[a\]: not made yet"):
            require_current(corpus.workspace, PACKED)


class TestTheMessage:
    def test_names_ten_and_counts_the_others(self, corpus: Corpus) -> None:
        for i in range(12):
            corpus.code(f"n{i:02d}", "print(sympy.isprime(5))")
        n_behind = len(corpus.behind())
        with pytest.raises(Withheld) as caught:
            require_current(corpus.workspace, PACKED)
        message = str(caught.value)
        assert message.startswith(f"{PACKED} may not be used: raw/starcoder_python[n00]: not made yet; ")
        assert message.count("not made yet; ") == SHOWN
        assert message.endswith(f"and {n_behind - SHOWN} more")

    def test_shortens_long_lists_and_long_reasons(self, corpus: Corpus) -> None:
        for i in range(40):
            corpus.code(f"n{i:02d}", "print(sympy.isprime(5))")
        assert max(len(line) for line in corpus.behind()) < 400


class TestChecksOnTheTables:
    def test_find_bytes_that_changed_in_place(self, corpus: Corpus) -> None:
        path = next((corpus.folder / "lake" / "filtered" / "code_python" / "b").glob("*.parquet"))
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))
        assert corpus.behind() == []  # sizes alone do not show it
        with pytest.raises(Withheld, match=r"filtered/code_python\[b\]: schema_and_accounting: .* differs"):
            require_current(corpus.workspace, PACKED)

    def test_run_the_self_test_of_the_index(self, corpus: Corpus) -> None:
        text = (corpus.folder / "sources.yaml").read_text().replace("verbatim: 0.9", "verbatim: 1.1")
        (corpus.folder / "sources.yaml").write_text(text)
        assert [line.split(":")[0] for line in evaluated_red(corpus.workspace, PACKED)] == ["index/benchmarks"]

    def test_scan_the_documents_again_with_the_index_of_now(self, corpus: Corpus) -> None:
        ferry = "The ferry makes 11 crossings a day with 36 cars on each, and on Sundays it makes only 4 of them."
        corpus.code("a", "print(sympy.integrate('x**2'))", f"# {ferry}")
        corpus.make_all()
        assert list(evaluated_red(corpus.workspace, PACKED)) == []
        corpus.benchmark("ferry", ferry)
        corpus.make("index/benchmarks")  # and no scan: `behind` would say so first
        red = {line.split(" ")[0] for line in evaluated_red(corpus.workspace, PACKED) if "residual" in line}
        # The copy is in one of them; the others are red because the index is newer than their scan.
        assert red == {
            "clean/code_python[a]:",
            "clean/code_python[b]:",
            "clean/code_python[c]:",
            "mixture/mathcode_pile:",
        }


class TestChecksOnRecord:
    @pytest.fixture
    def instance(self) -> Iterator[dg.DagsterInstance]:
        with dg.DagsterInstance.ephemeral() as instance:
            yield instance

    def record(self, corpus: Corpus, instance: dg.DagsterInstance, *, leave_out: str = "", red: str = "") -> None:
        """What the runs that made the lake would have told Dagster."""
        workspace = corpus.workspace
        for asset in lineage(PACKED):
            partitions = list(workspace.partitions(asset.partitioned_by)) if asset.partitioned_by else [WHOLE]
            for partition in partitions:
                if asset.key.startswith(PROMOTED):
                    continue
                shard = None if partition == WHOLE else partition
                name = f"{asset.key}[{partition}]"
                made = report_made(instance, asset.asset_key, workspace.version(asset.key, partition), shard)
                for check in (*(c.name for c in asset.checks if c.blocking), *asset.separate_checks):
                    if f"{name}:{check}" != leave_out:
                        passed = f"{name}:{check}" != red
                        report_checked(instance, asset.asset_key, check, made, passed=passed, partition=shard)

    def test_that_passed_give_the_version_free(self, corpus: Corpus, instance: dg.DagsterInstance) -> None:
        self.record(corpus, instance)
        workspace = corpus.workspace
        assert require_current(workspace, PACKED, instance=instance) == workspace.version(PACKED)

    @pytest.mark.parametrize(
        "check",
        [
            "clean/code_python[b]:residual_contamination",
            "filtered/code_python[c]:schema_and_accounting",
            "attributes/contamination/code_python[a]:contaminated_share",
            "index/benchmarks[all]:contamination_self_test",
            "mixture/mathcode_pile[all]:residual_contamination",
        ],
    )
    def test_that_are_red_or_have_not_run_withhold(
        self, corpus: Corpus, instance: dg.DagsterInstance, check: str
    ) -> None:
        table, name = check.replace("[all]", "").rsplit(":", 1)
        self.record(corpus, instance, leave_out=check)
        with pytest.raises(Withheld, match="has not run on it"):
            require_current(corpus.workspace, PACKED, instance=instance)
        assert recorded_red(corpus.workspace, PACKED, instance) == [f"{table}: check {name} has not run on it"]
        self.record(corpus, instance, red=check)
        assert recorded_red(corpus.workspace, PACKED, instance) == [f"{table}: check {name} is failed"]
        self.record(corpus, instance)
        assert recorded_red(corpus.workspace, PACKED, instance) == []

    def test_of_an_older_materialization_do_not_count(self, corpus: Corpus, instance: dg.DagsterInstance) -> None:
        self.record(corpus, instance)
        version = corpus.workspace.version("clean/code_python", "b")
        report_made(instance, dg.AssetKey(["clean", "code_python"]), version, "b")
        found = recorded_red(corpus.workspace, PACKED, instance)
        assert found
        assert all(line.startswith("clean/code_python[b]: ") and "has not run" in line for line in found)

    def test_do_not_count_for_a_version_that_nobody_told_dagster_of(
        self, corpus: Corpus, instance: dg.DagsterInstance
    ) -> None:
        self.record(corpus, instance)
        corpus.code("b", "print(sympy.integrate('x**4'))")
        corpus.make_all()  # published, but the run died before its event
        assert corpus.behind() == []
        with pytest.raises(Withheld, match="Dagster has no record of the version in the lake"):
            require_current(corpus.workspace, PACKED, instance=instance)
