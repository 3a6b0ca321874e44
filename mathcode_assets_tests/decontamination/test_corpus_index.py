"""The stored index of the corpus names every document that a scan could report, and few others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathcode_assets.decontamination import corpus_index, corpus_kernels
from mathcode_assets.decontamination.config import DecontaminationConfig
from mathcode_assets.decontamination.corpus_index import candidate_rows, index_documents
from mathcode_assets.decontamination.frequencies import count_frequencies
from mathcode_assets.decontamination.incremental import difference, rescan_candidates
from mathcode_assets.decontamination.index import BenchmarkIndex, build_index
from mathcode_assets.decontamination.items import prepare_items
from mathcode_assets.decontamination.scan import Scanner, scan_documents, text_of
from mathcode_assets.records import CORPUS_NGRAMS, check_batch
from mathcode_assets.storage.consolidate import NotCopartitioned
from mathcode_assets.storage.shards import read_batches, read_rows, write_shards
from mathcode_assets_tests.decontamination.conftest import ORCHARD, ROWS, SHORT, TRIVIAL, batches, documents, host, row
from mathcode_assets_tests.decontamination.test_incremental import CHANGES, FERRY, MORE, TEXTS, index_of

DOCUMENTS = pa.schema([pa.field("doc_id", pa.string(), False), pa.field("text", pa.large_string(), False)])


def rows_of(found) -> list[dict]:
    return [entry for batch in found for entry in batch.to_pylist()]


def scanned_candidates(texts: list[str], index: BenchmarkIndex) -> set[int]:
    """Documents in which the scan itself looks closer."""
    (batch,) = documents(texts, len(texts))
    return set(Scanner(index, DecontaminationConfig()).candidates(*text_of(batch)))


def candidates(texts: list[str], index: BenchmarkIndex, size: int = 100) -> list[int]:
    return candidate_rows(index_documents(documents(texts, size)), index).tolist()


def picked(texts: list[str], rows: np.ndarray, size: int):
    """The documents of these rows, some at a time."""
    whole = pa.Table.from_batches(documents(texts, len(texts))).combine_chunks().to_batches()[0]
    for first in range(0, len(rows), size):
        some = rows[first : first + size]
        yield some, whole.take(pa.array(some))


def rescanned(texts: list[str], before: BenchmarkIndex, after: BenchmarkIndex, sizes=(100, 100)) -> list[dict]:
    kept = difference(before.parts, after.parts).kept
    previous = list(scan_documents(documents(texts, sizes[0]), before))
    new = after.select(after.parts.keys() - kept)
    rows = candidate_rows(index_documents(documents(texts)), new)
    ids = [batch.select(["doc_id"]) for batch in documents(texts, sizes[1])]
    return rows_of(rescan_candidates(ids, picked(texts, rows, sizes[0]), previous, new, kept))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("sizes", [(100, 100), (2, 3), (4, 1), (1, 100)])
def test_the_result_is_that_of_a_full_scan(change, sizes):
    before, after = (index_of(rows) for rows in CHANGES[change])
    assert rescanned(TEXTS, before, after, sizes) == rows_of(scan_documents(documents(TEXTS), after))


def test_a_document_without_any_n_gram_of_an_item_is_not_read():
    found = candidates([host(2), f"{host(1)}\n\n{FERRY}", "x", host(5), FERRY.upper()], index_of(MORE[:1]))
    assert found == [1, 4]


@pytest.mark.parametrize(
    "question", ["Compute $\\sin 60$", "Evaluate $\\log_2 8$", SHORT, TRIVIAL, "0 2.06 7", "3 5 8 13 21"]
)
def test_very_short_questions_and_lists_of_numbers_are_found(question):
    index = index_of([row("short", 0, question)])
    texts = [host(2), f"{host(1)}\n\n{question}\n\n{host(1)}", question, "4 6 9 14 22"]
    assert candidates(texts, index) == [1, 2] or set(candidates(texts, index)) > {1, 2}
    assert scanned_candidates(texts, index) <= set(candidates(texts, index))


def test_a_question_with_other_numbers_is_a_candidate():
    assert candidates([host(1), ORCHARD.replace("14", "16").replace("37", "41")], index_of(ROWS)) == [1]


@pytest.mark.parametrize("keys", [1, 50, 700])
def test_where_a_segment_ends_does_not_matter(monkeypatch, keys):
    index = index_of([*ROWS, *MORE])
    whole = candidates(TEXTS, index)
    monkeypatch.setattr(corpus_index, "SEGMENT_KEYS", keys)
    segments = list(index_documents(documents(TEXTS, 2)))
    assert len(segments) > 1
    for segment in segments:
        check_batch(segment, CORPUS_NGRAMS)
    firsts, sizes = (np.array([s.column(name)[0].as_py() for s in segments]) for name in ("first_row", "n_rows"))
    assert firsts.tolist() == [0, *np.cumsum(sizes)[:-1]] and sizes.sum() == len(TEXTS)
    # Small segments have few buckets, and so more false candidates; no true one is lost.
    assert set(whole) <= set(candidates(TEXTS, index))


def test_a_segment_has_as_many_documents_as_an_entry_can_number():
    texts = ["one or two words more"] * (corpus_kernels.MAX_PIECES + 3) + [ORCHARD]
    segments = list(index_documents(documents(texts, 1000)))
    assert [s.column("n_rows")[0].as_py() for s in segments] == [corpus_kernels.MAX_PIECES, 4]
    assert candidate_rows(segments, index_of(ROWS)).tolist() == [len(texts) - 1]


def test_documents_without_windows_and_very_long_ones(monkeypatch):
    monkeypatch.setattr(corpus_index, "SEGMENT_KEYS", 500)
    long = " ".join(f"{k} {k + 1} a{k}" for k in range(3000)) + f"\n\n{ORCHARD}"
    texts = ["", "x", "...", "1 2", long, "", ORCHARD]
    assert candidates(texts, index_of(ROWS), size=2) == [4, 6]
    assert list(index_documents(documents([]))) == []
    assert candidates(texts, build_index([])) == []


def test_entries_of_a_bucket_ascend_and_stand_there_once():
    rng = np.random.default_rng(3)
    number = np.sort(rng.integers(0, 40, 5000)).astype(np.uint64)
    keys = rng.integers(0, 1 << 12, 5000, np.uint64) << np.uint64(52) | number  # many alike
    counts, entries = corpus_kernels.pack(keys, 9)
    assert counts.sum() == len(entries) == len(np.unique(keys >> np.uint64(53) << np.uint64(12) | number))
    rest = 0
    for count in counts.tolist():
        assert (np.diff(entries[rest : rest + count].astype(int)) > 0).all()
        rest += count


def test_an_n_gram_across_the_border_of_two_pieces_is_found(monkeypatch):
    """Wherever the question stands in a long document, and also where single words are longer than a piece."""
    index = index_of([row("b", 0, "amber beetle cedar dune ember")])
    size = corpus_kernels.PIECE_BYTES
    texts = [f"{'lamp ' * (size // 5 - 8)}{'oil ' * k}amber beetle cedar dune ember {host(20)}" for k in range(14)]
    texts.append(" ".join(word * size for word in ("amber", "beetle", "cedar", "dune", "ember", "fjord")))
    assert candidates(texts, index) == list(range(14))
    long_words = index_of([row("b", 0, texts[-1])])
    assert candidates(texts, long_words) == [14]


def test_windows_far_from_each_other_are_no_n_gram():
    index = index_of([row("b", 0, "amber beetle cedar dune ember")])
    apart = f"amber beetle cedar. {host(60)} beetle cedar dune. {host(60)} cedar dune ember."
    near = f"amber beetle cedar. {host(1)} beetle cedar dune. {host(1)} cedar dune ember."
    assert candidates([apart, near], index) == [1]  # read in vain


def test_a_very_long_document_has_longer_pieces():
    length, most = corpus_kernels.piece_bytes(400_000_000)
    assert length > corpus_kernels.PIECE_BYTES and most < corpus_kernels.MAX_PIECES
    assert corpus_kernels.piece_bytes(0) == (corpus_kernels.PIECE_BYTES, 1)


def test_few_documents_are_read_in_vain():
    rng = np.random.default_rng(7)
    words = np.array([f"w{chr(97 + k % 26)}{chr(97 + k // 26 % 26)}" for k in range(600)])
    texts = [" ".join(words[rng.integers(0, 600, 300)]) for _ in range(1500)]
    rows = [row("b", k, " ".join(words[rng.integers(0, 600, int(rng.integers(5, 40)))])) for k in range(300)]
    index = index_of(rows)
    assert len(set(candidates(texts, index)) - scanned_candidates(texts, index)) < 15


WORDS = [
    *["the", "sum", "of", "a", "tree", "boat", "sin", "x", "y", "find", "3", "17", "2.5", "four", "$\\frac12$"],
    "\n\n",
]
SENTENCE = st.lists(st.sampled_from(WORDS), min_size=1, max_size=25).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(SENTENCE, min_size=1, max_size=8),
    st.lists(SENTENCE, min_size=1, max_size=8),
    st.lists(st.lists(st.integers(0, 15), max_size=4), min_size=1, max_size=12),
    st.lists(SENTENCE, min_size=1, max_size=6),
    st.integers(1, 4),
)
def test_random_corpora_and_benchmarks(old, new, plants, fill, size):
    """Documents made of filling and questions, all of few words, so that n-grams are shared everywhere."""
    questions = [*old, *new]
    texts = [
        " ".join([fill[k % len(fill)], *(questions[p % len(questions)] for p in own), fill[-1]])
        for k, own in enumerate(plants)
    ]
    rows = [row("old", k, question) for k, question in enumerate(old)]
    frozen = count_frequencies(prepare_items(batches(rows), DecontaminationConfig()))
    more = [row("new", k, question) for k, question in enumerate(new)]
    before, after = (build_index(batches(r), frequencies=frozen) for r in (rows, [*rows, *more]))
    assert scanned_candidates(texts, after) <= set(candidates(texts, after, size))
    assert rescanned(texts, before, after, (size, 3)) == rows_of(scan_documents(documents(texts), after))


@pytest.mark.parametrize("broken", ["fewer", "others"])
def test_candidates_of_other_documents_are_refused(broken):
    index = index_of(MORE)
    rows = candidate_rows(index_documents(documents(TEXTS)), index)
    previous = list(scan_documents(documents(TEXTS), index_of([])))
    found = picked(TEXTS, rows, 3)
    if broken == "others":
        found = ((own, batch.set_column(0, "doc_id", pa.array(["y"] * len(own)))) for own, batch in found)
    ids = documents(TEXTS[:-1] if broken == "fewer" else TEXTS)
    with pytest.raises(NotCopartitioned):
        list(rescan_candidates(ids, found, previous, index, []))


def test_from_files_byte_for_byte(tmp_path: Path, monkeypatch):
    """As the pipeline does it: only row groups with candidates are read, and the files are those of a full scan."""
    monkeypatch.setattr("mathcode_assets.storage.shards.ROW_GROUP_ROWS", 4)
    texts = [host(1 + k % 3) if k % 7 else f"{host(1)}\n\n{TEXTS[k % len(TEXTS)]}" for k in range(60)]
    before, after = index_of(ROWS), index_of([*ROWS, *MORE])

    def written(name: str, found, schema) -> Path:
        (shard,) = write_shards(found, schema, new_path=iter([tmp_path / name]))
        return shard.path

    whole = [batch.cast(DOCUMENTS) for batch in documents(texts)]
    source = tmp_path / "documents.parquet"
    pa.parquet.write_table(pa.Table.from_batches(whole), source, row_group_size=4)
    stored = written("ngrams", index_documents(read_batches(source, columns=["text"])), CORPUS_NGRAMS)
    new = after.select(["ferry"])
    rows = candidate_rows(read_batches(stored), new)
    assert 0 < len(rows) < 20
    previous = list(scan_documents(read_batches(source), before))
    schema = previous[0].schema
    found = rescan_candidates(
        read_batches(source, columns=["doc_id"]), read_rows(source, rows), previous, new, before.parts.keys()
    )
    full = scan_documents(read_batches(source), after)
    assert written("found", found, schema).read_bytes() == written("full", full, schema).read_bytes()
