"""The steps of translation over streams: passages asked about, answers parsed, rows joined with documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pytest

from mathcode_assets.llm.generator import FAILED, Completion, Message, Parameters, Request
from mathcode_assets.llm.replay import Replay
from mathcode_assets.mathematical_code.lockstep import OutOfStep
from mathcode_assets.mathematical_code.passages import PassageConfig
from mathcode_assets.mathematical_code.prompts import TranslationConfig, titled_answer
from mathcode_assets.mathematical_code.translation import complete, computations_of, requests_of
from mathcode_assets.records import COMPLETION, COMPUTATION
from mathcode_assets_tests.documents import document_batches

CONFIG = TranslationConfig(model="scripted", model_revision="1", passages=PassageConfig(max_chars=40))

TEXTS = [
    "The sum is $1 + 1 = 2$.\n\nThe product is $2 \\cdot 3 = 6$.",
    "Nothing to see.",
    "  \n ",
    "The sum is $1 + 1 = 2$.",
]


def rows_of(batches: Iterable[pa.RecordBatch]) -> list[dict[str, Any]]:
    return [row for batch in batches for row in batch.to_pylist()]


class Scripted:
    """Answers by what the passage says."""

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        for request in requests:
            passage = request.messages[-1].content
            yield Completion(
                key=request.key,
                text=answer_to(passage),
                finish_reason="stop",
                prompt_tokens=100,
                completion_tokens=30,
            )


def answer_to(passage: str) -> str:
    found = []
    if "1 + 1" in passage:
        found.append(("1+1", "2", "print(1 + 1)"))
        found.append(("1 - 1", "0", "print(0)"))
    if "2 \\cdot 3" in passage:
        found.append(("2 \\cdot 3", "6", "print(2 * 3)"))
    answers = [
        titled_answer(number=number, conditions="", expression=expression, result=result, code=code, language="python")
        for number, (expression, result, code) in enumerate(found, start=1)
    ]
    return "\n\n".join(answers) or "No computations."


def test_every_passage_is_asked_about_once_in_order() -> None:
    documents = document_batches(TEXTS)
    ids = [row["doc_id"] for row in rows_of(documents)]
    asked = list(requests_of(documents, CONFIG))
    assert [(ids.index(doc_id), passage.number) for doc_id, passage, _ in asked] == [(0, 0), (0, 1), (1, 0), (3, 0)]
    assert [request.messages[-1].content for _, _, request in asked] == [
        "The sum is $1 + 1 = 2$.\n\n",
        "The product is $2 \\cdot 3 = 6$.",
        "Nothing to see.",
        "The sum is $1 + 1 = 2$.",
    ]


def test_completions_are_rows_of_the_passages() -> None:
    documents = document_batches(TEXTS, rows=1)
    batches = list(complete(documents, Scripted(), CONFIG))
    assert all(batch.schema == COMPLETION for batch in batches)
    rows = rows_of(batches)
    assert [(row["chunk"], row["chunk_start"], row["chunk_end"]) for row in rows][:2] == [
        (0, 0, 25),
        (1, 25, len(TEXTS[0])),
    ]
    assert {row["generator"] for row in rows} == {"scripted@1"}
    assert {row["prompt_version"] for row in rows} == {"single_call_python/1"}


def test_computations_carry_their_span_and_their_share_of_the_tokens() -> None:
    documents = document_batches(TEXTS)
    completions = list(complete(documents, Scripted(), CONFIG))
    batches = list(computations_of(documents, completions))
    assert all(batch.schema == COMPUTATION for batch in batches)
    rows = rows_of(batches)
    first, stated, product, last, _ = rows
    assert TEXTS[0][first["span_start"] : first["span_end"]] == "1 + 1"
    assert TEXTS[0][product["span_start"] : product["span_end"]] == "2 \\cdot 3"
    assert (stated["problem"], stated["span_start"], stated["span_end"]) == ("constant_code", None, None)
    assert [row["computation"] for row in rows] == [0, 1, 0, 0, 1]
    assert [row["prompt_tokens"] for row in rows] == [50.0, 50.0, 100.0, 50.0, 50.0]
    assert last["doc_id"] != first["doc_id"]
    assert len({row["computation_id"] for row in rows}) == len(rows)


def test_failed_request_is_a_row_with_its_error() -> None:
    documents = document_batches(["A text."])
    (row,) = rows_of(computations_of(documents, complete(documents, Replay({}), CONFIG)))
    assert (row["problem"], row["raw"]) == ("request_failed", "not recorded")


def test_lone_surrogate_in_an_answer_does_not_end_the_job() -> None:
    documents = document_batches(["A text."])
    ((_, _, request),) = requests_of(documents, CONFIG)
    answer = '{"computations": [{"expression": "1+1", "result": "\\ud800", "code": "print(1+1)"}]}'
    replay = Replay({request.key: Completion(key=request.key, text=answer)})
    (row,) = rows_of(computations_of(documents, complete(documents, replay, CONFIG)))
    assert row["result"] == "\\ud800"


def test_generator_that_answers_something_else_is_an_error() -> None:
    class Astray:
        def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
            yield from (Completion(key="0" * 64, status=FAILED) for _ in requests)

    with pytest.raises(ValueError, match="another answer"):
        list(complete(document_batches(["A text."]), Astray(), CONFIG))


def _without(batches: list[pa.RecordBatch], number: int) -> list[pa.RecordBatch]:
    table = pa.Table.from_batches(batches)
    return pa.concat_tables([table.slice(0, number), table.slice(number + 1)]).to_batches()


@pytest.mark.parametrize("number", range(4))
def test_missing_answer_is_noticed(number: int) -> None:
    documents = document_batches(TEXTS)
    completions = list(complete(documents, Scripted(), CONFIG))
    with pytest.raises(OutOfStep):
        list(computations_of(documents, _without(completions, number)))


@pytest.mark.parametrize("number", [0, 1, 3])
def test_missing_document_is_noticed(number: int) -> None:
    documents = document_batches(TEXTS)
    completions = list(complete(documents, Scripted(), CONFIG))
    with pytest.raises(OutOfStep):
        list(computations_of(_without(documents, number), completions))


def test_size_of_batches_changes_nothing() -> None:
    texts = TEXTS * 20
    whole = rows_of(computations_of(document_batches(texts), complete(document_batches(texts), Scripted(), CONFIG)))
    completions = pa.Table.from_batches(list(complete(document_batches(texts, rows=3), Scripted(), CONFIG)))
    pieces = computations_of(document_batches(texts, rows=7), completions.to_batches(max_chunksize=2))
    assert rows_of(pieces) == whole


def test_prompt_of_another_stage_is_refused() -> None:
    documents = document_batches(["A text."])
    request = Request(
        messages=(Message(role="user", content="A text."),),
        model="m",
        parameters=Parameters(),
        prompt_version="other/1",
    )
    (batch,) = complete(documents, Scripted(), CONFIG)
    other = batch.set_column(6, COMPLETION.field("prompt_version"), pa.array([request.prompt_version]))
    with pytest.raises(ValueError, match="other/1"):
        list(computations_of(documents, [other]))
