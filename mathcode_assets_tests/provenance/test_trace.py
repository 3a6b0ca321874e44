"""A small lake in DuckDB, and the way of each of its documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from mathcode_assets.provenance.trace import Trace, render_trace, trace
from mathcode_assets.records import (
    CLEAN_DOCUMENT,
    CONTAMINATION_ATTRIBUTES,
    DOCUMENT,
    DUPLICATE_ATTRIBUTES,
    FILTER_ATTRIBUTES,
    PILE_DOCUMENT,
    VERIFIED_COMPUTATION,
    batch_of,
)

DOCUMENTS = {
    "pile": "Euler",
    "news": "the news",
    "twin": "Euler",
    "leak": "Natalia sold clips",
    "spare": "left out by a weight",
    "fresh": "not further than the filter",
    "paired": "two and two",
}


def document(doc_id: str, source: str = "cc_en") -> dict[str, Any]:
    return {
        "doc_id": doc_id,
        "source": source,
        "source_id": f"{source}#{doc_id}",
        "source_uri": f"https://example.org/{doc_id}",
        "source_file": "cc_en.0000.jsonl.zst",
        "source_row": list(DOCUMENTS).index(doc_id),
        "source_revision": "etag-1",
        "licence": "CC-BY-4.0",
        "text": DOCUMENTS[doc_id],
        "source_metadata": "{}",
    }


def filtered(doc_id: str, verdict: str = "kept", reason: str = "", score: float | None = 0.9) -> dict[str, Any]:
    model = "fasttext@round2"
    return {
        "doc_id": doc_id,
        "verdict": verdict,
        "reason": reason,
        "score": score,
        "model": model,
        "labels": [],
    }


def contamination(doc_id: str, verdict: str = "clean", score: float = 0.0) -> dict[str, Any]:
    row: dict[str, Any] = {"doc_id": doc_id, "verdict": verdict, "score": score, "matches": []}
    if verdict == "clean":
        return {**row, "benchmark": None, "question_index": None, "evidence": None}
    match = {"benchmark": "gsm8k", "question_index": 0, "evidence": "Natalia sold clips to 48 friends"}
    return {**row, **match, "matches": [{**match, "verdict": verdict, "score": score}]}


def duplicate(doc_id: str, of: str | None = None, component: str | None = None) -> dict[str, Any]:
    verdict = "exact_duplicate" if of else "kept"
    cluster = "c1" if doc_id in ("pile", "twin") else None
    return {
        "doc_id": doc_id,
        "verdict": verdict,
        "duplicate_of": of,
        "duplicate_component": component,
        "cluster": cluster,
        "similarity": 1.0 if of else None,
    }


def computation(doc_id: str, verdict: str) -> dict[str, Any]:
    """A row of computations/*; what a trace does not show is empty."""
    empty: dict[str, Any] = {
        field.name: None if field.nullable else "" if pa.types.is_string(field.type) else 0
        for field in VERIFIED_COMPUTATION
    }
    texts = {field.name: "" for field in VERIFIED_COMPUTATION if pa.types.is_large_string(field.type)}
    found = {"doc_id": doc_id, "expression": "2+2", "result": "5", "stdout": "4", "verdict": verdict, "method": "exact"}
    return empty | texts | found


def clean(doc_id: str) -> dict[str, Any]:
    return {**document(doc_id), "n_tokens": 7}


@pytest.fixture
def lake() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()

    def table(name: str, rows: Sequence[dict[str, Any]], schema: pa.Schema, partition: str = "p0") -> None:
        whole = pa.Table.from_batches([batch_of(rows, schema)])
        whole = whole.append_column("partition", pa.array([partition] * len(rows)))
        connection.register(f"arrow_{name}", whole)
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM arrow_{name}")

    web = [name for name in DOCUMENTS if name not in ("twin", "paired")]
    kept = ["pile", "leak", "spare"]
    table("raw__cc_en", [document(name) for name in web], DOCUMENT)
    table("attributes__cc_en_math_round1", [filtered(name) for name in web], FILTER_ATTRIBUTES)
    table("filtered__cc_en_math_round1", [document(name) for name in web], DOCUMENT)
    second = [filtered(name) for name in [*kept, "fresh"]] + [filtered("news", "dropped", "below_threshold", 0.02)]
    table("attributes__cc_en_math", second, FILTER_ATTRIBUTES)
    table("filtered__cc_en_math", [document(name) for name in kept], DOCUMENT)
    table(
        "attributes__contamination__cc_en_math",
        [
            contamination("pile"),
            contamination("leak", "contaminated", 0.93),
            contamination("spare", "near", 0.4),
        ],
        CONTAMINATION_ATTRIBUTES,
    )
    table("attributes__duplicates__cc_en_math", [duplicate(name) for name in kept], DUPLICATE_ATTRIBUTES)
    table("clean__cc_en_math", [clean("pile"), clean("spare")], CLEAN_DOCUMENT)
    pile = [{**clean("pile"), "component": "cc_en_math", "repetition": copy} for copy in range(2)]
    table("mixture__mathcode_pile", pile, PILE_DOCUMENT)
    table("computations__cc_en_math", [computation("pile", "refuted")], VERIFIED_COMPUTATION)
    paired = document("paired") | {"source_metadata": '{"source_doc_id": "pile"}'}
    table("translated__cc_en_math", [paired], DOCUMENT)
    table("raw__synthetic", [document("twin", "synthetic")], DOCUMENT, "s7")
    table("attributes__synthetic", [filtered("twin", score=None)], FILTER_ATTRIBUTES, "s7")
    table("filtered__synthetic", [document("twin", "synthetic")], DOCUMENT, "s7")
    lost = [duplicate("twin", of="pile", component="cc_en_math")]
    table("attributes__duplicates__synthetic", lost, DUPLICATE_ATTRIBUTES, "s7")
    return connection


def way(lake: duckdb.DuckDBPyConnection, needle: str) -> Trace:
    (found,) = trace(lake, needle)
    return found


def test_the_way_into_the_pile_passes_every_stage_in_order(lake: duckdb.DuckDBPyConnection) -> None:
    found = way(lake, "pile")
    assert [(step.stage, step.table) for step in found.steps] == [
        ("source", "raw__cc_en"),
        ("filter", "attributes__cc_en_math_round1"),
        ("filtered", "filtered__cc_en_math_round1"),
        ("filter", "attributes__cc_en_math"),
        ("filtered", "filtered__cc_en_math"),
        ("decontamination", "attributes__contamination__cc_en_math"),
        ("deduplication", "attributes__duplicates__cc_en_math"),
        ("clean", "clean__cc_en_math"),
        ("pile", "mixture__mathcode_pile"),
        ("pile", "mixture__mathcode_pile"),
        ("computation", "computations__cc_en_math"),
    ]
    assert found.ended == "in the pile (cc_en_math), 2 times"


def test_the_source_step_names_file_row_revision_and_licence(lake: duckdb.DuckDBPyConnection) -> None:
    facts = way(lake, "news").steps[0].facts
    assert facts["source_file"] == "cc_en.0000.jsonl.zst"
    assert facts["source_row"] == 1
    assert facts["source_revision"] == "etag-1"
    assert facts["licence"] == "CC-BY-4.0"


def test_a_dropped_document_names_the_filter_the_reason_and_the_score(
    lake: duckdb.DuckDBPyConnection,
) -> None:
    found = way(lake, "news")
    assert found.ended == "not in the pile: dropped by cc_en_math (below_threshold)"
    assert found.steps[-1].facts == {"score": pytest.approx(0.02), "model": "fasttext@round2"}


def test_a_contaminated_document_names_the_question_and_the_evidence(lake: duckdb.DuckDBPyConnection) -> None:
    found = way(lake, "leak")
    assert found.ended == "not in the pile: contaminated by gsm8k question 0"
    step = next(step for step in found.steps if step.stage == "decontamination")
    assert step.facts["question_index"] == 0
    assert step.facts["evidence"] == "Natalia sold clips to 48 friends"


def test_a_duplicate_names_the_copy_that_stayed_and_is_named_by_it(lake: duckdb.DuckDBPyConnection) -> None:
    assert way(lake, "twin").ended == "not in the pile: exact duplicate of pile, which stayed (cc_en_math)"
    (copy,) = way(lake, "pile").absorbed
    assert (copy.doc_id, copy.component, copy.partition) == ("twin", "synthetic", "s7")


def test_a_clean_document_outside_the_pile_was_left_out_by_the_mixture(
    lake: duckdb.DuckDBPyConnection,
) -> None:
    assert "left out by the mixture" in way(lake, "spare").ended


def test_a_way_that_stops_says_after_which_table(lake: duckdb.DuckDBPyConnection) -> None:
    assert "no table after attributes__cc_en_math has it" in way(lake, "fresh").ended


@pytest.mark.parametrize("needle", ["pile", "cc_en#pile", "https://example.org/pile"])
def test_doc_id_source_id_and_address_find_the_same_document(needle: str, lake: duckdb.DuckDBPyConnection) -> None:
    assert way(lake, needle).doc_id == "pile"


@pytest.mark.parametrize("needle", ["nothing", "", "' OR 1=1 --", "Euler"])
def test_what_names_nothing_finds_nothing(needle: str, lake: duckdb.DuckDBPyConnection) -> None:
    assert trace(lake, needle) == []


def test_an_empty_lake_knows_nothing() -> None:
    assert trace(duckdb.connect(), "pile") == []


def test_the_text_for_a_terminal(lake: duckdb.DuckDBPyConnection) -> None:
    text = render_trace(way(lake, "leak"))
    assert text.startswith("document leak\n  not in the pile: contaminated by gsm8k question 0\n")
    assert "filter            attributes__cc_en_math [p0]  kept\n    score               0.9\n" in text
    assert "copies that went in favour of this one: 1" in render_trace(way(lake, "pile"))
    assert "Natalia sold clips to 48 friends" in text


def test_a_document_and_what_was_translated_from_it_name_each_other(lake: duckdb.DuckDBPyConnection) -> None:
    source, paired = way(lake, "pile"), way(lake, "paired")
    assert source.made_into == ("paired",) and source.made_from == ""
    assert paired.made_from == "pile" and paired.made_into == ()
    assert "translated from document pile" in render_trace(paired)
    assert "translated into: paired" in render_trace(source)


def test_a_computation_is_shown_with_its_verdict_and_does_not_carry_the_document_on(
    lake: duckdb.DuckDBPyConnection,
) -> None:
    computed = [step for step in way(lake, "pile").steps if step.stage == "computation"]
    assert [(step.verdict, step.facts["expression"], step.facts["stdout"]) for step in computed] == [
        ("refuted", "2+2", "4")
    ]
