"""Programs run in the sandbox and results compared in it: every computation ends with a verdict."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pytest

from mathcode_assets.llm.generator import Completion
from mathcode_assets.llm.replay import Replay
from mathcode_assets.mathematical_code.lockstep import OutOfStep
from mathcode_assets.mathematical_code.pairing import paired
from mathcode_assets.mathematical_code.prompts import TranslationConfig, titled_answer
from mathcode_assets.mathematical_code.translation import complete, computations_of, requests_of, verified
from mathcode_assets.records import VERIFIED_COMPUTATION
from mathcode_assets.sandbox.pool import Sandbox, SandboxConfig
from mathcode_assets.sandbox.snippets import Execution, Limits, Snippet
from mathcode_assets.verification.isolated import VerificationConfig, Verifier
from mathcode_assets_tests.documents import document_batches

CONFIG = TranslationConfig(model="scripted")

# What the program is, what result is stated, and how it ends.
PROGRAMS = [
    ("print(6 * 7)", "42", ("ok", "verified")),
    ("print(6 * 7)", "43", ("ok", "refuted")),
    ("print('no idea'.upper())", "42", ("ok", "unverifiable")),
    ("print('42')", "42", ("not_run", "unverifiable")),
    ("print(1 / 0)", "42", ("error", "unverifiable")),
    ("while True:\n    pass", "42", ("timeout", "unverifiable")),
    ("x = 6 * 7", "42", ("ok", "unverifiable")),
    ("from sympy import Rational\nprint(Rational(1, 2) + Rational(1, 4))", "\\frac{3}{4}", ("ok", "verified")),
]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxConfig(n_workers=1, limits=Limits(wall_s=3.0))) as running:
        yield running


@pytest.fixture(scope="module")
def verifier() -> Iterator[Verifier]:
    with Verifier(VerificationConfig(n_workers=1)) as running:
        yield running


def tables(programs: list[tuple[str, str]]) -> tuple[list[pa.RecordBatch], list[pa.RecordBatch]]:
    """Documents and the computations of a scripted answer to each."""
    documents = document_batches([f"Text {number}." for number in range(len(programs))])
    completions = {}
    for (code, result), (_, _, request) in zip(programs, requests_of(documents, CONFIG), strict=True):
        answer = titled_answer(number=1, conditions="", expression="e", result=result, code=code, language="python")
        completions[request.key] = Completion(key=request.key, text=answer, prompt_tokens=10, completion_tokens=5)
    return documents, list(computations_of(documents, complete(documents, Replay(completions), CONFIG)))


def test_every_computation_ends_with_its_own_verdict(sandbox: Sandbox, verifier: Verifier) -> None:
    documents, computations = tables([(code, result) for code, result, _ in PROGRAMS])
    (batch,) = verified(documents, computations, sandbox.run, verifier.verify)
    assert batch.schema == VERIFIED_COMPUTATION
    rows = batch.to_pylist()
    assert [(row["status"], row["verdict"]) for row in rows] == [wanted for _, _, wanted in PROGRAMS]
    assert [row["method"] for row in rows][3:6] == ["constant_code", "execution_error", "execution_timeout"]
    assert "ZeroDivisionError" in rows[4]["stderr"]
    assert rows[3]["exit_code"] is None and rows[3]["tier"] == ""
    assert [row["source_id"] for row in rows] == [f"web-{number}" for number in range(len(PROGRAMS))]
    assert {row["prompt_tokens"] for row in rows} == {10.0}


def test_only_verified_computations_are_paired(sandbox: Sandbox, verifier: Verifier) -> None:
    documents, computations = tables([(code, result) for code, result, _ in PROGRAMS])
    (batch,) = paired(documents, verified(documents, computations, sandbox.run, verifier.verify))
    assert batch["source_id"].to_pylist() == ["web-0", "web-7"]


def test_stated_result_never_enters_the_sandbox_with_the_program(verifier: Verifier) -> None:
    seen: list[Snippet] = []

    def execute(snippets: Iterable[Snippet]) -> Iterator[Execution]:
        for snippet in snippets:
            seen.append(snippet)
            yield Execution(status="ok", stdout="42\n", stderr="", exit_code=0, wall_s=0.0, tier="namespace")

    documents, computations = tables([("print(6 * 7)", "1234567")])
    list(verified(documents, computations, execute, verifier.verify))
    assert seen == [Snippet(code="print(6 * 7)")]


def test_computation_of_an_unknown_document_is_noticed(sandbox: Sandbox, verifier: Verifier) -> None:
    _, computations = tables([("print(6 * 7)", "42")])
    with pytest.raises(OutOfStep):
        list(verified(document_batches(["Another."]), computations, sandbox.run, verifier.verify))


@pytest.mark.skipif(shutil.which("octave-cli") is None, reason="octave-cli is not installed (apt-get install octave)")
def test_octave_from_the_answer_to_the_verdict(sandbox: Sandbox, verifier: Verifier) -> None:
    """Titled answers with an Octave fence: read, run, compared."""
    config = TranslationConfig(model="scripted", language="octave")
    programs = [
        ("A = [2 1; 1 3];\nb = [3; 5];\nx = A \\ b", "\\begin{pmatrix}0.8\\\\1.4\\end{pmatrix}", ("ok", "verified")),
        ("disp(det([2 1; 1 3]) + 1)", "6", ("ok", "verified")),
        ("x = roots([1 -5 6])", "x = 2, x = 4", ("ok", "refuted")),
        ("x = 1/3", "\\frac{1}{3}", ("ok", "unverifiable")),
        ('[s, o] = system("echo 5"); disp(o)', "5", ("error", "unverifiable")),
    ]
    documents = document_batches([f"Text {number}." for number in range(len(programs))])
    completions = {}
    for (code, result, _), (_, _, request) in zip(programs, requests_of(documents, config), strict=True):
        answer = titled_answer(number=1, conditions="", expression="e", result=result, code=code, language="octave")
        assert "```octave" in answer
        completions[request.key] = Completion(key=request.key, text=answer, prompt_tokens=10, completion_tokens=5)
    computations = list(computations_of(documents, complete(documents, Replay(completions), config)))
    (batch,) = verified(documents, computations, sandbox.run, verifier.verify)
    rows = batch.to_pylist()
    assert [(row["status"], row["verdict"]) for row in rows] == [wanted for _, _, wanted in programs]
    assert {row["language"] for row in rows} == {"octave"}
    assert "Operation not permitted" in rows[4]["stderr"]
