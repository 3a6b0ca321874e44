"""Isolated execution of untrusted Python: many snippets, a few warm workers.

    with Sandbox(SandboxConfig()) as sandbox:
        for execution in sandbox.run([Snippet(code="print(1 + 1)")]):
            print(execution.status, execution.stdout)

Each worker is an interpreter that has imported the mathematics packages once, inside one isolation; each snippet is a
fork of it with a process and mount namespace, a private directory in memory, hard limits, Landlock rules, no
capabilities and a list of allowed system calls. Two tiers, tried in this order by "auto": "namespace" (bubblewrap) and
"landlock" (no namespaces: Landlock, system-call filter, limits). docs/decisions/0011-sandbox.md has the reasons.

Kept from a snippet: the host's files, environment, processes and network; other snippets, before and after it; the
verdict about itself, as far as it is not its own exit status; more time, memory, output, files and threads than
`Limits` allow; starting processes and programs.

NOT protected against:

- errors in the kernel: snippets run native code (ctypes, NumPy) on the host's kernel. A virtual machine around the
  whole is the remedy where that matters;
- side channels of processor caches and timing between snippets that run side by side, or against the host;
- reading clocks, the kernel's version, the number of processors, and the size of memory;
- reading the installed packages and, in the landlock tier, the names, sizes and times (not the contents) of any file
  of the host, its host name, and its user's id;
- load: `n_workers` snippets may use that many processors and `n_workers * memory_bytes` of memory, and the limit on the
  files of the landlock tier is enforced by looking, so that it may be exceeded for some milliseconds;
- a snippet that lies about itself: a program may print a wrong answer and end with status 0, and an execution says
  only what it did.

Output is the same from run to run for what depends on hashes of strings, on `random` and `numpy.random` (both seeded
with 0 for each snippet), on threads of BLAS, on locale and time zone. It is not for clocks, generators a snippet seeds
from the system (`default_rng()`), and addresses in default representations (`<object at 0x7f...>`).
"""

from __future__ import annotations

import selectors
import socket
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from mathcode_assets.sandbox import snippets as words
from mathcode_assets.sandbox.launch import LANDLOCK, NAMESPACE, TIERS, SandboxUnavailable
from mathcode_assets.sandbox.scratch import remove_tree
from mathcode_assets.sandbox.snippets import Execution, Limits, Snippet, refusal, rejection
from mathcode_assets.sandbox.supervisor import TICK_S, Job, Worker

AUTO = "auto"
PRELOAD = ("numpy", "sympy", "mpmath", "scipy.integrate", "scipy.optimize", "scipy.linalg", "scipy.stats")
# Snippets taken from the input and not yet given back, per worker: one that runs into its time limit holds the order
# up, and the other workers have this much to do meanwhile.
WINDOW = 16
# A snippet whose worker dies is tried again, once.
ATTEMPTS = 2
FAILED_STARTS = 3
PROBE = Snippet(code="print(6 * 7)")


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """How to run snippets.

    `preload` names modules imported once per worker, so that a snippet's import finds them in memory. `readable` are
    further folders on the path of the worker, read-only, for trusted modules to preload.
    """

    limits: Limits = field(default_factory=Limits)
    n_workers: int = 2
    tier: str = AUTO
    preload: tuple[str, ...] = PRELOAD
    readable: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if self.tier not in (AUTO, *TIERS):
            raise ValueError(f"tier {self.tier!r} is none of {(AUTO, *TIERS)}")
        if self.n_workers < 1:
            raise ValueError("n_workers is below 1")


