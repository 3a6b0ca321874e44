"""Which packed sequences a rank reads in a step, as arrays for a model.

The sequences of a step follow from (corpus fingerprint, seed, step) alone, so a resumed run reads what
the undisturbed one would have read, whatever its world size.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mathcode_assets.tokenization.sequences import IGNORED, PackedDataset, SequenceOrder
from mathcode_assets.training.spec import JobSpec, SpecError


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
        try:
            self._sequences = PackedDataset(self.folder)
        except (OSError, ValueError) as error:
            raise SpecError(f"data: {error}") from error
        self._order = SequenceOrder(self.corpus_fingerprint, spec.seed, self.n_sequences, spec.batch.sequences)

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

    def step_indices(self, step: int) -> np.ndarray:
        """Indices of the sequences of a step, for all ranks."""
        return self._order.indices(step)

    def batch(self, indices: Sequence[int] | np.ndarray) -> Batch:
        """These sequences as arrays."""
        rows = [self._sequences[int(index)] for index in indices]
        labels = np.stack([row["labels"] for row in rows])
        return Batch(
            input_ids=np.stack([row["input_ids"] for row in rows]),
            position_ids=np.stack([row["position_ids"] for row in rows]),
            labels=labels,
            n_tokens=sum(int(self._sequences.pieces(int(index)).sum()) for index in indices),
            n_predicted=int((labels[:, 1:] != IGNORED).sum()),
        )


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


def rank_batches(data: PackedData, *, step: int, micro: int, rank: int, world_size: int) -> list[Batch]:
    """The micro batches of a rank in a step, in order; together the ranks read each sequence of the step once."""
    indices = data.step_indices(step).reshape(-1, world_size, micro)
    return [data.batch(indices[at, rank]) for at in range(len(indices))]
