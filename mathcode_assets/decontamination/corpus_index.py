"""A stored index of the corpus: which documents may hold a new benchmark, told without reading them.

Reading, normalising and hashing the text is what a re-scan for a few new questions spends its time on. The index
keeps what the text is hashed to: for every few pages the set of their windows of three tokens, as 16 bits each. An
n-gram of five tokens can be there only if its three windows are, so the share of an item's n-grams that a document
may hold has an upper bound, and a document below `DecontaminationConfig.candidate_share` for every item is one the scan
would find nothing in. The others, a few more than the scan's own candidates, are read and scanned as ever.

Nothing is sampled: the candidates are all that the scan could report. Windows of three are the n-grams of very short
questions, too, so that one kind of entry serves both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mathcode_assets.decontamination import corpus_kernels as kernels
from mathcode_assets.decontamination.config import GRAM, SHORT_GRAM, DecontaminationConfig
from mathcode_assets.decontamination.index import BenchmarkIndex
from mathcode_assets.decontamination.scan import text_of
from mathcode_assets.records import CORPUS_NGRAMS
from mathcode_assets.text.ngrams import EXACT_SALT, gram_hashes, masked
from mathcode_assets.text.tables import tables

SEGMENT_KEYS = 1 << 23  # a segment is closed by the document that reaches so many: about 50 MB of text
BUCKET_KEYS_BITS = 2  # four to eight keys a bucket: fewer make false candidates rarer, and counts of buckets more
_LEAST_BITS = 12  # of a bucket, in small segments
# The scan adds the shares of an item in the order of the text and as float32, here they are added in the item's.
_ROUNDING = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusIndexConfig:
    """Whether the corpus is indexed."""

    # The index is about as large as the compressed text is and costs half a scan: worth it from the second
    # benchmark on that is added, and for who has the disk. See docs/decisions/0023.
    keep: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """The items of a benchmark index as their windows; see `corpus_kernels.documents_with_share`."""

    queries: np.ndarray
    windows: np.ndarray
    item_first: np.ndarray
    grams: np.ndarray
    shares: np.ndarray


def index_documents(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The index of documents: `records.CORPUS_NGRAMS`, one row a segment of documents one after the other.

    Holds the keys of one segment (8 bytes a token, twice that where it is a number) and the batch.

    Args:
        batches: any schema with ``text``.
    """
    segment = _Segment()
    for batch in batches:
        buffer, offsets = text_of(batch)
        done = 0
        while done < batch.num_rows:
            done += segment.add(buffer, offsets[done:])
            if done < batch.num_rows:
                yield segment.closed()
    if segment.n_rows:
        yield segment.closed()


class _Segment:
    """The keys of the segment being made."""

    def __init__(self) -> None:
        self.keys = np.empty(SEGMENT_KEYS, np.uint64)
        self.row_of_piece = np.empty(kernels.MAX_PIECES, np.uint16)
        self.first_row = self.n_rows = self.n_pieces = self.used = 0

    def add(self, buffer: np.ndarray, offsets: np.ndarray) -> int:
        """Add documents until the segment is full; how many were added."""
        before = self.n_rows
        while (added := self.n_rows - before) < len(offsets) - 1 and self.used < SEGMENT_KEYS:
            n_bytes = int(offsets[added + 1] - offsets[added])
            if self.n_pieces + kernels.piece_bytes(n_bytes)[1] > kernels.MAX_PIECES:
                break
            self.make_room(n_bytes)
            self.used, self.n_rows, self.n_pieces = kernels.add_documents(
                buffer, offsets[added:], tables(), self.n_rows, self.n_pieces, SEGMENT_KEYS, self.keys, self.used,
                self.row_of_piece,
            )  # fmt: skip
        return added

    def make_room(self, n_bytes: int) -> None:
        """For the keys of a document of so many bytes. What is not written to takes no memory."""
        wanted = self.used + kernels.room_for(n_bytes)
        if wanted > len(self.keys):
            grown = np.empty(max(wanted, 2 * SEGMENT_KEYS), np.uint64)
            grown[: self.used] = self.keys[: self.used]
            self.keys = grown

    def closed(self) -> pa.RecordBatch:
        """The segment as a row; the next one begins."""
        bits = max(_LEAST_BITS, self.used.bit_length() - 1 - BUCKET_KEYS_BITS)
        counts, entries = kernels.pack(self.keys[: self.used], bits)
        arrays = (self.row_of_piece[: self.n_pieces], counts, entries)
        values = [self.first_row, self.n_rows, *(array.astype("<u2").tobytes() for array in arrays)]
        self.first_row, self.n_rows, self.n_pieces, self.used = self.first_row + self.n_rows, 0, 0, 0
        if len(self.keys) > 2 * SEGMENT_KEYS:  # a very long document's
            self.keys = np.empty(SEGMENT_KEYS, np.uint64)
        columns = [pa.array([value], field.type) for value, field in zip(values, CORPUS_NGRAMS, strict=True)]
        return pa.RecordBatch.from_arrays(columns, schema=CORPUS_NGRAMS)


