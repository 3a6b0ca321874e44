import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from mathcode_assets.corpus.synthetic import (
    BOOK_CLASSIFIER,
    RULES_VERSION,
    Judge,
    RelationConfig,
    SyntheticConfig,
    book_examples,
    judge_by_formulas,
    judge_by_generator,
    set_of,
    tag,
)
from mathcode_assets.filtering.classifier import load
from mathcode_assets.filtering.training import train
from mathcode_assets.llm.generator import FAILED, Completion, Request
from mathcode_assets.records import FILTER_ATTRIBUTES, check_batch
from mathcode_assets_tests.documents import document_batches
from mathcode_assets_tests.example_texts import mathematics, other

CONFIG = SyntheticConfig()
PRICES = "The shop sells " + "and ".join(f"a lamp for ${number}0 to the old captain of a ship " for number in range(11))
WORKED = "Ten tickets cost $50, so " + " ".join(f"${n} + ${n} = ${2 * n} is paid." for n in range(4))


@pytest.mark.parametrize(
    ("source_file", "name"),
    [
        ("education_college.0000.jsonl.zst", "education_college"),
        ("ajibawa-2023/Education-College-Students/train.json", "education_college"),
        ("education_college.contaminated_sample.jsonl.zst", "education_college"),
        ("maths_college.0001.jsonl.zst", "maths_college"),
        ("Maths-College/part.parquet", "maths_college"),
        ("matrix/book_math.0001.jsonl.zst", "matrix_books"),
        ("book_science_part2.jsonl", "matrix_books"),
        ("stories.jsonl", "unknown_set"),
    ],
)
def test_the_set_is_told_by_the_file(source_file: str, name: str) -> None:
    assert set_of(source_file) == name


def _rows(texts: list[str], source_file: str, judge: tuple[Judge, str], **options: object) -> list[dict]:
    rows = []
    for batch in tag(document_batches(texts, source_file=source_file, rows=2), CONFIG, judge=judge, **options):
        check_batch(batch, FILTER_ATTRIBUTES)
        rows += batch.to_pylist()
    return rows


def test_education_needs_more_than_ten_dollar_signs_and_mathematics() -> None:
    assert WORKED.count("$") == 13
    short = "Let $x$ be $3$, $y$ be $4$ and $z = 5$."
    assert short.count("$") == 10
    rows = _rows([short, PRICES, WORKED], "education_college.0.jsonl", judge_by_formulas(CONFIG))
    assert [row["reason"] for row in rows] == ["few_dollar_signs", "not_related", ""]
    assert [row["model"] for row in rows] == [RULES_VERSION, "formula_density@1", "formula_density@1"]
    assert rows[2]["labels"] == ["education_college"] and rows[2]["score"] is None


@pytest.mark.parametrize(("n_signs", "verdict"), [(10, "dropped"), (11, "kept")])
def test_ten_dollar_signs_are_too_few_and_eleven_are_enough(n_signs: int, verdict: str) -> None:
    text = "We know that 2 + 2 = 4 and 3 + 3 = 6. " + "$" * n_signs
    (row,) = _rows([text], "education_college.jsonl", judge_by_formulas(CONFIG))
    assert row["verdict"] == verdict


def test_maths_college_is_kept_whole_puzzles_included() -> None:
    rows = _rows(["Decode: KHOOR", "Sort: pear, fig", "1 + 1 = 2"], "maths_college.0.jsonl", judge_by_formulas(CONFIG))
    assert {(row["verdict"], row["model"]) for row in rows} == {("kept", RULES_VERSION)}


def test_books_are_decided_by_their_classifier_or_else_by_the_judge(tmp_path: Path) -> None:
    books = document_batches([*other(40), *mathematics(45)[40:]], source_file="book_science.jsonl")
    elsewhere = document_batches(mathematics(5), source_file="maths_college.jsonl")
    examples = list(book_examples(document_batches(mathematics(40)), [*books, *elsewhere]))
    assert Counter(example.label for example in examples) == {"math": 40, "book": 45}
    train(
        examples,
        dataclasses.replace(BOOK_CLASSIFIER, bucket=2_000, dim=10, min_example_passes=2_000),
        tmp_path,
    )
    pages = [mathematics(50)[49], other(50)[49]]
    classifier = load(tmp_path)
    rows = _rows(pages, "book_math.jsonl", judge_by_formulas(CONFIG), book_classifier=classifier)
    assert [row["reason"] for row in rows] == ["", "not_mathematical"]
    assert {row["model"] for row in rows} == {classifier.model_id}
    judged = _rows(pages, "book_math.jsonl", judge_by_formulas(CONFIG))
    assert [row["model"] for row in judged] == ["formula_density@1"] * 2


class _Scripted:
    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        for request in requests:
            text = request.messages[-1].content.split("<<<TEXT")[1]
            if "lost" in text:
                yield Completion(key=request.key, status=FAILED, error="down")
            else:
                yield Completion(key=request.key, text="related" if "sum" in text else "Not related.")


def test_a_model_may_judge_and_only_texts_with_dollar_signs_cost_a_request() -> None:
    judge = judge_by_generator(_Scripted(), RelationConfig(model="judge"))
    signs = " $" * 11
    rows = _rows(["a sum" + signs, "a tale" + signs, "lost" + signs, "a sum"], "education_college.jsonl", judge)
    assert [row["reason"] for row in rows] == ["", "not_related", "no_verdict", "few_dollar_signs"]
    assert rows[0]["model"] == "judge@unversioned/related/1"


@pytest.mark.shared_data
def test_the_contaminated_sample_reaches_decontamination(shared_data: Path) -> None:
    from mathcode_assets_tests.corpus.real_data import documents_of, read_jsonl

    name = "education_college.contaminated_sample.jsonl.zst"
    rows = read_jsonl(shared_data / "synthetic" / name)
    documents = documents_of(rows, source="synthetic", source_file=name)
    tagged = tag(documents, CONFIG, judge=judge_by_formulas(CONFIG))
    reasons = Counter(reason for batch in tagged for reason in batch["reason"].to_pylist())
    assert reasons == {"few_dollar_signs": 95, "": 5}
