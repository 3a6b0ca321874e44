"""Benchmark items found inside documents.

Reads ``doc_id`` and ``text``; writes `records.CONTAMINATION_ATTRIBUTES`, one row a document, in order.
What is measured is how much of the *item* the *document* contains, so the length of the document
does not matter. Two tiers: a pass in compiled code over all bytes finds the few (document, item)
pairs with enough n-grams in common, then each pair is aligned token by token and judged.
Time is linear in the text; memory does not depend on it beyond the batch itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from mathcode_assets.decontamination import kernels
from mathcode_assets.decontamination.alignment import MAX_CELLS, align, chain_hits
from mathcode_assets.decontamination.config import GRAM, DecontaminationConfig
from mathcode_assets.decontamination.index import BenchmarkIndex
from mathcode_assets.decontamination.verdict import Aligned, judge_alignment, verdict_of
from mathcode_assets.records import CLEAN, CONTAMINATED, CONTAMINATION_ATTRIBUTES, NEAR, batch_of
from mathcode_assets.text.kernel import tokenise_buffer
from mathcode_assets.text.normalise import Tokens
from mathcode_assets.text.tables import tables

_HITS = 1 << 18  # hits held at a time; more are read in further stretches
_CARRY_TOKENS = 2500  # of the last stretch kept, so that a question across the border is whole once
_BYTES_PER_TOKEN = 20  # generous: LaTeX and Markdown dress included
_PAIRS = 1 << 16  # candidate (document, item) pairs held at a time
_NOTHING = {"verdict": CLEAN, "benchmark": None, "question_index": None, "score": 0.0, "evidence": None}
_RANK = {CONTAMINATED: 0, NEAR: 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One item found in one document."""

    item: int
    verdict: str
    score: float
    first_byte: int
    last_byte: int


def scan_documents(
    batches: Iterable[pa.RecordBatch], index: BenchmarkIndex, config: DecontaminationConfig | None = None
) -> Iterator[pa.RecordBatch]:
    """Contamination attributes of documents: one batch for each batch read, same rows, same order.

    Args:
        batches: any schema with ``doc_id`` and ``text`` (string or large_string).
        index: from `build_index`.
        config: thresholds; the defaults are the measured ones.
    """
    scanner = _Scanner(index, config or DecontaminationConfig())
    for batch in batches:
        yield batch_of(scanner.rows(batch), CONTAMINATION_ATTRIBUTES)


