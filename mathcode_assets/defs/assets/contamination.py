"""Decontamination: an index of the benchmarks, and each filtered shard scanned against it (paper §2).

The blocking check on a shard's contaminated share sits on the scan, one step behind the filtered
shard, because the scan is what a new benchmark makes stale: documents and deduplication stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from mathcode_assets.config import SOURCE_KEYS
from mathcode_assets.decontamination.config import DecontaminationConfig
from mathcode_assets.decontamination.corpus_index import CorpusIndexConfig, candidate_rows, index_documents
from mathcode_assets.decontamination.frequencies import load_frequencies
from mathcode_assets.decontamination.incremental import Difference, difference, rescan_candidates, rescan_documents
from mathcode_assets.decontamination.index import BenchmarkIndex, build_index, load
from mathcode_assets.decontamination.scan import scan_documents
from mathcode_assets.decontamination.self_test import SelfTestConfig, self_test
from mathcode_assets.defs.assets.consolidated import counted, input_versions, verdict_counts
from mathcode_assets.defs.assets.models import FREQUENCIES
from mathcode_assets.defs.automation import BUILD_WHEN_CHANGED
from mathcode_assets.defs.benchmarks import benchmark_inputs, benchmark_items, benchmark_partitions
from mathcode_assets.defs.checks import contaminated_share, rows_add_up, rows_of
from mathcode_assets.defs.components import COMPONENT_TABLES, ComponentTable
from mathcode_assets.defs.previews import decisions_preview, markdown_table
from mathcode_assets.defs.table_assets import FolderBuild, LakeAsset, Outcome, TableBuild, TableCheck
from mathcode_assets.defs.workspace import Workspace, config_dict
from mathcode_assets.records import CONTAMINATED, CONTAMINATION_ATTRIBUTES, CORPUS_NGRAMS
from mathcode_assets.sample import sample_dir
from mathcode_assets.sources.quarantine import ReadReport
from mathcode_assets.storage.lake import Table
from mathcode_assets.storage.manifest import Accounting, Manifest, ManifestError, Recipe, digest
from mathcode_assets.storage.mapped import BatchMap, WithLoaded, loaded

CODE_VERSION = "2"
SCAN_VERSION = "2"
NGRAMS_VERSION = "1"
PART = "benchmark:"  # of a scan's inputs: the part of the index it looked for
INDEX_KEY = "index/benchmarks"
SOURCE_KEY = "source/benchmarks"
# Where the self-test plants questions.
HOST_SOURCES = ("open_web_math", "cc_en")


def contamination_key(name: str) -> str:
    """Key of a component's contamination attributes."""
    return f"attributes/contamination/{name}"


def ngrams_key(name: str) -> str:
    """Key of the stored index of a component's documents."""
    return f"index/ngrams/{name}"


def current_index(workspace: Workspace) -> tuple[BenchmarkIndex, str]:
    """The published benchmark index and its data version.

    Raises:
        NotPublished: it is not there yet.
    """
    version = workspace.version(INDEX_KEY)
    return loaded(load, workspace.artifact_folder(INDEX_KEY)), version


def scan_with(workspace: Workspace, config: DecontaminationConfig) -> BatchMap:
    """The scan for the published benchmark index, for workers of an engine.

    Raises:
        NotPublished: the index is not there yet.
    """
    scan = partial(scan_documents, config=config)
    return WithLoaded(function=scan, load=load, artifact=workspace.artifact(INDEX_KEY))


def current_parts(workspace: Workspace) -> Mapping[str, str]:
    """The version of each benchmark's part of the published index.

    Raises:
        NotPublished: it is not there yet.
    """
    return workspace.lake.table(INDEX_KEY).manifest().facts["parts"]


def _index(workspace: Workspace, partition: str) -> FolderBuild:
    """The benchmark items whose questions must not be in the pile, as an index of n-grams (paper §2).

    Instructions that all items of a benchmark share are found and left out; items without content and
    items that two benchmarks share are reported. The promoted frequencies weigh them, so a benchmark that is
    added leaves the parts of the others as they were, and the corpus is scanned for the new one only.
    """
    config = workspace.settings("decontamination", DecontaminationConfig)
    partitions = benchmark_partitions(workspace)

    def make(folder: Path) -> tuple[Accounting, Mapping[str, Any]]:
        report = ReadReport()
        frequencies = load_frequencies(workspace.model_folder(FREQUENCIES))
        index = build_index(benchmark_items(workspace, report), config, frequencies)
        index.save(folder)
        accounting = Accounting(
            n_in=report.n_records, n_kept=report.n_read, quarantined=dict(sorted(report.n_quarantined.items()))
        )
        return accounting, {
            "instructions": index.hygiene.instructions,
            "items_without_content": len(index.hygiene.without_content),
            "shared_items": len(index.hygiene.shared),
            "benchmarks": {p.key: sum(report.files[f.relative_path] for f in p.files) for p in partitions},
            "parts": dict(index.parts),
        }

    recipe = Recipe(
        code_version=CODE_VERSION,
        inputs=benchmark_inputs(workspace),
        config=config_dict(config),
        models={FREQUENCIES: workspace.model_version(FREQUENCIES)},
    )
    return FolderBuild(recipe=recipe, make=make)


