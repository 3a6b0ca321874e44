"""Where untrusted programs run and stated results are compared: warm processes, shared by the partitions of a run.

Starting an interpreter with SymPy takes about a second, so the workers are kept until the process ends or
other settings are asked for.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mathcode_assets.engine.settings import usable_cores
from mathcode_assets.sandbox.pool import AUTO, Sandbox, SandboxConfig
from mathcode_assets.sandbox.snippets import Execution, Limits, Snippet
from mathcode_assets.verification.isolated import Claim, Comparison, VerificationConfig, Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionConfig:
    """Section `execution` of the settings.

    limits: of one program. tier: auto, namespace or landlock; auto takes the first that works here.
    n_workers: programs at a time; 0 for one a core.
    """

    limits: Limits = field(default_factory=Limits)
    tier: str = AUTO
    n_workers: int = 0


class Isolation:
    """A sandbox for programs and a verifier for their results, open until `close`."""

    def __init__(self, execution: ExecutionConfig, verification: VerificationConfig) -> None:
        n_workers = execution.n_workers or usable_cores()
        self._sandbox = Sandbox(SandboxConfig(limits=execution.limits, tier=execution.tier, n_workers=n_workers))
        try:
            self._verifier = Verifier(verification)
        except BaseException:
            self._sandbox.close()
            raise

    def execute(self, snippets: Iterable[Snippet]) -> Iterator[Execution]:
        """One execution for each snippet, in order."""
        return self._sandbox.run(snippets)

    def verify(self, claims: Iterable[Claim]) -> Iterator[Comparison]:
        """One comparison for each claim, in order."""
        return self._verifier.verify(claims)

    def close(self) -> None:
        """End all workers."""
        self._verifier.close()
        self._sandbox.close()


_open: dict[tuple[ExecutionConfig, VerificationConfig], Isolation] = {}


def isolation(execution: ExecutionConfig, verification: VerificationConfig) -> Isolation:
    """The open isolation of these settings; one of other settings is closed.

    Raises:
        SandboxUnavailable: no tier works on this machine; says what to install.
    """
    key = (execution, verification)
    if key not in _open:
        close_isolation()
        _open[key] = Isolation(execution, verification)
    return _open[key]


def close_isolation() -> None:
    """End the workers that are kept warm."""
    while _open:
        _open.popitem()[1].close()


atexit.register(close_isolation)
