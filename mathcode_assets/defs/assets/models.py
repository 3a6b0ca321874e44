"""models/* and promoted/*: classifiers and the tokenizer, trained when asked, promoted when asked.

Models do not cascade: a new shard is scored with the promoted model and never retrains one by
itself. Training makes a candidate; promotion copies it to promoted/, and that changes what the
attributes are made with, so everything scored by it is made again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from mathcode_assets.corpus import cc_en_math, openwebmath, synthetic
from mathcode_assets.decontamination.config import DecontaminationConfig
from mathcode_assets.decontamination.frequencies import count_frequencies
from mathcode_assets.decontamination.items import prepare_items
from mathcode_assets.defs.annotator import annotator_of
from mathcode_assets.defs.assets.consolidated import input_versions
from mathcode_assets.defs.benchmarks import benchmark_inputs, benchmark_items
from mathcode_assets.defs.checks import MODEL_PRECISION
from mathcode_assets.defs.components import FILTERED_TABLES
from mathcode_assets.defs.table_assets import FolderBuild, LakeAsset, table_asset
from mathcode_assets.defs.workspace import Workspace, config_dict
from mathcode_assets.filtering.seed import TEST, Example, balanced
from mathcode_assets.filtering.training import ClassifierConfig, train
from mathcode_assets.sources.listing import list_label_files
from mathcode_assets.sources.quarantine import Quarantine, ReadReport
from mathcode_assets.sources.readers import read_labels
from mathcode_assets.storage.lake import Table
from mathcode_assets.storage.manifest import Accounting, Recipe
from mathcode_assets.text.tokens import TokenizerConfig, load_tokenizer, train_tokenizer

CODE_VERSION = "1"
GROUP = "models"

OPEN_WEB_MATH = "open_web_math"
ROUND1 = "cc_en_math_round1"
ROUND2 = "cc_en_math_round2"
BOOKS = "synthetic_books"
TOKENIZER = "tokenizer"
FREQUENCIES = "benchmark_frequencies"
# Of each label, among round 1's output; fewer teach nothing, and cross-fitting needs some in each fold.
MIN_LABELLED = 12
UNTRAINED_FILE = "untrained.txt"
LABELLED_SOURCES = ("open_web_math", "cc_en")


@dataclass(frozen=True, slots=True, kw_only=True)
class BooksConfig:
    """min_books: below so many synthetic books no classifier is trained; fewer teach it their topics alone."""

    min_books: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifiersConfig:
    """Section `classifiers`: fields of every `ClassifierConfig`, for a corpus of a few documents; None: as they are."""

    dim: int | None = None
    bucket: int | None = None
    min_example_passes: int | None = None
    folds: int | None = None


def settled(workspace: Workspace, config: ClassifierConfig) -> ClassifierConfig:
    """A classifier's config with what the sources file says of all of them."""
    given = config_dict(workspace.settings("classifiers", ClassifiersConfig))
    return replace(config, **{name: value for name, value in given.items() if value is not None})


def labels_of(workspace: Workspace, source: str) -> tuple[Callable[[], Iterator[pa.RecordBatch]], dict[str, str]]:
    """The given labels of a source as a stream, and the fingerprints of their files; both empty without any."""
    spec = workspace.sources.sources.get(source)
    files = list_label_files(spec) if spec is not None and spec.labels else []

    def batches() -> Iterator[pa.RecordBatch]:
        quarantine, report = Quarantine(source=source), ReadReport()
        for file in files:
            yield from read_labels(file, quarantine=quarantine, report=report)

    return batches, {f"labels:{source}:{file.relative_path}": file.fingerprint for file in files}


def published(workspace: Workspace, key: str, source: str) -> list[Table]:
    """The partitions of a table that are published, of those its source has."""
    return [table for table in workspace.tables(key, source) if table.find_manifest() is not None]


