"""Benchmark items found inside documents.

Reads ``doc_id`` and ``text``; writes `records.CONTAMINATION_ATTRIBUTES`, one row a document, in order.
What is measured is how much of the *item* the *document* contains, so the length of the document
does not matter. Two tiers: a pass in compiled code over all bytes finds the few (document, item)
pairs with enough n-grams in common, then each pair is aligned token by token and judged.
Time is linear in the text; memory does not depend on it beyond the batch itself.

What is found of an item depends on the document and that item alone, never on the other items looked
for: `decontamination.incremental` builds on it.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from mathcode_assets.decontamination import kernels
from mathcode_assets.decontamination.config import DecontaminationConfig
from mathcode_assets.decontamination.index import BenchmarkIndex
from mathcode_assets.decontamination.measure import COUNTS, LOOK_BACK, SHARES
from mathcode_assets.decontamination.placing import align_next, limits_of, strongest_places
from mathcode_assets.decontamination.verdict import Aligned, verdict_of
from mathcode_assets.records import CLEAN, CONTAMINATED, CONTAMINATION_ATTRIBUTES, NEAR
from mathcode_assets.text.tables import tables

_HITS = 1 << 18  # hits held at a time; more are read in further stretches
_CARRY_TOKENS = 2500  # of the last stretch kept, so that a question across the border is whole once
_PAIRS = 1 << 16  # candidate (document, item) pairs held at a time
_RANK = {CONTAMINATED: 0, NEAR: 1}
_BEST = ("benchmark", "question_index", "score", "evidence")  # columns of the strongest match
_FLAGS = frozenset({"is_template", "is_whole", "is_run"})

MatchRow = dict[str, Any]  # one of the rows' `matches`, see records.CONTAMINATION_MATCH


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One item found in one document."""

    item: int
    verdict: str
    score: float
    first_byte: int
    last_byte: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A long unchanged piece of an item, and which of its tokens it holds."""

    equal: np.ndarray
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
    scanner = Scanner(index, config or DecontaminationConfig())
    for batch in batches:
        yield attributes(batch.column("doc_id"), scanner.matches_of(batch))


def attributes(doc_ids: pa.Array, found: dict[int, list[MatchRow]]) -> pa.RecordBatch:
    """A batch of attributes from the matches of its rows, strongest first; rows without any are clean."""
    n = len(doc_ids)
    columns: dict[str, list[Any]] = {"verdict": [CLEAN] * n} | {name: [None] * n for name in _BEST}
    columns["score"] = [0.0] * n
    matches: list[list[MatchRow]] = [[]] * n
    for row, own in found.items():
        if own:
            columns["verdict"][row], matches[row] = own[0]["verdict"], own
            for name in _BEST:
                columns[name][row] = own[0][name]
    schema = CONTAMINATION_ATTRIBUTES
    arrays = [
        doc_ids.cast(pa.string()) if f.name == "doc_id"
        else pa.array(matches if f.name == "matches" else columns[f.name], f.type)
        for f in schema
    ]  # fmt: skip
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def strongest_first(matches: Iterable[MatchRow]) -> list[MatchRow]:
    """Matches of a document in the order of the table; ties by item, so that the order is the same everywhere."""
    return sorted(matches, key=lambda m: (_RANK[m["verdict"]], -float(m["score"]), m["benchmark"], m["question_index"]))


def text_of(batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
    """The bytes of a batch's texts, and where in them each text begins."""
    text = batch.column("text").cast(pa.large_string())
    offsets = np.frombuffer(text.buffers()[1], np.int64, len(text) + 1, text.offset * 8)
    data = text.buffers()[2]
    return np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8), offsets


