import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from mathcode_assets.corpus.openwebmath import (
    CLASSIFIER,
    AnnotationConfig,
    OpenWebMathConfig,
    tag_with_annotation,
    tag_with_classifier,
    training_examples,
)
from mathcode_assets.filtering.classifier import Classifier, load
from mathcode_assets.filtering.training import train
from mathcode_assets.llm.generator import FAILED, Completion, Request
from mathcode_assets.records import FILTER_ATTRIBUTES, check_batch
from mathcode_assets_tests.documents import document_batches, label_batches
from mathcode_assets_tests.example_texts import mathematics, other

SEGMENT_TREE = """To update an element we walk down the tree and change each node on the way.

```cpp
void update(int v, int l, int r, int pos, int value) {
    if (l == r) {
        tree[v] = value;
        return;
    }
    int middle = (l + r) / 2;
    update(v * 2, l, middle, pos, value);
    tree[v] = tree[v * 2] + tree[v * 2 + 1];
}
```
"""


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    texts = [*mathematics(60), *other(60)]
    labels = ["math"] * 60 + ["other"] * 60
    examples = training_examples(document_batches(texts), label_batches(labels))
    model_dir = tmp_path_factory.mktemp("model")
    train(examples, dataclasses.replace(CLASSIFIER, bucket=2_000, min_example_passes=2_000), model_dir)
    return load(model_dir)


def _rows(batches: Iterator[pa.RecordBatch]) -> list[dict]:
    rows = []
    for batch in batches:
        check_batch(batch, FILTER_ATTRIBUTES)
        rows += batch.to_pylist()
    return rows


def test_mathematics_stays_and_the_rest_goes_in_the_order_of_the_documents(classifier: Classifier) -> None:
    documents = document_batches([*mathematics(70)[60:], *other(70)[60:]], rows=3)
    rows = _rows(tag_with_classifier(documents, classifier, OpenWebMathConfig()))
    assert [row["verdict"] for row in rows] == ["kept"] * 10 + ["dropped"] * 10
    assert {row["reason"] for row in rows[10:]} == {"not_mathematical"}
    assert [row["doc_id"] for row in rows] == [d for batch in documents for d in batch["doc_id"].to_pylist()]
    assert {row["model"] for row in rows} == {classifier.model_id}
    assert all(0 <= row["score"] <= 1 for row in rows)


def test_one_row_for_every_document_the_last_one_included(classifier: Classifier) -> None:
    """The reference never writes its last document."""
    for count in (1, 2, 7):
        documents = document_batches(mathematics(count), rows=2)
        assert len(_rows(tag_with_classifier(documents, classifier, OpenWebMathConfig()))) == count
    assert _rows(tag_with_classifier([], classifier, OpenWebMathConfig())) == []


def test_a_program_is_dropped_as_programming_and_mathematics_with_a_program_stays(
    classifier: Classifier,
) -> None:
    both = "\n\n".join([*mathematics(12), SEGMENT_TREE])
    config = OpenWebMathConfig(threshold=0.0, threshold_with_code=0.0)  # whatever the classifier thinks of it
    program, mixed = _rows(tag_with_classifier(document_batches([SEGMENT_TREE, both]), classifier, config))
    assert (program["verdict"], program["reason"]) == ("dropped", "programming")
    assert program["labels"] == ["code"]
    assert mixed["verdict"] == "kept"


class _Scripted:
    """Answers each block by the first marker that it holds."""

    def __init__(self, answers: dict[str, str | None]) -> None:
        self.answers = answers
        self.requests: list[Request] = []

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        for request in requests:
            self.requests.append(request)
            block = request.messages[-1].content.split("<<<PIECE")[1]
            answer = next((self.answers[marker] for marker in self.answers if marker in block), "Type: 7")
            if answer is None:
                yield Completion(key=request.key, status=FAILED, error="down", is_transient=True)
            else:
                yield Completion(key=request.key, text=answer)


ANSWERS = {
    "theorem": "Type: 2",
    "problem": "1",
    "program": "Type: 4",
    "planet": "3",
    "odd": "??",
    "lost": None,
}


@pytest.mark.parametrize(
    ("text", "verdict", "reason", "labels"),
    [
        ("a theorem", "kept", "", ["type_2:1"]),
        ("a program\n\na problem\n\nchatter", "kept", "", ["type_1:1", "type_4:1", "type_7:1"]),
        ("a program\n\nprogram two\n\nchatter", "dropped", "programming", ["type_4:2", "type_7:1"]),
        ("a planet", "dropped", "scientific", ["type_3:1"]),
        ("chatter", "dropped", "not_mathematical", ["type_7:1"]),
        ("odd", "dropped", "unparsed_annotation", ["unparsed:1"]),
        ("lost", "dropped", "failed_annotation", ["failed:1"]),
        ("lost\n\na theorem", "kept", "", ["type_2:1", "failed:1"]),
        (" \n\n ", "dropped", "not_mathematical", []),
    ],
)
def test_a_document_stays_if_any_block_is_mathematics(text: str, verdict: str, reason: str, labels: list[str]) -> None:
    generator = _Scripted(ANSWERS)
    config = AnnotationConfig(model="judge", model_revision="r1", block_chars=13)
    (row,) = _rows(tag_with_annotation(document_batches([text]), generator, config))
    assert (row["verdict"], row["reason"], row["labels"]) == (verdict, reason, labels)
    assert row["model"] == "judge@r1/seven_types/1"


def test_blocks_past_the_limit_are_recorded_as_not_asked() -> None:
    generator = _Scripted(ANSWERS)
    config = AnnotationConfig(model="judge", block_chars=12, max_blocks=2)
    documents = document_batches(["one two.\n\nthree four\n\nfive six\n\nseven", "a theorem"])
    first, second = _rows(tag_with_annotation(documents, generator, config))
    assert first["labels"] == ["type_7:2", "blocks_not_asked:2"]
    assert second["verdict"] == "kept"
    assert len(generator.requests) == 3


@pytest.mark.shared_data
@pytest.mark.slow
def test_precision_and_recall_on_real_pages(shared_data: Path, tmp_path: Path) -> None:
    from mathcode_assets_tests.corpus.real_data import cc_en_documents, cc_en_labels, web_validation

    report = train(
        training_examples(cc_en_documents(shared_data, shards=4), cc_en_labels(shared_data)),
        CLASSIFIER,
        tmp_path,
    )
    held_out, alone = report.held_out.classes["math"], report.fasttext_alone.classes["math"]
    assert held_out.precision >= 0.95 and held_out.recall >= 0.8
    assert held_out.recall > alone.recall
    pages = web_validation(shared_data)
    documents = document_batches([page["text"] for page in pages])
    rows = _rows(tag_with_classifier(documents, load(tmp_path), OpenWebMathConfig()))
    kept = [page["label"] for page, row in zip(pages, rows, strict=True) if row["verdict"] == "kept"]
    n_math = sum(page["label"] == "math" for page in pages)
    assert kept.count("math") / n_math >= 0.95
    assert kept.count("math") / (kept.count("math") + kept.count("other")) >= 0.95
