import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from mathcode_assets.corpus import openwebmath
from mathcode_assets.corpus.cc_en_math import (
    ROUND1_CLASSIFIER,
    ROUND2_CLASSIFIER,
    AnnotationConfig,
    Round1Config,
    Round2Config,
    annotated_examples,
    round1_examples,
    round2_examples,
    tag_round1,
    tag_round2,
)
from mathcode_assets.filtering.classifier import load
from mathcode_assets.filtering.training import train
from mathcode_assets.llm.generator import Completion, Request
from mathcode_assets.records import FILTER_ATTRIBUTES, check_batch
from mathcode_assets_tests.documents import document_batches, label_batches
from mathcode_assets_tests.example_texts import mathematics, other

SMALL = {"bucket": 2_000, "dim": 10, "min_example_passes": 2_000}
PROSE = "A quiet morning by the sea, with boats and gulls and nothing at all to do but watch."


def _kept(documents: list[pa.RecordBatch], attributes: Iterator[pa.RecordBatch]) -> list[pa.RecordBatch]:
    kept = []
    for batch, tagged in zip(documents, attributes, strict=True):
        check_batch(tagged, FILTER_ATTRIBUTES)
        assert tagged["doc_id"].equals(batch["doc_id"])
        mask = [verdict == "kept" for verdict in tagged["verdict"].to_pylist()]
        kept.append(batch.filter(pa.array(mask, type=pa.bool_())))
    return kept


def _texts(batches: list[pa.RecordBatch]) -> list[str]:
    return [text for batch in batches for text in batch["text"].to_pylist()]


def test_two_rounds_find_the_mathematics_in_a_crawl(tmp_path: Path) -> None:
    crawl_texts = [*mathematics(100)[60:], *other(200)]
    crawl = document_batches(crawl_texts, source="crawl", rows=17)
    config = Round1Config(negative_floor=60)
    examples = round1_examples(document_batches(mathematics(60)), crawl, config)
    train(examples, dataclasses.replace(ROUND1_CLASSIFIER, **SMALL), tmp_path / "round1")
    output = _kept(crawl, tag_round1(crawl, load(tmp_path / "round1"), config))
    assert set(mathematics(100)[60:]) <= set(_texts(output))

    labels = label_batches(["math"] * 40 + ["other"] * 200, source="crawl")
    chosen = round2_examples([*output, *crawl], labels, Round2Config())
    train(chosen, dataclasses.replace(ROUND2_CLASSIFIER, **SMALL), tmp_path / "round2")
    final = _texts(_kept(output, tag_round2(output, load(tmp_path / "round2"), Round2Config())))
    assert sorted(final) == sorted(mathematics(100)[60:])


def test_round1_takes_all_mathematics_and_a_sample_of_the_crawl() -> None:
    crawl = document_batches([f"{PROSE} {number}" for number in range(300)], source="crawl")
    config = Round1Config(negative_rate=0.02, negative_floor=50)
    examples = list(round1_examples(document_batches(mathematics(9)), crawl, config))
    assert Counter(example.label for example in examples) == {"math": 9, "other": 50}


def test_evident_mathematics_passes_round1_whatever_its_score(tmp_path: Path) -> None:
    train(
        [(text, "math") for text in mathematics(30)] + [(text, "other") for text in other(30)],
        dataclasses.replace(ROUND1_CLASSIFIER, **SMALL),
        tmp_path,
    )
    pages = [PROSE, f"{PROSE} 3 + 4 = 7", f"{PROSE} Denominators of fractions."]
    config = Round1Config(threshold=1.1)
    (batch,) = tag_round1(document_batches(pages), load(tmp_path), config)
    assert batch["verdict"].to_pylist() == ["dropped", "kept", "kept"]
    assert batch["reason"].to_pylist() == ["not_mathematical", "", ""]
    assert batch["labels"].to_pylist() == [[], ["evident_formulas"], ["evident_words"]]


