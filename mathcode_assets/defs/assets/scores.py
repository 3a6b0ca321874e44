"""scores/*: what the trained model can do, beside the paper's numbers.

Asking the model is dear and depends on the checkpoint and the questions alone. Which items are in the training data
is another question, with another answer whenever the pile is scanned again: so it is answered in a step of its own,
which asks the model nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa

from mathcode_assets.defs.assets.checkpoint import CHECKPOINT_KEY, published_json
from mathcode_assets.defs.assets.consolidated import input_versions
from mathcode_assets.defs.assets.contamination import SOURCE_KEY, contamination_key
from mathcode_assets.defs.assets.mixture import PILE_KEY
from mathcode_assets.defs.automation import BUILD_WHEN_CHANGED, build_when_settled
from mathcode_assets.defs.checks import CheckConfig, rows_add_up
from mathcode_assets.defs.components import COMPONENT_TABLES
from mathcode_assets.defs.evaluating import EvaluationSettings, ask, linked_folder, questions, result_facts
from mathcode_assets.defs.launching import is_asked_for
from mathcode_assets.defs.table_assets import FolderBuild, LakeAsset, Outcome, TableBuild, TableCheck, table_asset
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.evaluation.contaminated import matched_documents
from mathcode_assets.evaluation.scoring import ItemKey, JudgedItem, marked, rescored
from mathcode_assets.evaluation.tables import ITEMS_PER_BATCH, items_of_lines, score_batch, score_table
from mathcode_assets.evaluation.worker import ITEMS_FILE, RESULT_FILE
from mathcode_assets.records import SCORE, SCORE_ITEM, batch_of
from mathcode_assets.storage.lake import Table
from mathcode_assets.storage.manifest import Accounting, Manifest, Recipe

CODE_VERSION = "1"
GROUP = "evaluation"
EVALUATION_KEY = "scores/evaluation"
SCORES_KEY = "scores/mathcode_pile"
ITEMS_KEY = "scores/items"
CONTAMINATION_KEYS = [contamination_key(component.name) for component in COMPONENT_TABLES]


@table_asset(
    EVALUATION_KEY,
    group=GROUP,
    deps=[CHECKPOINT_KEY, SOURCE_KEY],
    kinds=frozenset({"pytorch"}),
    automation=BUILD_WHEN_CHANGED,
    is_wanted=is_asked_for,
    is_alone=lambda workspace: True,
)
def evaluation(workspace: Workspace, partition: str) -> FolderBuild:
    """The checkpoint's answers with their verdicts, as the evaluation's worker wrote them (paper section 4).

    lm-evaluation-harness loads and decodes; prompts, answers and verdicts are this project's. The same checkpoint is
    asked the same questions once. Settings: section `evaluation`.
    """
    settings = workspace.settings("evaluation", EvaluationSettings)
    checkpoint = workspace.lake.table(CHECKPOINT_KEY)
    asked = questions(workspace, settings)

    def make(folder: Path) -> tuple[Accounting, Mapping[str, Any]]:
        with workspace.work_folder() as work:
            result = ask(
                workspace,
                settings,
                asked,
                model=linked_folder(workspace, checkpoint, work / "model"),
                label=CHECKPOINT_KEY.rpartition("/")[2],
                lineage={"checkpoint": checkpoint.manifest().data_version},
                keep=folder,
            )
        n_items = sum(score["all"]["n"] for score in result["scores"])
        return Accounting(n_in=n_items, n_kept=n_items), result_facts(result, asked.tasks)

    return FolderBuild(
        recipe=Recipe(
            code_version=CODE_VERSION,
            inputs={**input_versions(checkpoint), **asked.versions},
            config=asked.config(),
        ),
        make=make,
    )


def contamination_tables(workspace: Workspace) -> list[Table]:
    """The published contamination attributes of every component."""
    tables = [
        table
        for component in COMPONENT_TABLES
        for table in workspace.tables(contamination_key(component.name), component.source)
    ]
    return [table for table in tables if table.find_manifest() is not None]


def items_in_pile(workspace: Workspace) -> set[ItemKey]:
    """Benchmark items that a document of the pile matches, as a copy or a look-alike, by (benchmark, index).

    Contaminated documents are dropped on their way to the pile, so what is found here are look-alikes that were
    kept; documents that did not reach the pile taught the model nothing.
    """
    matched: dict[str, set[ItemKey]] = {}
    for table in contamination_tables(workspace):
        matched.update(matched_documents(table.batches(columns=["doc_id", "matches"])))
    found: set[ItemKey] = set()
    for batch in workspace.lake.table(PILE_KEY).batches(columns=["doc_id"]) if matched else ():
        for doc_id in batch.column("doc_id").to_pylist():
            found |= matched.get(doc_id, set())
    return found


def judged_items(workspace: Workspace, contaminated: set[ItemKey]) -> list[JudgedItem]:
    """The items of the published evaluation, marked."""
    table = workspace.lake.table(EVALUATION_KEY)
    for file, location in zip(table.manifest().files, table.files(), strict=True):
        if file.name.split("/", 1)[1] == ITEMS_FILE:
            return marked(items_of_lines(location.read_bytes().decode("utf-8").split("\n")), contaminated)
    raise FileNotFoundError(f"{EVALUATION_KEY} has no {ITEMS_FILE}")


def _recipe(workspace: Workspace, config: Mapping[str, Any]) -> Recipe:
    tables = [workspace.lake.table(EVALUATION_KEY), workspace.lake.table(PILE_KEY), *contamination_tables(workspace)]
    return Recipe(code_version=CODE_VERSION, inputs=input_versions(*tables), config=config)


def score_rows_of(table: Table) -> list[dict[str, Any]]:
    """The rows of a published table of scores."""
    return [row for batch in table.batches() for row in batch.to_pylist()]


def score_preview(workspace: Workspace, table: Table) -> dict[str, Any]:
    """The scores beside the paper's, as Markdown."""
    return {"scores": dg.MetadataValue.md(score_table(score_rows_of(table)))}


