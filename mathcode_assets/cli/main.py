"""The command line: subcommands, exit status, and errors in one line.

Exit status: 0 done; 1 done, with quarantined records or a red check (counted on stderr); 2 bad
usage or unreadable input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mathcode_assets import __version__
from mathcode_assets.cli import evaluate, execute, graph, stages, takedown, train, translate, verify
from mathcode_assets.cli import tokenize as tokenization
from mathcode_assets.cli.console import UsageError
from mathcode_assets.config import SourcesFileError
from mathcode_assets.engine.on_ray import RayUnreachable
from mathcode_assets.sources.errors import SourceListingError, UnreadableSource
from mathcode_assets.storage.lake import NotPublished
from mathcode_assets.storage.manifest import ManifestError
from mathcode_assets.storage.rows import UnknownFormat

BAD_INPUT = (
    UsageError,
    UnknownFormat,
    UnreadableSource,
    SourcesFileError,
    SourceListingError,
    ManifestError,
    NotPublished,
    RayUnreachable,
    OSError,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="mathcode", description="MathCode-Pile: build it, check it, or run one stage of it on files."
    )
    parser.add_argument("--version", action="version", version=f"mathcode-assets {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    graph.add_commands(commands)
    takedown.add_commands(commands)
    stages.add_commands(commands)
    translate.add_commands(commands)
    execute.add_commands(commands)
    verify.add_commands(commands)
    train.add_commands(commands)
    tokenization.add_commands(commands)
    evaluate.add_commands(commands)
    parsed = parser.parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except BAD_INPUT as error:
        print(f"mathcode {parsed.command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            f"mathcode {parsed.command}: interrupted; what was published stays, start again to go on", file=sys.stderr
        )
        return 130