def _hosts(workspace: Workspace) -> Iterator[pa.RecordBatch]:
    """Documents to plant questions in: the head of what is published, web pages first.

    Before there is any document, the pages of the embedded sample: an index may be made first.
    """
    n_documents = 0
    for source in dict.fromkeys([*HOST_SOURCES, *SOURCE_KEYS]):
        for table in workspace.tables(f"raw/{source}", source):
            if table.find_manifest() is not None:
                for batch in table.batches(columns=["doc_id", "text"]):
                    n_documents += batch.num_rows
                    yield batch
    if not n_documents:
        for path in sorted((sample_dir() / "data" / HOST_SOURCES[0]).glob("*.parquet")):
            texts = pq.read_table(path, columns=["text"])["text"].to_pylist()
            yield pa.RecordBatch.from_pydict({"doc_id": [f"{path.stem}#{n}" for n in range(len(texts))], "text": texts})


def self_test_outcome(workspace: Workspace, table: Table, manifest: Manifest) -> Outcome:
    """Items of the index planted in host documents and scanned: recall per kind above the bar, or not."""
    index, _ = current_index(workspace)
    scan_config = workspace.settings("decontamination", DecontaminationConfig)
    config = workspace.settings("self_test", SelfTestConfig)
    if not len(index):
        return Outcome(passed=False, description="the benchmarks hold no item: nothing can be found")
    try:
        result = self_test(index, _hosts(workspace), config, scan_config)
    except ValueError as error:
        return Outcome(passed=False, description=str(error))
    recall = ", ".join(f"{kind} {share:.0%}" for kind, share in result.recall.items())
    positives = f"{result.false_positives} of {result.hosts} hosts contaminated before planting"
    rows = [(kind, result.planted[kind], f"{share:.1%}") for kind, share in result.recall.items()]
    return Outcome(
        passed=result.passed,
        description="; ".join([*result.failures, f"recall {recall}", positives]),
        metadata={
            "recall": dg.MetadataValue.md(markdown_table(["kind", "planted", "recall"], rows)),
            "false_positives": result.false_positives,
            "hosts": result.hosts,
        },
    )


SELF_TEST = TableCheck(
    name="contamination_self_test",
    description="Benchmark items planted in web documents, in several disguises, are found by the scan.",
    evaluate=self_test_outcome,
    blocking=True,
)


def _scan(component: ComponentTable) -> Callable[[Workspace, str], TableBuild]:
    def build(workspace: Workspace, partition: str) -> TableBuild:
        """Which documents hold a benchmark item, which are only near one, with the span as evidence (paper §2).

        One row is a document of the filtered shard. Contaminated ones are dropped later, near ones kept
        and reported; a shard with too many is withheld as a whole. Where only benchmarks changed since the
        last scan, the documents are scanned for those alone.
        """
        documents = workspace.lake.table(component.documents, partition)
        published = workspace.lake.table(contamination_key(component.name), partition)
        config = workspace.settings("decontamination", DecontaminationConfig)
        parts = current_parts(workspace)
        recipe = Recipe(
            code_version=SCAN_VERSION,
            inputs=input_versions(documents) | {f"{PART}{name}": version for name, version in parts.items()},
            config=config_dict(config),
        )
        changes = difference(scanned_parts(published, recipe), parts)
        counts: dict[str, dict[str, int]] = {}
        ngrams = workspace.lake.table(ngrams_key(component.name), partition)
        read: dict[str, int] = {}

        def batches() -> Iterator[pa.RecordBatch]:
            if changes.kept:
                index, _ = current_index(workspace)
                found = _rescanned(workspace, documents, published, ngrams, index, changes, config, read)
            else:
                found = workspace.map_rows(documents, scan_with(workspace, config), columns=["doc_id", "text"])
            yield from counted(found, ["verdict"], counts)

        return TableBuild(
            recipe=recipe,
            batches=batches,
            facts=lambda: verdict_counts(counts) | {"contaminated": counts.get("verdict", {}).get(CONTAMINATED, 0)},
            run_facts=lambda: {
                "benchmarks_scanned": sorted(changes.new), "benchmarks_taken_over": sorted(changes.kept), **read,
            },
        )  # fmt: skip

    return build