def test_round2_balances_what_it_trains_on_and_keeps_test_labels_for_measuring() -> None:
    documents = document_batches([*mathematics(20), *other(50)])
    labels = label_batches(["math"] * 20 + ["other"] * 50)
    examples = round2_examples(documents, labels, Round2Config())
    assert Counter(example.label for example in examples) == {"math": 20, "other": 20}
    measured = round2_examples(documents, label_batches(["math"] * 20, split="test"), Round2Config())
    assert Counter((example.label, example.split) for example in measured) == {("math", "test"): 20}


class _Judge:
    """Says type 2 to what mentions a theorem, 6 to what does not, and nonsense to the senate."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        self.requests = list(requests)
        for request in requests:
            question = request.messages[-1].content.split("<<<PIECE")[1]
            answer = "who knows" if "senate" in question else "2" if "Theorem" in question else "Type: 6"
            yield Completion(key=request.key, text=answer)


def test_a_model_may_give_the_labels_of_round2() -> None:
    judge = _Judge()
    texts = ["A Theorem stands here", "x" * 9_000 + "Theorem", "the senate", "a market"]
    config = AnnotationConfig(model="judge", n_documents=10)
    found = {example.text[:9]: example.label for example in annotated_examples(document_batches(texts), judge, config)}
    assert found == {"A Theorem": "math", "x" * 9: "other", "a market": "other"}
    sampled = list(annotated_examples(document_batches(texts), judge, dataclasses.replace(config, n_documents=2)))
    assert len(judge.requests) == 2 and len(sampled) <= 2


@pytest.mark.shared_data
@pytest.mark.slow
def test_both_rounds_on_a_real_crawl(shared_data: Path, tmp_path: Path) -> None:
    from mathcode_assets_tests.corpus.real_data import (
        cc_en_documents,
        cc_en_labels,
        open_web_math_documents,
        web_validation,
    )

    crawl, labels = cc_en_documents(shared_data, shards=8), cc_en_labels(shared_data)
    train(openwebmath.training_examples(crawl, labels), openwebmath.CLASSIFIER, tmp_path / "owm")
    sources = open_web_math_documents(shared_data)
    config = openwebmath.OpenWebMathConfig()
    mathematics_ = _kept(sources, openwebmath.tag_with_classifier(sources, load(tmp_path / "owm"), config))
    train(round1_examples(mathematics_, crawl, Round1Config()), ROUND1_CLASSIFIER, tmp_path / "1")
    output = _kept(crawl, tag_round1(crawl, load(tmp_path / "1"), Round1Config()))
    report = train(round2_examples(output, labels, Round2Config()), ROUND2_CLASSIFIER, tmp_path / "2")
    assert report.held_out.classes["math"].precision >= 0.95
    final = _kept(output, tag_round2(output, load(tmp_path / "2"), Round2Config()))
    kept_ids = {source_id for batch in final for source_id in batch["source_id"].to_pylist()}
    test_rows = [row for batch in labels for row in batch.to_pylist() if row["split"] == "test"]
    n_math = sum(row["label"] == "math" for row in test_rows)
    kept = Counter(row["label"] for row in test_rows if row["source_id"] in kept_ids)
    assert kept["math"] / n_math >= 0.8
    assert kept["math"] / kept.total() >= 0.95
    pages = web_validation(shared_data)
    web = document_batches([page["text"] for page in pages])
    passed = _kept(web, tag_round1(web, load(tmp_path / "1"), Round1Config()))
    passed = _texts(_kept(passed, tag_round2(passed, load(tmp_path / "2"), Round2Config())))
    by_text = {page["text"]: page["label"] for page in pages}
    found = Counter(by_text[text] for text in passed)
    assert found["math"] / sum(page["label"] == "math" for page in pages) >= 0.9
    assert found["math"] / (found["math"] + found["other"]) >= 0.9
