"""`mathcode verify`: stated results against program outputs, rows in and rows out."""

from __future__ import annotations

import argparse
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

from mathcode_assets.cli.console import UsageError, out
from mathcode_assets.cli.stages import ID, Input
from mathcode_assets.storage.rows import row_writer


def add_commands(commands: Any) -> None:
    """Add the subcommand of this module."""
    parser = commands.add_parser("verify", help="rows id, gold, output -> verified, refuted or unverifiable")
    parser.add_argument("--input", required=True, metavar="X", help="file, folder or glob, local or s3://")
    parser.add_argument("--output", required=True, metavar="Y")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="comparisons side by side")
    parser.add_argument("--timeout", type=float, default=5.0, metavar="S", help="seconds for one comparison")
    parser.set_defaults(run=verify)


def verify(arguments: argparse.Namespace) -> int:
    """Verdict, method and evidence for each row, in order; `expression` and `code` are used where a row has them."""
    from mathcode_assets.sandbox.launch import SandboxUnavailable
    from mathcode_assets.verification.isolated import Claim, VerificationConfig, Verifier

    if arguments.workers < 1 or not arguments.timeout > 0:
        raise UsageError("--workers and --timeout are above 0")
    rows = Input(arguments.input, {"id": ID, "gold": str, "output": str})
    ids: deque[Any] = deque()

    def claims() -> Iterator[Claim]:
        for row in rows:
            ids.append(row["id"])
            optional = {name: row[name] for name in ("expression", "code") if isinstance(row.get(name), str)}
            yield Claim(gold=row["gold"], output=row["output"], **optional)

    counts: Counter[str] = Counter()
    try:
        config = VerificationConfig(n_workers=arguments.workers, wall_s=arguments.timeout)
        with Verifier(config) as verifier, row_writer(arguments.output) as append:
            for found in verifier.verify(claims()):
                counts[found.verdict] += 1
                verdict = {"verdict": found.verdict, "method": found.method, "evidence": found.evidence}
                append([{"id": ids.popleft(), **verdict}])
    except SandboxUnavailable as error:
        raise UsageError(f"no isolation to compare in: {error}") from error
    out.print(", ".join(f"{verdict} {n}" for verdict, n in sorted(counts.items())), markup=False)
    return rows.status()