def _rescanned(
    workspace: Workspace, documents: Table, published: Table, ngrams: Table, index: BenchmarkIndex,
    changes: Difference, config: DecontaminationConfig, read: dict[str, int],
) -> Iterator[pa.RecordBatch]:  # fmt: skip
    """Attributes for the difference alone; of the texts those are read that the stored index cannot rule out.

    Where that index is not there, old or damaged all texts are read; where it is used, `read` is told of how many
    documents the texts were read.
    """
    held = published.batches(columns=["doc_id", "verdict", "matches"])
    if not changes.new:
        yield from rescan_documents(documents.batches(columns=["doc_id"]), held, index, changes.kept, config)
    elif workspace.lake.is_current(ngrams, _ngrams_recipe(documents)) and ngrams.is_intact():
        new = index.select(changes.new)
        rows = candidate_rows(ngrams.batches(), new, config)
        read["documents_read"] = len(rows)
        texts = documents.rows(rows, columns=["doc_id", "text"])
        yield from rescan_candidates(documents.batches(columns=["doc_id"]), texts, held, new, changes.kept, config)
    else:
        texts = documents.batches(columns=["doc_id", "text"])
        yield from rescan_documents(texts, held, index, changes.kept, config)


def _ngrams(component: ComponentTable) -> Callable[[Workspace, str], TableBuild]:
    def build(workspace: Workspace, partition: str) -> TableBuild:
        """Which n-grams each document of the filtered shard holds: a new benchmark then costs no reading of it all.

        Made where the sources file asks for it (`settings: {corpus_ngrams: {keep: true}}`): it takes about
        the disk space of the compressed text. The scan looks here for the documents it has to read; it finds the same
        without.
        """
        documents = workspace.lake.table(component.documents, partition)
        return TableBuild(
            recipe=_ngrams_recipe(documents), batches=lambda: index_documents(documents.batches(columns=["text"]))
        )

    return build


def _ngrams_recipe(documents: Table) -> Recipe:
    return Recipe(code_version=NGRAMS_VERSION, inputs=input_versions(documents))


def keeps_ngrams(workspace: Workspace) -> bool:
    """Whether the sources file asks for the stored index of the corpus."""
    return workspace.settings("corpus_ngrams", CorpusIndexConfig).keep


def scanned_parts(table: Table, recipe: Recipe | None = None) -> dict[str, str]:
    """The parts of the index that a published scan looked for, by benchmark.

    Args:
        table: contamination attributes.
        recipe: of a scan about to be made; nothing is said of one with other documents, code or settings.
    """
    try:
        manifest = table.find_manifest()
    except ManifestError:
        return {}
    if manifest is None:
        return {}
    found = manifest.recipe
    if recipe is not None:
        inputs = {key: version for key, version in recipe.inputs.items() if not key.startswith(PART)}
        before = {key: version for key, version in found.inputs.items() if not key.startswith(PART)}
        same = (found.code_version, digest(found.config), before) == (
            recipe.code_version, digest(recipe.config), inputs,
        )  # fmt: skip
        if not same or not table.is_intact():
            return {}
    return {key.removeprefix(PART): version for key, version in found.inputs.items() if key.startswith(PART)}


def _preview(component: ComponentTable) -> Callable[[Workspace, Table], dict[str, Any]]:
    def preview(workspace: Workspace, table: Table) -> dict[str, Any]:
        documents = workspace.lake.table(component.documents, table.partition)
        return decisions_preview(workspace, table, documents)

    return preview


ASSETS: list[LakeAsset] = [
    LakeAsset(
        key=INDEX_KEY,
        build=_index,
        group="decontamination",
        deps=[SOURCE_KEY, f"promoted/{FREQUENCIES}", *(f"raw/{source}" for source in HOST_SOURCES)],
        checks=[SELF_TEST],
        kinds=frozenset({"numba"}),
        automation=BUILD_WHEN_CHANGED,
    ),
    *(
        LakeAsset(
            key=contamination_key(component.name),
            build=_scan(component),
            group="decontamination",
            schema=CONTAMINATION_ATTRIBUTES,
            partitioned_by=component.source,
            deps=[component.documents, INDEX_KEY],
            checks=[
                rows_add_up(CONTAMINATION_ATTRIBUTES, rows_of(component.documents)),
                contaminated_share(component.source),
            ],
            kinds=frozenset({"parquet", "numba"}),
            automation=BUILD_WHEN_CHANGED,
            preview=_preview(component),
        )
        for component in COMPONENT_TABLES
    ),
    # No asset is made from these: whether a scan found its documents here or read them all, it is the same.
    *(
        LakeAsset(
            key=ngrams_key(component.name),
            build=_ngrams(component),
            group="decontamination",
            schema=CORPUS_NGRAMS,
            partitioned_by=component.source,
            deps=[component.documents],
            checks=[rows_add_up(CORPUS_NGRAMS)],
            kinds=frozenset({"parquet", "numba"}),
            automation=BUILD_WHEN_CHANGED,
            is_wanted=keeps_ngrams,
        )
        for component in COMPONENT_TABLES
    ),
]
