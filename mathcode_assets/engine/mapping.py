"""One call for all engines: a function over items, results in the order of the items.

    with open_engine(EngineSettings(kind="local", workers=8)) as engine:
        for result in engine.map(function, items):
            ...

The function is one of a module (or a `functools.partial` of one), items and results are small: paths, numbers,
names of files in a work folder. What is big goes over disk, so that the memory of the process that asks does not
grow with the work. An item may be begun more than once (its worker may die), so it writes what it writes under
names that a second try replaces.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from mathcode_assets.engine.exchange import WorkerDied
from mathcode_assets.engine.settings import LOCAL, RAY, EngineSettings, usable_cores

Item = TypeVar("Item")
Result = TypeVar("Result")
Describe = Callable[[Any], str]
Lost = Callable[[Item, WorkerDied], Result]


class Engine(Protocol):
    """A way to map. Open it with `open_engine`, close it, or use it as a context manager."""

    n_workers: int
    """Pieces of work at a time; 1 where there is nothing to gain from cutting work up."""

    def map(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        describe: Describe = str,
        lost: Lost[Item, Result] | None = None,
    ) -> Iterator[Result]:
        """The function's result for each item, in the order of the items.

        Items are taken from their iterable a bounded number ahead. Leaving the iteration early ends what is
        under way.

        Args:
            function: importable by name in another process.
            items: pickled one by one.
            describe: names an item in errors.
            lost: gives the result of an item whose worker died each time, instead of the error.

        Raises:
            Exception: what the function raised for the first item in order that failed, with a note naming it.
            WorkerDied: an item whose worker died `exchange.ATTEMPTS` times.
        """
        ...

    def close(self) -> None:
        """End all workers."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class SerialEngine:
    """Everything in this process, one item after another."""

    n_workers = 1

    def map(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        describe: Describe = str,
        lost: Lost[Item, Result] | None = None,
    ) -> Iterator[Result]:
        """See `Engine`."""
        for item in items:
            try:
                result = function(item)
            except Exception as error:
                error.add_note(f"while working on {describe(item)}")
                raise
            yield result

    def close(self) -> None:
        """Nothing to end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_engine(settings: EngineSettings, *, folder: Path | None = None) -> Engine:
    """An engine of these settings; the caller closes it.

    Args:
        settings: which, and how much of it.
        folder: of this machine, that every worker has to see; None where there is none.

    Raises:
        RayUnreachable: no cluster at the address, Ray is not installed here, or a machine of the cluster cannot
            do the work.
    """
    if settings.kind == RAY:
        from mathcode_assets.engine.on_ray import RayEngine

        engine = RayEngine(settings)
        engine.reach(folder)
        return engine
    if settings.kind == LOCAL and settings.n_local > 1:
        from mathcode_assets.engine.local import LocalEngine

        return LocalEngine(settings.n_local, cores=max(1, usable_cores() // settings.n_local))
    return SerialEngine()


_open: dict[tuple[int, EngineSettings, Path | None], Engine] = {}


def shared_engine(settings: EngineSettings, *, folder: Path | None = None) -> Engine:
    """The open engine of these settings: started once a process, ended with it, or when others are asked for.

    Raises:
        RayUnreachable: as `open_engine`.
    """
    key = (os.getpid(), settings, folder)
    if key not in _open:
        close_engines()
        _open[key] = open_engine(settings, folder=folder)
    return _open[key]


def close_engines() -> None:
    """End the engines that are kept open."""
    while _open:
        (pid, *_), engine = _open.popitem()
        if pid == os.getpid():  # a forked copy of this process does not own its workers
            engine.close()


atexit.register(close_engines)
