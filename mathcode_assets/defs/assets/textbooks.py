"""Mathematical textbooks: PDFs to text, screened, one edition of each book kept (paper §2.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mathcode_assets.corpus.textbooks.editions import EditionConfig, find_editions, mark_editions
from mathcode_assets.corpus.textbooks.extraction import ExtractionConfig
from mathcode_assets.corpus.textbooks.screening import ScreeningConfig, tag_textbooks
from mathcode_assets.corpus.textbooks.sketches import sketch_documents
from mathcode_assets.corpus.textbooks.source_files import PdfReading
from mathcode_assets.defs.assets.consolidated import (
    attributes_asset,
    counted,
    filtered_asset,
    input_versions,
    verdict_counts,
)
from mathcode_assets.defs.assets.raw import partition_of, source_recipe
from mathcode_assets.defs.automation import BUILD_WHEN_CHANGED
from mathcode_assets.defs.checks import FORMULA_LOSS, QUARANTINED_SHARE, rows_add_up
from mathcode_assets.defs.components import LISTING_KEY
from mathcode_assets.defs.previews import document_preview
from mathcode_assets.defs.table_assets import FolderBuild, LakeAsset, TableBuild, table_asset
from mathcode_assets.defs.workspace import Workspace, config_dict
from mathcode_assets.records import (
    DOCUMENT,
    DROPPED,
    TEXTBOOK_SKETCH,
)
from mathcode_assets.sources.quarantine import Quarantine, ReadReport
from mathcode_assets.sources.reading import read_files
from mathcode_assets.storage.consolidate import Tally, keep_rows
from mathcode_assets.storage.manifest import Accounting, Recipe, digest

CODE_VERSION = "1"
SOURCE = "textbooks"
SCREENING_KEY = "attributes/textbooks_screening"
SKETCHES_KEY = "attributes/textbooks_sketches"
EDITIONS_KEY = "index/textbook_editions"
EDITIONS_FILE = "editions.parquet"


@table_asset(
    "raw/textbooks",
    group="textbooks",
    schema=DOCUMENT,
    partitioned_by=SOURCE,
    deps=[f"source/{SOURCE}"],
    checks=[rows_add_up(DOCUMENT), QUARANTINED_SHARE],
    kinds=frozenset({"parquet", "pdf"}),
    automation=BUILD_WHEN_CHANGED,
    preview=document_preview,
)
def raw_textbooks(workspace: Workspace, partition: str) -> TableBuild:
    """One row is the text of a PDF, cleaned of running heads and cut words (paper §2.1).

    Damaged, encrypted and image-only files are kept under quarantine/ with the reason. No tool that
    runs on a CPU gives the formulas back as LaTeX; they come as the characters the PDF has.
    """
    found = partition_of(workspace, SOURCE, partition)
    spec = workspace.sources.sources[SOURCE]
    config = workspace.settings("textbooks_extraction", ExtractionConfig)
    quarantine, report = Quarantine(source=SOURCE), ReadReport()

    def batches() -> Iterator[pa.RecordBatch]:
        yield from read_files(
            found.files,
            PdfReading(source=SOURCE, config=config, licence=spec.licence),
            quarantine=quarantine,
            report=report,
            engine=workspace.engine(),
            work=workspace.exchange_folder,
        )

    recipe = source_recipe(workspace, SOURCE, found, CODE_VERSION)
    return TableBuild(
        recipe=Recipe(
            code_version=recipe.code_version,
            inputs=recipe.inputs,
            config={**recipe.config, "extraction": config_dict(config)},
        ),
        batches=batches,
        accounting=lambda n_rows: Accounting(
            n_in=report.n_read + len(quarantine), n_kept=n_rows, quarantined=dict(sorted(quarantine.counts.items()))
        ),
        facts=lambda: {"source_files": len(found.files)},
        quarantine=quarantine.batches,
    )


def _screening(workspace: Workspace, partition: str) -> TableBuild:
    """Which books are mathematics, by vocabulary and signs; `score` is the mathematical share of the text."""
    raw = workspace.lake.table("raw/textbooks", partition)
    config = workspace.settings("textbooks_screening", ScreeningConfig)
    counts: dict[str, dict[str, int]] = {}
    return TableBuild(
        recipe=Recipe(code_version=CODE_VERSION, inputs=input_versions(raw), config=config_dict(config)),
        batches=lambda: counted(
            workspace.map_rows(raw, partial(tag_textbooks, config=config)), ["verdict", "reason"], counts
        ),
        facts=lambda: verdict_counts(counts),
    )


@table_asset(
    SKETCHES_KEY,
    group="textbooks",
    schema=TEXTBOOK_SKETCH,
    partitioned_by=SOURCE,
    deps=["raw/textbooks", SCREENING_KEY],
    checks=[rows_add_up(TEXTBOOK_SKETCH)],
    kinds=frozenset({"parquet"}),
    automation=BUILD_WHEN_CHANGED,
)
def textbook_sketches(workspace: Workspace, partition: str) -> TableBuild:
    """One row is a sketch of a book that passed the screening: enough to tell editions of one book."""
    raw = workspace.lake.table("raw/textbooks", partition)
    screening = workspace.lake.table(SCREENING_KEY, partition)

    def batches() -> Iterator[pa.RecordBatch]:
        kept = keep_rows(
            raw.batches(),
            screening.batches(columns=["doc_id", "verdict"]),
            drop_verdicts=frozenset({DROPPED}),
            tally=Tally(),
        )
        yield from sketch_documents(kept)

    return TableBuild(recipe=Recipe(code_version=CODE_VERSION, inputs=input_versions(raw, screening)), batches=batches)


@table_asset(
    EDITIONS_KEY,
    group="textbooks",
    deps=[LISTING_KEY, SKETCHES_KEY],
    kinds=frozenset({"parquet"}),
    automation=BUILD_WHEN_CHANGED,
)
def textbook_editions(workspace: Workspace, partition: str) -> FolderBuild:
    """Which books are editions or copies of others, over all shards; the longest stays (paper §2.1).

    By the paper's rule (similar names and words), and by shared passages alone, for editions whose
    file names differ.
    """
    config = workspace.settings("textbooks_editions", EditionConfig)
    sketches = [table for table in workspace.tables(SKETCHES_KEY, SOURCE) if table.find_manifest() is not None]

    def make(folder: Path) -> tuple[Accounting, Mapping[str, Any]]:
        editions = find_editions((batch for table in sketches for batch in table.batches()), config)
        pq.write_table(pa.Table.from_batches([editions]), folder / EDITIONS_FILE)
        n_books = sum(table.manifest().n_rows for table in sketches)
        return Accounting(n_in=n_books, n_kept=n_books), {"books": n_books, "duplicate_editions": editions.num_rows}

    return FolderBuild(
        recipe=Recipe(code_version=CODE_VERSION, inputs=input_versions(*sketches), config=config_dict(config)),
        make=make,
    )


def _attributes(workspace: Workspace, partition: str) -> TableBuild:
    """Kept, not mathematics, or an edition of another book (`labels` names which one stays)."""
    screening = workspace.lake.table(SCREENING_KEY, partition)
    editions = _editions_of(workspace, partition)
    counts: dict[str, dict[str, int]] = {}
    return TableBuild(
        recipe=Recipe(
            code_version=CODE_VERSION,
            # Only what the index says of this shard's books: other shards' books leave it current.
            inputs=input_versions(screening) | {f"{EDITIONS_KEY}:{partition}": digest(editions.to_pylist())},
        ),
        batches=lambda: counted(mark_editions(screening.batches(), editions), ["verdict", "reason"], counts),
        facts=lambda: verdict_counts(counts),
    )


def _editions_of(workspace: Workspace, partition: str) -> pa.RecordBatch:
    folder = workspace.artifact_folder(EDITIONS_KEY)
    found = pq.read_table(folder / EDITIONS_FILE)
    screening = workspace.lake.table(SCREENING_KEY, partition)
    ids = {i for batch in screening.batches(columns=["doc_id"]) for i in batch.column("doc_id").to_pylist()}
    rows = [row for row in found.to_pylist() if row["doc_id"] in ids]
    return pa.RecordBatch.from_pylist(rows, schema=found.schema)


ASSETS: list[LakeAsset] = [
    raw_textbooks,
    attributes_asset(
        "textbooks_screening", documents="raw/textbooks", source=SOURCE, group="textbooks", build=_screening
    ),
    textbook_sketches,
    textbook_editions,
    attributes_asset(
        "textbooks",
        documents="raw/textbooks",
        source=SOURCE,
        group="textbooks",
        build=_attributes,
        deps=[SCREENING_KEY, EDITIONS_KEY],
    ),
    filtered_asset(
        "textbooks",
        documents="raw/textbooks",
        source=SOURCE,
        group="textbooks",
        what="One row is a mathematical book, one edition of each (paper §2.1).",
        checks=[FORMULA_LOSS],
    ),
]
