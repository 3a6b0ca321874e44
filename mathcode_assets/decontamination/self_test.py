"""Whether the scan finds what is planted: recall per kind, false positives on the hosts alone.

The blocking check of a benchmark index: an index that does not find its own questions must not be
used to call a corpus clean.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from mathcode_assets.decontamination.config import DecontaminationConfig
from mathcode_assets.decontamination.index import BenchmarkIndex
from mathcode_assets.decontamination.planting import EXPECTED, KINDS, NUMBERS, SHORT, Item, plant
from mathcode_assets.decontamination.scan import scan_documents
from mathcode_assets.records import CLEAN, CONTAMINATED, iter_column

_HOST_CHARACTERS = 20_000  # longer hosts are cut: the point is text around the plant, not its amount
_PLANTED = pa.schema([("doc_id", pa.string()), ("text", pa.large_string())])


def _bars() -> dict[str, float]:
    # Issue: all verbatim, with-solution, formatting and split, 95 % of truncated, 90 % of number-substituted.
    # A benchmark of one's own may hold oddities, so a few per cent less than measured on ours.
    return {
        "verbatim": 0.98, "with_solution": 0.98, "formatting": 0.97, "split": 0.95, "truncated_70": 0.90,
        "number_substituted": 0.90, "short": 0.90, "word_edited": 0.90,
    }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTestConfig:
    """How much is planted, and what must be found."""

    seed: int = 3407  # the paper's training seed
    plants_per_kind: int = 25
    max_hosts: int = 200
    min_recall: dict[str, float] = field(default_factory=_bars)
    max_false_positive_share: float = 0.02  # of the hosts alone; hosts may hold a real question
    max_renumbered_contaminated: float = 0.05  # of the number-substituted plants


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """One planted question and what the scan said."""

    kind: str
    benchmark: str
    question_index: int
    verdict: str  # of the document
    item_verdict: str  # of the planted item, clean where it is not among the matches
    right: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTestResult:
    """Recall per kind, false positives, and whether all of it meets the bar."""

    planted: dict[str, int]
    recall: dict[str, float]
    hosts: int
    false_positives: int  # hosts that are contaminated without any plant
    renumbered_contaminated: int
    failures: list[str]  # which bars were missed, in words
    plants: list[Plant]

    @property
    def passed(self) -> bool:
        """Whether every bar was met."""
        return not self.failures


def self_test(
    index: BenchmarkIndex,
    hosts: Iterable[pa.RecordBatch],
    config: SelfTestConfig | None = None,
    scan_config: DecontaminationConfig | None = None,
) -> SelfTestResult:
    """Plants items of the index in host documents, scans them, and compares.

    Args:
        index: the index under test; its own items are planted.
        hosts: documents with ``doc_id`` and ``text``; the first `max_hosts` of them are used.
        config: amounts, seed and bars.
        scan_config: thresholds of the scan.

    Raises:
        ValueError: no host is clean, so nothing could be planted.
    """
    config = config or SelfTestConfig()
    scan_config = scan_config or DecontaminationConfig()
    texts = _host_texts(hosts, config.max_hosts)
    verdicts = _verdicts(texts, index, scan_config)
    clean = [text for text, row in zip(texts, verdicts, strict=True) if row["verdict"] == CLEAN]
    if not clean:
        raise ValueError(f"none of the {len(texts)} host documents is clean: nothing to plant questions in")
    planned = _planned(index, clean, config, scan_config)
    rows = _verdicts([text for *_, text in planned], index, scan_config)
    plants = [_judged(kind, item, text, row, index) for (kind, item, text), row in zip(planned, rows, strict=True)]
    false_positives = sum(row["verdict"] == CONTAMINATED for row in verdicts)
    return _result(plants, len(texts), false_positives, config)


def contaminated_share(attributes: Iterable[pa.RecordBatch]) -> float:
    """Share of contaminated documents in attribute batches, in [0, 1]; 0 where there are none."""
    total = contaminated = 0
    for verdict in iter_column(attributes, "verdict"):
        total += 1
        contaminated += verdict == CONTAMINATED
    return contaminated / total if total else 0.0


def residual(
    documents: Iterable[pa.RecordBatch], index: BenchmarkIndex, config: DecontaminationConfig | None = None
) -> int:
    """Number of contaminated documents left in published documents."""
    attributes = scan_documents(documents, index, config)
    return sum(verdict == CONTAMINATED for verdict in iter_column(attributes, "verdict"))


def _host_texts(hosts: Iterable[pa.RecordBatch], limit: int) -> list[str]:
    texts: list[str] = []
    for batch in hosts:
        texts.extend(text[:_HOST_CHARACTERS] for text in batch.column("text").to_pylist())
        if len(texts) >= limit:
            break
    return texts[:limit]


def _verdicts(texts: list[str], index: BenchmarkIndex, config: DecontaminationConfig) -> list[dict]:
    def batches() -> Iterator[pa.RecordBatch]:
        for first in range(0, len(texts), 200):
            some = texts[first : first + 200]
            yield pa.RecordBatch.from_pydict(
                {"doc_id": [str(first + k) for k in range(len(some))], "text": some}, _PLANTED
            )

    return [row for batch in scan_documents(batches(), index, config) for row in batch.to_pylist()]


def _planned(
    index: BenchmarkIndex, hosts: list[str], config: SelfTestConfig, scan_config: DecontaminationConfig
) -> list[tuple[str, int, str]]:
    """Kind, item and planted text: items drawn without repetition within a kind, hosts with it."""
    lengths = np.diff(index.offsets)
    information = np.add.reduceat(np.append(index.token_weight, 0.0), index.offsets[:-1]) if len(index) else lengths
    short = (lengths < scan_config.short_tokens) & (information >= scan_config.trivial_information)
    pools = {
        True: np.flatnonzero(short & (lengths >= scan_config.min_tokens)),
        False: np.flatnonzero(lengths >= 18),
    }
    planned = []
    for kind in KINDS:
        rng = random.Random(f"{config.seed}/{kind}")
        pool = pools[kind == SHORT].tolist()
        rng.shuffle(pool)
        made = 0
        for number in pool:
            if made == config.plants_per_kind:
                break
            text = plant(kind, _item(index, number), rng.choice(hosts), rng)
            if text is not None:
                planned.append((kind, number, text))
                made += 1
    return planned


def _item(index: BenchmarkIndex, number: int) -> Item:
    row = index.items.slice(number, 1).to_pylist()[0]
    return Item(question=row["question"], answer=row["answer"], solution=row["solution"])


def _judged(kind: str, item: int, text: str, row: dict, index: BenchmarkIndex) -> Plant:
    benchmark = index.items["benchmark"][item].as_py()
    number = index.items["question_index"][item].as_py()
    own = [m for m in row["matches"] if (m["benchmark"], m["question_index"]) == (benchmark, number)]
    verdict = own[0]["verdict"] if own else CLEAN
    return Plant(
        kind=kind, benchmark=benchmark, question_index=number, verdict=row["verdict"], item_verdict=verdict,
        right=bool(own) and row["verdict"] == EXPECTED[kind], text=text,
    )  # fmt: skip


def _result(plants: list[Plant], hosts: int, false_positives: int, config: SelfTestConfig) -> SelfTestResult:
    planted = {kind: sum(p.kind == kind for p in plants) for kind in KINDS}
    recall = {kind: sum(p.kind == kind and p.right for p in plants) / count for kind, count in planted.items() if count}
    renumbered = sum(p.kind == NUMBERS and p.verdict == CONTAMINATED for p in plants)
    failures = [
        f"{kind}: {recall[kind]:.0%} of {planted[kind]} found, {bar:.0%} wanted"
        for kind, bar in config.min_recall.items()
        if kind in recall and recall[kind] < bar
    ]
    if hosts and false_positives / hosts > config.max_false_positive_share:
        failures.append(f"{false_positives} of {hosts} hosts contaminated without a plant")
    if planted[NUMBERS] and renumbered / planted[NUMBERS] > config.max_renumbered_contaminated:
        failures.append(f"{renumbered} of {planted[NUMBERS]} plants with other numbers contaminated")
    return SelfTestResult(
        planted=planted, recall=recall, hosts=hosts, false_positives=false_positives,
        renumbered_contaminated=renumbered, failures=failures, plants=plants,
    )  # fmt: skip
