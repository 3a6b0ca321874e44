"""What the UI shows of a table: a few documents, kept and dropped, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import dagster as dg

from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.records import CLEAN, KEPT, REFUTED, UNVERIFIABLE, VERIFIED
from mathcode_assets.storage.lake import Table

PREVIEW_ROWS = 5
PREVIEW_CHARS = 240
# Rows looked at for a preview: the head of the shard, so that a preview never costs a scan.
HEAD_ROWS = 1000


def document_preview(workspace: Workspace, table: Table) -> dict[str, Any]:
    """The first documents of a table: where from, and how they begin."""
    rows = islice(_rows(table, ["source_uri", "text"]), PREVIEW_ROWS)
    return {"preview": _markdown(["document", "begins"], ((row["source_uri"], row["text"]) for row in rows))}


def decisions_preview(workspace: Workspace, table: Table, documents: Table) -> dict[str, Any]:
    """Documents that an attributes table keeps and drops, side by side with why."""
    pairs = zip(_rows(documents, ["source_uri", "text"]), _rows(table, None), strict=False)
    kept, dropped = [], []
    for document, found in islice(pairs, HEAD_ROWS):
        reason = found.get("reason") or found.get("benchmark") or found.get("duplicate_of") or ""
        score = found.get("score")
        row = (
            document["source_uri"],
            found["verdict"],
            reason,
            "" if score is None else f"{score:.3f}",
            document["text"],
        )
        (kept if found["verdict"] in (KEPT, CLEAN) else dropped).append(row)
    names = ["document", "verdict", "reason", "score", "begins"]
    return {
        "preview_kept": _markdown(names, kept[:PREVIEW_ROWS]),
        "preview_dropped": _markdown(names, dropped[:PREVIEW_ROWS]),
    }


def computations_preview(workspace: Workspace, table: Table) -> dict[str, Any]:
    """Computations of each verdict side by side: what was stated, what the program printed, and why."""
    columns = ["expression", "result", "stdout", "verdict", "method", "evidence", "source_uri"]
    found: dict[str, list[tuple[Any, ...]]] = {VERIFIED: [], REFUTED: [], UNVERIFIABLE: []}
    for row in islice(_rows(table, columns), HEAD_ROWS):
        shown = found[row["verdict"]]
        if len(shown) < PREVIEW_ROWS:
            shown.append(tuple(row[name] for name in columns if name != "verdict"))
    names = ["expression", "stated", "printed", "method", "evidence", "document"]
    return {f"preview_{verdict}": _markdown(names, rows) for verdict, rows in found.items()}


def markdown_table(names: list[str], rows: Iterable[Iterable[Any]]) -> str:
    """A Markdown table; cells are cut at PREVIEW_CHARS and kept on one line."""
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    lines += ["| " + " | ".join(markdown_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def _rows(table: Table, columns: list[str] | None) -> Iterator[dict[str, Any]]:
    for batch in table.batches(columns=columns):
        yield from batch.to_pylist()


def _markdown(names: list[str], rows: Iterable[Iterable[Any]]) -> dg.MetadataValue[str]:
    return dg.MetadataValue.md(markdown_table(names, rows))


def markdown_cell(value: Any) -> str:
    """A value on one line of at most PREVIEW_CHARS, without the signs that would break a table."""
    text = " ".join(str(value)[: 4 * PREVIEW_CHARS].split()).replace("|", "\\|").replace("`", "'")
    return text if len(text) <= PREVIEW_CHARS else text[: PREVIEW_CHARS - 1] + "…"
