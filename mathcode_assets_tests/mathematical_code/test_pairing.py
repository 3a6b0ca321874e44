"""Paired and separated documents out of verified computations."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from mathcode_assets.mathematical_code.lockstep import OutOfStep
from mathcode_assets.mathematical_code.pairing import PairingConfig, paired, separated
from mathcode_assets.records import DOCUMENT, VERIFIED_COMPUTATION, batch_of
from mathcode_assets.sources.documents import doc_id_of
from mathcode_assets_tests.documents import document_batches

DOCUMENTS = document_batches(["first", "second", "third"])
IDS = [doc_id for batch in DOCUMENTS for doc_id in batch["doc_id"].to_pylist()]


def computation(doc_id: str, number: int, **fields: Any) -> dict[str, Any]:
    row: dict[str, Any] = {field.name: "" for field in VERIFIED_COMPUTATION}
    row |= {"computation_id": f"{doc_id[:8]}-{number}", "doc_id": doc_id, "chunk": 0, "computation": number}
    row |= {"span_start": None, "span_end": None, "exit_code": 0, "prompt_tokens": 1.0, "completion_tokens": 1.0}
    row |= {"conditions": "r = 3", "expression": "2 r", "result": "6", "language": "python", "code": "print(2 * 3)"}
    return row | {"verdict": "verified"} | fields


def table(*rows: dict[str, Any]) -> list[pa.RecordBatch]:
    return [batch_of(rows, VERIFIED_COMPUTATION)]


COMPUTATIONS = table(
    computation(IDS[0], 0),
    computation(IDS[0], 1, conditions="", expression="\\frac{4}{8}", result="\\frac{1}{2}", code="print(4 / 8)"),
    computation(IDS[0], 2, verdict="refuted"),
    computation(IDS[1], 0, verdict="unverifiable"),
    computation(IDS[2], 0, result="3 cm"),
)

FIRST_TEXT = """\
**Conditions:** r = 3

**Expression:** $2 r$

**Result:** 6

```python
print(2 * 3)
```

**Expression:** $\\frac{4}{8}$

**Result:** $\\frac{1}{2}$

```python
print(4 / 8)
```"""


def test_verified_computations_of_a_document_become_one_document() -> None:
    (batch,) = paired(DOCUMENTS, COMPUTATIONS)
    assert batch.schema == DOCUMENT
    first, third = batch.to_pylist()
    assert first["text"] == FIRST_TEXT
    assert "**Result:** 3 cm" in third["text"]


def test_paired_document_leads_to_its_source_document_and_computations() -> None:
    (batch,) = paired(DOCUMENTS, COMPUTATIONS)
    row = batch.to_pylist()[0]
    source = DOCUMENTS[0].to_pylist()[0]
    for name in ("source_id", "source_uri", "source_file", "source_row", "source_revision", "licence"):
        assert row[name] == source[name]
    assert row["source"] == "mathematical_code/web"
    assert row["doc_id"] == doc_id_of("mathematical_code/web", "web-0", row["text"])
    metadata = json.loads(row["source_metadata"])
    assert metadata["source_doc_id"] == IDS[0]
    assert metadata["computation_ids"] == [f"{IDS[0][:8]}-0", f"{IDS[0][:8]}-1"]


def test_separated_holds_the_same_words_and_programs_apart() -> None:
    (batch,) = separated(DOCUMENTS, COMPUTATIONS)
    words, code, *_ = batch.to_pylist()
    assert code["text"] == "```python\nprint(2 * 3)\n```\n\n```python\nprint(4 / 8)\n```"
    assert "print" not in words["text"]
    assert sorted(words["text"].split() + code["text"].split()) == sorted(FIRST_TEXT.split())
    assert [json.loads(row["source_metadata"])["form"] for row in (words, code)] == ["text", "code"]
    assert len(set(batch["doc_id"].to_pylist())) == batch.num_rows == 4


def test_other_verdicts_on_request() -> None:
    (batch,) = paired(DOCUMENTS, COMPUTATIONS, PairingConfig(verdicts=("verified", "unverifiable")))
    assert batch.num_rows == 3


def test_nothing_verified_gives_nothing() -> None:
    assert list(paired(DOCUMENTS, [])) == []
    assert list(paired(DOCUMENTS, table(computation(IDS[1], 0, verdict="refuted")))) == []


def test_code_with_back_ticks_gets_a_longer_fence() -> None:
    code = 'text = """\n```\n"""\nprint(len(text))'
    (batch,) = paired(DOCUMENTS, table(computation(IDS[0], 0, code=code)))
    assert f"````python\n{code}\n````" in batch["text"][0].as_py()


def test_text_with_its_own_delimiters_stays() -> None:
    (batch,) = paired(DOCUMENTS, table(computation(IDS[0], 0, expression="$a$ and $b$", result="$x = \\pi$")))
    assert "**Expression:** $a$ and $b$\n" in batch["text"][0].as_py()
    assert "**Result:** $x = \\pi$\n" in batch["text"][0].as_py()


def test_documents_in_another_order_are_noticed() -> None:
    rows = [computation(IDS[2], 0), computation(IDS[0], 0)]
    with pytest.raises(OutOfStep):
        list(paired(DOCUMENTS, table(*rows)))


@pytest.mark.parametrize(("result", "shown"), [("41^2", "$41^2$"), ("x\\!+\\!1", "$x\\!+\\!1$"), ("3 cm", "3 cm")])
def test_a_result_in_latex_stands_between_delimiters(result: str, shown: str) -> None:
    (batch,) = paired(DOCUMENTS, table(computation(IDS[0], 0, result=result)))
    assert f"**Result:** {shown}\n" in batch["text"][0].as_py()
