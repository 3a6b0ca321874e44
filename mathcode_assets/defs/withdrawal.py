"""What may not be in the pile: documents that somebody asked to take down, and licences outside the policy.

    takedown/requests/<id>   a request: selector, who asked, why, when, which models held the documents; and those
    takedown/found/<id>      the same text found under another address since (`refresh`)
    takedown/undone/<id>     the request of this id no longer holds: who, why, when

Each is written once and never changed, so nothing of the record is lost, and two people at once do not meet.
`clean/*` leaves out what `withdrawn_of` names. Its recipe holds the ids that leave this very shard, and nothing
where none does: a shard that a request does not touch keeps its recipe, and its version. Decision 0025.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mathcode_assets.defs.components import COMPONENT_TABLES
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.provenance.selection import LicencePolicy, Selector
from mathcode_assets.records import CONTAMINATED, EXACT_DUPLICATE, NEAR_DUPLICATE
from mathcode_assets.storage.lake import Lake, Table
from mathcode_assets.storage.manifest import digest

REQUESTS_KEY, FOUND_KEY, UNDONE_KEY = "takedown/requests", "takedown/found", "takedown/undone"
POLICY_SECTION = "licences"

# Of a row whose text is no reason for other documents to leave.
NO_HASH = bytes(16)

# Reasons of the row accounting.
TAKEN_DOWN, LICENCE = "taken_down", "licence"
# Of the clean recipe, where anything of the shard leaves.
RECIPE_NAME = "withdrawn"

_GONE_ANYHOW = pa.array([CONTAMINATED, EXACT_DUPLICATE, NEAR_DUPLICATE])


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request to take down, as it is on record.

    Attributes:
        id: 12 hex digits of its content.
        selector: the documents it names.
        asked_by, reason, date: as given.
        models: names of the models that held a document of it, and what is known of each, at that time.
        n_documents, n_tokens: that it took out of the pile, the same texts elsewhere and translations included.
        undone: asked_by, reason and date of its undoing; None where it holds.
    """

    id: str
    selector: Selector
    asked_by: str
    reason: str
    date: str
    models: Sequence[Mapping[str, Any]]
    n_documents: int
    n_tokens: int
    undone: Mapping[str, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeDowns:
    """The requests that hold: what they name, and the hashes of the texts that they were found to name."""

    version: str = ""
    selectors: tuple[Selector, ...] = ()
    hashes: frozenset[bytes] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.selectors or self.hashes)

    def with_request(self, selector: Selector, hashes: Iterable[bytes]) -> TakeDowns:
        """These and one more, for a look at what it would do."""
        return TakeDowns(version="", selectors=(*self.selectors, selector), hashes=self.hashes | frozenset(hashes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """The documents of one shard that leave it, each with the reason."""

    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def recipe(self) -> dict[str, str]:
        """Its part of the recipe's config; nothing where nothing leaves."""
        return {RECIPE_NAME: digest(sorted(self.reasons.items()))} if self.reasons else {}

    def drop(self, batches: Iterable[pa.RecordBatch], dropped: Counter[str]) -> Iterator[pa.RecordBatch]:
        """The batches without the documents that leave; those are counted by reason."""
        if not self.reasons:
            yield from batches
            return
        gone = pa.array(sorted(self.reasons), pa.string())
        for batch in batches:
            leaves = pc.is_in(batch.column("doc_id"), gone)
            dropped.update(self.reasons[doc_id] for doc_id in batch.column("doc_id").filter(leaves).to_pylist())
            kept = batch.filter(pc.invert(leaves))
            if kept.num_rows:
                yield kept


def policy_of(workspace: Workspace) -> LicencePolicy:
    """The licence policy of the settings.

    Raises:
        SourcesFileError: a mistake in it.
    """
    return workspace.settings(POLICY_SECTION, LicencePolicy)


def requests(lake: Lake) -> list[Request]:
    """Every request on record, those undone included, by date and id."""
    undone = {name: lake.table(UNDONE_KEY, name).manifest().facts for name in lake.partitions(UNDONE_KEY)}
    found = []
    for name in lake.partitions(REQUESTS_KEY):
        facts = lake.table(REQUESTS_KEY, name).manifest().facts
        names = ("asked_by", "reason", "date", "models", "n_documents", "n_tokens")
        found.append(
            Request(
                id=name,
                selector=Selector(kind=facts["kind"], value=facts["value"]),
                undone=undone.get(name),
                **{key: facts[key] for key in names},
            )
        )
    return sorted(found, key=lambda request: (request.date, request.id))


def take_downs(lake: Lake) -> TakeDowns:
    """The requests that hold."""
    names = set(lake.partitions(REQUESTS_KEY)) - set(lake.partitions(UNDONE_KEY))
    if not names:
        return TakeDowns()
    found = [name for name in lake.partitions(FOUND_KEY) if name.split("-")[0] in names]
    places = (*((REQUESTS_KEY, name) for name in sorted(names)), *((FOUND_KEY, name) for name in found))
    return _read(lake.root.uri, places, _Unhashed(lake))


def withdrawn_of(
    workspace: Workspace, documents: Table, fingerprints: Table, duplicates: Table, contamination: Table
) -> Withdrawn:
    """The documents of a shard that leave it and would else be in the pile.

    Raises:
        NotPublished: a table of the shard is not there.
        SourcesFileError: a mistake in the licence policy.
    """
    asked, policy = take_downs(workspace.lake), policy_of(workspace)
    return shard_withdrawn(asked, policy, documents, fingerprints, (duplicates, contamination))


def shard_withdrawn(
    asked: TakeDowns, policy: LicencePolicy, documents: Table, fingerprints: Table, verdicts: Sequence[Table]
) -> Withdrawn:
    """As `withdrawn_of`, for requests and a policy that may not be on record."""
    if not asked and policy.is_open:
        return Withdrawn()
    tables = (documents, fingerprints, *verdicts)
    versions = tuple(table.manifest().data_version for table in tables)
    return _shard_withdrawn(versions, asked, policy, tuple(_Unhashed(table) for table in tables))


def is_behind(workspace: Workspace, name: str, partition: str) -> bool:
    """Whether a published clean shard holds what leaves by now, or lacks what may be back.

    Raises:
        NotPublished: a table of the shard is not there.
    """
    recorded = workspace.lake.table(f"clean/{name}", partition).manifest().recipe.config.get(RECIPE_NAME)
    now = withdrawn_of(workspace, *shard_tables(workspace.lake, name, partition)).recipe.get(RECIPE_NAME)
    return recorded != now


def shard_tables(lake: Lake, name: str, partition: str) -> tuple[Table, Table, Table, Table]:
    """Documents, fingerprints, duplicate and contamination verdicts of a component's shard."""
    component = next(table for table in COMPONENT_TABLES if table.name == name)
    keys = [component.documents, *(f"attributes/{what}/{name}" for what in _ATTRIBUTES)]
    documents, fingerprints, duplicates, contamination = (lake.table(key, partition) for key in keys)
    return documents, fingerprints, duplicates, contamination


_ATTRIBUTES = ("fingerprints", "duplicates", "contamination")


class _Unhashed:
    """A value that rides along with the arguments that a cache goes by."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Unhashed)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=16)
def _read(root: str, places: tuple[tuple[str, str], ...], lake: _Unhashed) -> TakeDowns:
    """The requests at these places, which are written once and so may be kept."""
    selectors, hashes = [], set()
    for key, name in places:
        table = lake.value.table(key, name)
        facts = table.manifest().facts
        if key == REQUESTS_KEY:
            selectors.append(Selector(kind=facts["kind"], value=facts["value"]))
        hashes |= hashes_of(table)
    return TakeDowns(version=digest([root, places]), selectors=tuple(selectors), hashes=frozenset(hashes))


def hashes_of(table: Table) -> set[bytes]:
    """The content hashes in a table of what was taken down."""
    columns = ("prose_hash", "code_hash")
    batches = table.batches(columns=list(columns))
    return {value for batch in batches for name in columns for value in batch.column(name).to_pylist()} - {NO_HASH}


# A shard is asked for its withdrawn documents several times in a run; the answer is a few ids.
@lru_cache(maxsize=4096)
def _shard_withdrawn(
    versions: tuple[str, ...], asked: TakeDowns, policy: LicencePolicy, tables: tuple[_Unhashed, ...]
) -> Withdrawn:
    documents, fingerprints, *verdicts = (table.value for table in tables)
    reasons: dict[str, str] = {}
    columns = sorted({"doc_id", "licence", *(name for selector in asked.selectors for name in selector.columns)})
    for batch in documents.batches(columns=columns):
        doc_ids = batch.column("doc_id").to_pylist()
        if not policy.is_open:
            licences = zip(doc_ids, batch.column("licence").to_pylist(), strict=True)
            reasons |= {doc_id: LICENCE for doc_id, licence in licences if not _permits(policy, licence)}
        for selector in asked.selectors:
            matched = zip(doc_ids, selector.matches(batch), strict=True)
            reasons |= {doc_id: TAKEN_DOWN for doc_id, is_meant in matched if is_meant}
    reasons |= dict.fromkeys(same_texts(fingerprints, asked.hashes), TAKEN_DOWN)
    for table in verdicts if reasons else ():
        staying = _staying(table, reasons)
        reasons = {doc_id: reason for doc_id, reason in reasons.items() if doc_id in staying}
    return Withdrawn(reasons=dict(sorted(reasons.items())))


def same_texts(fingerprints: Table, hashes: Collection[bytes]) -> Iterator[str]:
    """doc_ids of a shard whose text has one of these content hashes."""
    if not hashes:
        return
    wanted = pa.array(sorted(hashes), pa.binary(16))
    for batch in fingerprints.batches(columns=["doc_id", "content_hash"]):
        yield from batch.column("doc_id").filter(pc.is_in(batch.column("content_hash"), wanted)).to_pylist()


def _staying(verdicts: Table, doc_ids: Collection[str]) -> set[str]:
    """Those of the doc_ids that a tagger leaves in: of a record given twice, one row stays and one goes."""
    wanted, staying = pa.array(sorted(doc_ids), pa.string()), set()
    for batch in verdicts.batches(columns=["doc_id", "verdict"]):
        stays = pc.and_not(pc.is_in(batch.column("doc_id"), wanted), pc.is_in(batch.column("verdict"), _GONE_ANYHOW))
        staying.update(batch.column("doc_id").filter(stays).to_pylist())
    return staying


@lru_cache(maxsize=4096)
def _permits(policy: LicencePolicy, licence: str) -> bool:
    return policy.permits(licence)
