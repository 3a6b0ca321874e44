"""The way of one document: every row of the lake that says something about it, in the order of the graph.

Works on a DuckDB connection in which each table of the lake is a view: the asset key with `__` for
`/` (`raw__cc_en`, `attributes__cc_en_math`, `filtered__cc_en_math`,
`attributes__contamination__cc_en_math`, `attributes__duplicates__cc_en_math`, `clean__cc_en_math`,
`mixture__mathcode_pile`), with a further column `partition`. A document keeps its doc_id from
the raw table to the pile, so the way is a look-up of one id in every view that has the column.
A document that was translated has its computations beside it; what was written of them
(`translated__open_web_math`) is a document of its own that names it, so the trace of either names
the other. Which packed sequences and which models hold it stands in files that are no tables: `usage.py`.

Not covered: a record that never became a document (quarantined, an unreadable file) has no doc_id;
it stands in the quarantine table of its partition.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from mathcode_assets.records import CONTAMINATED, EXACT_DUPLICATE, KEPT, NEAR_DUPLICATE

# The layers of the lake: prefix of the view, name of the step, and the place of the step on the way.
# The longer prefix comes before the shorter one that it begins with. A filter and what it kept share a
# place: a component filtered in rounds goes through both once a round.
_LAYERS: tuple[tuple[str, str, int], ...] = (
    ("raw__", "source", 0),
    ("attributes__contamination__", "decontamination", 3),
    ("attributes__duplicates__", "deduplication", 4),
    # Hashes and sketches are inputs of a global step and say nothing about the document: no step, left out.
    ("attributes__fingerprints__", "", 0),
    ("attributes__textbooks_sketches", "", 0),
    ("attributes__", "filter", 1),
    ("filtered__", "filtered", 1),
    ("translated__", "translated", 2),
    ("separated__", "", 0),  # the same computations as in translated__, written another way
    ("clean__", "clean", 5),
    ("takedown__requests", "take-down", 6),
    ("takedown__found", "take-down", 6),
    ("mixture__", "pile", 7),
    ("tokens__", "tokens", 8),
    ("completions__", "completion", 9),
    ("computations__", "computation", 10),
)
# What is made of a document and does not carry it on.
_BESIDE = ("completion", "computation", "take-down")
_MANIFESTS, _UNDONE = "manifests", "takedown/undone"
_ROUND = re.compile(r"_round(\d+)$")

_SOURCE_FACTS = (
    "source",
    "source_id",
    "source_uri",
    "source_file",
    "source_row",
    "source_revision",
    "licence",
)
# What each step shows, in this order, where its table has the column and the value is not null.
_FACTS: Mapping[str, tuple[str, ...]] = {
    "source": _SOURCE_FACTS,
    "filter": ("score", "model", "labels"),
    "filtered": (),
    "translated": _SOURCE_FACTS,
    "decontamination": ("score", "benchmark", "question_index", "evidence", "matches"),
    "deduplication": ("duplicate_of", "duplicate_component", "cluster"),
    "clean": ("n_tokens",),
    "take-down": ("why",),
    "tokens": ("n_tokens",),
    "pile": ("component", "n_tokens", "repetition", "licence", "source_uri"),
    "completion": ("chunk", "generator", "prompt_version", "status", "error", "prompt_tokens", "completion_tokens"),
    "computation": ("computation_id", "expression", "result", "status", "stdout", "method", "evidence", "generator"),
}
# In the source_metadata of a translated document: the document it was made of.
_MADE_FROM = "$.source_doc_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One row of one table that speaks of the document.

    Attributes:
        stage: one of source, filter, filtered, translated, decontamination, deduplication, clean, take-down, pile,
            tokens, completion, computation.
        table: the view.
        partition: the row's partition, empty where the view has no such column.
        verdict: of an attributes table; empty for a table of documents.
        reason: why, in words of the tagger; empty where it gives none.
        facts: further columns by name.
    """

    stage: str
    table: str
    partition: str
    verdict: str
    reason: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AbsorbedCopy:
    """A copy that went because this document stayed."""

    doc_id: str
    component: str
    partition: str
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The whole way of one document.

    Attributes:
        doc_id: the document.
        steps: in the order of the graph, within a stage by table and partition.
        absorbed: copies elsewhere that went in favour of this one.
        made_from: doc_id of the document that this one was translated from; empty if it was not.
        page: of that document, where it came from: the facts of its first step; empty if there is none.
        made_into: doc_ids of the documents that were translated from this one.
        ended: where the way ends, in one sentence.
    """

    doc_id: str
    steps: tuple[Step, ...]
    absorbed: tuple[AbsorbedCopy, ...]
    made_from: str
    page: Mapping[str, Any]
    made_into: tuple[str, ...]
    ended: str


def trace(connection: duckdb.DuckDBPyConnection, needle: str) -> list[Trace]:
    """The ways of all documents that a name means, by doc_id; none if nothing has that name.

    Args:
        connection: with the lake's views; only read.
        needle: a doc_id, a source_id, or a source_uri. Several documents may share the last two.
    """
    if not needle:
        return []  # the empty source_uri of a document without one is not its name
    views = _views(connection)
    return [_trace_document(connection, views, doc_id) for doc_id in _doc_ids(connection, views, needle)]


def render_trace(way: Trace) -> str:
    """The way as text for a terminal, the ending first."""
    lines = [f"document {way.doc_id}", f"  {way.ended}", ""]
    for step in way.steps:
        verdict = step.verdict + (f": {step.reason}" if step.reason else "")
        place = step.table + (f" [{step.partition}]" if step.partition else "")
        lines.append("  ".join(part for part in (f"{step.stage:<16}", place, verdict) if part))
        lines += [f"    {name:<20}{_shown(value)}" for name, value in step.facts.items()]
    if way.made_from:
        lines += ["", f"translated from document {way.made_from}"]
        lines += [f"    {name:<20}{_shown(value)}" for name, value in way.page.items()]
    if way.made_into:
        lines += ["", f"translated into: {', '.join(way.made_into)}"]
    if way.absorbed:
        lines += ["", f"copies that went in favour of this one: {len(way.absorbed)}"]
        lines += [f"    {c.doc_id}  {c.component} [{c.partition}]  {c.verdict}" for c in way.absorbed]
    return "\n".join(lines) + "\n"


def _views(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """Columns of every view of the lake that has a doc_id, by name of the view."""
    rows = connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns ORDER BY table_name, ordinal_position"
    ).fetchall()
    columns: dict[str, list[str]] = {}
    for table, column in rows:
        columns.setdefault(table, []).append(column)
    return {table: names for table, names in columns.items() if _stage(table) and "doc_id" in names}


def _stage(table: str) -> str:
    return next((stage for prefix, stage, _ in _LAYERS if table.startswith(prefix)), "")


def _way_order(step: Step) -> tuple[int, int, str, str, str]:
    """Sorts steps as a document meets them; the last round of a filter bears no number."""
    place = next(place for _, stage, place in _LAYERS if stage == step.stage)
    numbered = _ROUND.search(step.table)
    last_round = sys.maxsize
    return place, int(numbered[1]) if numbered else last_round, step.stage, step.table, step.partition


def _doc_ids(connection: duckdb.DuckDBPyConnection, views: Mapping[str, Sequence[str]], needle: str) -> list[str]:
    found: set[str] = set()
    for table, columns in views.items():
        names = [name for name in ("doc_id", "source_id", "source_uri") if name in columns]
        condition = " OR ".join(f"{name} = $needle" for name in names)
        query = f"SELECT DISTINCT doc_id FROM {_quoted(table)} WHERE {condition}"
        found.update(row[0] for row in connection.execute(query, {"needle": needle}).fetchall())
    return sorted(found)


def _trace_document(connection: duckdb.DuckDBPyConnection, views: Mapping[str, Sequence[str]], doc_id: str) -> Trace:
    steps = [step for table, columns in views.items() for step in _steps_of_table(connection, table, columns, doc_id)]
    steps.sort(key=_way_order)
    made_from = _made_from(connection, views, doc_id)
    return Trace(
        doc_id=doc_id,
        steps=tuple(steps),
        absorbed=tuple(_absorbed(connection, views, doc_id)),
        made_from=made_from,
        page=_page(connection, views, made_from),
        made_into=_made_into(connection, views, doc_id),
        ended=_ended(steps, _undone(connection)),
    )


def _steps_of_table(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[str], doc_id: str
) -> Iterable[Step]:
    stage = _stage(table)
    wanted = ("partition", "verdict", "reason", *_FACTS[stage])
    names = [name for name in dict.fromkeys(wanted) if name in columns]
    selected = ", ".join(_quoted(name) for name in ["doc_id", *names])
    rows = connection.execute(f"SELECT {selected} FROM {_quoted(table)} WHERE doc_id = $id", {"id": doc_id})
    for row in rows.fetchall():
        values = dict(zip(names, row[1:], strict=True))
        yield Step(
            stage=stage,
            table=table,
            partition=str(values.pop("partition", "")),
            verdict=values.pop("verdict", None) or "",
            reason=values.pop("reason", None) or "",
            facts={name: value for name, value in values.items() if value not in (None, "", [])},
        )


def _absorbed(
    connection: duckdb.DuckDBPyConnection, views: Mapping[str, Sequence[str]], doc_id: str
) -> Iterable[AbsorbedCopy]:
    for table, columns in views.items():
        if _stage(table) != "deduplication":
            continue
        partition = "partition" if "partition" in columns else "''"
        query = f"SELECT doc_id, {partition}, verdict FROM {_quoted(table)} WHERE duplicate_of = $id ORDER BY ALL"
        component = table.removeprefix("attributes__duplicates__")
        for other, where, verdict in connection.execute(query, {"id": doc_id}).fetchall():
            yield AbsorbedCopy(doc_id=other, component=component, partition=str(where), verdict=verdict)


def _made_from(connection: duckdb.DuckDBPyConnection, views: Mapping[str, Sequence[str]], doc_id: str) -> str:
    """The document that this translated one names, empty if it is none."""
    for table in views:
        if _stage(table) == "translated":
            query = f"SELECT source_metadata->>'{_MADE_FROM}' FROM {_quoted(table)} WHERE doc_id = $id"
            row = connection.execute(query, {"id": doc_id}).fetchone()
            if row and row[0]:
                return str(row[0])
    return ""


def _made_into(
    connection: duckdb.DuckDBPyConnection, views: Mapping[str, Sequence[str]], doc_id: str
) -> tuple[str, ...]:
    """The translated documents that name this one."""
    found: set[str] = set()
    for table in views:
        if _stage(table) == "translated":
            query = f"SELECT doc_id FROM {_quoted(table)} WHERE source_metadata->>'{_MADE_FROM}' = $id"
            found.update(row[0] for row in connection.execute(query, {"id": doc_id}).fetchall())
    return tuple(sorted(found))


def _page(connection: duckdb.DuckDBPyConnection, views: Mapping[str, Sequence[str]], doc_id: str) -> Mapping[str, Any]:
    """Where a document came from, as its source says; empty where there is none of this id."""
    if not doc_id:
        return {}
    sources = (
        step
        for table, columns in views.items()
        if _stage(table) == "source"
        for step in _steps_of_table(connection, table, columns, doc_id)
    )
    return next((step.facts for step in sources), {})


def _undone(connection: duckdb.DuckDBPyConnection) -> frozenset[str]:
    """Requests to take down that hold no longer."""
    known = "SELECT 1 FROM information_schema.tables WHERE table_name = $name"
    if connection.execute(known, {"name": _MANIFESTS}).fetchone() is None:
        return frozenset()
    query = f"SELECT DISTINCT partition FROM {_MANIFESTS} WHERE asset = $key"
    return frozenset(row[0] for row in connection.execute(query, {"key": _UNDONE}).fetchall())


def _ended(steps: Sequence[Step], undone: frozenset[str]) -> str:
    """Where the way ends: the pile, else the reasons for leaving, else the last table that has it."""
    asked = sorted({step.partition.split("-")[0] for step in steps if step.stage == "take-down"} - undone)
    taken_down = f"taken down by request {', '.join(asked)}" if asked else ""
    pile = [step for step in steps if step.stage == "pile"]
    if pile:
        copies = f", {len(pile)} times" if len(pile) > 1 else ""
        still = f", although {taken_down}: build the graph again" if asked else ""
        return f"in the pile ({pile[0].facts.get('component', pile[0].table)}){copies}{still}"
    reasons = [reason for step in steps if (reason := _why_left(step))] + [taken_down] * bool(asked)
    if reasons:
        return "not in the pile: " + "; ".join(reasons)
    walked = [step for step in steps if step.stage not in _BESIDE]
    if not walked:
        return "not in the lake any more: only a record of its take-down is left"
    last = walked[-1]
    if last.stage == "clean":
        return "not in the pile: left out by the mixture's weight or cap, or the pile is older than this"
    return f"not in the pile: no table after {last.table} has it (not built yet, or its shard is withheld)"


def _why_left(step: Step) -> str:
    if step.stage == "filter" and step.verdict not in ("", KEPT):
        return f"dropped by {step.table.removeprefix('attributes__')}" + (f" ({step.reason})" if step.reason else "")
    if step.stage == "decontamination" and step.verdict == CONTAMINATED:
        facts = step.facts
        return f"contaminated by {facts.get('benchmark')} question {facts.get('question_index')}"
    if step.stage == "deduplication" and step.verdict in (EXACT_DUPLICATE, NEAR_DUPLICATE):
        facts = step.facts
        kind = step.verdict.replace("_", " ")
        return f"{kind} of {facts.get('duplicate_of')}, which stayed ({facts.get('duplicate_component')})"
    return ""


def _shown(value: Any) -> str:
    """A value on one line, long texts shortened."""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    line = " ".join(text.split())
    return line if len(line) <= 160 else line[:157] + "..."


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
