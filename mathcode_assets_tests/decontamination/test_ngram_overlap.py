import pytest

from mathcode_assets.decontamination.index import build_index
from mathcode_assets.decontamination.ngram_overlap import ngram_overlap
from mathcode_assets.records import NGRAM_OVERLAP, check_batch
from mathcode_assets_tests.decontamination.conftest import ORCHARD, batches, documents, host, row


def table(components, index):
    batch = ngram_overlap(components, index)
    check_batch(batch, NGRAM_OVERLAP)
    return {(r["component"], r["benchmark"], r["n"]): r for r in batch.to_pylist()}


def test_counts_a_reader_can_check():
    # Question "a b c d e": three 3-grams, two 4-grams, one 5-gram.
    # Document "a b c d x": 3-grams abc bcd cdx (two shared), 4-grams abcd bcdx (one shared), 5-gram none.
    words = ["alpha", "beta", "gamma", "delta", "epsilon"]
    built = build_index(batches([row("b", 0, " ".join(words))]))
    rows = table({"c": documents([" ".join([*words[:4], "omega"]), "nothing of it"])}, built)
    three, four, five = (rows["c", "b", n] for n in (3, 4, 5))
    assert (three["n_grams"], three["n_shared"]) == (4, 2)  # the second document has one 3-gram, not shared
    assert three["document_share"] == 0.5
    assert three["benchmark_share"] == pytest.approx(2 / 3)
    assert (four["n_grams"], four["n_shared"], four["overlap"]) == (2, 1, 0.5)
    assert (five["n_shared"], five["benchmark_share"]) == (0, 0)


def test_every_component_benchmark_and_length_has_a_row(index):
    rows = table({"one": documents([ORCHARD]), "two": documents([host(2)]), "none": []}, index)
    assert set(rows) == {(c, b, n) for c in ("one", "two", "none") for b in ("village", "school") for n in range(3, 14)}
    assert rows["one", "village", 13]["overlap"] == 1
    assert rows["two", "village", 13]["overlap"] == 0
    assert rows["none", "village", 3]["n_grams"] == 0


def test_longer_n_grams_overlap_less(index):
    rows = table({"c": documents([host(3), ORCHARD, "A storm breaks 37 of the windows."])}, index)
    overlaps = [rows["c", "village", n]["overlap"] for n in range(3, 14)]
    assert overlaps == sorted(overlaps, reverse=True)


def test_the_stream_may_be_cut_anywhere(index):
    texts = [host(2), ORCHARD, "", "x", ORCHARD.upper()]
    assert table({"c": documents(texts, 1)}, index) == table({"c": documents(texts, 5)}, index)
