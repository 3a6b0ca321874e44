"""What the commands print: progress on a terminal, plain lines otherwise."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

T = TypeVar("T")
# A line after this many rows where there is no terminal to draw a bar on.
LINE_EVERY = 100_000

# Width of tables where no terminal says one.
PLAIN_WIDTH = 120


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    return console


out = _console(stderr=False)
err = _console(stderr=True)


class UsageError(ValueError):
    """Arguments that do not fit together."""


def progress(rows: Iterable[T], what: str) -> Iterator[T]:
    """The same rows; how many have gone by is shown on stderr."""
    if not err.is_terminal:
        number = 0
        for number, row in enumerate(rows, start=1):
            if number % LINE_EVERY == 0:
                print(f"{what}: {number:,}", file=sys.stderr)
            yield row
        return
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(what, total=None)
        for row in rows:
            bar.advance(task)
            yield row
