"""A scan for a new benchmark reads the documents that the stored index names, and finds what it finds without."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mathcode_assets.definitions import LAKE_ASSETS, automatic
from mathcode_assets.defs.assets.contamination import keeps_ngrams
from mathcode_assets.defs.drive import chains
from mathcode_assets.defs.graph import lineage
from mathcode_assets.defs.table_assets import Published
from mathcode_assets_tests.defs.test_currency import ASSETS, CODE, PACKED, QUESTION, Corpus

SCAN, NGRAMS, INDEX = "attributes/contamination/code_python", "index/ngrams/code_python", "index/benchmarks"
FERRY = (
    "A ferry with 48 seats crosses the sound eleven times a day, and on Sundays 9 times. How many passengers can it "
    "carry in a week if every seat is taken on every crossing?"
)
KEEP = "  corpus_ngrams: {keep: true}\n"


@pytest.fixture(scope="module")
def scanned_corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Three documents, one of which holds a question of a benchmark to come, scanned for another."""
    corpus = Corpus(tmp_path_factory.mktemp("corpus"))
    corpus.code("a", "print(sympy.integrate('x**2'))", f"# {FERRY}\nprint(sympy.factorint(91))", f"# {QUESTION}")
    corpus.benchmark("garden", QUESTION)
    corpus.sources(settings=KEEP)
    corpus.make(*CODE, "models/benchmark_frequencies", "promoted/benchmark_frequencies", INDEX, NGRAMS, SCAN)
    return corpus


@pytest.fixture
def corpus(scanned_corpus: Corpus, tmp_path: Path) -> Corpus:
    """A copy, to change."""
    shutil.copytree(scanned_corpus.folder, tmp_path / "corpus")
    return Corpus(tmp_path / "corpus")


def rescan(corpus: Corpus) -> Published:
    """The scan after a benchmark was added."""
    corpus.benchmark("ferry", FERRY)
    corpus.make(INDEX)
    return ASSETS[SCAN].publish(corpus.workspace, "a")


def test_only_documents_that_may_hold_the_new_benchmark_are_read(corpus: Corpus) -> None:
    published = rescan(corpus)
    assert published.run_facts == {
        "benchmarks_scanned": ["ferry"], "benchmarks_taken_over": ["garden"], "documents_read": 1,
    }  # fmt: skip
    rows = [row for batch in corpus.workspace.lake.table(SCAN, "a").batches() for row in batch.to_pylist()]
    assert [row["benchmark"] for row in rows] == [None, "ferry", "garden"]


@pytest.mark.parametrize("index", ["never made", "of other documents", "damaged"])
def test_without_an_index_that_can_be_used_all_are_read_and_the_files_are_the_same(
    corpus: Corpus, tmp_path: Path, index: str
) -> None:
    shutil.copytree(corpus.folder, tmp_path / "other")
    other = Corpus(tmp_path / "other")
    table = other.workspace.lake.table(NGRAMS, "a")
    if index == "never made":
        other.workspace.lake.remove(table)
    elif index == "damaged":
        path = Path(table.files()[0].path)
        path.write_bytes(path.read_bytes()[:-40] + bytes(40))
    else:
        place = Path(table.location.path) / "manifest.json"
        version = other.workspace.version("filtered/code_python", "a")
        place.write_text(place.read_text().replace(version, "0" * len(version)))
    published = rescan(other)
    assert "documents_read" not in published.run_facts
    assert published.manifest.data_version == rescan(corpus).manifest.data_version


def test_the_index_is_made_only_where_the_sources_file_asks_for_it(corpus: Corpus) -> None:
    def made(folder: Path) -> set[str]:
        return {asset.key for asset in automatic(folder / "sources.yaml") if asset.automation is not None}

    assert keeps_ngrams(corpus.workspace) and NGRAMS in made(corpus.folder)
    corpus.sources()
    assert not keeps_ngrams(corpus.workspace) and NGRAMS not in made(corpus.folder)
    assert SCAN in made(corpus.folder)


def test_nothing_is_made_from_it_and_its_chain_holds_other_assets() -> None:
    assert NGRAMS not in {asset.key for asset in lineage(PACKED)}
    (chain,) = [chain for chain in chains(LAKE_ASSETS) if NGRAMS in {asset.key for asset in chain.assets}]
    assert len(chain.assets) > 1  # so the driver leaves out the asset, not the chain