class Scanner:
    """The index in the form the kernels want, and the scratch arrays they share between documents."""

    def __init__(self, index: BenchmarkIndex, config: DecontaminationConfig) -> None:
        self.index, self.config, self.tables = index, config, tables()
        self.seen = np.zeros(len(index.postings.item), np.int64)
        self.score = np.zeros(len(index), np.float32)
        self.touched = np.zeros(len(index), np.int64)
        self.wanted = np.zeros(len(index), np.uint8)
        self.pairs = (np.zeros(len(index) + _PAIRS, np.int64), np.zeros(len(index) + _PAIRS, np.int64))
        self.stamp = 1
        self.names = index.items["benchmark"].to_pylist()
        self.numbers = index.items["question_index"].to_pylist()
        self.word = index.token_word & index.token_core
        self.weight = index.token_weight.astype(np.float64)
        # Hits that one more token of a document may add, at three keys a token.
        self.room = 3 * int(index.postings.slot_count.max(initial=0))
        self.hits: tuple[np.ndarray, ...] | None = None
        self.counts, self.shares = np.zeros(len(COUNTS), np.int64), np.zeros(len(SHARES))
        self.stops = np.zeros(LOOK_BACK, np.int64)
        self.limits = limits_of(config)

    def matches_of(self, batch: pa.RecordBatch) -> dict[int, list[MatchRow]]:
        """Matches of the rows of a batch that have any, strongest first."""
        if not batch.num_rows or not len(self.index):
            return {}
        buffer, offsets = text_of(batch)
        found: dict[int, list[MatchRow]] = {}
        for row, items in self.candidates(buffer, offsets).items():
            matches = self.matches(items, buffer[offsets[row] : offsets[row + 1]])
            if matches:
                found[row] = strongest_first(matches)
        return found

    def candidates(self, buffer: np.ndarray, offsets: np.ndarray) -> dict[int, np.ndarray]:
        """Items with enough n-gram weight in a document, ascending, for the rows that have any."""
        found: dict[int, np.ndarray] = {}
        first = 0
        while first < len(offsets) - 1:
            used, done = kernels.find_candidates(
                buffer, offsets[first:], self.tables, *self.index.postings.lookup, self.index.postings.share,
                self.seen, self.score, self.touched, self.stamp, self.config.candidate_share, *self.pairs,
            )  # fmt: skip
            self.stamp += done
            documents, items = self.pairs[0][:used], self.pairs[1][:used]
            rows, at = np.unique(documents, return_index=True)
            for row, own in zip(rows.tolist(), np.split(items, at[1:]), strict=True) if used else ():
                found[first + row] = np.sort(own)
            first += done
        return found

    def matches(self, candidates: np.ndarray, view: np.ndarray) -> list[MatchRow]:
        """Matches of the candidates in a document, in no order."""
        best: dict[int, Match] = {}
        aligned_so_far: Counter[int] = Counter()
        for item, hits in self.hits_of(candidates, view):
            if item in best and best[item].verdict == CONTAMINATED:
                continue
            match, tried = self.best_of(item, hits, view, aligned_so_far[item])
            aligned_so_far[item] += tried
            if match and (item not in best or _strength(match) < _strength(best[item])):
                best[item] = match
        return [self.described(match, view) for match in best.values()]

    def described(self, match: Match, view: np.ndarray) -> MatchRow:
        """A match as a row; its score as exact as the table holds it, so that rows sort alike before and after."""
        limit = self.config.evidence_characters
        span = view[match.first_byte : min(match.last_byte, match.first_byte + 4 * limit)]
        return {
            "benchmark": self.names[match.item],
            "question_index": self.numbers[match.item],
            "verdict": match.verdict,
            "score": float(np.float32(match.score)),
            "evidence": span.tobytes().decode("utf-8", "ignore")[:limit],
        }

    def hits_of(self, candidates: np.ndarray, view: np.ndarray) -> Iterator[tuple[int, tuple]]:
        """Hits of each candidate, a bounded number at a time.

        A document whose hits do not fit in memory at once is read in stretches, each benchmark by itself:
        where a stretch ends must not depend on the other benchmarks.
        """
        used, done = self.read_hits(candidates, view, kernels.new_state(0), 0)
        if done:
            yield from _by_item(self.held(used))
            return
        names = np.array([self.names[item] for item in candidates.tolist()])
        for name in np.unique(names).tolist():
            state, used, done = kernels.new_state(0), 0, False
            while not done:
                used, done = self.read_hits(candidates[names == name], view, state, used)
                yield from list(_by_item(self.held(used)))
                used = 0 if done else self.carry(used)

    def held(self, used: int) -> tuple[np.ndarray, ...]:
        """The hits read last."""
        assert self.hits is not None
        return tuple(column[:used] for column in self.hits)

    def read_hits(self, candidates: np.ndarray, view: np.ndarray, state: np.ndarray, used: int) -> tuple[int, bool]:
        """Append hits of the candidates: how many there are then, and whether the document is at its end."""
        if self.hits is None:
            types = (np.int64, np.int64, np.int64, np.int64, np.float32, np.bool_)
            self.hits = tuple(np.zeros(_HITS + 4 * self.room, dtype) for dtype in types)
        postings = self.index.postings
        self.wanted[candidates] = 1
        used, done = kernels.collect_hits(
            view, len(view), self.tables, state, *postings.lookup, postings.position, postings.share,
            postings.exact, self.wanted, self.room, used, *self.hits,
        )  # fmt: skip
        self.wanted[candidates] = 0
        return used, done

    def carry(self, used: int) -> int:
        """Move the hits of the last tokens to the front; their number."""
        assert self.hits is not None
        token = self.hits[1][:used]
        first = max(int(np.searchsorted(token, token[-1] - _CARRY_TOKENS)), used - _HITS // 4)
        for column in self.hits:
            column[: used - first] = column[first:used].copy()
        return used - first

    def best_of(self, item: int, hits: tuple, view: np.ndarray, tried: int) -> tuple[Match | None, int]:
        """The strongest match of one item among its hits in one stretch, and the alignments it took.

        An item aligned often enough in this document (a template repeated thousands of times) is aligned
        again only where n-grams with its own numbers make a good part of it.
        """
        config = self.config
        at = slice(int(self.index.offsets[item]), int(self.index.offsets[item + 1]))
        length = at.stop - at.start
        is_worn = tried >= config.max_alignments
        places = strongest_places(
            *hits, config.gap_tokens, 3 * length + 2 * config.gap_tokens, int(is_worn),
            config.exact_share if is_worn else config.chain_share, config.max_alignments,
        )  # fmt: skip
        tokens = (
            self.index.token_hash[at], self.index.token_number[at], self.word[at], self.index.token_core[at],
            self.weight[at],
        )  # fmt: skip
        equal, spans = np.empty(length, np.bool_), np.empty((len(places), 2), np.int64)
        best, parts, place, n_spans = None, [], 0, 0
        while place < len(places):
            place, n_spans, matters = align_next(
                view, self.tables, places, place, spans, n_spans, *tokens, self.limits, equal, self.stops,
                self.counts, self.shares,
            )  # fmt: skip
            if not matters:
                break
            match = self.judged(item, length, view)
            if match and match.verdict == CONTAMINATED:
                return match, 0
            if match and (best is None or _strength(match) < _strength(best)):
                best = match
            if self.is_part(length):
                first_byte, last_byte = spans[n_spans - 1].tolist()
                parts.append(_Part(equal=equal.copy(), first_byte=first_byte, last_byte=last_byte))
        return _union(item, parts, self.index, config) or best, n_spans

    def judged(self, item: int, length: int, view: np.ndarray) -> Match | None:
        """The verdict on what was aligned last."""
        config = self.config
        template, information, lead_information = self.shares[1], self.shares[2], self.shares[4]
        if lead_information < config.cut_information and length >= config.short_tokens and (
            template < config.near_coverage or information < config.near_information
        ):  # fmt: skip
            return None  # neither cut, nor whole, nor near: it is a part, or nothing
        values = dict(zip(COUNTS, self.counts.tolist(), strict=True))
        aligned = Aligned(
            item=item, length=length, lead_stops=tuple(stop for stop in self.stops.tolist() if stop >= 0),
            **{name: bool(value) if name in _FLAGS else value for name, value in values.items()},
            **dict(zip(SHARES, self.shares.tolist(), strict=True)),
        )  # fmt: skip
        verdict = verdict_of(aligned, self.index, view.tobytes(), config)
        if verdict == CLEAN:
            return None
        return Match(
            item=item, verdict=verdict, score=aligned.coverage,
            first_byte=aligned.first_byte, last_byte=aligned.last_byte,
        )  # fmt: skip

    def is_part(self, length: int) -> bool:
        """Whether what was aligned last may be one of several pieces of a question."""
        n_equal, changed, pieces = int(self.counts[0]), int(self.counts[3]), int(self.counts[9])
        long_enough = n_equal >= self.config.union_tokens and length >= self.config.short_tokens
        return not changed and pieces == 1 and long_enough


def _by_item(columns: tuple[np.ndarray, ...]) -> Iterator[tuple[int, tuple]]:
    item = columns[0]
    order = np.lexsort((columns[2], columns[1], item))
    columns = tuple(column[order] for column in columns)
    borders = [0, *(np.flatnonzero(np.diff(columns[0])) + 1).tolist(), len(order)]
    for first, last in itertools.pairwise(borders):
        if last > first:
            yield int(columns[0][first]), tuple(column[first:last] for column in columns[1:])


def _union(item: int, parts: list[_Part], index: BenchmarkIndex, config: DecontaminationConfig) -> Match | None:
    """A question whose parts lie far apart: long unchanged pieces that together make nearly all of it."""
    if len(parts) < 2:
        return None
    at = slice(int(index.offsets[item]), int(index.offsets[item + 1]))
    weight, word = index.token_weight[at].astype(np.float64), index.token_word[at]
    covered = np.logical_or.reduce([part.equal for part in parts])
    information, total = float(weight[covered].sum()), max(float(weight.sum()), 1e-9)
    words = float(weight[covered & word].sum()) / max(float(weight[word].sum()), 1e-9)
    if min(information / total, words) < config.union_coverage or information < config.partial_information:
        return None
    return Match(
        item=item, verdict=CONTAMINATED, score=min(information / total, 1.0),
        first_byte=parts[0].first_byte, last_byte=parts[0].last_byte,
    )  # fmt: skip


def _strength(match: Match) -> tuple:
    """Sort key among the matches of one item, strongest first."""
    return (_RANK[match.verdict], -match.score, match.first_byte)
