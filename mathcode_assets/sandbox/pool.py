"""Isolated execution of untrusted Python and GNU Octave: many snippets, a few warm workers.

    with Sandbox(SandboxConfig()) as sandbox:
        for execution in sandbox.run([Snippet(code="print(1 + 1)")]):
            print(execution.status, execution.stdout)

Each worker is an interpreter that has imported the mathematics packages once, inside one isolation; each snippet is a
fork of it with a process and mount namespace, a private directory in memory, hard limits, Landlock rules, no
capabilities and a list of allowed system calls. Octave has workers of its own, started at its first snippet; where it
is not installed its snippets are rejected. Two tiers, tried in this order by "auto": "namespace" (bubblewrap) and
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
with 0 for each snippet, as Octave's generators are), on threads of BLAS, on locale and time zone. It is not for clocks,
generators a snippet seeds from the system (`default_rng()`), and addresses in default representations
(`<object at 0x7f...>`).
"""

from __future__ import annotations

import selectors
import signal
import socket
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

from mathcode_assets.sandbox import snippets as words
from mathcode_assets.sandbox.launch import LANDLOCK, NAMESPACE, TIERS, SandboxUnavailable
from mathcode_assets.sandbox.octave_files import OctaveMissing, octave_files
from mathcode_assets.sandbox.scratch import remove_tree
from mathcode_assets.sandbox.snippets import LANGUAGES, OCTAVE, PYTHON, Execution, Limits, Snippet, refusal, rejection
from mathcode_assets.sandbox.supervisor import TICK_S, Job, Worker
from mathcode_assets.storage.leftovers import process_folder