class _Scanner:
    """The index in the form the kernels want, and the scratch arrays they share between documents."""

    def __init__(self, index: BenchmarkIndex, config: DecontaminationConfig) -> None:
        self.index, self.config, self.tables = index, config, tables()
        p = index.postings
        self.lookup = (p.bitmap, p.short_bitmap, p.slot_key, p.slot_first, p.slot_count, p.item)
        self.seen = np.zeros(len(p.item), np.int64)
        self.score = np.zeros(len(index), np.float32)
        self.touched = np.zeros(len(index), np.int64)
        self.wanted = np.zeros(len(index), np.uint8)
        self.pairs = (np.zeros(len(index) + _PAIRS, np.int64), np.zeros(len(index) + _PAIRS, np.int64))
        self.stamp = 1
        self.names = index.items["benchmark"].to_pylist()
        self.numbers = index.items["question_index"].to_pylist()
        self.hits: tuple[np.ndarray, ...] | None = None

    def rows(self, batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
        doc_ids = batch.column("doc_id").to_pylist()
        if not doc_ids:
            return
        text = batch.column("text").cast(pa.large_string())
        offsets = np.frombuffer(text.buffers()[1], np.int64, len(text) + 1, text.offset * 8)
        data = text.buffers()[2]
        buffer = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
        candidates = self.candidates(buffer, offsets)
        for row, doc_id in enumerate(doc_ids):
            found: list[dict[str, Any]] = []
            if row in candidates:
                matches = self.matches(candidates[row], buffer, int(offsets[row]), int(offsets[row + 1]))
                found = [self.described(match, buffer) for match in matches]
            best = found[0] if found else _NOTHING
            yield {"doc_id": doc_id, **{name: best[name] for name in _NOTHING}, "matches": found}

    def described(self, match: Match, buffer: np.ndarray) -> dict[str, Any]:
        span = buffer[match.first_byte : min(match.last_byte, match.first_byte + 4 * self.config.evidence_characters)]
        return {
            "benchmark": self.names[match.item],
            "question_index": self.numbers[match.item],
            "verdict": match.verdict,
            "score": match.score,
            "evidence": span.tobytes().decode("utf-8", "ignore")[: self.config.evidence_characters],
        }

    def candidates(self, buffer: np.ndarray, offsets: np.ndarray) -> dict[int, np.ndarray]:
        """Items with enough n-gram weight in a document, ascending, for the rows that have any."""
        found: dict[int, np.ndarray] = {}
        first = 0
        while first < len(offsets) - 1:
            used, done = kernels.find_candidates(
                buffer, offsets[first:], self.tables, *self.lookup, self.index.postings.share, self.seen,
                self.score, self.touched, self.stamp, self.config.candidate_share, *self.pairs,
            )  # fmt: skip
            self.stamp += done
            documents, items = self.pairs[0][:used], self.pairs[1][:used]
            for document in np.unique(documents).tolist():
                found[first + document] = np.sort(items[documents == document])
            first += done
        return found

    def matches(self, candidates: np.ndarray, buffer: np.ndarray, begin: int, end: int) -> list[Match]:
        """Matches of the candidates in the document, strongest first."""
        document = buffer[begin:end].tobytes()
        view = np.frombuffer(document, np.uint8)
        best: dict[int, Match] = {}
        aligned_so_far: Counter[int] = Counter()
        for stretch in self.stretches(candidates, view):
            for item, hits in stretch:
                if item in best and best[item].verdict == CONTAMINATED:
                    continue
                match, tried = self.best_of(item, hits, view, document, aligned_so_far[item])
                aligned_so_far[item] += tried
                if match and (item not in best or _strength(match) < _strength(best[item])):
                    best[item] = match
        ordered = sorted(best.values(), key=_strength)
        return [
            Match(
                item=m.item,
                verdict=m.verdict,
                score=m.score,
                first_byte=begin + m.first_byte,
                last_byte=begin + m.last_byte,
            )
            for m in ordered
        ]

    def stretches(self, candidates: np.ndarray, view: np.ndarray) -> Iterator[list[tuple[int, tuple]]]:
        """Hits of the candidates grouped by item, a bounded number of hits at a time."""
        if self.hits is None:
            types = (np.int64, np.int64, np.int64, np.int64, np.float32, np.bool_)
            self.hits = tuple(np.zeros(_HITS, dtype) for dtype in types)
        self.wanted[candidates] = 1
        state, used, done = kernels.new_state(0), 0, False
        p = self.index.postings
        while not done:
            used, done = kernels.collect_hits(
                view, len(view), self.tables, state, *self.lookup, p.position, p.share, p.exact,
                self.wanted, used, *self.hits,
            )  # fmt: skip
            yield list(_by_item(tuple(column[:used] for column in self.hits)))
            used = 0 if done else self._carry(used)
        self.wanted[candidates] = 0

    def _carry(self, used: int) -> int:
        """Move the hits of the last tokens to the front; their number."""
        token = self.hits[1][:used]
        first = max(int(np.searchsorted(token, token[-1] - _CARRY_TOKENS)), used - _HITS // 4)
        for column in self.hits:
            column[: used - first] = column[first:used].copy()
        return used - first

    def best_of(
        self, item: int, hits: tuple, view: np.ndarray, document: bytes, tried: int
    ) -> tuple[Match | None, int]:
        """The strongest match of one item among its hits in one stretch, and the alignments it took.

        An item aligned often enough in this document (a template repeated thousands of times) is aligned
        again only where n-grams with its own numbers make a good part of it.
        """
        config = self.config
        length = int(self.index.offsets[item + 1] - self.index.offsets[item])
        places, weights = chain_hits(*hits, config.gap_tokens, 3 * length + 2 * config.gap_tokens)
        column = 1 if tried >= config.max_alignments else 0
        enough = np.flatnonzero(weights[:, column] >= (config.exact_share if column else config.chain_share))
        order = enough[np.lexsort((enough, -weights[enough, 0], -weights[enough, 1]))][: config.max_alignments]
        best, parts = None, []
        for chain in order:
            if any(p.first_byte <= places[chain][0] and places[chain][1] < p.last_byte for p in parts):
                continue  # inside a stretch that was aligned already
            aligned = self.aligned(item, length, places[chain], view, document)
            if aligned is None:
                continue
            match = _match(aligned, verdict_of(aligned, self.index, document, config))
            if match and (best is None or _strength(match) < _strength(best)):
                best = match
            if best and best.verdict == CONTAMINATED:
                return best, 0
            parts.append(aligned)
        return _union(parts, self.index, config) or best, len(parts)

    def aligned(self, item: int, length: int, place: np.ndarray, view: np.ndarray, document: bytes) -> Aligned | None:
        first_byte, last_byte, first, last = (int(value) for value in place)
        begin = max(0, first_byte - _BYTES_PER_TOKEN * (first + 8))
        end = min(len(view), last_byte + _BYTES_PER_TOKEN * (length - last + GRAM + 8))
        begin = _blank_before(view, begin)
        arrays = tokenise_buffer(view, begin, end, self.tables)
        limit = max(MAX_CELLS // max(length, 1), 64)
        window = Tokens(
            **{n: a[:limit] for n, a in zip(("hashes", "is_number", "starts", "stops"), arrays, strict=True)}
        )
        at = slice(int(self.index.offsets[item]), int(self.index.offsets[item + 1]))
        placed = align(self.index.token_hash[at], self.index.token_number[at], window.hashes, window.is_number)
        return judge_alignment(item, self.index, placed, window, document)


def _blank_before(view: np.ndarray, at: int) -> int:
    """The first blank at or after a byte, so that a window does not begin inside a word or character."""
    for k in range(at, min(at + 200, len(view))):
        if k == 0 or view[k] <= 32:
            return k
    return at


def _by_item(columns: tuple[np.ndarray, ...]) -> Iterator[tuple[int, tuple]]:
    item = columns[0]
    order = np.lexsort((columns[2], columns[1], item))
    borders = np.flatnonzero(np.diff(item[order])) + 1
    for rows in np.split(order, borders):
        if len(rows):
            yield int(item[rows[0]]), tuple(column[rows] for column in columns[1:])


def _match(aligned: Aligned, verdict: str) -> Match | None:
    if verdict == CLEAN:
        return None
    return Match(
        item=aligned.item, verdict=verdict, score=aligned.coverage,
        first_byte=aligned.first_byte, last_byte=aligned.last_byte,
    )  # fmt: skip


def _union(parts: list[Aligned], index: BenchmarkIndex, config: DecontaminationConfig) -> Match | None:
    """A question whose parts lie far apart: long unchanged pieces that together make nearly all of it."""
    good = [p for p in parts if not p.changed and p.pieces == 1 and int(p.equal.sum()) >= config.union_tokens]
    if len(good) < 2 or len(good[0].equal) < config.short_tokens:
        return None
    item = good[0].item
    at = slice(int(index.offsets[item]), int(index.offsets[item + 1]))
    weight, word = index.token_weight[at].astype(np.float64), index.token_word[at]
    covered = np.logical_or.reduce([part.equal for part in good])
    information, total = float(weight[covered].sum()), max(float(weight.sum()), 1e-9)
    words = float(weight[covered & word].sum()) / max(float(weight[word].sum()), 1e-9)
    if min(information / total, words) < config.union_coverage or information < config.partial_information:
        return None
    return Match(
        item=item, verdict=CONTAMINATED, score=min(information / total, 1.0),
        first_byte=good[0].first_byte, last_byte=good[0].last_byte,
    )  # fmt: skip


def _strength(match: Match) -> tuple:
    """Sort key, strongest first; ties by item, so that the order is the same everywhere."""
    return (_RANK[match.verdict], -match.score, match.item, match.first_byte)