class Sandbox:
    """A pool of warm workers; use it as a context manager, from one thread at a time.

    Raises:
        SandboxUnavailable: no tier (or not the one asked for) works here, or a preloaded module cannot be imported.
    """

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.tier = config.tier if config.tier != AUTO else _best_tier(config.limits)
        self._root = Path(tempfile.mkdtemp(prefix="mathcode-sandbox-"))
        self._n_started = 0
        self._failed_starts = 0
        self._is_running = False
        self._workers: list[Worker] = []
        self._selector = selectors.DefaultSelector()
        try:
            for _ in range(config.n_workers):
                self._add_worker()
            while not all(worker.is_ready for worker in self._workers):
                self._step({}, deque())
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every worker; afterwards no process and no file of the sandbox is left."""
        for worker in self._workers:
            worker.close()
        self._workers.clear()
        self._selector.close()
        remove_tree(str(self._root))

    def run(self, snippets: Iterable[Snippet]) -> Iterator[Execution]:
        """One execution for each snippet, in order, as they come; snippets are taken from the input as needed.

        A snippet whose worker dies is run again once; if that worker dies too, its status is `signal`.

        Raises:
            RuntimeError: another `run` of this sandbox has not ended.
            SandboxUnavailable: workers cannot be started any more.
        """
        if self._is_running:
            raise RuntimeError("this sandbox is already running snippets")
        self._is_running = True
        source = iter(snippets)
        waiting: deque[Job] = deque()
        done: dict[int, Execution] = {}
        n_taken = n_given = 0
        is_exhausted = False
        try:
            while True:
                for worker in self._workers:
                    while not is_exhausted and not waiting and n_taken - n_given < WINDOW * len(self._workers):
                        snippet = next(source, None)
                        if snippet is None:
                            is_exhausted = True
                        elif reason := refusal(snippet, self.config.limits):
                            done[n_taken] = rejection(reason)
                            n_taken += 1
                        else:
                            waiting.append(Job(number=n_taken, snippet=snippet))
                            n_taken += 1
                    if worker.is_ready and worker.run is None and waiting:
                        self._start(worker, waiting)
                while n_given in done:
                    yield done.pop(n_given)
                    n_given += 1
                if is_exhausted and n_given == n_taken:
                    return
                if n_taken - len(done) > n_given:
                    self._step(done, waiting)
        finally:
            self._is_running = False
            self._replace([worker for worker in self._workers if worker.run])

    def _add_worker(self) -> None:
        self._n_started += 1
        scratch_root = self._root / str(self._n_started)
        scratch_root.mkdir(mode=0o700)
        config = self.config
        while True:
            try:
                worker = Worker(
                    self.tier,
                    limits=config.limits,
                    preload=config.preload,
                    readable=config.readable,
                    scratch_root=scratch_root,
                )
                break
            except SandboxUnavailable:
                # Killed as it was started, perhaps; but not where nothing ever ran.
                self._failed_starts += 1
                if not self._workers or self._failed_starts >= FAILED_STARTS:
                    raise
        self._workers.append(worker)
        for control in worker.controls:
            self._selector.register(control, selectors.EVENT_READ, worker)

    def _start(self, worker: Worker, waiting: deque[Job]) -> None:
        job = waiting.popleft()
        try:
            pipes = worker.start(job)
        except OSError:
            job.attempts -= 1  # nothing was started
            waiting.appendleft(job)
            self._replace([worker])
            return
        for fd in pipes:
            self._selector.register(fd, selectors.EVENT_READ, worker)

    def _step(self, done: dict[int, Execution], waiting: deque[Job]) -> None:
        """Wait for something to happen, and deal with all that has."""
        for key, _ in self._selector.select(TICK_S):
            worker: Worker = key.data
            if worker not in self._workers:
                continue  # replaced a moment ago
            if isinstance(key.fileobj, socket.socket):
                self._on_control(worker, key.fileobj, done, waiting)
                for fd in worker.pidfds.keys() - self._selector.get_map().keys():
                    self._selector.register(fd, selectors.EVENT_READ, worker)
            elif key.fd in worker.pidfds:
                self._on_control(worker, worker.pidfds[key.fd], done, waiting)
            elif worker.run and key.fd in worker.run.pipes and not worker.on_output(key.fd):
                self._selector.unregister(key.fd)
        now = time.monotonic()
        for worker in [worker for worker in self._workers if not worker.on_tick(now)]:
            if worker.run:
                reason = "the worker did not answer any more"
                done[worker.run.job.number] = worker.abandoned(words.TIMEOUT, reason)
            self._count_failed_start(worker, "no answer")
            self._replace([worker])

    def _on_control(
        self, worker: Worker, control: socket.socket, done: dict[int, Execution], waiting: deque[Job]
    ) -> None:
        run = worker.run
        try:
            execution = worker.on_control(control)
        except (EOFError, SandboxUnavailable) as error:
            if run is None or isinstance(error, SandboxUnavailable):
                self._count_failed_start(worker, str(error), is_final=isinstance(error, SandboxUnavailable))
            elif run.job.attempts < ATTEMPTS:
                waiting.appendleft(run.job)
            else:
                done[run.job.number] = worker.abandoned(words.SIGNAL, "its worker was killed, twice")
            self._replace([worker])
            return
        if execution is not None and run is not None:
            self._failed_starts = 0
            self._forget(run.pipes)
            done[run.job.number] = execution

    def _count_failed_start(self, worker: Worker, reason: str, *, is_final: bool = False) -> None:
        if worker.is_ready and not is_final:
            return
        self._failed_starts += 1
        if is_final or self._failed_starts >= FAILED_STARTS:
            raise SandboxUnavailable(f"workers of tier {self.tier} do not start: {reason}")

    def _replace(self, workers: list[Worker]) -> None:
        for worker in workers:
            self._forget([control.fileno() for control in worker.controls])
            self._forget(list(worker.pidfds))
            if worker.run:
                self._forget(worker.run.pipes)
            worker.close()
            self._workers.remove(worker)
            self._add_worker()

    def _forget(self, fds: list[int]) -> None:
        known = self._selector.get_map()
        for fd in fds:
            if fd in known:
                self._selector.unregister(fd)


def _best_tier(limits: Limits) -> str:
    """The first tier in which a snippet really runs.

    Raises:
        SandboxUnavailable: none does.
    """
    reasons = []
    for tier in (NAMESPACE, LANDLOCK):
        try:
            with Sandbox(SandboxConfig(limits=limits, n_workers=1, tier=tier, preload=())) as sandbox:
                (execution,) = sandbox.run([PROBE])
            if execution.stdout == "42\n":
                return tier
            reasons.append(f"{tier}: {execution.status} {execution.detail} {execution.stderr}".strip())
        except (SandboxUnavailable, OSError) as error:
            reasons.append(f"{tier}: {error}")
    raise SandboxUnavailable(
        "isolated execution is not available. "
        + "; ".join(reasons)
        + ". Install bubblewrap (apt-get install bubblewrap)"
    )
