"""A take-down: what a request names in a lake, what it would do, and its record.

    found = look_up(lake, Selector(kind="url", value="https://example.org/page"))
    plan = plan_of(lake, selector, found)
    record(lake, plan, asked_by="...", reason="...", date="2026-11-22")

Reads the lake alone and changes nothing but `takedown/*`: the documents leave when the graph is run next.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mathcode_assets.config import SOURCE_KEYS
from mathcode_assets.deduplication.exact import CODE, PROSE, content_hash
from mathcode_assets.defs.components import COMPONENT_TABLES, FILTERED_TABLES, TRANSLATED_TABLES
from mathcode_assets.defs.withdrawal import (
    FOUND_KEY,
    NO_HASH,
    REQUESTS_KEY,
    UNDONE_KEY,
    Request,
    hashes_of,
    requests,
    same_texts,
    shard_tables,
    shard_withdrawn,
    take_downs,
)
from mathcode_assets.provenance.selection import METADATA_COLUMN, LicencePolicy, Selector
from mathcode_assets.provenance.usage import CONTAINS, UNKNOWN, Model, Usage, usage_of
from mathcode_assets.records import NEAR_DUPLICATE, batch_of
from mathcode_assets.records import TAKEN_DOWN as TAKEN_DOWN_SCHEMA
from mathcode_assets.storage.filesystem import Location
from mathcode_assets.storage.lake import WHOLE, Lake, Table
from mathcode_assets.storage.leftovers import process_folder
from mathcode_assets.storage.manifest import Accounting, Recipe, digest

CODE_VERSION = "1"
NAMED, SAME_TEXT, TRANSLATED = "named", "same_text", "translated"
PILE_KEY = "mixture/mathcode_pile"
UNDONE_FILE = "undone.json"
ID_LENGTH = 12

_SHOWN = ("doc_id", "source", "source_id", "source_uri", "licence")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a request would do.

    Attributes:
        selector: the documents it names.
        rows: TAKEN_DOWN rows of all documents that leave, wherever they are on their way.
        shards: `clean/<name>[<partition>]` that are made again, and what is made of them with them.
        near: doc_ids of near copies of these documents, other texts and so not taken down.
        models: models that hold a document of the rows, or of which that cannot be known.
    """

    selector: Selector
    rows: tuple[Mapping[str, Any], ...]
    shards: tuple[str, ...]
    near: tuple[str, ...]
    models: tuple[Mapping[str, Any], ...]

    @property
    def n_tokens(self) -> int:
        """Tokens that leave the pile."""
        return sum(row["n_tokens"] for row in self.rows)

    @property
    def n_in_pile(self) -> int:
        """Documents that leave the pile."""
        return sum(row["n_tokens"] > 0 for row in self.rows)


def look_up(lake: Lake, selector: Selector) -> list[dict[str, Any]]:
    """TAKEN_DOWN rows of the documents that a selector names; empty where it names none.

    With them come the same texts elsewhere, and what was translated from either. The tokens are those of the pile.

    Raises:
        ManifestError: a manifest of the lake cannot be read.
    """
    translated = [component.documents for component in TRANSLATED_TABLES]
    sources = [f"raw/{source}" for source in SOURCE_KEYS]
    rows = {row["doc_id"]: row for table in _tables(lake, sources) for row in _matched(table, selector)}
    for table in _tables(lake, translated):
        # What was made of a page has its address and its licence: named with it, and not for its own text.
        made = set(_made_of(table, rows.keys()))
        rows |= {row["doc_id"]: row for row in _matched(table, selector) if row["doc_id"] not in made}
    if not rows:
        return []
    # A text is compared in every component as what that component holds, prose or code.
    hashes = {row[name] for row in rows.values() for name in ("prose_hash", "code_hash")}
    for component in COMPONENT_TABLES:
        for partition in lake.partitions(f"attributes/fingerprints/{component.name}"):
            documents, fingerprints, *_ = shard_tables(lake, component.name, partition)
            others = set(same_texts(fingerprints, hashes)) - rows.keys()
            if others and documents.find_manifest() is not None:
                rows |= {row["doc_id"]: row for row in _rows_of(documents, others, SAME_TEXT)}
    for table in _tables(lake, translated):
        made = set(_made_of(table, rows.keys())) - rows.keys()
        rows |= {row["doc_id"]: row for row in _rows_of(table, made, TRANSLATED)} if made else {}
    tokens = _tokens_in_pile(lake, rows.keys())
    return [row | {"n_tokens": tokens.get(doc_id, 0)} for doc_id, row in sorted(rows.items())]


