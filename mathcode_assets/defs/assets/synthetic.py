"""The synthetic component: three sets of generated texts, each with its rule (paper §2.1)."""

from __future__ import annotations

from mathcode_assets.corpus import synthetic
from mathcode_assets.defs.annotator import annotator_of, asks_a_model
from mathcode_assets.defs.assets.consolidated import (
    attributes_asset,
    counted,
    filtered_asset,
    input_versions,
    verdict_counts,
)
from mathcode_assets.defs.assets.models import BOOKS, UNTRAINED_FILE
from mathcode_assets.defs.assets.web import classifier_of
from mathcode_assets.defs.table_assets import LakeAsset, TableBuild
from mathcode_assets.defs.workspace import Workspace, config_dict
from mathcode_assets.filtering.classifier import Classifier
from mathcode_assets.storage.manifest import Recipe

CODE_VERSION = "1"
SOURCE = "synthetic"


def _book_classifier(workspace: Workspace) -> Classifier | None:
    """The promoted classifier of books, or None where there were too few to train one."""
    if (workspace.model_folder(BOOKS) / UNTRAINED_FILE).exists():
        return None
    return classifier_of(workspace, BOOKS)


def _attributes(workspace: Workspace, partition: str) -> TableBuild:
    """Whether a generated text is mathematics, by the rule of its set; `labels` names the set (paper §2.1).

    Education-College-Students: more than ten dollar signs, then related to mathematics. Maths-College:
    kept whole. Books of Matrix: a classifier.
    """
    raw = workspace.lake.table(f"raw/{SOURCE}", partition)
    config = workspace.settings(SOURCE, synthetic.SyntheticConfig)
    annotator = annotator_of(workspace)
    relation = None
    if annotator is not None:
        relation = synthetic.RelationConfig(model=annotator.model, model_revision=annotator.model_revision)
    counts: dict[str, dict[str, int]] = {}

    def judge() -> tuple[synthetic.Judge, str]:
        if annotator is None or relation is None:
            return synthetic.judge_by_formulas(config)
        return synthetic.judge_by_generator(annotator.generator(), relation)

    return TableBuild(
        recipe=Recipe(
            code_version=CODE_VERSION,
            inputs=input_versions(raw),
            config={**config_dict(config), "relation": config_dict(relation) if relation else None},
            models={BOOKS: workspace.model_version(BOOKS)},
        ),
        batches=lambda: counted(
            synthetic.tag(raw.batches(), config, judge=judge(), book_classifier=_book_classifier(workspace)),
            ["verdict", "reason"],
            counts,
        ),
        facts=lambda: verdict_counts(counts),
    )


ASSETS: list[LakeAsset] = [
    attributes_asset(
        SOURCE,
        documents=f"raw/{SOURCE}",
        source=SOURCE,
        group=SOURCE,
        build=_attributes,
        deps=[f"promoted/{BOOKS}"],
        is_alone=asks_a_model,
    ),
    filtered_asset(
        SOURCE,
        documents=f"raw/{SOURCE}",
        source=SOURCE,
        group=SOURCE,
        what="One row is a generated text on mathematics (paper §2.1).",
    ),
]
