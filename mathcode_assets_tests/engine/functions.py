"""Functions that tests map: a worker imports them by name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


class Refused(Exception):
    """An exception whose constructor takes other arguments than it keeps: pickle alone would not bring it back."""

    def __init__(self, file: str, *, row: int) -> None:
        self.file = file
        self.row = row
        super().__init__(f"{file}, record {row}: refused")


def squared(n: int) -> int:
    return n * n


def pid_of(n: int) -> int:
    return os.getpid()


def slow_when_even(n: int) -> int:
    """Later items of a window are done before earlier ones."""
    if n % 2 == 0:
        time.sleep(0.005)
    return n


def refuse_at(n: int) -> int:
    if n == 5:
        raise Refused("crawl.jsonl", row=n)
    return n


def unpicklable_error(n: int) -> int:
    class Local(Exception):
        pass

    raise Local(f"of item {n}")


def big(n: int) -> bytes:
    return bytes([n % 256]) * (3 << 20)


def die_once(task: tuple[str, int]) -> int:
    """Kill the worker the first time this item is tried; a file remembers."""
    folder, n = task
    tries = Path(folder) / f"tries-{n}"
    with tries.open("a") as file:
        file.write(".")
    if tries.stat().st_size == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return n


def die_at_three(task: tuple[str, int]) -> int:
    """Kill the worker each time the third item is tried."""
    folder, n = task
    with (Path(folder) / f"tries-{n}").open("a") as file:
        file.write(".")
    if n == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return n


def wait_in(folder: str) -> None:
    """Say who works, then work until killed."""
    (Path(folder) / str(os.getpid())).touch()
    while True:
        time.sleep(1)


def cores(_: int) -> tuple[int, str]:
    from mathcode_assets.engine.settings import usable_cores

    return usable_cores(), os.environ["OMP_NUM_THREADS"]


def wait_unless_zero(task: tuple[str, int]) -> int:
    folder, n = task
    if n:
        wait_in(folder)
    return n