def plan_of(lake: Lake, selector: Selector, rows: Iterable[Mapping[str, Any]], *, runs: Location | None = None) -> Plan:
    """What a request would do, given what `look_up` found.

    Args:
        lake: the lake.
        selector: the request's.
        rows: from `look_up`.
        runs: the folder of run folders, where it is not the lake's.
    """
    rows = tuple(rows)
    doc_ids = frozenset(row["doc_id"] for row in rows)
    hashes = {row[name] for row in rows if row["why"] != TRANSLATED for name in ("prose_hash", "code_hash")}
    return Plan(
        selector=selector,
        rows=rows,
        shards=tuple(_changed_shards(lake, selector, hashes)),
        near=tuple(_near_copies(lake, doc_ids)),
        models=tuple(_models(usage_of(lake, doc_ids, runs=runs), doc_ids)),
    )


def record(lake: Lake, plan: Plan, *, asked_by: str, reason: str, date: str) -> str:
    """Put a request on record, and give its id. The same request twice is one, unless it was undone between.

    Args:
        lake: the lake.
        plan: of the request.
        asked_by: who wants the documents taken down.
        reason: why.
        date: of the request, as given.

    Raises:
        ValueError: the plan has no document.
    """
    if not plan.rows:
        raise ValueError("a request that names no document is not recorded")
    given = {"kind": plan.selector.kind, "value": plan.selector.value}
    given |= {"asked_by": asked_by, "reason": reason, "date": date}
    undone = set(lake.partitions(UNDONE_KEY))
    number = 0
    while (name := digest([given, number])[:ID_LENGTH]) in undone:
        number += 1
    told = {"models": list(plan.models), "shards": list(plan.shards)}
    counts = {"n_documents": plan.n_in_pile, "n_tokens": plan.n_tokens}
    table = lake.table(REQUESTS_KEY, name)
    if table.find_manifest() is None:  # what was found at the time of the request is not written over
        _publish(lake, table, plan.rows, given | told | counts)
    return name


def undo(lake: Lake, name: str, *, asked_by: str, reason: str, date: str) -> Request:
    """Put on record that a request holds no longer; the request itself stays on record.

    Raises:
        KeyError: there is no such request, or it was undone already. Says which.
    """
    request = next((request for request in requests(lake) if request.id == name), None)
    if request is None:
        raise KeyError(f"no request {name}")
    if request.undone is not None:
        raise KeyError(f"request {name} was undone on {request.undone['date']} by {request.undone['asked_by']}")
    facts = {"asked_by": asked_by, "reason": reason, "date": date}
    with tempfile.TemporaryDirectory(dir=process_folder()) as folder:
        Path(folder, UNDONE_FILE).write_text(digest([name, facts]) + "\n", encoding="utf-8")
        lake.publish_folder(
            lake.table(UNDONE_KEY, name),
            folder=Path(folder),
            recipe=Recipe(code_version=CODE_VERSION, config=facts),
            accounting=Accounting(n_in=0, n_kept=0),
            facts=facts,
        )
    return request


def refresh(lake: Lake) -> dict[str, int]:
    """Look again for what the requests that hold name, and record texts that are new; documents by request.

    What came into the lake after a request leaves by itself where the selector names it; the same text under
    another address is found here.
    """
    added: dict[str, int] = {}
    for request in requests(lake):
        if request.undone is not None:
            continue
        places = [lake.table(REQUESTS_KEY, request.id)]
        places += [lake.table(FOUND_KEY, name) for name in lake.partitions(FOUND_KEY) if name.startswith(request.id)]
        known = {value for place in places for value in hashes_of(place)}
        rows = [row for row in look_up(lake, request.selector) if row["why"] != TRANSLATED]
        new = [row for row in rows if row["prose_hash"] not in known]
        if new:
            name = f"{request.id}-{digest([row['doc_id'] for row in new])[:ID_LENGTH]}"
            _publish(lake, lake.table(FOUND_KEY, name), new, {"request": request.id})
            added[request.id] = len(new)
    return added


def still_in_pile(lake: Lake, pile: Table) -> list[str]:
    """doc_ids of a pile that a request means, directly, by its text or by what they were translated from."""
    asked = take_downs(lake)
    if not asked:
        return []
    meant = {row["doc_id"] for selector in asked.selectors for row in look_up(lake, selector)}
    found: set[str] = set()
    columns = sorted({"doc_id", *(name for selector in asked.selectors for name in selector.columns)})
    for batch in pile.batches(columns=columns):
        doc_ids = batch.column("doc_id").to_pylist()
        found.update(meant.intersection(doc_ids))
        for selector in asked.selectors:
            found.update(d for d, is_meant in zip(doc_ids, selector.matches(batch), strict=True) if is_meant)
    return sorted(found)


