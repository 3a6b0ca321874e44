"""What the report adds up, and that it shows both sides of a match."""

from __future__ import annotations

import pyarrow as pa

from mathcode_assets.decontamination.index import BenchmarkIndex
from mathcode_assets.decontamination.ngram_overlap import ngram_overlap
from mathcode_assets.decontamination.report import Findings, overlap_table, render_report, worst_table
from mathcode_assets.decontamination.scan import scan_documents
from mathcode_assets_tests.decontamination.conftest import LIBRARY, ORCHARD, TANK, documents, host

TEXTS = [f"{host(2)}\n\n{ORCHARD.upper()}", host(3), f"{TANK.replace('$3$', '$8$')}\n\n{host(1)}", LIBRARY]


def findings(index: BenchmarkIndex, limit: int = 20) -> Findings:
    found = Findings(limit=limit)
    for batch in scan_documents(documents(TEXTS, 2), index):
        found.add("pages", batch)
    return found


def test_documents_are_counted_by_verdict_and_benchmark(index):
    found = findings(index)
    assert found.verdicts["pages"] == {"contaminated": 2, "near": 1, "clean": 1}
    assert found.items["pages"] == {"village": 2, "school": 1}  # the library's question is in both
    assert found.near["pages"] == {"village": 1}
    assert found.leaked == {("village", 0), ("village", 2), ("school", 3)}


def test_the_worst_matches_stand_beside_their_questions(index):
    table = worst_table(findings(index), index.items)
    assert "MIRELA'S ORCHARD" in table and "Mirela's orchard" in table
    assert len(table.splitlines()) == 2 + 2


def test_only_so_many_of_the_worst_are_kept_and_the_strongest_of_them(index):
    (kept,) = findings(index, limit=1).worst
    assert kept.score == max(match.score for match in findings(index).worst)


def test_the_overlap_table_has_a_column_for_each_length(index):
    overlap = pa.Table.from_batches([ngram_overlap({"pages": documents(TEXTS)}, index)])
    head, _, *rows = overlap_table(overlap).splitlines()
    assert head.count("n = ") == 11
    assert len(rows) == 2  # village, school


def test_the_report_names_everything_asked_for(index):
    overlap = pa.Table.from_batches([ngram_overlap({"pages": documents(TEXTS)}, index)])
    sample = {"pages": {"documents": 4, "paper_rule": 1, "containment": 2}}
    text = render_report(findings(index), index.items, index.hygiene, overlap, sample)
    assert "| pages | 4 | 1 | 1 | 2 | school 1, village 2 |" in text
    assert "| pages | 4 | 1 | 2 |" in text
    assert "Items without content, not looked for: 1 (school/2)" in text
    assert "school/3 = village/2" in text


def test_without_any_scan_it_is_still_a_report(index):
    overlap = pa.Table.from_batches([ngram_overlap({}, index)])
    assert "## Worst matches\n\nnone" in render_report(Findings(), index.items, index.hygiene, overlap, {})
