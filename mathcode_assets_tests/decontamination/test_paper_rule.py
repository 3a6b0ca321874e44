import pytest

from mathcode_assets.decontamination.paper_rule import grams_of, jaccard, prepare, scan_by_paper_rule
from mathcode_assets.decontamination.scan import scan_documents
from mathcode_assets.records import CLEAN, CONTAMINATED, CONTAMINATION_ATTRIBUTES, check_batch
from mathcode_assets_tests.decontamination.conftest import LIBRARY, ORCHARD, SHORT, documents, host


@pytest.fixture(scope="module")
def rule(index):
    return prepare(index)


def verdicts(rule, *texts):
    rows = []
    for batch in scan_by_paper_rule(documents(list(texts)), rule):
        check_batch(batch, CONTAMINATION_ATTRIBUTES)
        rows.extend(batch.to_pylist())
    return [row["verdict"] for row in rows]


def test_jaccard_is_the_shared_part_of_the_union():
    assert jaccard({1, 2, 3}, {2, 3, 4}) == 0.5
    assert jaccard(set(), set()) == 0  # there: division by an empty union ended the search
    assert grams_of(["a", "b", "c"], 2) == {("a", "b"), ("b", "c")}
    assert grams_of(["a", "b", "c"], 13) == set()


def test_a_verbatim_question_is_found_by_exact_match_however_long_the_page(rule):
    assert verdicts(rule, f"{host(20)}\n\n{ORCHARD}\n\n{host(20)}") == [CONTAMINATED]


def test_a_fragment_of_a_question_is_not_contained_the_wrong_way_round(rule):
    assert verdicts(rule, "the", "How many", "A storm breaks") == [CLEAN, CLEAN, CLEAN]


def test_a_short_document_does_not_end_the_search(rule):
    assert verdicts(rule, "too short for a 13-gram", "", LIBRARY) == [CLEAN, CLEAN, CONTAMINATED]


def test_a_question_under_thirteen_words_is_found_by_exact_match(rule):
    assert verdicts(rule, f"{host(1)}\n\n{SHORT}\n\n{host(1)}") == [CONTAMINATED]


def test_a_question_that_is_nearly_the_whole_document_exceeds_the_jaccard(rule):
    assert verdicts(rule, ORCHARD.replace("spring planting?", "spring?")) == [CONTAMINATED]


def test_what_the_rule_cannot_find_the_scan_does(rule, index):
    # The reason for containment: a page with an upper-case question has Jaccard 0 with it, and one with
    # a word exchanged drowns in the words of the page.
    texts = [f"{host(5)}\n\n{t}\n\n{host(5)}" for t in (ORCHARD.upper(), ORCHARD.replace("breaks", "destroys"))]
    assert verdicts(rule, *texts) == [CLEAN, CLEAN]
    ours = [r for b in scan_documents(documents(texts), index) for r in b.column("verdict").to_pylist()]
    assert ours == [CONTAMINATED, CONTAMINATED]
