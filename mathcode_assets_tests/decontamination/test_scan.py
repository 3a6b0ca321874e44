import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mathcode_assets.decontamination.config import DecontaminationConfig
from mathcode_assets.decontamination.index import build_index, load
from mathcode_assets.decontamination.scan import scan_documents
from mathcode_assets.records import CLEAN, CONTAMINATED, CONTAMINATION_ATTRIBUTES, NEAR, check_batch
from mathcode_assets_tests.decontamination.conftest import (
    BERNOULLI,
    LIBRARY,
    ORCHARD,
    ROWS,
    SHORT,
    TANK,
    TRIVIAL,
    batches,
    documents,
    host,
    row,
)  # fmt: skip


def scan(index, *texts, size=100):
    rows = []
    for batch in scan_documents(documents(list(texts), size), index):
        check_batch(batch, CONTAMINATION_ATTRIBUTES)
        rows.extend(batch.to_pylist())
    return rows


def inside(text):
    """The text as a paragraph in the middle of a page about lighthouses."""
    return f"{host(5)}\n\n{text}\n\n{host(7)}"


def matched(result):
    return {(m["benchmark"], m["question_index"]) for m in result["matches"]}


CONTAMINATED_TEXTS = {
    "word for word": ORCHARD,
    "in upper case": ORCHARD.upper(),
    "other white space": ORCHARD.replace(" ", " \n "),
    "no-break spaces and a typographic apostrophe": ORCHARD.replace(" ", "\u00a0").replace("'", "’"),
    "quoted, with bold numbers": "> " + ORCHARD.replace("14", "**14**").replace(". ", ".\n> "),
    "numbers in words": ORCHARD.replace("14", "fourteen").replace("9 new", "nine new"),
    "in table cells": "| " + ORCHARD.replace(". ", " | ") + " |",
    "one word exchanged": ORCHARD.replace("breaks", "destroys"),
    "a few words exchanged": ORCHARD.replace("breaks", "destroys").replace("plants", "sets"),
    "other LaTeX": TANK.replace("$", "").replace("\\frac{5}{2}", "\\dfrac{5}{2}"),
    "cut, then the line ends": ORCHARD[: ORCHARD.index("in the spring")] + "...",
    "with its solution": f"{ORCHARD}\n\nSolution. {ROWS[0]['solution']}",
    "in two paragraphs": ORCHARD.replace(". A storm", ".\n\nA storm"),
    "with a paragraph between its halves": ORCHARD.replace(". A storm", f".\n\n{host(1)}\n\nA storm"),
    "halves a whole page apart": ORCHARD.replace(". A storm", f".\n\n{host(30)}\n\nA storm"),
}


@pytest.mark.parametrize("name", CONTAMINATED_TEXTS)
def test_a_question_is_found_inside_a_page(index, name):
    (result,) = scan(index, inside(CONTAMINATED_TEXTS[name]))
    assert result["verdict"] == CONTAMINATED
    assert matched(result) & {("village", 0), ("village", 1)}
    assert 0.5 < result["score"] <= 1


NOT_CONTAMINATED = {
    "other numbers": (ORCHARD.replace("14", "16").replace("37", "41"), NEAR),  # to be looked at
    "one other number": (ORCHARD.replace("37", "38"), NEAR),
    "another number in words": (LIBRARY.replace("three times", "four times"), NEAR),
    "the same first sentence only": (ORCHARD.split(". A storm")[0] + " and she sells the fruit.", CLEAN),
    "the theorem, in the words of a book": (
        "Theorem (Bernoulli). If $x \\geq -1$ is real then $(1+x)^n \\geq 1+nx$ for all $n \\in N$.", CLEAN,
    ),
    "the same subject": ("A storm breaks pear trees. How many trees stand in each row in spring?", CLEAN),
    "a list of the same numbers": ("14, 23, 37, 9, 294, 322, 285", CLEAN),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_CONTAMINATED)
def test_what_resembles_a_question_is_not_that_question(index, name):
    text, verdict = NOT_CONTAMINATED[name]
    (result,) = scan(index, inside(text))
    assert result["verdict"] == verdict


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (f"Exercise. {SHORT}", CONTAMINATED),  # word for word, a sentence of its own
        (SHORT.replace("$", ""), CONTAMINATED),
        (f"{SHORT}\n\nAnswer: 2142", CONTAMINATED),
        (SHORT.replace("-", "+"), CLEAN),  # another operator is another question
        (SHORT.replace("238", "239"), CLEAN),
        ("We compute the binomial of 17 and 4, and then 238.", CLEAN),
        (TRIVIAL, CLEAN),  # says nothing by itself ...
        (f"{TRIVIAL}\n\nThe answer is 7.", CONTAMINATED),  # ... but with its answer it does
        ("Somebody asks what is 3 + 4? Nobody knows 7.", CLEAN),
        ("Which of the following is true?\n\nA) yes B) no", CLEAN),  # the letter of an option is no answer
    ],
)
def test_short_questions_have_a_rule_of_their_own(index, text, verdict):
    (result,) = scan(index, inside(text))
    near_is_fine = {CLEAN, NEAR} if verdict == CLEAN else {verdict}
    assert result["verdict"] in near_is_fine


def test_evidence_is_the_span_in_the_original_text(index):
    (result,) = scan(index, inside(ORCHARD.upper()))
    assert ORCHARD.upper().startswith(result["evidence"][:50])
    assert result["evidence"] in inside(ORCHARD.upper())
    assert result["benchmark"] == "village" and result["question_index"] == 0


