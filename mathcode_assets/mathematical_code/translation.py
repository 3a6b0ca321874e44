"""The steps of verified translation, each pure over streams of Arrow batches.

    documents    -> complete        -> COMPLETION            one row for each passage
    completions  -> computations_of -> COMPUTATION           rows of each answer, whole or with a problem
    computations -> verified        -> VERIFIED_COMPUTATION  the same rows with execution and verdict

All tables are in the order of the documents; the later steps read the documents beside them and join by merging,
so none holds more than some batches. A verdict is one of verified, refuted and unverifiable, and `method` says
how it came about. The stated result takes no part in the execution: it is looked at when the program has ended.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa

from mathcode_assets.llm.generator import OK as ANSWERED
from mathcode_assets.llm.generator import Completion, Generator, Request, generator_name
from mathcode_assets.mathematical_code.extraction import Computation, computations_in
from mathcode_assets.mathematical_code.formulas import place_of
from mathcode_assets.mathematical_code.lockstep import OutOfStep, in_background, in_step
from mathcode_assets.mathematical_code.passages import Passage, passages
from mathcode_assets.mathematical_code.prompts import TranslationConfig, language_of, request_for
from mathcode_assets.records import COMPLETION, COMPUTATION, UNVERIFIABLE, VERIFIED_COMPUTATION
from mathcode_assets.sandbox.snippets import OK as RAN
from mathcode_assets.sandbox.snippets import Execution, Snippet
from mathcode_assets.sources.documents import DocumentBatches, encodable
from mathcode_assets.verification.compare import Comparison
from mathcode_assets.verification.isolated import Claim

REQUEST_FAILED = "request_failed"
NOT_RUN = "not_run"

STDERR_CHARS = 4_000
# Executions that wait to be verified: programs go on running while some hundred results are compared.
EXECUTED_AHEAD = 512
_COMPUTATION_ID_HEX_DIGITS = 32


def requests_of(
    documents: Iterable[pa.RecordBatch], config: TranslationConfig
) -> Iterator[tuple[str, Passage, Request]]:
    """A request for each passage of each document, with the document's id, in order.

    A passage of white space alone is not asked about.
    """
    for doc_id, text in _texts(documents):
        for passage in passages(text, config.passages):
            if passage.text.strip():
                yield doc_id, passage, request_for(passage, config)


def complete(
    documents: Iterable[pa.RecordBatch], generator: Generator, config: TranslationConfig
) -> Iterator[pa.RecordBatch]:
    """The answers to all passages as COMPLETION, one row for each request of `requests_of`, in its order.

    The generator reads requests ahead as far as it likes; what it was asked and has not answered waits in memory.

    Raises:
        ValueError: the generator gave another number of answers, or one to another request.
    """
    asked = requests_of(documents, config)
    # Every item is a question: the idle one is never asked.
    answers = in_step(asked, lambda item: item[2], generator.generate, idle=None)
    rows = DocumentBatches(COMPLETION)
    for (doc_id, passage, request), completion in answers:
        if completion is None or completion.key != request.key:
            raise ValueError(f"another answer than to request {request.key} of {doc_id}")
        row = _completion_row(doc_id, passage, request, completion)
        yield from rows.add(row, len(row["text"]) + len(row["error"]))
    yield from rows.rest()


def computations_of(
    documents: Iterable[pa.RecordBatch], completions: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """The computations of all answers as COMPUTATION.

    An answer that says there are none gives no row; a request that failed gives one, with its error. The tokens
    of a request are split evenly over its rows.

    Raises:
        OutOfStep: an answer to a document, or to a stretch of it, that is not there, or in another order.
        ValueError: a prompt version that `prompts` does not know.
    """
    rows = DocumentBatches(COMPUTATION)
    for text, completion in _with_texts(documents, completions):
        for row in _computation_rows(text, completion):
            yield from rows.add(row, sum(len(row[name]) for name in ("conditions", "expression", "code", "raw")))
    yield from rows.rest()


def verified(
    documents: Iterable[pa.RecordBatch],
    computations: Iterable[pa.RecordBatch],
    execute: Callable[[Iterable[Snippet]], Iterator[Execution]],
    verify: Callable[[Iterable[Claim]], Iterator[Comparison]],
) -> Iterator[pa.RecordBatch]:
    """Computations with what their programs did and a verdict, as VERIFIED_COMPUTATION, in the same order.

    A row with a problem is not run, and the problem is the method of its verdict. A program that did not end
    well is unverifiable by ``execution_<status>``. Programs run in a thread of their own, at most `EXECUTED_AHEAD` of
    them ahead of the verification, so that the sandbox is busy while results are compared; documents and
    computations are read in that thread.

    Args:
        documents: those the computations were found in, in the same order; the text is not read.
        computations: as `computations_of` gives them.
        execute: runs programs in isolation; one result for each, in order.
        verify: compares stated results with outputs; one comparison for each claim, in order.

    Raises:
        OutOfStep: a computation of a document that is not there, or in another order.
    """
    executed = in_step(_with_sources(documents, computations), _snippet_of, execute, idle=Snippet(code=""))
    claims = in_step(in_background(executed, size=EXECUTED_AHEAD), _claim_of, verify, idle=Claim(gold="0", output="0"))
    rows = DocumentBatches(VERIFIED_COMPUTATION)
    for (row, execution), comparison in claims:
        verified_row = row | _execution_fields(execution) | _verdict_fields(row, execution, comparison)
        size = sum(len(verified_row[name]) for name in ("expression", "code", "raw", "stdout", "evidence"))
        yield from rows.add(verified_row, size)
    yield from rows.rest()


def _texts(documents: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, str]]:
    for batch in documents:
        for doc_id, text in zip(batch["doc_id"], batch["text"], strict=True):
            yield doc_id.as_py(), text.as_py()


def _completion_row(doc_id: str, passage: Passage, request: Request, completion: Completion) -> dict[str, Any]:
    return {
        "doc_id": doc_id,
        "chunk": passage.number,
        "chunk_start": passage.start,
        "chunk_end": passage.end,
        "request_key": completion.key,
        "generator": completion.generator or generator_name(request.model, request.model_revision),
        "prompt_version": request.prompt_version,
        "status": completion.status,
        "text": encodable(completion.text),
        "error": encodable(completion.error),
        "finish_reason": completion.finish_reason,
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
    }


def _with_texts(
    documents: Iterable[pa.RecordBatch], completions: Iterable[pa.RecordBatch]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every completion with the text of its document; checks that they line up."""
    texts = _texts(documents)
    doc_id, text, end = None, "", 0
    for batch in completions:
        for row in batch.to_pylist():
            while doc_id != row["doc_id"]:
                if text[end:].strip():
                    raise OutOfStep(f"no answer to the text of {doc_id} from character {end}")
                doc_id, text = _next(texts, row["doc_id"])
                end = 0
            if text[end : row["chunk_start"]].strip() or not end <= row["chunk_start"] < row["chunk_end"] <= len(text):
                raise OutOfStep(f"answer to {row['chunk_start']}..{row['chunk_end']} of {doc_id} after {end}")
            end = row["chunk_end"]
            yield text, row
    for last_id, last_text in itertools.chain([(doc_id, text[end:])], texts):
        if last_text.strip():
            raise OutOfStep(f"no answer to {last_id}")