def _publish(lake: Lake, table: Table, rows: Iterable[Mapping[str, Any]], facts: Mapping[str, Any]) -> None:
    # Translations leave with what they are made of; their own texts are no reason for anything else to leave.
    none = {"prose_hash": NO_HASH, "code_hash": NO_HASH}
    written = [dict(row) | none if row["why"] == TRANSLATED else dict(row) for row in rows]
    lake.publish(
        table,
        schema=TAKEN_DOWN_SCHEMA,
        recipe=Recipe(code_version=CODE_VERSION, config=dict(facts)),
        batches=[batch_of(written, TAKEN_DOWN_SCHEMA)],
        accounting=lambda n_rows: Accounting(n_in=n_rows, n_kept=n_rows),
        facts=lambda: facts,
    )


def _tables(lake: Lake, keys: Iterable[str]) -> Iterator[Table]:
    for key in keys:
        for partition in lake.partitions(key):
            yield lake.table(key, partition)


def _matched(table: Table, selector: Selector) -> list[dict[str, Any]]:
    """Rows of the documents of a shard that the selector names; texts are read where there are any."""
    doc_ids: set[str] = set()
    for batch in table.batches(columns=list(selector.columns)):
        rows = zip(batch.column("doc_id").to_pylist(), selector.matches(batch), strict=True)
        doc_ids.update(doc_id for doc_id, is_meant in rows if is_meant)
    return list(_rows_of(table, doc_ids, NAMED)) if doc_ids else []


def _rows_of(table: Table, doc_ids: Iterable[str], why: str) -> Iterator[dict[str, Any]]:
    wanted = pa.array(sorted(doc_ids), pa.string())
    for batch in table.batches(columns=[*_SHOWN, "text"]):
        held = batch.filter(pc.is_in(batch.column("doc_id"), wanted))
        for row in held.to_pylist():
            text = row.pop("text")
            yield row | {
                "table": table.key,
                "shard": table.partition,
                "why": why,
                "n_tokens": 0,
                "prose_hash": content_hash(text, PROSE),
                "code_hash": content_hash(text, CODE),
            }


def _made_of(table: Table, doc_ids: Iterable[str]) -> Iterator[str]:
    """doc_ids of a translated shard whose page is one of these."""
    pages = frozenset(doc_ids)
    for batch in table.batches(columns=["doc_id", METADATA_COLUMN]):
        for doc_id, metadata in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if source_doc_id(metadata) in pages:
                yield doc_id


def source_doc_id(metadata: str) -> str:
    """The page that a translated document was made of, as its metadata says; empty where they say none."""
    found = json.loads(metadata)
    return str(found.get("source_doc_id", "")) if isinstance(found, dict) else ""


def _tokens_in_pile(lake: Lake, doc_ids: Iterable[str]) -> dict[str, int]:
    pile = lake.table(PILE_KEY, WHOLE)
    tokens: Counter[str] = Counter()
    if pile.find_manifest() is not None:
        wanted = pa.array(sorted(doc_ids), pa.string())
        for batch in pile.batches(columns=["doc_id", "n_tokens"]):
            held = batch.filter(pc.is_in(batch.column("doc_id"), wanted))
            for doc_id, n_tokens in zip(*(column.to_pylist() for column in held.columns), strict=True):
                tokens[doc_id] += n_tokens
    return tokens


def _changed_shards(lake: Lake, selector: Selector, hashes: set[bytes]) -> Iterator[str]:
    """The clean shards that lose a document by the request and have not lost it by another one."""
    before, policy = take_downs(lake), LicencePolicy()
    after = before.with_request(selector, hashes)
    for component in COMPONENT_TABLES:
        for partition in lake.partitions(f"clean/{component.name}"):
            documents, fingerprints, *verdicts = shard_tables(lake, component.name, partition)
            if any(table.find_manifest() is None for table in (documents, fingerprints, *verdicts)):
                continue
            leaving = (shard_withdrawn(asked, policy, documents, fingerprints, verdicts) for asked in (before, after))
            if len({frozenset(withdrawn.reasons) for withdrawn in leaving}) > 1:
                yield f"clean/{component.name}[{partition}]"


def _near_copies(lake: Lake, doc_ids: frozenset[str]) -> Iterator[str]:
    """Documents on the other side of a near-duplicate verdict, whichever of the two was named."""
    for component in FILTERED_TABLES:
        for table in _tables(lake, [f"attributes/duplicates/{component.name}"]):
            for batch in table.batches(columns=["doc_id", "verdict", "duplicate_of"]):
                for doc_id, verdict, original in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    if verdict == NEAR_DUPLICATE and (doc_id in doc_ids) != (original in doc_ids):
                        yield original if doc_id in doc_ids else doc_id


def _models(usage: Usage, doc_ids: frozenset[str]) -> Iterator[dict[str, Any]]:
    model: Model
    for model, found in usage.models:
        if found is None or found & doc_ids:
            yield {
                "name": model.name,
                "corpus": model.corpus,
                "status": model.status,
                "holds": UNKNOWN if found is None else CONTAINS,
                "n_documents": 0 if found is None else len(found & doc_ids),
            }