def scored_outcome(workspace: Workspace, table: Table, manifest: Manifest) -> Outcome:
    """Whether every task that was asked for has a score over at least one item."""
    found = {
        row["benchmark"]: row["n"]
        for row in score_rows_of(table)
        if row["score"] is not None or row["perplexity"] is not None
    }
    tasks = manifest.facts["tasks"]
    without = [task for task in tasks if not found.get(task)]
    described = f"no score: {', '.join(without)}" if without else f"{len(tasks)} tasks, each with a score"
    return Outcome(
        passed=not without,
        description=described if tasks else "nothing is asked: there are no benchmark files (settings.evaluation)",
        metadata={"tasks": len(tasks), "without_score": len(without)},
    )


def _unverifiable(workspace: Workspace, table: Table, manifest: Manifest) -> Outcome:
    limit = workspace.settings("checks", CheckConfig).max_unverifiable_share
    rows = [row for row in score_rows_of(table) if row["score"] is not None]
    n_items, n_unverifiable = sum(row["n"] for row in rows), sum(row["n_unverifiable"] for row in rows)
    share = n_unverifiable / n_items if n_items else 0.0
    return Outcome(
        passed=share <= limit,
        description=f"{n_unverifiable} of {n_items} answers could not be decided and count as wrong "
        f"({share:.1%}, limit {limit:.1%})",
        metadata={"share": round(share, 4), "limit": limit},
    )


SCORED = TableCheck(
    name="scored",
    description="Every task that was asked for has a score over at least one item.",
    evaluate=scored_outcome,
    blocking=True,
)
UNVERIFIABLE_SHARE = TableCheck(
    name="unverifiable_share",
    description="Few answers are of a kind that cannot be compared with the reference: they count as wrong.",
    evaluate=_unverifiable,
)


@table_asset(
    SCORES_KEY,
    group=GROUP,
    schema=SCORE,
    deps=[EVALUATION_KEY, PILE_KEY, *CONTAMINATION_KEYS],
    checks=[rows_add_up(SCORE), SCORED, UNVERIFIABLE_SHARE],
    kinds=frozenset({"parquet"}),
    automation=build_when_settled(),
    preview=score_preview,
    is_wanted=is_asked_for,
    is_alone=lambda workspace: True,
)
def scores(workspace: Workspace, partition: str) -> TableBuild:
    """One row is a benchmark: the share right with its 95 % interval, beside the paper's number.

    Items that the pile's documents match are counted apart. Held-out text has perplexity and bits per byte instead.
    """
    settings = workspace.settings("evaluation", EvaluationSettings)
    evaluated = workspace.lake.table(EVALUATION_KEY)
    result = published_json(evaluated, RESULT_FILE)
    counted: dict[str, Any] = {}

    def batches() -> Iterator[pa.RecordBatch]:
        found = items_in_pile(workspace)
        items = judged_items(workspace, found)
        counted["items_in_pile"] = len(found)
        counted["answers_to_them"] = sum(item.is_contaminated for item in items)
        scored = rescored(result["scores"], items, paper_model=settings.paper_model)
        yield score_batch([{**result, "scores": scored}])

    return TableBuild(
        recipe=_recipe(workspace, {"paper_model": settings.paper_model}),
        batches=batches,
        facts=lambda: {**evaluated.manifest().facts, **counted},
    )


@table_asset(
    ITEMS_KEY,
    group=GROUP,
    schema=SCORE_ITEM,
    deps=[EVALUATION_KEY, PILE_KEY, *CONTAMINATION_KEYS],
    checks=[rows_add_up(SCORE_ITEM)],
    kinds=frozenset({"parquet"}),
    automation=build_when_settled(),
    is_wanted=is_asked_for,
    is_alone=lambda workspace: True,
)
def items(workspace: Workspace, partition: str) -> TableBuild:
    """One row is a question with the model's completion, the answer taken from it, the verdict and its evidence."""

    def batches() -> Iterator[pa.RecordBatch]:
        rows = (asdict(item) for item in judged_items(workspace, items_in_pile(workspace)))
        while batch := list(islice(rows, ITEMS_PER_BATCH)):
            yield batch_of(batch, SCORE_ITEM)

    return TableBuild(recipe=_recipe(workspace, {}), batches=batches)


ASSETS: list[LakeAsset] = [evaluation, scores, items]
