r"""Many claims compared inside the sandbox, in order, none able to stop the others.

    with Verifier() as verifier:
        for comparison in verifier.verify([Claim(gold="\\\\frac{1}{3}", output="0.3333333333333333")]):
            print(comparison.verdict, comparison.method)

Reading and comparing run no code of either side, but a comparison may be driven to a great cost, or into an error of
a library, by who writes the texts. So it runs in forks of a warm interpreter, several claims to a fork; where one
ends early, what it finished is kept, and the rest is compared one by one, so that one claim costs its own verdict only.

Two plain numbers of bounded length (`compare.plain_verdict`: at most 40 characters, digits with a point, an exponent of
two digits, thousands separators or a slash) are compared in this process: a regular expression and a subtraction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import mathcode_assets
from mathcode_assets.records import UNVERIFIABLE
from mathcode_assets.sandbox.pool import Sandbox, SandboxConfig
from mathcode_assets.sandbox.snippets import MIB, OK, TIMEOUT, Execution, Limits, Snippet
from mathcode_assets.verification.characters import MAX_CHARS
from mathcode_assets.verification.compare import OTHER_DIGITS, Comparison, plain_verdict
from mathcode_assets.verification.printed_octave import prints_other_digits

Item = TypeVar("Item")
MODULE = "mathcode_assets.verification.compare"
PROGRAM = f"""
import json, sys
from {MODULE} import compare
for line in sys.stdin.buffer:
    gold, output, expression, code = json.loads(line)
    found = compare(gold, output, expression=expression, code=code)
    print(json.dumps([found.verdict, found.method, found.evidence]), flush=True)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A stated result and what a program printed, with the expression and the program where they are known."""

    gold: str
    output: str
    expression: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationConfig:
    """How claims are compared.

    Attributes:
        n_workers: interpreters side by side.
        wall_s: seconds for a claim, and for a group; the slowest of the measured claims take under one second.
        memory_bytes: address space of a fork on top of the warm interpreter.
        group_size: claims to a fork: a fork costs some milliseconds, a comparison less than one.
        batch_size: claims read ahead; bounds the memory.
        tier: of the sandbox: auto, namespace or landlock.
    """

    n_workers: int = 2
    wall_s: float = 5.0
    memory_bytes: int = 512 * MIB
    group_size: int = 16
    batch_size: int = 512
    tier: str = "auto"


class Verifier:
    """A sandbox that compares; use it as a context manager, from one thread at a time.

    Raises:
        SandboxUnavailable: no tier of isolation works here.
    """

    def __init__(self, config: VerificationConfig | None = None) -> None:
        self.config = config or VerificationConfig()
        limits = Limits(
            wall_s=self.config.wall_s,
            cpu_s=self.config.wall_s,
            memory_bytes=self.config.memory_bytes,
            output_bytes=MIB,
        )
        package = Path(mathcode_assets.__file__).resolve().parent
        self._sandbox = Sandbox(
            SandboxConfig(
                limits=limits,
                n_workers=self.config.n_workers,
                tier=self.config.tier,
                preload=("mpmath", MODULE),
                readable=(package,),
            )
        )

    @property
    def tier(self) -> str:
        """Isolation the comparisons run under: namespace or landlock."""
        return self._sandbox.tier

    def __enter__(self) -> Verifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers."""
        self._sandbox.close()

    def verify(self, claims: Iterable[Claim]) -> Iterator[Comparison]:
        """One comparison for each claim, in order; claims are taken from the input a batch at a time."""
        for batch in batched(claims, self.config.batch_size):
            yield from self._verify_batch(batch)

    def _verify_batch(self, batch: tuple[Claim, ...]) -> list[Comparison]:
        found: list[Comparison | None] = [quick_verdict(claim) for claim in batch]
        open_ones = [number for number, comparison in enumerate(found) if comparison is None]
        groups = list(batched(open_ones, self.config.group_size))
        left: list[int] = []
        executions = self._sandbox.run(snippet([batch[number] for number in group]) for group in groups)
        for group, execution in zip(groups, executions, strict=True):
            comparisons = verdicts(execution, len(group))
            for number, comparison in zip(group, comparisons, strict=False):
                found[number] = comparison
            left.extend(group[len(comparisons) :])
        executions = self._sandbox.run(snippet([batch[number]]) for number in left)
        for number, execution in zip(left, executions, strict=True):
            alone = verdicts(execution, 1)
            found[number] = alone[0] if alone else failure(execution)
        return [comparison for comparison in found if comparison is not None]


def batched(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    """Tuples of at most `size` items (itertools.batched of Python 3.12)."""
    source = iter(items)
    while batch := tuple(islice(source, size)):
        yield batch


def quick_verdict(claim: Claim) -> Comparison | None:
    """The verdict where none of the comparison's machinery is needed: plain numbers, and texts beyond any limit."""
    if max(len(claim.gold), len(claim.output)) > MAX_CHARS:
        return Comparison(verdict=UNVERIFIABLE, method="too_long", evidence=f"over {MAX_CHARS} characters")
    if prints_other_digits(claim.code):
        return OTHER_DIGITS
    return plain_verdict(claim.gold, claim.output)


def snippet(claims: list[Claim]) -> Snippet:
    """The claims for one fork: JSON lines, ASCII, so that even a lone surrogate passes."""
    # Only the beginning of a long program or expression matters, and only to tell an indefinite integral.
    rows = [[claim.gold, claim.output, claim.expression[:MAX_CHARS], claim.code[:MAX_CHARS]] for claim in claims]
    return Snippet(code=PROGRAM, stdin="".join(json.dumps(row) + "\n" for row in rows).encode("ascii"))


def verdicts(execution: Execution, n_claims: int) -> list[Comparison]:
    """The comparisons a fork finished, the first claims first; at most n_claims."""
    found: list[Comparison] = []
    for line in execution.stdout.split("\n")[:n_claims]:
        try:
            verdict, method, evidence = json.loads(line)
        except ValueError:
            break
        found.append(Comparison(verdict=verdict, method=method, evidence=evidence))
    return found


def failure(execution: Execution) -> Comparison:
    """What a claim gets whose comparison did not end by itself."""
    method = "timeout" if execution.status == TIMEOUT else "crashed"
    status = execution.status if execution.status != OK else "no verdict"
    return Comparison(verdict=UNVERIFIABLE, method=method, evidence=f"the comparison ended with: {status}")
