"""The two web components: filtered OpenWebMath, and mathematics of CC-En in two rounds (paper §2.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import pyarrow as pa

from mathcode_assets.corpus import cc_en_math, openwebmath
from mathcode_assets.defs.annotator import Annotator, annotator_of, asks_a_model
from mathcode_assets.defs.assets.consolidated import (
    attributes_asset,
    counted,
    filtered_asset,
    input_versions,
    verdict_counts,
)
from mathcode_assets.defs.assets.models import OPEN_WEB_MATH, ROUND1, ROUND2
from mathcode_assets.defs.table_assets import LakeAsset, TableBuild
from mathcode_assets.defs.workspace import Workspace, config_dict
from mathcode_assets.filtering.classifier import Classifier, load
from mathcode_assets.storage.lake import Table
from mathcode_assets.storage.manifest import Recipe
from mathcode_assets.storage.mapped import WithLoaded, loaded

CODE_VERSION = "1"


def classifier_of(workspace: Workspace, name: str) -> Classifier:
    """The promoted classifier, loaded once a process.

    Raises:
        NotPublished: none is promoted.
    """
    return loaded(load, workspace.model_folder(name))


def _tagged(
    workspace: Workspace,
    documents: Table,
    tag: Callable[[Iterable[pa.RecordBatch], Classifier], Iterator[pa.RecordBatch]],
    model: str,
) -> Iterator[pa.RecordBatch]:
    """Attributes of a table's documents by the promoted classifier."""
    function = WithLoaded(function=tag, load=load, artifact=workspace.model(model))
    return workspace.map_rows(documents, function, columns=["doc_id", "text"])


def _open_web_math(workspace: Workspace, partition: str) -> TableBuild:
    """Whether a page of OpenWebMath is mathematics (paper §2.1).

    With a model set up, by the 7 types of its blocks, and `score` is the share of types 1 and 2; without
    one, by a classifier trained on given labels, and `score` is its probability.
    """
    raw = workspace.lake.table("raw/open_web_math", partition)
    annotator = annotator_of(workspace)
    if annotator is not None:
        return _annotated(raw, annotator)
    config = workspace.settings("open_web_math", openwebmath.OpenWebMathConfig)
    counts: dict[str, dict[str, int]] = {}
    return TableBuild(
        recipe=Recipe(
            code_version=CODE_VERSION,
            inputs=input_versions(raw),
            config=config_dict(config),
            models={OPEN_WEB_MATH: workspace.model_version(OPEN_WEB_MATH)},
        ),
        batches=lambda: counted(
            _tagged(workspace, raw, partial(openwebmath.tag_with_classifier, config=config), OPEN_WEB_MATH),
            ["verdict", "reason"],
            counts,
        ),
        facts=lambda: verdict_counts(counts),
    )


def _annotated(raw: Table, annotator: Annotator) -> TableBuild:
    config = openwebmath.AnnotationConfig(model=annotator.model, model_revision=annotator.model_revision)
    counts: dict[str, dict[str, int]] = {}
    return TableBuild(
        recipe=Recipe(
            code_version=CODE_VERSION, inputs=input_versions(raw), config={"annotation": config_dict(config)}
        ),
        batches=lambda: counted(
            openwebmath.tag_with_annotation(raw.batches(columns=["doc_id", "text"]), annotator.generator(), config),
            ["verdict", "reason"],
            counts,
        ),
        facts=lambda: verdict_counts(counts),
    )


Tagger = Callable[..., Iterator[pa.RecordBatch]]


def _round(workspace: Workspace, partition: str, *, documents: str, model: str, config: Any, tag: Tagger) -> TableBuild:
    table = workspace.lake.table(documents, partition)
    counts: dict[str, dict[str, int]] = {}
    return TableBuild(
        recipe=Recipe(
            code_version=CODE_VERSION,
            inputs=input_versions(table),
            config=config_dict(config),
            models={model: workspace.model_version(model)},
        ),
        batches=lambda: counted(
            _tagged(workspace, table, partial(tag, config=config), model),
            ["verdict", "reason"],
            counts,
        ),
        facts=lambda: verdict_counts(counts),
    )


def _round1(workspace: Workspace, partition: str) -> TableBuild:
    """Round 1: how much a page of the crawl is like filtered OpenWebMath, `score` in [0, 1] (paper §2.1).

    A pass for recall: round 2 decides. Pages with evident mathematics pass whatever their score.
    """
    return _round(
        workspace,
        partition,
        documents="raw/cc_en",
        model=ROUND1,
        config=workspace.settings(ROUND1, cc_en_math.Round1Config),
        tag=cc_en_math.tag_round1,
    )


def _round2(workspace: Workspace, partition: str) -> TableBuild:
    """Round 2: whether a page of round 1's output is mathematics, `score` in [0, 1] (paper §2.1)."""
    return _round(
        workspace,
        partition,
        documents="filtered/cc_en_math_round1",
        model=ROUND2,
        config=workspace.settings(ROUND2, cc_en_math.Round2Config),
        tag=cc_en_math.tag_round2,
    )


ASSETS: list[LakeAsset] = [
    attributes_asset(
        "open_web_math",
        documents="raw/open_web_math",
        source="open_web_math",
        group="open_web_math",
        build=_open_web_math,
        deps=[f"promoted/{OPEN_WEB_MATH}"],
        kinds=frozenset({"fasttext"}),
        is_alone=asks_a_model,
    ),
    filtered_asset(
        "open_web_math",
        documents="raw/open_web_math",
        source="open_web_math",
        group="open_web_math",
        what="One row is a mathematical page of OpenWebMath: filtered-OpenWebMath (paper §2.1).",
    ),
    attributes_asset(
        "cc_en_math_round1",
        documents="raw/cc_en",
        source="cc_en",
        group="cc_en_math",
        build=_round1,
        deps=[f"promoted/{ROUND1}"],
        kinds=frozenset({"fasttext"}),
    ),
    filtered_asset(
        "cc_en_math_round1",
        documents="raw/cc_en",
        source="cc_en",
        group="cc_en_math",
        what="One row is a page of the crawl that round 1 keeps; round 2 filters it again (paper §2.1).",
    ),
    attributes_asset(
        "cc_en_math",
        documents="filtered/cc_en_math_round1",
        source="cc_en",
        group="cc_en_math",
        build=_round2,
        deps=[f"promoted/{ROUND2}"],
        kinds=frozenset({"fasttext"}),
    ),
    filtered_asset(
        "cc_en_math",
        documents="filtered/cc_en_math_round1",
        source="cc_en",
        group="cc_en_math",
        what="One row is a mathematical page of CC-En: filtered-CC-En-math (paper §2.1).",
    ),
]