def rows(tables: list[Table], columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of several partitions, one after the other."""
    for table in tables:
        yield from table.batches(columns=columns)


def classifier_build(
    examples: Callable[[], Iterator[Example]],
    config: ClassifierConfig,
    inputs: dict[str, str],
    settings: Mapping[str, Any],
) -> FolderBuild:
    """A classifier trained on the examples; its held-out precision and recall become facts of the manifest."""

    def make(folder: Path) -> tuple[Accounting, Mapping[str, Any]]:
        report = train(examples(), config, folder)
        held_out = report.held_out
        n_examples = sum(report.n_train.values()) + sum(report.n_held_out.values())
        positive = held_out.classes.get(report.positive)
        facts = {
            "examples": n_examples,
            "labels": {label: report.n_train.get(label, 0) for label in report.labels},
            "precision": positive.precision if positive else None,
            "recall": positive.recall if positive else None,
            "f1": positive.f1 if positive else None,
            "held_out": sum(report.n_held_out.values()),
        }
        return Accounting(n_in=n_examples, n_kept=n_examples), facts

    return FolderBuild(
        recipe=Recipe(code_version=CODE_VERSION, inputs=inputs, config=json.loads(json.dumps(settings))), make=make
    )


@table_asset(
    f"models/{OPEN_WEB_MATH}",
    group=GROUP,
    deps=[f"raw/{source}" for source in LABELLED_SOURCES],
    checks=[MODEL_PRECISION],
    kinds=frozenset({"fasttext"}),
)
def open_web_math_classifier(workspace: Workspace, partition: str) -> FolderBuild:
    """Mathematics or not, for OpenWebMath: fastText and formula features, trained on given labels.

    Stands in for the paper's 7-type annotation by Mixtral-8x7B (§2.1) where no model is set up.
    """
    tables, inputs = [], {}
    for source in LABELLED_SOURCES:
        labels, fingerprints = labels_of(workspace, source)
        if fingerprints:
            documents = published(workspace, f"raw/{source}", source)
            tables.append((documents, labels))
            inputs |= fingerprints | input_versions(*documents)

    def examples() -> Iterator[Example]:
        for documents, labels in tables:
            yield from openwebmath.training_examples(rows(documents), labels())

    config = settled(workspace, openwebmath.CLASSIFIER)
    return classifier_build(examples, config, inputs, config_dict(config))


@table_asset(
    f"models/{ROUND1}",
    group=GROUP,
    deps=["filtered/open_web_math", "raw/cc_en"],
    checks=[MODEL_PRECISION],
    kinds=frozenset({"fasttext"}),
)
def round1_classifier(workspace: Workspace, partition: str) -> FolderBuild:
    """Round 1 of CC-En: filtered OpenWebMath against a sample of the crawl (paper §2.1, 2 %).

    The negatives hold the crawl's own mathematics, so the precision here is measured against them and
    is a lower bound.
    """
    config = workspace.settings(ROUND1, cc_en_math.Round1Config)
    classifier = settled(workspace, cc_en_math.ROUND1_CLASSIFIER)
    mathematics = published(workspace, "filtered/open_web_math", "open_web_math")
    crawl = published(workspace, "raw/cc_en", "cc_en")
    labels, fingerprints = labels_of(workspace, "cc_en")
    return classifier_build(
        lambda: cc_en_math.round1_examples(
            rows(mathematics, ["doc_id", "text"]),
            rows(crawl, ["doc_id", "source_id", "text"]),
            config,
            labels=labels(),
        ),
        classifier,
        fingerprints | input_versions(*mathematics, *crawl),
        {**config_dict(config), **config_dict(classifier)},
    )


@table_asset(
    f"models/{ROUND2}",
    group=GROUP,
    deps=["filtered/cc_en_math_round1", "raw/cc_en"],
    checks=[MODEL_PRECISION],
    kinds=frozenset({"fasttext"}),
)
def round2_classifier(workspace: Workspace, partition: str) -> FolderBuild:
    """Round 2 of CC-En: labelled documents of round 1's output, balanced (paper §2.1).

    The labels are a model's 7-type annotation where one is set up, else those the sources file gives.
    """
    config = workspace.settings(ROUND2, cc_en_math.Round2Config)
    classifier = settled(workspace, cc_en_math.ROUND2_CLASSIFIER)
    settings = {**config_dict(config), **config_dict(classifier)}
    round1 = published(workspace, "filtered/cc_en_math_round1", "cc_en")
    inputs = input_versions(*round1)
    annotator = annotator_of(workspace)
    if annotator is not None:
        asked = cc_en_math.AnnotationConfig(model=annotator.model, model_revision=annotator.model_revision)

        def annotated() -> Iterator[Example]:
            found = cc_en_math.annotated_examples(rows(round1), annotator.generator(), asked)
            yield from balanced(found, per_label=config.per_label, max_ratio=config.max_ratio, seed=config.seed)

        return classifier_build(annotated, classifier, inputs, settings | {"annotation": config_dict(asked)})
    labels, fingerprints = labels_of(workspace, "cc_en")
    crawl = published(workspace, "raw/cc_en", "cc_en")

    def given() -> Iterator[Example]:
        examples = cc_en_math.round2_examples(rows(round1), labels(), config)
        taught = Counter(example.label for example in examples if example.split != TEST)
        if min(taught[cc_en_math.MATH], taught[cc_en_math.OTHER]) < MIN_LABELLED:
            # A small round 1 lets hardly anything else through: then all labelled documents of the crawl teach.
            examples = cc_en_math.round2_examples(rows(crawl), labels(), config)
        yield from examples

    return classifier_build(given, classifier, inputs | fingerprints | input_versions(*crawl), settings)


@table_asset(
    f"models/{BOOKS}",
    group=GROUP,
    deps=["filtered/open_web_math", "raw/synthetic"],
    checks=[MODEL_PRECISION],
    kinds=frozenset({"fasttext"}),
)
def books_classifier(workspace: Workspace, partition: str) -> FolderBuild:
    """The third classifier: filtered OpenWebMath against the synthetic books of Matrix (paper §2.1).

    An empty model, saying so, where there are too few books to learn from: a formula rule decides then.
    """
    config = workspace.settings(BOOKS, BooksConfig)
    mathematics = published(workspace, "filtered/open_web_math", "open_web_math")
    books = published(workspace, "raw/synthetic", "synthetic")
    classifier = settled(workspace, synthetic.BOOK_CLASSIFIER)
    settings = {**config_dict(config), **config_dict(classifier)}
    trained = classifier_build(
        lambda: synthetic.book_examples(rows(mathematics, ["doc_id", "text"]), rows(books)),
        classifier,
        input_versions(*mathematics, *books),
        settings,
    )

    def make(folder: Path) -> tuple[Accounting, Mapping[str, Any]]:
        names = (name for batch in rows(books, ["source_file"]) for name in batch.column(0).to_pylist())
        n_books = sum(synthetic.set_of(name) == synthetic.MATRIX_BOOKS for name in names)
        if n_books < config.min_books:
            facts = {"untrained": f"{n_books} books, {config.min_books} wanted"}
            (folder / UNTRAINED_FILE).write_text(facts["untrained"] + "\n")
            return Accounting(n_in=0, n_kept=0), facts
        return trained.make(folder)

    return FolderBuild(recipe=trained.recipe, make=make)


@table_asset(
    f"models/{TOKENIZER}",
    group=GROUP,
    deps=[component.documents for component in FILTERED_TABLES],
    kinds=frozenset({"huggingface"}),
)
def tokenizer(workspace: Workspace, partition: str) -> FolderBuild:
    """The tokenizer that counts tokens: a byte-level BPE trained on the corpus.

    Token counts depend on the tokenizer, so each count carries its name and version.
    """
    config = workspace.settings("tokenizer", TokenizerConfig)
    tables = [t for c in FILTERED_TABLES for t in published(workspace, c.documents, c.source)]

    def make(folder: Path) -> tuple[Accounting, Mapping[str, Any]]:
        texts = (text.as_py() for batch in rows(tables, ["text"]) for text in batch.column("text"))
        target = folder / "tokenizer.json"
        target.write_bytes(train_tokenizer(texts, config))
        n_documents = sum(table.manifest().n_rows for table in tables)
        return Accounting(n_in=n_documents, n_kept=n_documents), {"tokenizer_name": load_tokenizer(target).name}

    recipe = Recipe(
        code_version=CODE_VERSION, inputs=input_versions(*tables), config=json.loads(json.dumps(config_dict(config)))
    )
    return FolderBuild(recipe=recipe, make=make)


@table_asset(f"models/{FREQUENCIES}", group=GROUP, deps=["source/benchmarks"], kinds=frozenset({"numba"}))
def benchmark_frequencies(workspace: Workspace, partition: str) -> FolderBuild:
    """In how many benchmark items each word and n-gram occurs: what is common, and so says little.

    The table in use stays put when a benchmark is added, so what was scanned for the others still holds.
    """
    config = workspace.settings("decontamination", DecontaminationConfig)

    def make(folder: Path) -> tuple[Accounting, Mapping[str, Any]]:
        report = ReadReport()
        found = count_frequencies(prepare_items(benchmark_items(workspace, report), config), config)
        found.save(folder)
        accounting = Accounting(
            n_in=report.n_records, n_kept=report.n_read, quarantined=dict(sorted(report.n_quarantined.items()))
        )
        return accounting, {"items": found.n_items, "keys": len(found.key)}

    recipe = Recipe(code_version=CODE_VERSION, inputs=benchmark_inputs(workspace), config=config_dict(config))
    return FolderBuild(recipe=recipe, make=make)


def _promoted(name: str) -> LakeAsset:
    def build(workspace: Workspace, partition: str) -> FolderBuild:
        candidate = workspace.lake.table(f"models/{name}")
        manifest = candidate.manifest()

        def make(folder: Path) -> tuple[Accounting, Mapping[str, Any]]:
            workspace.lake.fetch_folder(candidate, folder)
            return manifest.accounting, manifest.facts

        return FolderBuild(
            recipe=Recipe(code_version=CODE_VERSION, inputs={f"models/{name}": manifest.data_version}), make=make
        )

    build.__doc__ = (
        f"The `{name}` in use. Materializing this promotes the candidate models/{name}: what was scored "
        "with the one before becomes stale. Nothing does that by itself."
    )
    return LakeAsset(key=f"promoted/{name}", build=build, group=GROUP, deps=[f"models/{name}"])


MODELS: list[LakeAsset] = [
    open_web_math_classifier, round1_classifier, round2_classifier, books_classifier, tokenizer, benchmark_frequencies,
]  # fmt: skip
ASSETS: list[LakeAsset] = [*MODELS, *(_promoted(model.key.split("/", 1)[1]) for model in MODELS)]
