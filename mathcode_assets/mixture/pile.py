"""MathCode-Pile: the clean documents of all components, as often as the plan says.

Order: components as given, then their partitions, then rows; copies of a document stand side by
side. Nothing is shuffled here: packing orders the training data by its own seed, and a pile in the
order of its sources compresses better and can be compared with them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mathcode_assets.mixture.plan import MixturePlan
from mathcode_assets.records import CLEAN_DOCUMENT, PILE_DOCUMENT, check_batch

# A range of the draw holds 300 documents of the paper's pile: caps are met to a hundredth of a per cent.
DRAW_RANGES = 1 << 16

# Reasons of the row accounting.
BY_WEIGHT = "mixture_weight"
BY_CAP = "mixture_cap"


@dataclass(slots=True, kw_only=True)
class ComponentTally:
    """What happened to one component's documents: documents_in = documents_kept + sum(dropped).

    Attributes:
        documents_in: clean documents read.
        documents_kept: of them, in the pile at least once.
        dropped: of them, left out, by reason.
        rows: documents in the pile, copies counted.
        tokens: of those rows.
        size_bytes: UTF-8 bytes of their text.
    """

    documents_in: int = 0
    documents_kept: int = 0
    dropped: dict[str, int] = field(default_factory=lambda: {BY_WEIGHT: 0, BY_CAP: 0})
    rows: int = 0
    tokens: int = 0
    size_bytes: int = 0


@dataclass(slots=True, kw_only=True)
class PileTally:
    """Filled by `mix` while its batches are read: by component, and documents by licence."""

    components: dict[str, ComponentTally] = field(default_factory=dict)
    licences: dict[str, int] = field(default_factory=dict)


def mix(
    components: Mapping[str, Iterable[pa.RecordBatch]],
    plan: MixturePlan,
    tally: PileTally | None = None,
) -> Iterator[pa.RecordBatch]:
    """PILE_DOCUMENT batches.

    Whether a document is in depends on the seed, its doc_id and its component's weight alone: not on
    its partition, its neighbours or the order. With a higher weight everything stays that was in.

    Args:
        components: CLEAN_DOCUMENT batches by component.
        plan: from `plan_mixture`, which must know every component.
        tally: filled as batches are read.

    Raises:
        ValueError: the plan does not know a component.
    """
    tally = tally if tally is not None else PileTally()
    unknown = [name for name in components if name not in plan.components]
    if unknown:
        raise ValueError(f"components that are not in the plan: {unknown}")
    for name, batches in components.items():
        planned = plan.components[name]
        counts = tally.components.setdefault(name, ComponentTally())
        for batch in batches:
            check_batch(batch, CLEAN_DOCUMENT)
            draws = _draws(batch.column("doc_id"), plan.seed)
            copies = copies_at(planned.weight, draws)
            _count_documents(counts, copies, copies_at(planned.asked_weight, draws))
            if copies.any():
                mixed = _repeated(batch, name, copies)
                _count_rows(counts, tally.licences, mixed)
                yield mixed


def tokens_by_draw(batches: Iterable[pa.RecordBatch], seed: int) -> np.ndarray:
    """Tokens of the documents in each of 65,536 ranges of the draw, for `fit_caps`.

    Sums of partitions may be added up.

    Args:
        batches: any with `doc_id` and `n_tokens`; the text is not needed.
        seed: of the plan.
    """
    totals = np.zeros(DRAW_RANGES, dtype=np.int64)
    for batch in batches:
        ranges = (_draws(batch.column("doc_id"), seed) * DRAW_RANGES).astype(np.int64)
        np.add.at(totals, ranges, batch.column("n_tokens").to_numpy())
    return totals


def fit_caps(plan: MixturePlan, tokens: Mapping[str, np.ndarray]) -> MixturePlan:
    """The plan with weights of capped components set so that no cap is passed by chance.

    A plan's weight meets a cap on average; which documents the draw chooses makes some per cent of
    difference in ten thousand of them, and any in ten. Here the weight becomes the highest, in steps of
    1/65,536, at which the chosen documents' tokens are at most the plan's.

    Args:
        plan: from `plan_mixture`.
        tokens: `tokens_by_draw` of each component that a cap lowers; others may be missing.

    Raises:
        ValueError: a lowered component is missing, or its tokens are not those of the plan.
    """
    fitted = dict(plan.components)
    for name, component in plan.components.items():
        if not component.capped_by:
            continue
        if name not in tokens or tokens[name].sum() != component.tokens_in:
            raise ValueError(f"{name} is capped, but its tokens by draw are missing or of other documents")
        whole = math.floor(component.weight)
        left = component.tokens - whole * component.tokens_in
        n_ranges = int(np.searchsorted(np.cumsum(tokens[name]), left, side="right"))
        weight = min(whole + n_ranges / DRAW_RANGES, component.asked_weight)
        fitted[name] = dataclasses.replace(component, weight=weight)
    return dataclasses.replace(plan, components=fitted)


def copies_at(weight: float, draws: np.ndarray) -> np.ndarray:
    """Copies of each document at a weight: its whole part, and one more where the draw is below the rest."""
    whole = math.floor(weight)
    return whole + (draws < weight - whole).astype(np.int64)


def _draws(doc_ids: pa.Array, seed: int) -> np.ndarray:
    """A number in [0, 1) for each document, from seed and doc_id."""
    prefix = f"{seed}\n".encode()
    hashes = b"".join(
        hashlib.blake2b(prefix + doc_id.encode(), digest_size=8).digest() for doc_id in doc_ids.to_pylist()
    )
    # 53 bits: every value is a float64 of its own, and none rounds up to 1.
    return (np.frombuffer(hashes, dtype=">u8") >> np.uint64(11)) / float(1 << 53)


def _repeated(batch: pa.RecordBatch, component: str, copies: np.ndarray) -> pa.RecordBatch:
    rows = np.repeat(np.arange(len(copies)), copies)
    first = np.cumsum(copies) - copies
    repetition = (np.arange(len(rows)) - first[rows]).astype(np.int32)
    taken = batch if len(rows) == len(copies) and copies.all() else batch.take(pa.array(rows))
    columns = [pa.array([component] * len(rows), pa.string()), *taken.columns, pa.array(repetition)]
    return pa.RecordBatch.from_arrays(columns, schema=PILE_DOCUMENT)


def _count_documents(counts: ComponentTally, copies: np.ndarray, asked: np.ndarray) -> None:
    counts.documents_in += len(copies)
    counts.documents_kept += int((copies > 0).sum())
    counts.dropped[BY_WEIGHT] += int((asked == 0).sum())
    counts.dropped[BY_CAP] += int(((copies == 0) & (asked > 0)).sum())


def _count_rows(counts: ComponentTally, licences: dict[str, int], mixed: pa.RecordBatch) -> None:
    counts.rows += mixed.num_rows
    counts.tokens += pc.sum(mixed.column("n_tokens")).as_py()
    counts.size_bytes += pc.sum(pc.binary_length(mixed.column("text"))).as_py()
    for entry in pc.value_counts(mixed.column("licence")).to_pylist():
        licences[entry["values"]] = licences.get(entry["values"], 0) + entry["counts"]
