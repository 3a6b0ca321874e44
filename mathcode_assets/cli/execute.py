"""The command that runs programs of a file in isolation."""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from mathcode_assets.cli.console import UsageError, out
from mathcode_assets.cli.stages import ID, Input, Row, _add
from mathcode_assets.storage.rows import row_writer

STATUS_ORDER = ("ok", "error", "timeout", "signal", "exit", "output_limit", "memory_limit", "rejected")


def add_commands(commands: Any) -> None:
    """Add the subcommand."""
    from mathcode_assets.sandbox.launch import TIERS
    from mathcode_assets.sandbox.snippets import Limits

    parser = _add(commands, "execute", execute, "rows id, code -> id, status, stdout, stderr, exit_code, wall_s, tier")
    parser.add_argument(
        "--timeout", type=float, default=Limits().wall_s, metavar="S", help="seconds for each program (default 10)"
    )
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="programs at a time (default 2)")
    parser.add_argument("--tier", choices=("auto", *TIERS), default="auto", help="isolation (default: the best here)")


def execute(arguments: argparse.Namespace) -> int:
    """Run each program in isolation; one row for each, in order."""
    from mathcode_assets.sandbox.launch import SandboxUnavailable
    from mathcode_assets.sandbox.pool import Sandbox, SandboxConfig
    from mathcode_assets.sandbox.snippets import Limits, Snippet

    if arguments.timeout <= 0 or arguments.workers < 1:
        raise UsageError("--timeout and --workers must be positive")
    limits = Limits(wall_s=arguments.timeout, cpu_s=arguments.timeout)
    rows = Programs(arguments.input, {"id": ID, "code": str})
    # Identifiers of the programs on their way: as many as the sandbox looks ahead.
    ids: deque[Any] = deque()

    def snippets() -> Iterator[Snippet]:
        for row in rows:
            ids.append(row["id"])
            yield Snippet(code=row["code"], language=row.get("language") or "python")

    counts: dict[str, int] = {}
    try:
        config = SandboxConfig(limits=limits, n_workers=arguments.workers, tier=arguments.tier)
        with Sandbox(config) as sandbox, row_writer(arguments.output) as append:
            for execution in sandbox.run(snippets()):
                counts[execution.status] = counts.get(execution.status, 0) + 1
                append([{"id": ids.popleft(), **asdict(execution)}])
    except SandboxUnavailable as error:
        raise UsageError(str(error)) from error
    out.print(", ".join(f"{status} {counts[status]}" for status in STATUS_ORDER if status in counts) or "no programs")
    return rows.status()


class Programs(Input):
    """Rows whose code is text; a program that is not valid Unicode is rejected by the sandbox, with its row kept."""

    def _problem(self, fields: Mapping[str, Any]) -> str:
        code = fields.get("code")
        probe: Row = dict(fields)
        if isinstance(code, str):
            probe["code"] = ""
        language = fields.get("language")
        if language is not None and not isinstance(language, str):
            return f"field 'language' is {type(language).__name__}"
        return super()._problem(probe)