AUTO = "auto"
PRELOAD = ("numpy", "sympy", "mpmath", "scipy.integrate", "scipy.optimize", "scipy.linalg", "scipy.stats")
# Snippets taken from the input and not yet given back, per worker: one that runs into its time limit holds the order
# up, and the other workers have this much to do meanwhile.
WINDOW = 16
# A snippet whose worker dies, or that is killed from outside, is tried again, once.
ATTEMPTS = 2
FAILED_STARTS = 3
PROBE = Snippet(code="print(6 * 7)")
# Snippets taken from the input and not yet started, by their language.
Waiting: TypeAlias = dict[str, deque[Job]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """How to run snippets.

    `n_workers` snippets run at a time, whatever their language. `preload` names modules imported once per worker, so
    that a snippet's import finds them in memory. `readable` are folders of further trusted packages to preload from,
    read-only; what stands beside them in their parent folders is not shown.
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
        self._root = Path(tempfile.mkdtemp(prefix="sandbox-", dir=process_folder()))
        self._n_started = 0
        self._failed_starts = dict.fromkeys(LANGUAGES, 0)
        self._is_running = False
        self._workers: list[Worker] = []
        # Why there is no Octave here, once that is known.
        self._octave_problem = ""
        self._selector = selectors.DefaultSelector()
        try:
            for _ in range(config.n_workers):
                self._add_worker()
            while not all(worker.is_ready for worker in self._workers):
                self._step({}, {PYTHON: deque()})
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

        A snippet whose worker dies, or that is killed by none of its limits, is run again once; if that happens
        again, its status is `signal`.

        Raises:
            RuntimeError: another `run` of this sandbox has not ended.
            SandboxUnavailable: Python's workers cannot be started any more.
        """
        if self._is_running:
            raise RuntimeError("this sandbox is already running snippets")
        self._is_running = True
        source = iter(snippets)
        waiting: Waiting = {language: deque() for language in LANGUAGES}
        done: dict[int, Execution] = {}
        n_taken = n_given = 0
        is_exhausted = False
        n_workers = self.config.n_workers
        try:
            while True:
                for worker in list(self._workers):
                    while not is_exhausted and not waiting[worker.language] and n_taken - n_given < WINDOW * n_workers:
                        snippet = next(source, None)
                        if snippet is None:
                            is_exhausted = True
                        elif reason := self._refusal(snippet):
                            done[n_taken] = rejection(reason)
                            n_taken += 1
                        else:
                            waiting[snippet.language].append(Job(number=n_taken, snippet=snippet))
                            n_taken += 1
                    self._start_next(worker, waiting)
                if waiting[OCTAVE]:
                    self._provide_octave(len(waiting[OCTAVE]), done, waiting)
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

    def _refusal(self, snippet: Snippet) -> str:
        """Why a snippet is not started; empty where it may be."""
        if reason := refusal(snippet, self.config.limits):
            return reason
        if snippet.language == OCTAVE and not self._octave_problem:
            try:
                octave_files()
            except OctaveMissing as error:
                self._octave_problem = str(error)
        return self._octave_problem if snippet.language == OCTAVE else ""

    def _provide_octave(self, n_waiting: int, done: dict[int, Execution], waiting: Waiting) -> None:
        """As many workers for Octave as can be busy, started when there is something to do for them."""
        n_workers = sum(worker.language == OCTAVE for worker in self._workers)
        try:
            for _ in range(min(n_waiting, self.config.n_workers) - n_workers):
                self._add_worker(OCTAVE)
        except (SandboxUnavailable, OctaveMissing) as error:
            self._give_octave_up(str(error), done, waiting)

    def _give_octave_up(self, reason: str, done: dict[int, Execution], waiting: Waiting) -> None:
        """Reject Octave's snippets from here on; Python's go on."""
        self._octave_problem = f"Octave does not start in tier {self.tier}: {reason}"
        for job in waiting.get(OCTAVE, ()):
            done[job.number] = rejection(self._octave_problem)
        waiting[OCTAVE] = deque()

    def _add_worker(self, language: str = PYTHON) -> None:
        self._n_started += 1
        scratch_root = self._root / str(self._n_started)
        scratch_root.mkdir(mode=0o700)
        config = self.config
        while True:
            try:
                worker = Worker(
                    self.tier,
                    limits=config.limits,
                    preload=config.preload if language == PYTHON else (),
                    readable=config.readable if language == PYTHON else (),
                    scratch_root=scratch_root,
                    language=language,
                )
                break
            except SandboxUnavailable:
                # Killed as it was started, perhaps; but not where nothing ever ran.
                self._failed_starts[language] += 1
                if not self._workers or self._failed_starts[language] >= FAILED_STARTS:
                    raise
        self._workers.append(worker)
        for control in worker.controls:
            self._selector.register(control, selectors.EVENT_READ, worker)

    def _start_next(self, worker: Worker, waiting: Waiting) -> None:
        """Give a free worker the next snippet of its language, unless enough are running."""
        is_free = worker.is_ready and worker.run is None and waiting[worker.language]
        if is_free and sum(other.run is not None for other in self._workers) < self.config.n_workers:
            self._start(worker, waiting[worker.language])

    def _start(self, worker: Worker, waiting: deque[Job]) -> None:
        job = waiting.popleft()
        try:
            worker.start(job)
        except OSError:
            job.attempts -= 1  # nothing was started
            waiting.appendleft(job)
            self._replace([worker])

    def _step(self, done: dict[int, Execution], waiting: Waiting) -> None:
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
        for worker in self._workers:
            for fd in worker.pipes_to_hear(now):
                self._selector.register(fd, selectors.EVENT_READ, worker)
        for worker in [worker for worker in self._workers if not worker.on_tick(now)]:
            if worker.run:
                reason = "the worker did not answer any more"
                done[worker.run.job.number] = worker.abandoned(words.TIMEOUT, reason)
            if self._may_start_again(worker, "no answer", done, waiting):
                self._replace([worker])

    def _on_control(self, worker: Worker, control: socket.socket, done: dict[int, Execution], waiting: Waiting) -> None:
        run = worker.run
        try:
            execution = worker.on_control(control)
        except (EOFError, SandboxUnavailable) as error:
            is_final = isinstance(error, SandboxUnavailable)
            if run is not None and (is_final or run.job.attempts < ATTEMPTS):
                waiting[worker.language].appendleft(run.job)
            elif run is not None:
                done[run.job.number] = worker.abandoned(words.SIGNAL, "its worker was killed, twice")
            has_failed = run is None or is_final
            if not has_failed or self._may_start_again(worker, str(error), done, waiting, is_final=is_final):
                self._replace([worker])
            return
        if execution is not None and run is not None:
            self._failed_starts[worker.language] = 0
            self._forget(run.pipes)
            if _was_killed(execution) and run.job.attempts < ATTEMPTS:
                waiting[worker.language].appendleft(run.job)
            else:
                done[run.job.number] = execution

    def _may_start_again(
        self, worker: Worker, reason: str, done: dict[int, Execution], waiting: Waiting, *, is_final: bool = False
    ) -> bool:
        """Count a start that failed; False where the worker was removed with its language.

        Raises:
            SandboxUnavailable: the language is Python.
        """
        if worker.is_ready and not is_final:
            return True
        language = worker.language
        self._failed_starts[language] += 1
        if not is_final and self._failed_starts[language] < FAILED_STARTS:
            return True
        if language == PYTHON:
            raise SandboxUnavailable(f"workers of tier {self.tier} do not start: {reason}")
        self._give_octave_up(reason, done, waiting)
        for other in [other for other in self._workers if other.language == language and other.run is None]:
            self._remove(other)
        if worker in self._workers:
            self._remove(worker)
        return False

    def _replace(self, workers: list[Worker]) -> None:
        for worker in workers:
            self._remove(worker)
            # Octave's are started when there is something to do for them.
            if worker.language == PYTHON:
                self._add_worker()

    def _remove(self, worker: Worker) -> None:
        self._forget([control.fileno() for control in worker.controls])
        self._forget(list(worker.pidfds))
        if worker.run:
            self._forget(worker.run.pipes)
        worker.close()
        self._workers.remove(worker)

    def _forget(self, fds: list[int]) -> None:
        known = self._selector.get_map()
        for fd in fds:
            if fd in known:
                self._selector.unregister(fd)


def _was_killed(execution: Execution) -> bool:
    """Whether somebody else may have ended the snippet (the host, short of memory): no limit of ours was reached."""
    return execution.status == words.SIGNAL and execution.exit_code == -signal.SIGKILL


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
