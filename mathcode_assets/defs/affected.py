"""What a benchmark touches: the documents that hold its items, their shards, and the checkpoints trained on them.

Read from manifests and the published scans; no text is read. A checkpoint is traced back through the inputs
that manifests name. Where a table on the way was made again since, its manifest no longer says what was in
it: then the checkpoint's own `corpus_lineage` is used (see `lineage_of`, to be kept among the facts of its
manifest), and without one the answer is "possibly", never "no".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow.compute as pc

from mathcode_assets.defs.assets.contamination import PART, contamination_key, scanned_parts
from mathcode_assets.defs.assets.duplicates import duplicates_key
from mathcode_assets.defs.components import COMPONENT_TABLES, ComponentTable
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.records import CONTAMINATED, EXACT_DUPLICATE, NEAR_DUPLICATE, iter_column
from mathcode_assets.storage.lake import Table

CHECKPOINT_KEYS = ("checkpoint/mathcode_pile",)
LINEAGE_FACT = "corpus_lineage"


@dataclass(frozen=True, slots=True, kw_only=True)
class AffectedDocument:
    """A document that holds an item."""

    doc_id: str
    shard: str  # clean/<name>[<partition>]
    items: tuple[str, ...]  # benchmark/question_index of the items asked about, strongest first
    by: Mapping[str, str]  # all benchmarks it is contaminated by, with the version that was looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class AffectedCheckpoint:
    """A checkpoint that was trained on such documents."""

    checkpoint: str  # key[partition]
    documents: tuple[str, ...]  # certainly among its training data
    possible: tuple[str, ...]  # in its shards, which were made again since
    shards: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """The answer; `shards` counts documents."""

    documents: tuple[AffectedDocument, ...] = ()
    shards: Mapping[str, int] = field(default_factory=dict)
    checkpoints: tuple[AffectedCheckpoint, ...] = ()


def affected(
    workspace: Workspace, benchmarks: Collection[str] | None = None, checkpoint_keys: Collection[str] = CHECKPOINT_KEYS
) -> Affected:
    """What some benchmarks touch, by the scans published now.

    Args:
        workspace: the lake.
        benchmarks: names; by default all that were scanned for.
        checkpoint_keys: tables whose partitions are checkpoints.
    """
    documents = tuple(
        document
        for component in COMPONENT_TABLES
        for partition in workspace.lake.partitions(contamination_key(component.name))
        for document in _documents(workspace, component, partition, benchmarks)
    )
    checkpoints = tuple(
        found
        for key in checkpoint_keys
        for partition in workspace.lake.partitions(key)
        if (found := _checkpoint(workspace, workspace.lake.table(key, partition), documents)) is not None
    )
    return Affected(
        documents=documents, shards=dict(sorted(Counter(d.shard for d in documents).items())), checkpoints=checkpoints
    )


def lineage_of(workspace: Workspace, table: Table) -> dict[str, Any]:
    """Where a table's documents come from, to be kept in the manifest of what is trained on it.

    Returns:
        `shards`: data version of every clean partition; `parts`: for each of them, the version of each
        benchmark's part of the index that it was scanned with; `complete`: whether every table on the way
        was still the one that was read.
    """
    shards: dict[str, str] = {}
    parts: dict[str, dict[str, str]] = {}
    complete = _walk(workspace, table, shards, parts)
    return {"shards": shards, "parts": parts, "complete": complete}


def _walk(workspace: Workspace, table: Table, shards: dict[str, str], parts: dict[str, dict[str, str]]) -> bool:
    manifest = table.find_manifest()
    if manifest is None:
        return False
    complete = True
    for written, version in manifest.recipe.inputs.items():
        key, bracket, rest = written.partition("[")
        if not bracket or written.startswith(PART):
            continue
        found = workspace.lake.table(key, rest.removesuffix("]"))
        current = found.find_manifest()
        is_current = current is not None and current.data_version == version
        if key.startswith("clean/"):
            shards[written] = version
            complete &= is_current and _scan_of(workspace, found, written, parts)
        elif key.startswith(("tokens/", "mixture/")):
            complete &= is_current and _walk(workspace, found, shards, parts)
    return complete


def _scan_of(workspace: Workspace, clean: Table, shard: str, parts: dict[str, dict[str, str]]) -> bool:
    """Note the benchmarks a clean partition was scanned for, if the scan is still the one it was made with."""
    key = contamination_key(clean.key.split("/", 1)[1])
    scan = workspace.lake.table(key, clean.partition)
    manifest = scan.find_manifest()
    used = clean.manifest().recipe.inputs.get(f"{key}[{clean.partition}]")
    if manifest is None or manifest.data_version != used:
        return False
    parts[shard] = scanned_parts(scan)
    return True


def _documents(
    workspace: Workspace, component: ComponentTable, partition: str, benchmarks: Collection[str] | None
) -> Iterator[AffectedDocument]:
    copies = _copies(workspace, component, partition)
    scan = workspace.lake.table(contamination_key(component.name), partition)
    parts = scanned_parts(scan)
    for batch in scan.batches(columns=["doc_id", "verdict", "matches"]):
        for row in batch.filter(pc.equal(batch.column("verdict"), CONTAMINATED)).to_pylist():
            held = [match for match in row["matches"] if match["verdict"] == CONTAMINATED]
            asked = [m for m in held if benchmarks is None or m["benchmark"] in benchmarks]
            if asked and row["doc_id"] not in copies:
                yield AffectedDocument(
                    doc_id=row["doc_id"],
                    shard=f"clean/{component.name}[{partition}]",
                    items=tuple(f"{match['benchmark']}/{match['question_index']}" for match in asked),
                    by={match["benchmark"]: parts.get(match["benchmark"], "") for match in held},
                )


def _copies(workspace: Workspace, component: ComponentTable, partition: str) -> set[str]:
    """Documents that the deduplication took out, so that nothing was trained on them."""
    table = workspace.lake.table(duplicates_key(component.name), partition)
    if table.find_manifest() is None:
        return set()
    columns = ["doc_id", "verdict"]
    rows = (row for batch in table.batches(columns=columns) for row in batch.to_pylist())
    return {row["doc_id"] for row in rows if row["verdict"] in (EXACT_DUPLICATE, NEAR_DUPLICATE)}


def _checkpoint(
    workspace: Workspace, table: Table, documents: Collection[AffectedDocument]
) -> AffectedCheckpoint | None:
    """The checkpoint with the documents it was, or may have been, trained on; None where there are none."""
    lineage = table.manifest().facts.get(LINEAGE_FACT) or lineage_of(workspace, table)
    shards, parts = lineage["shards"], lineage["parts"]
    inside: dict[str, set[str]] = {}
    certain: list[AffectedDocument] = []
    possible: list[AffectedDocument] = []
    for document in documents:
        shard = document.shard
        if shard not in shards:
            if not shards and not lineage["complete"]:
                possible.append(document)  # nothing is known of what it was trained on
            continue
        if shard not in inside and (ids := _ids_of(workspace, shard, shards[shard])) is not None:
            inside[shard] = ids
        if shard in inside:
            certain += [document] if document.doc_id in inside[shard] else []
        elif shard in parts:
            # What the shard was scanned for then was taken out; the rest was left in.
            then = parts[shard]
            if not any(then.get(name) == version for name, version in document.by.items()):
                (possible if document.by.keys() & then.keys() else certain).append(document)
        else:
            possible.append(document)
    if not certain and not possible:
        return None
    return AffectedCheckpoint(
        checkpoint=f"{table.key}[{table.partition}]",
        documents=tuple(document.doc_id for document in certain),
        possible=tuple(document.doc_id for document in possible),
        shards=tuple(sorted({document.shard for document in [*certain, *possible]})),
    )


def _ids_of(workspace: Workspace, shard: str, version: str) -> set[str] | None:
    """Documents of a clean partition, if it is still of this version."""
    key, _, rest = shard.partition("[")
    table = workspace.lake.table(key, rest.removesuffix("]"))
    manifest = table.find_manifest()
    if manifest is None or manifest.data_version != version:
        return None
    return set(iter_column(table.batches(columns=["doc_id"]), "doc_id"))