def _with_sources(
    documents: Iterable[pa.RecordBatch], computations: Iterable[pa.RecordBatch]
) -> Iterator[dict[str, Any]]:
    """Every computation with the fields that it takes over from its document."""
    names = ["doc_id", "source", "source_id", "source_uri", "licence"]
    facts = (row for batch in documents for row in batch.select(names).to_pylist())
    document: dict[str, Any] = {"doc_id": None}
    for batch in computations:
        for row in batch.to_pylist():
            while document["doc_id"] != row["doc_id"]:
                document = _next(facts, row["doc_id"])
            yield row | document


def _next(rows: Iterator[Any], doc_id: str) -> Any:
    try:
        return next(rows)
    except StopIteration:
        raise OutOfStep(f"no document {doc_id} after those before it") from None


def _computation_rows(text: str, completion: dict[str, Any]) -> Iterator[dict[str, Any]]:
    language = language_of(completion["prompt_version"])
    if completion["status"] == ANSWERED:
        reason = completion["finish_reason"]
        found = computations_in(completion["text"], language=language, finish_reason=reason)
    else:
        found = [Computation(problem=REQUEST_FAILED, raw=completion["error"])]
    after = completion["chunk_start"]
    for number, computation in enumerate(found):
        start, end = completion["chunk_start"], completion["chunk_end"]
        span = place_of(computation.expression, text, start, end, after=after)
        after = span[1] if span else after
        parts = {
            name: encodable(getattr(computation, name))
            for name in ("conditions", "expression", "result", "code", "problem", "raw")
        }
        yield parts | {
            "computation_id": _computation_id(completion, number, parts),
            "doc_id": completion["doc_id"],
            "chunk": completion["chunk"],
            "computation": number,
            "language": language,
            "span_start": span[0] if span else None,
            "span_end": span[1] if span else None,
            "generator": completion["generator"],
            "request_key": completion["request_key"],
            "prompt_tokens": completion["prompt_tokens"] / len(found),
            "completion_tokens": completion["completion_tokens"] / len(found),
        }


def _computation_id(completion: dict[str, Any], number: int, parts: dict[str, str]) -> str:
    """32 hex digits of the sha256 of document, passage, number and contents, each prefixed by its length."""
    digest = hashlib.sha256()
    for part in (completion["doc_id"], str(completion["chunk"]), str(number), *parts.values()):
        data = part.encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:_COMPUTATION_ID_HEX_DIGITS]


def _snippet_of(row: dict[str, Any]) -> Snippet | None:
    return None if row["problem"] else Snippet(code=row["code"], language=row["language"])


def _claim_of(item: tuple[dict[str, Any], Execution | None]) -> Claim | None:
    row, execution = item
    if execution is None or execution.status != RAN:
        return None
    return Claim(gold=row["result"], output=execution.stdout, expression=row["expression"], code=row["code"])


def _execution_fields(execution: Execution | None) -> dict[str, Any]:
    if execution is None:
        return {"status": NOT_RUN, "stdout": "", "stderr": "", "exit_code": None, "tier": ""}
    return {
        "status": execution.status,
        "stdout": encodable(execution.stdout),
        "stderr": encodable(execution.stderr)[:STDERR_CHARS],
        "exit_code": execution.exit_code,
        "tier": execution.tier,
    }


def _verdict_fields(row: dict[str, Any], execution: Execution | None, comparison: Comparison | None) -> dict[str, Any]:
    if comparison:
        return {
            "verdict": comparison.verdict,
            "method": comparison.method,
            "evidence": encodable(comparison.evidence),
        }
    method = f"execution_{execution.status}" if execution else row["problem"]
    detail = encodable(execution.detail) if execution else ""
    return {"verdict": UNVERIFIABLE, "method": method, "evidence": detail}
