"""Which packed sequences a rank reads in a step, as arrays for a model.

The sequences of a step follow from (corpus fingerprint, seed, step) alone, so a resumed run reads what
the undisturbed one would have read, whatever its world size.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mathcode_assets.training.spec import JobSpec, SpecError

IGNORED = -100


@dataclass(frozen=True, slots=True)
class Batch:
    """One micro batch; all arrays are int64 of shape (sequences, length).

    Attributes:
        position_ids: restart at 0 with each document: without an attention mask this is what keeps
            documents from attending to each other.
        labels: IGNORED where nothing is predicted: a document's first token, and padding.
        n_tokens: tokens that are no padding.
        n_predicted: labels that count; the first column predicts nothing, the model shifts.
    """

    input_ids: np.ndarray
    position_ids: np.ndarray
    labels: np.ndarray
    n_tokens: int
    n_predicted: int


class PackedData:
    """A packed folder and the order its sequences are read in.

    Raises:
        SpecError: no packed folder, not the length or the corpus that was asked for, or no sequence.
    """

    def __init__(self, spec: JobSpec) -> None:
        self.folder = Path(spec.data)
        info = packing_info(self.folder)
        self.length: int = info["length"]
        self.n_sequences: int = info["n_sequences"]
        self.vocab_size: int = info["vocab_size"]
        self.pad_id: int = info["pad_id"]
        self.eos_id: int = info["eos_id"]
        self.tokenizer_hash: str = info["tokenizer_hash"]
        self.corpus_fingerprint: str = info["corpus_fingerprint"]
        self._check(spec)
        self._shards = [
            tuple(np.load(self.folder / shard[name], mmap_mode="r") for name in ("tokens", "pieces", "offsets"))
            for shard in info["shards"]
        ]
        self._starts = np.cumsum([0, *(shard["n_sequences"] for shard in info["shards"])])
        self._seed = spec.seed

    def _check(self, spec: JobSpec) -> None:
        wanted = spec.model.sequence_length
        if wanted is not None and wanted != self.length:
            raise SpecError(f"data: packed at {self.length} tokens, model.sequence_length wants {wanted}")
        if spec.corpus_fingerprint is not None and spec.corpus_fingerprint != self.corpus_fingerprint:
            raise SpecError(
                f"data: packed from corpus {self.corpus_fingerprint[:12]}, the job wants {spec.corpus_fingerprint[:12]}"
            )
        if self.n_sequences < 1:
            raise SpecError("data: the packed folder holds no sequence")

    def step_indices(self, step: int, size: int) -> np.ndarray:
        """Indices of the sequences of a step, for all ranks."""
        places = np.arange(step * size, (step + 1) * size)
        epochs = places // self.n_sequences
        found = np.empty(size, np.int64)
        for epoch in np.unique(epochs):
            key = hashlib.sha256(f"{self.corpus_fingerprint}:{self._seed}:{epoch}".encode()).digest()
            order = np.random.default_rng(int.from_bytes(key[:8])).permutation(self.n_sequences)
            found[epochs == epoch] = order[places[epochs == epoch] % self.n_sequences]
        return found

    def batch(self, indices: Sequence[int] | np.ndarray) -> Batch:
        """These sequences as arrays."""
        shape = (len(indices), self.length)
        input_ids = np.empty(shape, np.int64)
        position_ids = np.zeros(shape, np.int64)
        labels = np.full(shape, IGNORED, np.int64)
        n_tokens = 0
        for row, index in enumerate(indices):
            shard = int(np.searchsorted(self._starts, index, side="right")) - 1
            tokens, pieces, offsets = self._shards[shard]
            at = int(index - self._starts[shard])
            input_ids[row] = tokens[at]
            start = 0
            for length in pieces[offsets[at] : offsets[at + 1]]:
                end = start + int(length)
                position_ids[row, start:end] = np.arange(length)
                labels[row, start + 1 : end] = input_ids[row, start + 1 : end]
                start = end
            position_ids[row, start:] = np.arange(self.length - start)
            n_tokens += start
        return Batch(input_ids, position_ids, labels, n_tokens, int((labels[:, 1:] != IGNORED).sum()))


def packing_info(folder: Path) -> dict[str, Any]:
    """packing.json of a folder.

    Raises:
        SpecError: it is not there or cannot be read.
    """
    try:
        return json.loads((folder / "packing.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"data: {folder} is no packed folder: {error.strerror or error}") from error
    except ValueError as error:
        raise SpecError(f"data: {folder / 'packing.json'} is not valid JSON: {error}") from error


def rank_batches(data: PackedData, *, step: int, sequences: int, micro: int, rank: int, world_size: int) -> list[Batch]:
    """The micro batches of a rank in a step, in order; together the ranks read each sequence of the step once."""
    indices = data.step_indices(step, sequences).reshape(-1, world_size, micro)
    return [data.batch(indices[at, rank]) for at in range(len(indices))]