def test_evidence_has_a_limit(index):
    text = inside(ORCHARD.replace(". A storm", f".\n\n{host(1)}\n\nA storm"))
    for result in scan(index, text):
        assert all(len(m["evidence"]) <= DecontaminationConfig().evidence_characters for m in result["matches"])


def test_every_item_is_named_strongest_first(index):
    renumbered = TANK.replace("$3$", "$8$")
    (result,) = scan(index, inside(f"{renumbered}\n\n{host(1)}\n\n{LIBRARY}"))
    assert [(m["benchmark"], m["question_index"], m["verdict"]) for m in result["matches"]] == [
        ("school", 3, CONTAMINATED), ("village", 2, CONTAMINATED), ("village", 1, NEAR),
    ]  # fmt: skip


def test_the_exact_copy_is_found_after_thousands_of_others(index):
    others = "\n\n".join(ORCHARD.replace("14", str(k)).replace("37", str(k + 1)) for k in range(100, 4100))
    (result,) = scan(index, f"{others}\n\n{ORCHARD}")
    assert result["verdict"] == CONTAMINATED


def test_a_long_document_is_read_to_its_end(index):
    (result,) = scan(index, f"{host(6) * 800}\n\n{ORCHARD}")
    assert result["verdict"] == CONTAMINATED


# --- the reference's errors (paper-facts, section 4.1) ---


@pytest.mark.parametrize("words_around", [20, 50, 100, 1000, 20_000])
def test_text_around_a_question_does_not_hide_it(index, words_around):
    # There: found 42 of 60 times with 20 words around it, 2 with 50, never with 100.
    filler = (host(6).split() * (1 + words_around // 100))[:words_around]
    (result,) = scan(index, " ".join(filler) + f"\n\n{LIBRARY}\n\n" + " ".join(filler))
    assert result["verdict"] == CONTAMINATED


@pytest.mark.parametrize("text", ["the", "How many", "A storm", "7", "pear trees"])
def test_a_fragment_of_a_question_is_clean(index, text):
    # There: the substring test was backwards, so the document "the" was contained in a question.
    assert scan(index, text)[0]["verdict"] == CLEAN


def test_an_empty_document_does_not_end_the_search(index):
    # There: an empty union of n-grams left the loop, and what followed was never compared.
    verdicts = [r["verdict"] for r in scan(index, "x", "", "...", ORCHARD)]
    assert verdicts == [CLEAN, CLEAN, CLEAN, CONTAMINATED]


def test_a_question_under_thirteen_words_can_match(index):
    # There: it has no 13-gram, so 217 of 964 questions of MMLU-math could never match.
    assert scan(index, inside(SHORT))[0]["verdict"] == CONTAMINATED


def test_the_answer_is_used(index):
    # There: answers were not looked at. Here they decide for questions that say little.
    without, with_answer = scan(index, inside(TRIVIAL), inside(f"{TRIVIAL} 7"))
    assert (without["verdict"], with_answer["verdict"]) == (CLEAN, CONTAMINATED)


def test_an_instruction_before_every_question_does_not_weaken_them():
    instruction = "Solve the problem and put your answer in '\\boxed{}'. \n"
    rows = [row("g", k, instruction + r["question"]) for k, r in enumerate(ROWS[:7])]
    built = build_index(batches(rows))
    (result,) = scan(built, inside(ORCHARD))
    assert result["verdict"] == CONTAMINATED and result["score"] == pytest.approx(1)


# --- properties ---


def test_a_loaded_index_scans_alike(index, tmp_path):
    index.save(tmp_path)
    texts = [inside(t) for t in (ORCHARD, SHORT, BERNOULLI)]
    assert scan(load(tmp_path), *texts) == scan(index, *texts)


def test_string_and_sliced_columns_are_read(index):
    texts = pa.array(["x", inside(ORCHARD), "y"], pa.string())
    batch = pa.RecordBatch.from_pydict({"doc_id": ["a", "b", "c"], "text": texts}).slice(1, 2)
    (found,) = list(scan_documents([batch], index))
    assert found.column("doc_id").to_pylist() == ["b", "c"]
    assert found.column("verdict").to_pylist() == [CONTAMINATED, CLEAN]


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(6)), st.integers(1, 6))
def test_neither_order_nor_batches_change_a_verdict(index, order, size):
    texts = [
        inside(ORCHARD),
        "x",
        inside(SHORT),
        inside(TANK.replace("$3$", "$5$")),
        host(3),
        inside(LIBRARY),
    ]
    plain = [{**r, "doc_id": ""} for r in scan(index, *texts)]
    shuffled = [{**r, "doc_id": ""} for r in scan(index, *(texts[k] for k in order), size=size)]
    assert shuffled == [plain[k] for k in order]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300), st.text(max_size=300))
def test_a_question_planted_in_any_text_is_found(index, before, after):
    (result,) = scan(index, f"{before}\n\n{ORCHARD}\n\n{after}")
    assert ("village", 0) in matched(result)
    # A LaTeX command or number word that the host leaves open may swallow a word at the border, no more.
    assert result["verdict"] == CONTAMINATED


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=200), max_size=5))
def test_any_text_gets_a_row(index, texts):
    assume(all(text.isprintable() or True for text in texts))
    encodable = [t.encode("utf-8", "replace").decode() for t in texts]
    results = scan(index, *encodable)
    assert [r["doc_id"] for r in results] == [str(k) for k in range(len(texts))]
    assert all(0 <= r["score"] <= 1 for r in results)


def test_no_documents_give_no_batches(index):
    assert list(scan_documents([], index)) == []


def test_an_empty_index_finds_nothing():
    assert scan(build_index([]), ORCHARD)[0]["verdict"] == CLEAN
