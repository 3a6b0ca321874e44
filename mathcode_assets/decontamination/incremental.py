"""A corpus scanned again after benchmarks were added, changed or taken away, for the difference only.

What is found of one benchmark depends on the document and on that benchmark's part of the index. So the
matches of the benchmarks that did not change are taken over, the text is read for the others only, and
the result is, byte for byte, that of a full scan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mathcode_assets.decontamination.config import DecontaminationConfig
from mathcode_assets.decontamination.index import BenchmarkIndex
from mathcode_assets.decontamination.scan import MatchRow, Scanner, attributes, strongest_first
from mathcode_assets.records import CLEAN
from mathcode_assets.storage.consolidate import NotCopartitioned


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Which benchmarks have to be looked for, and which matches still hold."""

    kept: frozenset[str]  # scanned for before, and not changed since
    new: frozenset[str]  # to be scanned for: added or changed
    gone: frozenset[str]  # scanned for before; taken away or changed


def difference(before: Mapping[str, str], now: Mapping[str, str]) -> Difference:
    """What changed between two indexes, given the versions of their parts."""
    kept = {name for name, version in now.items() if before.get(name) == version}
    return Difference(kept=frozenset(kept), new=frozenset(now.keys() - kept), gone=frozenset(before.keys() - kept))


def rescan_documents(
    batches: Iterable[pa.RecordBatch],
    previous: Iterable[pa.RecordBatch],
    index: BenchmarkIndex,
    kept: Collection[str],
    config: DecontaminationConfig | None = None,
) -> Iterator[pa.RecordBatch]:
    """Contamination attributes as `scan_documents` gives them, old matches taken over.

    Args:
        batches: the documents, as when they were scanned before; ``text`` is read only where `index`
            has other benchmarks than the kept ones.
        previous: their attributes from that scan, made with the same config.
        index: the index as it is now.
        kept: benchmarks whose matches of that scan still hold.
        config: thresholds.

    Raises:
        NotCopartitioned: the attributes are not those of the documents.
    """
    scanner = Scanner(index.select(index.parts.keys() - set(kept)), config or DecontaminationConfig())
    rows = _Rows(previous)
    for batch in batches:
        yield _with_held(batch.column("doc_id"), scanner.matches_of(batch), rows, kept)
    rows.end()


def rescan_candidates(
    doc_ids: Iterable[pa.RecordBatch],
    candidates: Iterable[tuple[np.ndarray, pa.RecordBatch]],
    previous: Iterable[pa.RecordBatch],
    index: BenchmarkIndex,
    kept: Collection[str],
    config: DecontaminationConfig | None = None,
) -> Iterator[pa.RecordBatch]:
    """What `rescan_documents` gives, where it is known which documents may hold one of the new benchmarks.

    Args:
        doc_ids: ``doc_id`` of all documents, as when they were scanned before.
        candidates: ``doc_id`` and ``text`` of the documents that `corpus_index.candidate_rows` names, ascending,
            with their rows.
        previous: as in `rescan_documents`.
        index: of the new benchmarks alone, as it was given there.
        kept: as in `rescan_documents`.
        config: thresholds.

    Raises:
        NotCopartitioned: the attributes or the candidates are not those of the documents.
    """
    scanner = Scanner(index, config or DecontaminationConfig())
    rows, found = _Rows(previous), _Found(scanner, candidates)
    for batch in doc_ids:
        yield _with_held(batch.column("doc_id"), found.next(batch.column("doc_id")), rows, kept)
    rows.end()


def _with_held(
    doc_ids: pa.Array, found: dict[int, list[MatchRow]], rows: _Rows, kept: Collection[str]
) -> pa.RecordBatch:
    """Attributes of a batch: what was found in its rows now, and what still holds of what was found before."""
    for row, own in rows.matches_of(doc_ids).items():
        held = [match for match in own if match["benchmark"] in kept]
        if held:
            found[row] = strongest_first([*held, *found.get(row, [])])
    return attributes(doc_ids, found)


class _Found:
    """Matches of the candidates, handed out in the pieces that the stream of all documents comes in."""

    def __init__(self, scanner: Scanner, candidates: Iterable[tuple[np.ndarray, pa.RecordBatch]]) -> None:
        self.scanner, self.candidates = scanner, iter(candidates)
        self.first = 0  # row of the next piece
        self.read: list[tuple[int, str, list[MatchRow]]] = []  # row, doc_id and matches of candidates read ahead
        self.last = -1  # row of the last candidate that was read

    def next(self, doc_ids: pa.Array) -> dict[int, list[MatchRow]]:
        """Matches of the next rows, of those that have any; their ids must be these."""
        end = self.first + len(doc_ids)
        while self.last < end - 1 and (piece := next(self.candidates, None)) is not None:
            rows, batch = piece
            self.last = int(rows[-1])
            ids = batch.column("doc_id")
            self.read += [(int(rows[k]), ids[k].as_py(), own) for k, own in self.scanner.matches_of(batch).items()]
        found: dict[int, list[MatchRow]] = {}
        for row, doc_id, own in self.read:
            if row < end:
                if doc_ids[row - self.first].as_py() != doc_id:
                    raise NotCopartitioned(f"row {row} is not the candidate {doc_id}")
                found[row - self.first] = own
        self.read = [entry for entry in self.read if entry[0] >= end]
        self.first = end
        return found


class _Rows:
    """Rows of one stream taken in the pieces that another stream comes in."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self.batches = iter(batches)
        self.rest: pa.RecordBatch | None = None

    def matches_of(self, doc_ids: pa.Array) -> dict[int, list[MatchRow]]:
        """Matches of the next rows, of those that have any; their ids must be these."""
        found: dict[int, list[MatchRow]] = {}
        done = 0
        while done < len(doc_ids):
            piece = self.next_piece(len(doc_ids) - done)
            wanted = doc_ids.slice(done, piece.num_rows).cast(pa.string())
            if not piece.column("doc_id").equals(wanted):
                raise NotCopartitioned(f"the earlier scan is of other documents, from row {done} of a batch on")
            hits = pc.indices_nonzero(pc.not_equal(piece.column("verdict"), CLEAN)).to_pylist()
            found |= {done + row: piece.column("matches")[row].as_py() for row in hits}
            done += piece.num_rows
        return found

    def next_piece(self, limit: int) -> pa.RecordBatch:
        """At least one row, at most so many."""
        while self.rest is None or not self.rest.num_rows:
            try:
                self.rest = next(self.batches)
            except StopIteration:
                raise NotCopartitioned("the earlier scan has fewer rows than there are documents") from None
        piece, self.rest = self.rest.slice(0, limit), self.rest.slice(limit)
        return piece

    def end(self) -> None:
        """No row may be left."""
        if (self.rest is not None and self.rest.num_rows) or any(batch.num_rows for batch in self.batches):
            raise NotCopartitioned("the earlier scan has more rows than there are documents")
