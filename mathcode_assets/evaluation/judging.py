"""Many answers judged inside the sandbox, in order, none able to stop the others.

As `verification.isolated.Verifier`, whose isolation and limits these are; only the comparison differs, see
`equivalence`. An answer is right if and only if its verdict is verified.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import mathcode_assets
from mathcode_assets.records import REFUTED, UNVERIFIABLE, VERIFIED
from mathcode_assets.sandbox.pool import Sandbox, SandboxConfig
from mathcode_assets.sandbox.snippets import MIB, OK, Execution, Limits, Snippet
from mathcode_assets.verification.compare import Comparison
from mathcode_assets.verification.isolated import (
    Claim,
    VerificationConfig,
    batched,
    failure,
    quick_verdict,
    verdicts,
)

MODULE = "mathcode_assets.evaluation.equivalence"
PROGRAM = f"""
import json, sys
from {MODULE} import equivalent
for line in sys.stdin.buffer:
    gold, answer = json.loads(line)
    found = equivalent(gold, answer)
    print(json.dumps([found.verdict, found.method, found.evidence]), flush=True)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A reference answer and what the model answered; either may be empty."""

    gold: str
    answer: str


def judge_answers(pairs: Iterable[Pair], config: VerificationConfig | None = None) -> list[Comparison]:
    """One comparison for each pair, in order.

    Raises:
        SandboxUnavailable: no tier of isolation works here.
    """
    config = config or VerificationConfig()
    pairs = list(pairs)
    found: list[Comparison | None] = [quick_verdict(Claim(gold=pair.gold, output=pair.answer)) for pair in pairs]
    open_ones = [number for number, comparison in enumerate(found) if comparison is None]
    if not open_ones:
        return [comparison for comparison in found if comparison is not None]
    with Sandbox(_sandbox(config)) as sandbox:
        left: list[int] = []
        groups = list(batched(open_ones, config.group_size))
        executions = sandbox.run(_snippet([pairs[number] for number in group]) for group in groups)
        for group, execution in zip(groups, executions, strict=True):
            comparisons = verdicts(execution, len(group))
            for number, comparison in zip(group, comparisons, strict=False):
                found[number] = comparison
            left.extend(group[len(comparisons) :])
        executions = sandbox.run(_snippet([pairs[number]]) for number in left)
        for number, execution in zip(left, executions, strict=True):
            alone = verdicts(execution, 1)
            found[number] = alone[0] if alone else failure(execution)
    return [comparison for comparison in found if comparison is not None]


def judge_letters(pairs: Iterable[Pair]) -> list[Comparison]:
    """The same for letters of options, which need no mathematics."""
    return [_letter(pair) for pair in pairs]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedProgram:
    """A program with its tests, and the line it prints last where all of them passed."""

    code: str
    mark: str


def judge_programs(
    programs: Iterable[CheckedProgram], *, limits: Limits | None = None, n_workers: int = 2
) -> list[Comparison]:
    """Verified for each program that runs through its tests in the sandbox, refuted otherwise.

    Raises:
        SandboxUnavailable: no tier of isolation works here.
    """
    programs = list(programs)
    with Sandbox(SandboxConfig(limits=limits or Limits(), n_workers=n_workers)) as sandbox:
        executions = list(sandbox.run(Snippet(code=program.code) for program in programs))
    return [_tested(program, execution) for program, execution in zip(programs, executions, strict=True)]


def _tested(program: CheckedProgram, execution: Execution) -> Comparison:
    # Exit status 0 is not enough: a solution that exits early never meets a test.
    has_passed = execution.status == OK and execution.stdout.rstrip().endswith(program.mark)
    method = f"tests_{execution.status}" if has_passed or execution.status != OK else "left_before_the_tests"
    evidence = (execution.stderr.strip().splitlines() or [execution.detail])[-1][:300]
    return Comparison(verdict=VERIFIED if has_passed else REFUTED, method=method, evidence=evidence)


def _letter(pair: Pair) -> Comparison:
    evidence = f"stated {pair.gold}, chosen {pair.answer or 'nothing'}"
    if not pair.answer:
        return Comparison(verdict=UNVERIFIABLE, method="no_output", evidence=evidence)
    return Comparison(verdict=VERIFIED if pair.gold == pair.answer else REFUTED, method="letter", evidence=evidence)


def _sandbox(config: VerificationConfig) -> SandboxConfig:
    return SandboxConfig(
        limits=Limits(wall_s=config.wall_s, cpu_s=config.wall_s, memory_bytes=config.memory_bytes, output_bytes=MIB),
        n_workers=config.n_workers,
        tier=config.tier,
        preload=("mpmath", MODULE),
        readable=(Path(mathcode_assets.__file__).resolve().parent,),
    )


def _snippet(pairs: list[Pair]) -> Snippet:
    rows = [[pair.gold, pair.answer] for pair in pairs]
    return Snippet(code=PROGRAM, stdin="".join(json.dumps(row) + "\n" for row in rows).encode("ascii"))
