"""Examples as the shuffled files that fastText trains on, with memory independent of their number.

fastText reads its file in order, and a file sorted by class trains badly. So every example gets a hash of its
text, goes to one of 256 bucket files by that hash, and the buckets are sorted one by one: a shuffle that is
the same whatever the order of the input. The same text always lands on the same side of the held-out split.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import blake2b, sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mathcode_assets.filtering.classifier import decoded_label, encoded_label
from mathcode_assets.filtering.features import N_FEATURES, formula_features
from mathcode_assets.filtering.hygiene import clean_text
from mathcode_assets.filtering.seed import TEST, TRAIN, Example, unit_hash

_FEATURE_BATCH = 256


class Record(NamedTuple):
    """One example as it stands in the shuffled file."""

    key: str
    side: str
    token: str
    features: np.ndarray
    line: str

    @property
    def label(self) -> str:
        """The label as it was given."""
        return decoded_label(self.token)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShuffledExamples:
    """All examples in one file, in an order given by their hashes."""

    path: Path
    n_skipped_empty: int
    n_by_side: dict[str, dict[str, int]]
    fingerprint: str
    """sha256 of the file: equal for the same set of examples in any order."""

    def records(self, side: str) -> Iterator[Record]:
        """The examples of one side, in shuffled order."""
        with self.path.open("rb") as file:
            for raw in file:
                key, on_side, token, packed, line = raw.decode().rstrip("\n").split("\t")
                if on_side == side:
                    features = np.frombuffer(bytes.fromhex(packed), dtype="<f4")
                    yield Record(key, on_side, token, features, line)


def shuffle_examples(
    examples: Iterable[Example],
    work_dir: Path,
    *,
    held_out_share: float,
    seed: int,
    max_chars: int,
    letters_only: bool,
) -> ShuffledExamples:
    """Clean, split and shuffle the examples into ``work_dir``.

    An example without a split of its own is held out if the hash of its text says so.

    Raises:
        ValueError: a label is blank, or a split is neither train nor test.
    """
    n_skipped = 0
    n_by_side: dict[str, Counter[str]] = {TRAIN: Counter(), TEST: Counter()}
    bucket_paths = [work_dir / f"bucket-{number:02x}" for number in range(256)]
    with ExitStack() as stack:
        buckets = [stack.enter_context(path.open("wb")) for path in bucket_paths]
        for batch in _batches(examples):
            features = formula_features([example.text for example in batch])
            for example, row in zip(batch, features, strict=True):
                line = clean_text(example.text, max_chars, letters_only=letters_only)
                if not line:
                    n_skipped += 1
                    continue
                side = _side(example, line, held_out_share=held_out_share, seed=seed)
                n_by_side[side][example.label] += 1
                key = blake2b(f"{seed}\x1f{line}".encode(), digest_size=8).digest()
                packed = row.astype("<f4").tobytes().hex()
                fields = (key.hex(), side, encoded_label(example.label), packed, line)
                buckets[key[0]].write("\t".join(fields).encode() + b"\n")
    fingerprint = sha256()
    path = work_dir / "shuffled"
    with path.open("wb") as shuffled:
        for bucket_path in bucket_paths:
            with bucket_path.open("rb") as bucket:
                content = b"".join(sorted(bucket))
            fingerprint.update(content)
            shuffled.write(content)
            bucket_path.unlink()
    return ShuffledExamples(
        path=path,
        n_skipped_empty=n_skipped,
        n_by_side={side: dict(sorted(counts.items())) for side, counts in n_by_side.items()},
        fingerprint=fingerprint.hexdigest(),
    )


def write_fasttext_file(records: Iterable[Record], path: Path) -> int:
    """Write records as fastText reads them, one a line; returns how many."""
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for record in records:
            file.write(f"{record.token} {record.line}\n")
            count += 1
    return count


def feature_matrix(records: Iterable[Record]) -> np.ndarray:
    """Formula features of the records, one row each."""
    rows = [record.features for record in records]
    return np.array(rows) if rows else np.zeros((0, N_FEATURES), dtype=np.float32)


def _side(example: Example, line: str, *, held_out_share: float, seed: int) -> str:
    if not example.label.strip():
        raise ValueError(f"an example has a blank label: {line[:80]!r}")
    if example.split:
        if example.split not in (TRAIN, TEST):
            raise ValueError(f"split is train or test, not {example.split!r}")
        return example.split
    return TEST if unit_hash(f"held-out\x1f{line}", seed=seed) < held_out_share else TRAIN


def _batches(examples: Iterable[Example]) -> Iterator[list[Example]]:
    batch: list[Example] = []
    for example in examples:
        batch.append(Example(*example))
        if len(batch) == _FEATURE_BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
