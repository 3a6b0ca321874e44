"""A pool of processes of this machine: started fresh (never forked), kept warm, replaced when they die."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, Self

from mathcode_assets.engine.exchange import ATTEMPTS, WorkerDied, request_of, result_of
from mathcode_assets.engine.mapping import Describe, Item, Lost, Result, SerialEngine
from mathcode_assets.engine.settings import CORES_VARIABLE

# Items taken ahead and results kept until their turn, for each worker: a slow item holds the order up, and the
# others have this much to do meanwhile.
WINDOW = 4
# A process whose socket is closed is about to end; after this it is killed.
REAP_S = 5.0
_THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_LAST_SIGNALS = {signal.SIGKILL: "killed, by a person or for lack of memory", signal.SIGSEGV: "crashed"}


@dataclass(slots=True)
class _Task:
    """An item that was taken: its place in the order, and how often it was begun."""

    place: int
    item: Any
    described: str
    request: bytes
    attempts: int = 0


class LocalEngine:
    """`n_workers` processes. Safe to ask from several threads: while it is at work for one, others work serially.

    Args:
        n_workers: at a time.
        cores: that each may use, for its libraries and engines of its own.
    """

    def __init__(self, n_workers: int, *, cores: int = 1) -> None:
        self.n_workers = n_workers
        self._cores = cores
        self._workers: list[_Worker] = []
        self._busy = threading.Lock()

    @property
    def pids(self) -> list[int]:
        """Of the workers there are now; none before the first map."""
        return [worker.process.pid for worker in self._workers]

    def map(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        describe: Describe = str,
        lost: Lost[Item, Result] | None = None,
    ) -> Iterator[Result]:
        """See `mapping.Engine`."""
        if not self._busy.acquire(blocking=False):
            yield from SerialEngine().map(function, items, describe=describe)
            return
        try:
            tasks = (_Task(i, item, describe(item), request_of(function, item)) for i, item in enumerate(items))
            for task, answer in self._in_order(tasks, stand_in=lost is not None):
                if isinstance(answer, bytes):
                    yield result_of(answer, task.described)
                elif lost is not None:
                    yield lost(task.item, answer)
        finally:
            self._end([worker for worker in self._workers if worker.task is not None])
            self._busy.release()

    def _in_order(self, tasks: Iterator[_Task], *, stand_in: bool) -> Iterator[tuple[_Task, bytes | WorkerDied]]:
        waiting: deque[_Task] = deque()
        answers: dict[int, tuple[_Task, bytes | WorkerDied]] = {}
        n_taken, turn, is_done = 0, 0, False
        while True:
            while not is_done and n_taken - turn < WINDOW * self.n_workers:
                task = next(tasks, None)
                if task is None:
                    is_done = True
                else:
                    waiting.append(task)
                    n_taken += 1
            self._hand_out(waiting)
            if turn in answers:
                task, answer = answers.pop(turn)
                turn += 1
                if isinstance(answer, WorkerDied) and not stand_in:
                    raise answer
                yield task, answer
            elif is_done and turn == n_taken:
                return
            else:
                self._collect(waiting, answers)

    def _hand_out(self, waiting: deque[_Task]) -> None:
        """Give waiting tasks to idle workers, starting workers up to the number there may be."""
        while waiting:
            worker = next((w for w in self._workers if w.task is None), None)
            if worker is None:
                if len(self._workers) >= self.n_workers:
                    return
                worker = _Worker(self._cores)
                self._workers.append(worker)
            task = waiting.popleft()
            task.attempts += 1
            worker.give(task)

    def _collect(self, waiting: deque[_Task], answers: dict[int, tuple[_Task, bytes | WorkerDied]]) -> None:
        """Wait until a worker answers or dies; what a dead one had goes to the front of the queue again."""
        busy = {worker.connection: worker for worker in self._workers if worker.task is not None}
        for ready in wait(list(busy)):
            worker = busy[ready]  # type: ignore[index]
            task = worker.task
            assert task is not None
            try:
                answers[task.place] = task, worker.connection.recv_bytes()
                worker.task = None
            except (EOFError, OSError):
                status = self._end([worker], REAP_S)[0]
                if task.attempts < ATTEMPTS:
                    waiting.appendleft(task)
                    continue
                died = f"{task.described}: the process working on it ended {task.attempts} times, {_ended(status)}"
                answers[task.place] = task, WorkerDied(died)

    def _end(self, workers: Sequence[_Worker], patience_s: float = 0.0) -> list[int]:
        for worker in workers:
            self._workers.remove(worker)
        return [worker.end(patience_s) for worker in workers]

    def close(self) -> None:
        """End all workers, at once."""
        self._end(list(self._workers))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Worker:
    """One process and the socket it takes its calls from."""

    def __init__(self, n_cores: int) -> None:
        self.task: _Task | None = None
        ours, theirs = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mathcode_assets.engine.worker", str(theirs.fileno()), str(lifeline)],
                pass_fds=(theirs.fileno(), lifeline),
                stdin=subprocess.DEVNULL,
                env=_environment(n_cores),
            )
        except BaseException:
            ours.close()
            os.close(self._lifeline)
            raise
        finally:
            theirs.close()
            os.close(lifeline)
        self.connection = Connection(ours.detach())

    def give(self, task: _Task) -> None:
        """Send a call; a worker that is gone already is found out when its answer is read."""
        self.task = task
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send_bytes(task.request)

    def end(self, patience_s: float) -> int:
        """Kill the process; its exit status, negative for a signal.

        One that is known to end by itself is given time to do so: how it ended tells more than the kill.
        """
        if patience_s:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(patience_s)
        self.process.kill()
        self.connection.close()
        os.close(self._lifeline)
        return self.process.wait()


def _environment(n_cores: int) -> dict[str, str]:
    """This process's environment with its import path, and libraries that keep to their share of the cores."""
    path = os.pathsep.join(entry for entry in dict.fromkeys(sys.path) if entry)
    threads = {name: str(n_cores) for name in _THREADS}
    # What the user set for the libraries stays.
    return {**threads, **os.environ, CORES_VARIABLE: str(n_cores), "PYTHONPATH": path}


def _ended(status: int) -> str:
    if status >= 0:
        return f"the last time with status {status}"
    number = signal.Signals(-status)
    return f"the last time by {number.name} ({_LAST_SIGNALS.get(number, 'a signal')})"
