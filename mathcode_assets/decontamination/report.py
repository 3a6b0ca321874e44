"""What the scans found, for a person to read: counts, origins, worst matches with both sides, overlap tables.

Everything is added up over streams of attributes; the text of documents is read only for a sample, on
which the paper's own rule and its n-gram overlap are computed for comparison.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from mathcode_assets.decontamination.hygiene import HygieneReport
from mathcode_assets.decontamination.ngram_overlap import MAX_N, MIN_N
from mathcode_assets.records import CLEAN, CONTAMINATED, NEAR

_CELL = 300  # characters of a span shown
_NAMES_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportConfig:
    """How much is read and shown.

    sample_megabytes: of each component's text, for the overlap table and the paper's rule, which read 10 MB a
        second; taken from the head of every shard.
    worst: matches shown.
    """

    sample_megabytes: float = 20.0
    worst: int = 20


@dataclass(frozen=True, slots=True, order=True)
class WorstMatch:
    """One contaminated document with its strongest item; ordered by what is worst."""

    score: float
    information: int  # characters of the span
    doc_id: str
    component: str
    benchmark: str
    question_index: int
    evidence: str


@dataclass(slots=True)
class Findings:
    """Running counts over the scans of all components; `worst` is a heap of so many."""

    limit: int = 20
    verdicts: dict[str, Counter[str]] = field(default_factory=dict)  # component -> verdict -> documents
    items: dict[str, Counter[str]] = field(default_factory=dict)  # component -> benchmark -> contaminated documents
    near: dict[str, Counter[str]] = field(default_factory=dict)  # component -> benchmark -> near documents
    near_examples: dict[tuple[str, str], str] = field(default_factory=dict)  # -> a document
    leaked: set[tuple[str, int]] = field(default_factory=set)  # items found somewhere
    worst: list[WorstMatch] = field(default_factory=list)

    def add(self, component: str, batch: pa.RecordBatch) -> None:
        """Count a batch of contamination attributes."""
        verdicts = self.verdicts.setdefault(component, Counter())
        items, near = self.items.setdefault(component, Counter()), self.near.setdefault(component, Counter())
        for row in batch.select(["doc_id", "verdict", "benchmark", "matches"]).to_pylist():
            verdicts[row["verdict"]] += 1
            if row["verdict"] == CONTAMINATED:
                held = [match for match in row["matches"] if match["verdict"] == CONTAMINATED]
                items.update({match["benchmark"] for match in held})
                self.leaked |= {(match["benchmark"], match["question_index"]) for match in held}
                self._keep(component, row["doc_id"], held[0] if held else None)
            elif row["verdict"] == NEAR:
                near[row["benchmark"]] += 1
                self.near_examples.setdefault((component, row["benchmark"]), row["doc_id"])

    def _keep(self, component: str, doc_id: str, match: dict[str, Any] | None) -> None:
        if match is None:
            return
        found = WorstMatch(
            match["score"], len(match["evidence"]), doc_id, component, match["benchmark"], match["question_index"],
            match["evidence"],
        )  # fmt: skip
        if len(self.worst) < self.limit:
            heapq.heappush(self.worst, found)
        else:
            heapq.heappushpop(self.worst, found)

    def total(self, verdict: str) -> int:
        """Documents of a verdict in all components."""
        return sum(counts[verdict] for counts in self.verdicts.values())


def render_report(
    findings: Findings,
    items: pa.Table,
    hygiene: HygieneReport,
    overlap: pa.Table,
    sample: Mapping[str, Mapping[str, int]],
) -> str:
    """The report as Markdown.

    Args:
        findings: added up over all scans.
        items: of the index, for the benchmark's side of a match.
        hygiene: of the index.
        overlap: NGRAM_OVERLAP of the sample.
        sample: component -> `documents`, `paper_rule`, `containment`: contaminated ones by either rule.
    """
    sections = [
        ("# Contamination", ""),
        ("## Documents by component", _verdict_table(findings)),
        ("## Worst matches", worst_table(findings, items)),
        ("## Near, by origin", _near_table(findings)),
        ("## The paper's rule on a sample", _rule_table(sample)),
        ("## n-gram overlap (the paper's Appendix F), % of a component's n-grams", overlap_table(overlap)),
        ("## Benchmarks", _hygiene_text(hygiene)),
    ]
    return "\n\n".join(part for title, body in sections for part in (title, body) if part) + "\n"


def _verdict_table(findings: Findings) -> str:
    rows = [
        (
            component, sum(counts.values()), counts[CLEAN], counts[NEAR], counts[CONTAMINATED],
            ", ".join(f"{name} {n}" for name, n in sorted(findings.items[component].items())) or "-",
        )
        for component, counts in findings.verdicts.items()
    ]  # fmt: skip
    return _table(["component", "documents", "clean", "near", "contaminated", "by benchmark"], rows)


def worst_table(findings: Findings, items: pa.Table) -> str:
    """The strongest contaminated documents, span and question side by side."""
    names = zip(items["benchmark"].to_pylist(), items["question_index"].to_pylist(), strict=True)
    row_of = {name: row for row, name in enumerate(names)}
    rows = []
    for match in sorted(findings.worst, key=lambda m: (-m.score, -m.information, m.doc_id)):
        row = row_of.get((match.benchmark, match.question_index))
        question = items["question"][row].as_py() if row is not None else ""
        name = f"{match.benchmark} #{match.question_index}"
        rows.append((match.component, match.doc_id, name, f"{match.score:.2f}", match.evidence, question))
    return _table(["component", "document", "item", "score", "span of the document", "question"], rows)


def _near_table(findings: Findings) -> str:
    rows = [
        (component, benchmark, count, findings.near_examples[component, benchmark])
        for component, counts in findings.near.items()
        for benchmark, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    ]
    return _table(["component", "benchmark", "documents", "for example"], rows)


def _rule_table(sample: Mapping[str, Mapping[str, int]]) -> str:
    names = ("documents", "paper_rule", "containment")
    rows = [(component, *(counts[name] for name in names)) for component, counts in sample.items()]
    return _table(["component", "documents read", "contaminated by the paper's rule", "by containment"], rows)


def overlap_table(overlap: pa.Table) -> str:
    """One line a component and benchmark, one column a length."""
    cells: dict[tuple[str, str], dict[int, float]] = {}
    for row in overlap.select(["component", "benchmark", "n", "overlap"]).to_pylist():
        cells.setdefault((row["component"], row["benchmark"]), {})[row["n"]] = row["overlap"]
    lengths = range(MIN_N, MAX_N + 1)
    rows = [(*names, *(f"{100 * shares.get(n, 0.0):.4f}" for n in lengths)) for names, shares in cells.items()]
    return _table(["component", "benchmark", *(f"n = {n}" for n in lengths)], rows)


def _hygiene_text(hygiene: HygieneReport) -> str:
    instructions = [f"{name}: {'; '.join(texts)}" for name, texts in sorted(hygiene.instructions.items())]
    groups = [" = ".join(group) for group in hygiene.shared]
    return "\n".join(
        (
            f"- Instructions removed from every question: {_some(instructions)}",
            f"- Items without content, not looked for: {_some(hygiene.without_content)}",
            f"- Items that are the same question: {_some(groups)}",
        )
    )


def _some(values: Sequence[str]) -> str:
    shown = "; ".join(_cell(value) for value in values[:_NAMES_SHOWN]) or "none"
    return f"{len(values)} ({shown}{'; ...' if len(values) > _NAMES_SHOWN else ''})"


def _table(names: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    body = ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(["| " + " | ".join(names) + " |", "|" + " --- |" * len(names), *body]) if body else "none"


def _cell(value: Any) -> str:
    text = " ".join(str(value).split()).replace("|", "\\|").replace("`", "'")
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"