def candidate_rows(
    segments: Iterable[pa.RecordBatch], index: BenchmarkIndex, config: DecontaminationConfig | None = None
) -> np.ndarray:
    """Rows of the documents in which a scan could find an item, ascending; a few more than it would.

    Args:
        segments: of the documents, from `index_documents`.
        index: of the benchmarks that are new; `BenchmarkIndex.select` makes one.
        config: thresholds of the scan.
    """
    least = (config or DecontaminationConfig()).candidate_share - _ROUNDING
    lookup = lookup_of(index)
    found = [np.zeros(0, np.int64)]
    for batch in segments:
        for segment in range(batch.num_rows):
            first, n_rows = (batch.column(name)[segment].as_py() for name in ("first_row", "n_rows"))
            counts, entries, row_of_piece = (
                np.frombuffer(batch.column(name)[segment].as_buffer(), "<u2")
                for name in ("counts", "entries", "pieces")
            )
            rows = kernels.documents_with_share(
                counts, entries, row_of_piece, n_rows, lookup.queries, lookup.windows, lookup.item_first,
                lookup.grams, lookup.shares, least,
            )  # fmt: skip
            found.append(first + np.flatnonzero(rows))
    return np.concatenate(found)


def lookup_of(index: BenchmarkIndex) -> Lookup:
    """The items of an index as the windows of their n-grams."""
    postings = index.postings
    slots = np.flatnonzero(postings.slot_key)
    slots = slots[np.argsort(postings.slot_first[slots])]
    one = postings.slot_first[slots]  # of each n-gram one posting: the others have the same windows
    place = index.offsets[postings.item[one]] + postings.position[one]
    is_short = np.diff(index.offsets)[postings.item[one]] < GRAM
    steps = np.where(is_short[:, None], 0, np.arange(GRAM - SHORT_GRAM + 1)[None, :])
    keys = _window_keys(index, place[:, None] + steps, postings.slot_key[slots] == postings.exact[one])
    queries, windows = np.unique(keys, return_inverse=True)
    order = np.argsort(postings.item, kind="stable")
    grams = np.repeat(np.arange(len(slots)), postings.slot_count[slots])
    return Lookup(
        queries=queries,
        windows=windows.reshape(keys.shape).astype(np.int64),
        item_first=np.searchsorted(postings.item[order], np.arange(len(index) + 1)),
        grams=grams[order],
        shares=postings.share[order].astype(np.float64),
    )


def _window_keys(index: BenchmarkIndex, at: np.ndarray, by_exact: np.ndarray) -> np.ndarray:
    """Keys of the windows that begin at tokens, [n_grams, 3]; those of n-grams looked up exactly have their numbers."""
    soft = gram_hashes(masked(index.token_hash, index.token_number), SHORT_GRAM)
    exact = gram_hashes(index.token_hash, SHORT_GRAM) ^ EXACT_SALT
    n = len(soft)
    has_number = np.logical_or.reduce([index.token_number[k : k + n] for k in range(SHORT_GRAM)])
    return np.where(by_exact[:, None] & has_number[at], exact[at], soft[at])
