"""Token tables to packed sequences: no padding to speak of, and no document cut that fits.

Documents come as a stream. A window of them is packed at a time; what is full is written, and the
pieces of sequences that are not full go into the next window, so padding is left at the very end alone.
A document longer than a sequence is cut into whole sequences and a rest: the only cuts there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from mathcode_assets.records import PACKED_PIECE, batch_of
from mathcode_assets.tokenization.best_fit import pack_pieces

# A window holds at least so many sequences, or best-fit finds nothing to fit.
MIN_WINDOW_SEQUENCES = 64
MAX_SMALL_VOCABULARY = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PackingConfig:
    """How sequences are made.

    Attributes:
        length: tokens of a sequence: 8192 for Llama-3-8B, 4096 for the paper's other models.
        window_tokens: tokens packed at once; 2^25 take some 350 MB. Each window makes one shard.
        max_free_share: a sequence with more than this share free waits for the next window, in [0, 1].
    """

    length: int
    window_tokens: int = 1 << 25
    max_free_share: float = 0.0002

    def __post_init__(self) -> None:
        if self.length < 2:
            raise ValueError(f"length {self.length}: a sequence needs two tokens to predict one")


@dataclass(frozen=True, slots=True)
class PackedShard:
    """Sequences of one window.

    Attributes:
        tokens: (n_sequences, length), padded behind.
        pieces: int32, lengths of the pieces of all sequences, one after the other.
        offsets: int64 (n_sequences + 1), where the pieces of each sequence begin.
        documents: PACKED_PIECE rows in the same order.
    """

    tokens: np.ndarray
    pieces: np.ndarray
    offsets: np.ndarray
    documents: pa.RecordBatch

    @property
    def n_sequences(self) -> int:
        """Rows of `tokens`."""
        return len(self.tokens)


@dataclass(slots=True)
class PackingCounts:
    """What has gone through so far.

    Attributes:
        n_empty: documents without a token, which are in no sequence.
        n_cut_documents: those longer than a sequence.
    """

    n_sequences: int = 0
    n_tokens: int = 0
    n_padding: int = 0
    n_documents: int = 0
    n_empty: int = 0
    n_cut_documents: int = 0


@dataclass(slots=True)
class _Pool:
    """Pieces that wait: their tokens, their document, and where in it they begin."""

    tokens: list[np.ndarray] = field(default_factory=list)
    doc_ids: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    n_tokens: int = 0

    def add(self, tokens: np.ndarray, doc_id: str, start: int) -> None:
        self.tokens.append(tokens)
        self.doc_ids.append(doc_id)
        self.starts.append(start)
        self.n_tokens += len(tokens)


def token_dtype(vocab_size: int) -> np.dtype:
    """uint16 for a vocabulary below 65,536 ids, else uint32."""
    return np.dtype(np.uint16 if vocab_size < MAX_SMALL_VOCABULARY else np.uint32)


def pack_documents(
    batches: Iterable[pa.RecordBatch], config: PackingConfig, *, pad_id: int, vocab_size: int, counts: PackingCounts
) -> Iterator[PackedShard]:
    """Packed sequences of a stream of TOKENS rows; the same rows give the same sequences, whatever the batches.

    Args:
        batches: with the columns doc_id and tokens.
        config: length and window.
        pad_id: fills what is free.
        vocab_size: decides the type of the tokens.
        counts: is added to.

    Raises:
        ValueError: an id is not below `vocab_size`.
    """
    window = max(config.window_tokens, MIN_WINDOW_SEQUENCES * config.length)
    pool = _Pool()
    for doc_id, tokens in _documents(batches):
        if not len(tokens):
            counts.n_empty += 1
            continue
        if int(tokens.max()) >= vocab_size:
            raise ValueError(f"document {doc_id} holds id {int(tokens.max())}, the vocabulary has {vocab_size}")
        counts.n_documents += 1
        counts.n_tokens += len(tokens)
        counts.n_cut_documents += len(tokens) > config.length
        small = tokens.astype(token_dtype(vocab_size))
        for start in range(0, len(small), config.length):
            pool.add(small[start : start + config.length], doc_id, start)
            if pool.n_tokens >= window:
                shard, pool = _pack(pool, config, pad_id, counts, last=False)
                yield shard
    if pool.tokens:
        yield _pack(pool, config, pad_id, counts, last=True)[0]


def _documents(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, np.ndarray]]:
    for batch in batches:
        lists = batch.column("tokens")
        offsets = lists.offsets.to_numpy()
        values = lists.values.to_numpy()
        for row, doc_id in enumerate(batch.column("doc_id").to_pylist()):
            yield doc_id, values[offsets[row] : offsets[row + 1]]


def _pack(
    pool: _Pool, config: PackingConfig, pad_id: int, counts: PackingCounts, *, last: bool
) -> tuple[PackedShard, _Pool]:
    lengths = np.array([len(tokens) for tokens in pool.tokens], np.int64)
    sequence_of, n_sequences = pack_pieces(lengths, config.length)
    filled = np.bincount(sequence_of, weights=lengths, minlength=n_sequences).astype(np.int64)
    written = np.ones(n_sequences, bool) if last else _full_enough(filled, config, pool.n_tokens)
    waiting = _Pool()
    for piece in np.flatnonzero(~written[sequence_of]):
        waiting.add(pool.tokens[piece], pool.doc_ids[piece], pool.starts[piece])
    # Longest first within a sequence, documents in the order they came where equally long.
    order = np.lexsort((np.arange(len(lengths)), -lengths, sequence_of))
    order = order[written[sequence_of[order]]]
    shard = _assemble(pool, order, sequence_of, config.length, pad_id, first_sequence=counts.n_sequences)
    counts.n_sequences += shard.n_sequences
    counts.n_padding += shard.tokens.size - int(shard.pieces.sum(dtype=np.int64))
    return shard, waiting


def _full_enough(filled: np.ndarray, config: PackingConfig, n_tokens: int) -> np.ndarray:
    """Sequences to write: the full ones, and of the others the fullest until half of the window has gone."""
    written = config.length - filled <= config.max_free_share * config.length
    by_fill = np.argsort(-filled, kind="stable")
    before = np.cumsum(filled[by_fill]) - filled[by_fill]
    written[by_fill[before < n_tokens // 2]] = True
    return written


def _assemble(
    pool: _Pool, order: np.ndarray, sequence_of: np.ndarray, length: int, pad_id: int, *, first_sequence: int
) -> PackedShard:
    borders = np.flatnonzero(np.diff(sequence_of[order])) + 1
    offsets = np.concatenate([[0], borders, [len(order)]]).astype(np.int64)
    n_sequences = len(offsets) - 1
    tokens = np.full((n_sequences, length), pad_id, pool.tokens[0].dtype)
    pieces = np.array([len(pool.tokens[piece]) for piece in order], np.int32)
    rows = []
    for sequence in range(n_sequences):
        at = 0
        for number, piece in enumerate(order[offsets[sequence] : offsets[sequence + 1]]):
            part = pool.tokens[piece]
            tokens[sequence, at : at + len(part)] = part
            at += len(part)
            rows.append((first_sequence + sequence, number, pool.doc_ids[piece], pool.starts[piece]))
    columns = PACKED_PIECE.names
    documents = batch_of((dict(zip(columns, row, strict=True)) for row in rows), PACKED_PIECE)
    return PackedShard(tokens, pieces, offsets, documents)
