"""Packed sequences as training reads them: memory-mapped, and in an order that needs no state to resume.

    dataset = PackedDataset("packed")
    order = SequenceOrder(dataset.corpus_fingerprint, seed=3407, n_sequences=len(dataset), batch=512)
    for index in order.indices(step)[rank::world_size]:
        example = dataset[index]

NumPy alone: workers import this without Arrow, Dagster or torch.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

IGNORED = -100  # label that the loss leaves out, in torch and transformers
ROUNDS = 8
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)


class PackedDataset:
    """The sequences of a folder that `mathcode pack` wrote.

    Args:
        folder: a local folder with `packing.json`.

    Attributes:
        packing: the content of `packing.json`.

    Raises:
        FileNotFoundError: no packing there.
        ValueError: a format that is not read, or arrays that do not fit `packing.json`.
    """

    def __init__(self, folder: Path | str) -> None:
        folder = Path(folder)
        self.packing: dict[str, Any] = json.loads((folder / "packing.json").read_bytes())
        if self.packing["format"] != 1:
            raise ValueError(f"{folder}: packing of format {self.packing['format']}")
        self.length: int = self.packing["length"]
        self._shards = [
            tuple(np.load(folder / shard[kind], mmap_mode="r") for kind in ("tokens", "pieces", "offsets"))
            for shard in self.packing["shards"]
        ]
        for shard, (tokens, _, offsets) in zip(self.packing["shards"], self._shards, strict=True):
            if tokens.shape != (shard["n_sequences"], self.length) or len(offsets) != len(tokens) + 1:
                raise ValueError(f"{folder / shard['tokens']} does not fit packing.json")
        self._ends = list(accumulate(len(tokens) for tokens, _, _ in self._shards))

    @property
    def corpus_fingerprint(self) -> str:
        """Fingerprint of the token tables."""
        return self.packing["corpus_fingerprint"]

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """One sequence: input_ids, position_ids and labels, each int64 of shape (length,).

        Positions restart at 0 with each piece (and with the padding), which is what keeps attention
        inside a document; labels are the ids, -100 at the first token of each piece and at padding.
        """
        lengths = self.pieces(index)
        tokens, row = self._row(index)
        input_ids = tokens[row].astype(np.int64)
        ends = np.cumsum(lengths, dtype=np.int64)
        starts = ends - lengths
        n_tokens = int(ends[-1])
        position_ids = np.arange(self.length, dtype=np.int64)
        position_ids[:n_tokens] -= np.repeat(starts, lengths)
        position_ids[n_tokens:] -= n_tokens
        labels = input_ids.copy()
        labels[starts] = IGNORED
        labels[n_tokens:] = IGNORED
        return {"input_ids": input_ids, "position_ids": position_ids, "labels": labels}

    def pieces(self, index: int) -> np.ndarray:
        """Lengths of the document pieces of one sequence, in order, int64; what is left is padding."""
        shard, row = self._place(index)
        _, pieces, offsets = self._shards[shard]
        return pieces[offsets[row] : offsets[row + 1]].astype(np.int64)

    def _row(self, index: int) -> tuple[np.ndarray, int]:
        shard, row = self._place(index)
        return self._shards[shard][0], row

    def _place(self, index: int) -> tuple[int, int]:
        n = len(self)
        index = int(index)
        if not -n <= index < n:
            raise IndexError(f"sequence {index} of {n}")
        index %= n
        shard = bisect_right(self._ends, index)
        return shard, index - (self._ends[shard - 1] if shard else 0)


class SequenceOrder:
    """Which sequences make which global batch: from (fingerprint, seed, step) alone.

    Every epoch is a permutation of all sequences, another one each time. Epochs follow one another
    without a gap: the batch that crosses the end of one takes its rest from the start of the next, so no
    sequence is left out and every batch is full. `n_steps` says how many batches some epochs make; the fewer
    than `batch` sequences behind the last are not trained on.

    The permutation is a Feistel network with cycle walking: an index costs the same whether there are
    ten sequences or 10^12, and nothing is held. A rank takes its share of a global batch, so the order does not
    change with the number of ranks.

    Args:
        corpus_fingerprint: of the packed corpus.
        seed: of the run.
        n_sequences: at least 1.
        batch: sequences of a global batch, at least 1.
    """

    def __init__(self, corpus_fingerprint: str, seed: int, n_sequences: int, batch: int) -> None:
        if n_sequences < 1 or batch < 1:
            raise ValueError(f"{n_sequences} sequences in batches of {batch}")
        self.corpus_fingerprint = corpus_fingerprint
        self.seed = seed
        self.n_sequences = n_sequences
        self.batch = batch

    def n_steps(self, epochs: int = 1) -> int:
        """Full batches in so many epochs."""
        return epochs * self.n_sequences // self.batch

    def indices(self, step: int) -> np.ndarray:
        """The sequences of the global batch of a step (0-based), int64, shape (batch,)."""
        if step < 0:
            raise ValueError(f"step {step}")
        first = step * self.batch  # Python integers: no overflow, however long the run
        parts, taken = [], 0
        while taken < self.batch:
            epoch, at = divmod(first + taken, self.n_sequences)
            count = min(self.batch - taken, self.n_sequences - at)
            parts.append(self.permuted(np.arange(at, at + count, dtype=np.uint64), epoch))
            taken += count
        return np.concatenate(parts)

    def permuted(self, positions: np.ndarray, epoch: int) -> np.ndarray:
        """The sequences at some positions of an epoch, int64."""
        keys = self._keys(epoch)
        bits = max(2, (self.n_sequences - 1).bit_length())
        values = _feistel(positions.astype(np.uint64), keys, bits)
        # The network permutes a power of two, at most twice the sequences (four for one): walk on until inside.
        while (outside := values >= np.uint64(self.n_sequences)).any():
            values[outside] = _feistel(values[outside], keys, bits)
        return values.astype(np.int64)

    def _keys(self, epoch: int) -> np.ndarray:
        said = json.dumps([self.corpus_fingerprint, self.seed, epoch]).encode()
        return np.frombuffer(hashlib.sha512(said).digest(), "<u8").astype(np.uint64)[:ROUNDS]


def _feistel(values: np.ndarray, keys: np.ndarray, bits: int) -> np.ndarray:
    """A permutation of [0, 2^bits): halves of the bits, one changed by the other in each round."""
    low_bits = np.uint64(bits // 2)
    high_bits = np.uint64(bits - bits // 2)
    low_mask = (np.uint64(1) << low_bits) - np.uint64(1)
    high_mask = (np.uint64(1) << high_bits) - np.uint64(1)
    high, low = values >> low_bits, values & low_mask
    for number, key in enumerate(keys):
        if number % 2:
            high = high ^ (_mixed(low ^ key) & high_mask)
        else:
            low = low ^ (_mixed(high ^ key) & low_mask)
    return high << low_bits | low


def _mixed(values: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser: every bit depends on every bit."""
    values = (values ^ (values >> np.uint64(30))) * _MIX1
    values = (values ^ (values >> np.uint64(27))) * _MIX2
    return values ^ (values >> np.uint64(31))
