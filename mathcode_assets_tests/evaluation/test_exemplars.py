"""The worked examples are right: their programs print what they state."""

from __future__ import annotations

import pytest

from mathcode_assets.evaluation.answers import extract_answer, extract_option
from mathcode_assets.evaluation.benchmarks import BENCHMARKS, HARNESS, PERPLEXITY, PROGRAM
from mathcode_assets.evaluation.exemplars import EXEMPLARS, Exemplar
from mathcode_assets.evaluation.prompts import answer_sentence
from mathcode_assets.records import VERIFIED
from mathcode_assets.sandbox.pool import Sandbox, SandboxConfig
from mathcode_assets.sandbox.snippets import Snippet
from mathcode_assets.verification.isolated import Claim, Verifier

ALL = [exemplar for exemplars in EXEMPLARS.values() for exemplar in exemplars]


def value(exemplar: Exemplar) -> str:
    return exemplar.options[ord(exemplar.answer) - ord("A")] if exemplar.options else exemplar.answer


def test_every_program_prints_the_answer() -> None:
    with Sandbox(SandboxConfig()) as sandbox, Verifier() as verifier:
        executions = list(sandbox.run(Snippet(code=exemplar.program) for exemplar in ALL))
        assert [execution.stderr for execution in executions] == [""] * len(ALL)
        claims = [
            Claim(gold=value(exemplar), output=execution.stdout)
            for exemplar, execution in zip(ALL, executions, strict=True)
        ]
        found = list(verifier.verify(claims))
    assert [comparison.verdict for comparison in found] == [VERIFIED] * len(ALL), found


def test_no_other_option_is_right() -> None:
    pairs = [
        (exemplar, option)
        for exemplar in EXEMPLARS["multiple_choice"]
        for letter, option in zip("ABCD", exemplar.options, strict=True)
        if letter != exemplar.answer
    ]
    with Verifier() as verifier:
        found = list(
            verifier.verify(Claim(gold=value(exemplar), output=option.strip("$")) for exemplar, option in pairs)
        )
    assert VERIFIED not in {comparison.verdict for comparison in found}


@pytest.mark.parametrize("name", EXEMPLARS)
def test_four_of_each_style_without_a_blank_line_inside(name: str) -> None:
    assert len(EXEMPLARS[name]) == 4
    assert all("\n\n" not in exemplar.question + exemplar.solution for exemplar in EXEMPLARS[name])


def test_right_options_are_spread() -> None:
    assert {exemplar.answer for exemplar in EXEMPLARS["multiple_choice"]} == set("ABCD")


@pytest.mark.parametrize(
    "benchmark",
    [each for each in BENCHMARKS.values() if each.kind not in (HARNESS, PROGRAM, PERPLEXITY)],
    ids=lambda each: each.name,
)
def test_the_answer_is_found_in_every_exemplar(benchmark) -> None:
    """A model that copies the exemplars' form is read without loss."""
    for exemplar in EXEMPLARS[benchmark.exemplars]:
        completion = f" {exemplar.solution} {answer_sentence(exemplar.answer, benchmark)}\n\nProblem: another"
        found = extract_option(completion, 4) if exemplar.options else extract_answer(completion)
        assert found.text == exemplar.answer


@pytest.mark.shared_data
def test_exemplars_are_no_benchmark_questions(shared_data) -> None:
    """No exemplar's question shares a run of ten words with a benchmark's."""
    runs = {run for exemplar in ALL for run in ten_words(exemplar.question)}
    for path in sorted((shared_data / "benchmarks").glob("*.jsonl")):
        assert not runs & set(ten_words(path.read_text(encoding="utf-8"))), path.name


def ten_words(text: str) -> list[tuple[str, ...]]:
    words = text.casefold().split()
    return [tuple(words[start : start + 10]) for start in range(len(words) - 9)]
