"""A re-scan for the difference gives, row for row, what a full scan gives."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathcode_assets.decontamination import scan as scanning
from mathcode_assets.decontamination.config import DecontaminationConfig
from mathcode_assets.decontamination.frequencies import count_frequencies, load_frequencies
from mathcode_assets.decontamination.incremental import difference, rescan_documents
from mathcode_assets.decontamination.index import BenchmarkIndex, build_index
from mathcode_assets.decontamination.items import prepare_items
from mathcode_assets.decontamination.scan import scan_documents
from mathcode_assets.records import CONTAMINATED
from mathcode_assets.storage.consolidate import NotCopartitioned
from mathcode_assets_tests.decontamination.conftest import (
    BERNOULLI,
    LIBRARY,
    ORCHARD,
    ROWS,
    SHORT,
    TANK,
    batches,
    documents,
    host,
    row,
)

FERRY = (
    "A ferry with 48 seats crosses the sound eleven times a day, and on Sundays 9 times. How many passengers can it "
    "carry in a week if every seat is taken on every crossing?"
)
MORE = [row("ferry", 0, FERRY, "3600"), row("ferry", 1, TANK, "45")]
TEXTS = [
    f"{host(3)}\n\n{ORCHARD}\n\n{host(2)}", host(2), f"{host(2)}\n\n{FERRY}", f"{TANK}\n\n{host(1)}\n\n{LIBRARY}",
    f"{host(2)}\n\n{TANK.replace('$3$', '$8$')}\n\n{SHORT}", host(4), BERNOULLI, "x", f"{FERRY}\n\n{ORCHARD}",
]  # fmt: skip
FROZEN = count_frequencies(prepare_items(batches(ROWS), DecontaminationConfig()))


def index_of(rows: list[dict]) -> BenchmarkIndex:
    return build_index(batches(rows), frequencies=FROZEN)


def rows_of(found) -> list[dict]:
    return [entry for batch in found for entry in batch.to_pylist()]


VILLAGE = [r for r in ROWS if r["benchmark"] == "village"]
SCHOOL = [r for r in ROWS if r["benchmark"] == "school"]
EDITED = [*VILLAGE[1:], row("village", 0, ORCHARD.replace("37", "38"))]
CHANGES = {
    "a benchmark is added": (ROWS, [*ROWS, *MORE]),
    "a benchmark is taken away": ([*ROWS, *MORE], ROWS),
    "a question is changed": (ROWS, [*EDITED, *SCHOOL]),
    "one comes and one goes": (ROWS, [*SCHOOL, *MORE]),
    "nothing changes": (ROWS, ROWS),
    "the first benchmark": ([], ROWS),
    "the last one goes": (MORE, []),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("sizes", [(100, 100), (2, 3), (4, 1)])
def test_the_result_is_that_of_a_full_scan(change, sizes):
    before, after = (index_of(rows) for rows in CHANGES[change])
    previous = list(scan_documents(documents(TEXTS, sizes[0]), before))
    kept = difference(before.parts, after.parts).kept
    found = rescan_documents(documents(TEXTS, sizes[1]), previous, after, kept)
    assert rows_of(found) == rows_of(scan_documents(documents(TEXTS), after))


def test_a_new_benchmark_leaves_the_parts_of_the_others_alone():
    changes = difference(index_of(ROWS).parts, index_of([*ROWS, *MORE]).parts)
    assert (changes.kept, changes.new, changes.gone) == ({"village", "school"}, {"ferry"}, set())


def test_without_frozen_frequencies_it_would_not():
    many = [row("ferry", k, f"{FERRY} Number {k}.") for k in range(40)]
    before, after = build_index(batches(ROWS)), build_index(batches([*ROWS, *many]))
    assert difference(before.parts, after.parts).kept < {"village", "school"} or before.parts == {
        name: after.parts[name] for name in before.parts
    }


def test_a_new_benchmarks_own_templates_are_templates():
    many = [row("ferry", k, f"A ferry with {k} seats crosses the sound {k + 2} times a day.") for k in range(500)]
    built = index_of(many)
    (found,) = rows_of(scan_documents(documents([f"{host(2)}\n\n{many[7]['question']}\n\n{host(1)}"]), built))
    assert (found["question_index"], found["verdict"]) == (7, CONTAMINATED)
    assert len(found["matches"]) < 20  # not all five hundred of them


def test_text_is_not_read_where_no_benchmark_is_new():
    before, after = index_of([*ROWS, *MORE]), index_of(ROWS)
    previous = list(scan_documents(documents(TEXTS), before))
    ids_only = [batch.select(["doc_id"]) for batch in documents(TEXTS)]
    kept = difference(before.parts, after.parts).kept
    assert rows_of(rescan_documents(ids_only, previous, after, kept)) == rows_of(
        scan_documents(documents(TEXTS), after)
    )


@pytest.mark.parametrize("broken", ["fewer", "more", "others"])
def test_attributes_of_other_documents_are_refused(broken):
    index = index_of(ROWS)
    (previous,) = list(scan_documents(documents(TEXTS), index))
    wrong = {
        "fewer": [previous.slice(1)],
        "more": [previous, previous],
        "others": [previous.set_column(0, "doc_id", pa.array([f"other{k}" for k in range(len(TEXTS))]))],
    }[broken]
    with pytest.raises(NotCopartitioned):
        list(rescan_documents(documents(TEXTS), wrong, index, index.parts.keys()))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(["village", "school", "ferry"]), unique=True), st.permutations(range(len(TEXTS))))
def test_an_index_of_some_benchmarks_finds_of_them_what_the_whole_one_finds(names, order):
    whole = index_of([*ROWS, *MORE])
    texts = [TEXTS[k] for k in order]
    full = rows_of(scan_documents(documents(texts), whole))
    part = rows_of(scan_documents(documents(texts), whole.select(names)))
    assert [r["matches"] for r in part] == [[m for m in r["matches"] if m["benchmark"] in names] for r in full]


def test_selecting_and_building_are_the_same():
    whole, built = index_of([*ROWS, *MORE]), index_of(MORE)
    assert whole.select(["ferry"]).version == built.version
    assert whole.select(["ferry"]).parts == built.parts


def test_where_memory_ends_a_stretch_other_benchmarks_do_not_matter(monkeypatch):
    """A template repeated thousands of times overflows the hits; the stretches must not depend on who else matched."""
    monkeypatch.setattr(scanning, "_HITS", 4096)
    text = "\n\n".join(ORCHARD.replace("14", str(k)) + "\n\n" + FERRY.replace("48", str(k)) for k in range(300, 700))
    texts = [f"{text}\n\n{ORCHARD}\n\n{FERRY}"]
    whole = index_of([*ROWS, *MORE])
    full = rows_of(scan_documents(documents(texts), whole))
    for name in ("village", "ferry"):
        part = rows_of(scan_documents(documents(texts), whole.select([name])))
        assert part[0]["matches"] == [m for m in full[0]["matches"] if m["benchmark"] == name]
        assert part[0]["verdict"] == CONTAMINATED


def test_frequencies_saved_and_loaded_are_the_same(tmp_path):
    FROZEN.save(tmp_path)
    assert load_frequencies(tmp_path).version == FROZEN.version
    (tmp_path / "frequencies.json").write_text((tmp_path / "frequencies.json").read_text().replace("1,", "0,", 1))
    with pytest.raises(ValueError, match="format 0"):
        load_frequencies(tmp_path)


def test_frequencies_count_items_not_occurrences():
    rows = [row("b", 0, "alpha alpha alpha beta gamma"), row("b", 1, "alpha beta delta"), row("c", 0, "omega nu mu")]
    items = prepare_items(batches(rows), DecontaminationConfig())
    table = count_frequencies(items)
    alpha, _, _, beta = items.hashes[:4]
    assert table.of(items.hashes[:5]).tolist() == [2, 2, 2, 2, 0]  # gamma is in one item only: not kept
    assert table.n_items == 3 and alpha != beta
