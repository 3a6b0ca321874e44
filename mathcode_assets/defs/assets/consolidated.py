"""filtered/*: the documents that a component's filter keeps, joined from documents and attributes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mathcode_assets.defs.automation import BUILD_WHEN_CHANGED
from mathcode_assets.defs.checks import rows_add_up, rows_of
from mathcode_assets.defs.previews import decisions_preview, document_preview
from mathcode_assets.defs.table_assets import LakeAsset, TableBuild, TableCheck, counted
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.records import DOCUMENT, DROPPED, FILTER_ATTRIBUTES
from mathcode_assets.storage.consolidate import Tally, keep_rows
from mathcode_assets.storage.lake import Table
from mathcode_assets.storage.manifest import Recipe

CODE_VERSION = "1"


def attributes_asset(
    name: str,
    *,
    documents: str,
    source: str,
    group: str,
    build: Callable[[Workspace, str], TableBuild],
    deps: Sequence[str] = (),
    kinds: frozenset[str] = frozenset(),
    is_alone: Callable[[Workspace], bool] = lambda workspace: False,
) -> LakeAsset:
    """attributes/<name>: one row for each document of `documents`, kept or dropped, and why."""

    def preview(workspace: Workspace, table: Table) -> dict[str, Any]:
        return decisions_preview(workspace, table, workspace.lake.table(documents, table.partition))

    return LakeAsset(
        key=f"attributes/{name}",
        build=build,
        group=group,
        schema=FILTER_ATTRIBUTES,
        partitioned_by=source,
        deps=[documents, *deps],
        checks=[rows_add_up(FILTER_ATTRIBUTES, rows_of(documents))],
        kinds=kinds | {"parquet"},
        automation=BUILD_WHEN_CHANGED,
        preview=preview,
        is_alone=is_alone,
    )


def filtered_asset(
    name: str, *, documents: str, source: str, group: str, what: str, checks: Sequence[TableCheck] = ()
) -> LakeAsset:
    """filtered/<name>: the documents of `documents` that attributes/<name> keeps."""
    attributes = f"attributes/{name}"

    def build(workspace: Workspace, partition: str) -> TableBuild:
        return kept_documents(workspace, partition, documents=documents, attributes=attributes)

    build.__doc__ = what
    return LakeAsset(
        key=f"filtered/{name}",
        build=build,
        group=group,
        schema=DOCUMENT,
        partitioned_by=source,
        deps=[documents, attributes],
        checks=[rows_add_up(DOCUMENT, rows_of(documents)), *checks],
        kinds=frozenset({"parquet"}),
        automation=BUILD_WHEN_CHANGED,
        preview=document_preview,
    )


def kept_documents(workspace: Workspace, partition: str, *, documents: str, attributes: str) -> TableBuild:
    """The documents whose verdict is not `dropped`, counted by the reason of the others."""
    source, verdicts = workspace.lake.table(documents, partition), workspace.lake.table(attributes, partition)
    tally = Tally()
    return TableBuild(
        recipe=Recipe(
            code_version=CODE_VERSION,
            inputs=input_versions(source, verdicts),
        ),
        batches=lambda: keep_rows(
            source.batches(),
            verdicts.batches(columns=["doc_id", "verdict", "reason"]),
            drop_verdicts=frozenset({DROPPED}),
            tally=tally,
            reason_column="reason",
        ),
        accounting=tally.accounting,
    )


def input_versions(*tables: Table) -> dict[str, str]:
    """Data versions of published partitions, as the inputs of a recipe.

    Raises:
        NotPublished: one is missing.
    """
    return {f"{table.key}[{table.partition}]": table.manifest().data_version for table in tables}


def verdict_counts(counts: dict[str, dict[str, int]]) -> dict[str, Any]:
    """Counts of verdicts and reasons as facts of a manifest; the empty reason of kept rows is left out."""
    return {name: {k: v for k, v in sorted(found.items()) if k} for name, found in sorted(counts.items())}


__all__ = ["attributes_asset", "counted", "filtered_asset", "input_versions", "kept_documents", "verdict_counts"]
