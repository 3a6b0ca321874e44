"""`dagster api grpc` whose runs are forked from a process that has imported the code location already.

Dagster starts each run in a fresh interpreter: four seconds of imports, a hundred times in a test. Nothing
else is changed: each run is a process of its own, told what to do over the same channel.
"""

from __future__ import annotations

import multiprocessing
import sys
from typing import Any

PRELOADED = ["mathcode_assets.definitions", "dagster._core.execution.api", "dagster._grpc.server"]


def main() -> None:
    """Serve, with the arguments of `dagster api grpc`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    get_context = multiprocessing.get_context

    def forked(method: str | None = None) -> Any:
        return context if method == "spawn" else get_context(method)

    multiprocessing.get_context = forked  # type: ignore[assignment]  # what the server asks for its runs
    from dagster._cli import main as cli

    sys.argv = ["dagster", "api", "grpc", *sys.argv[1:]]
    cli()


if __name__ == "__main__":
    main()
