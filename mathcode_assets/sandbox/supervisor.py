"""The supervisor's side of one worker: hand it a snippet, collect the pipes, judge the end.

Nothing here blocks: `pool.py` waits on the descriptors and calls `on_control`, `on_output` and `on_tick`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import select
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mathcode_assets.sandbox import snippets as words
from mathcode_assets.sandbox.launch import SCRATCH, Launch, SandboxUnavailable, end, launch, log_tail, sealed_file
from mathcode_assets.sandbox.levels import level_for, levels_of
from mathcode_assets.sandbox.program import UNCAUGHT, UNCAUGHT_MEMORY, UNCAUGHT_REFUSAL
from mathcode_assets.sandbox.snippets import OCTAVE, PYTHON, Execution, Limits, Snippet

# A worker that says nothing for this long after the wall limit is ended with its snippet.
GRACE_S = 10.0
# Imports and warming take seconds; on a machine with a slow disk, tens of seconds.
START_S = 180.0
MESSAGE_BYTES = 16_384
# From this age on the threads of a snippet are counted, and its pipes watched. Before, they hold what it prints: most
# snippets are over by then, and cost no wake-up but the one at their end.
TICK_S = 0.05
# A snippet the kernel killed at this share of its memory was killed for memory.
NEAR_LIMIT = 0.8
MAX_PIPE_BYTES = 1 << 20
# Octave ends with status 1 both on an uncaught error and on exit(1): what it prints tells them apart.
_OCTAVE_ERROR = re.compile(r"^(?:parse )?error: (?!called from).*", re.MULTILINE)
_OCTAVE_REFUSAL = re.compile(
    r"not permitted|[Pp]ermission denied|Read-only file system|[Cc]ould(?:n't| not) (?:connect|resolve)"
)
_OCTAVE_MEMORY = re.compile(r"out of memory|std::bad_alloc")


@dataclass(slots=True, kw_only=True)
class Job:
    """A snippet on its way."""

    number: int
    snippet: Snippet
    attempts: int = 0


@dataclass(slots=True, kw_only=True)
class Run:
    """One attempt at a job in a worker."""

    job: Job
    deadline: float
    pipes: list[int]
    outputs: list[bytearray] = field(default_factory=lambda: [bytearray(), bytearray()])
    pidfd: int = -1
    pid: int = 0
    # Status and reason, where we ended it.
    verdict: tuple[str, str] | None = None
    failure: str = ""
    watched_from: float
    is_heard: bool = False


class Worker:
    """A worker process, ready or not, with at most one run.

    Args:
        tier: "namespace" or "landlock".
        language: of the snippets it can run.
        scratch_root: an empty folder of this worker's own (landlock tier), where private directories are made.
    """

    def __init__(
        self,
        tier: str,
        *,
        limits: Limits,
        preload: Sequence[str],
        readable: Sequence[Path],
        scratch_root: Path,
        language: str = PYTHON,
    ) -> None:
        self.tier = tier
        self.language = language
        self.limits = limits
        self.run: Run | None = None
        self._scratch_root = scratch_root
        self._n_runs = 0
        # Of each interpreter that has begun, a descriptor that tells its death (others hold its socket open), and its
        # address space where it is ready.
        self.pidfds: dict[int, socket.socket] = {}
        self._base_bytes: dict[socket.socket, int] = {}
        self._levels = levels_of(preload)
        self.start_deadline = time.monotonic() + START_S
        self.launched: Launch = launch(tier, limits=limits, levels=self._levels, readable=readable, language=language)
        self.controls = self.launched.controls

    @property
    def is_ready(self) -> bool:
        """Whether all of it is."""
        return len(self._base_bytes) == len(self.controls)

    def close(self) -> None:
        """End the worker; nothing of it is left when this returns."""
        self._drop_run()
        for fd in self.pidfds:
            os.close(fd)
        self.pidfds.clear()
        end(self.launched)

    def start(self, job: Job) -> None:
        """Send a snippet.

        Raises:
            OSError: the worker is gone.
        """
        control = self.controls[level_for(job.snippet.code, self._levels)]
        job.attempts += 1
        self._n_runs += 1
        reads, writes = [], []
        sent: list[int] = []
        try:
            for _ in range(2):
                read, write = os.pipe2(os.O_CLOEXEC)
                reads.append(read)
                writes.append(write)
                os.set_blocking(read, False)
                self._widen(write)
            sent = [sealed_file(job.snippet.code.encode()), self._stdin(job.snippet.stdin), *writes]
            request = {
                "scratch": SCRATCH if self.tier == "namespace" else str(self._scratch_root / str(self._n_runs)),
                "address_bytes": self._base_bytes[control] + self.limits.memory_bytes,
            }
            socket.send_fds(control, [json.dumps(request).encode()], sent)
        except BaseException:
            for fd in reads:
                os.close(fd)
            raise
        finally:
            for fd in {*sent, *writes}:
                os.close(fd)
        now = time.monotonic()
        self.run = Run(job=job, deadline=now + self.limits.wall_s + GRACE_S, pipes=reads, watched_from=now + TICK_S)

    def on_control(self, control: socket.socket) -> Execution | None:
        """Read one message; the execution where it was the last one of a run.

        Raises:
            EOFError: the worker is gone.
            SandboxUnavailable: it could not start, or could not confine a snippet.
        """
        try:
            message, fds, _, _ = socket.recv_fds(control, MESSAGE_BYTES, 1)
        except BlockingIOError:
            if self._is_dead(control):
                raise EOFError("killed") from None
            return None
        except OSError as error:
            raise EOFError(str(error)) from error
        if not message:
            raise EOFError(log_tail(self.launched))
        answer: dict[str, Any] = json.loads(message)
        if "unready" in answer:
            raise SandboxUnavailable(f"worker of tier {self.tier} cannot start: {answer['unready']}")
        if "starting" in answer:
            self.pidfds[fds[0]] = control
            return None
        if "ready" in answer:
            pidfd = next(fd for fd, served in self.pidfds.items() if served is control)
            self._base_bytes[control] = _address_space(pidfd)
            return None
        run = self.run
        if run is None:
            raise EOFError("answer without a snippet")
        if "failed" in answer:
            run.failure = answer["failed"]
        elif "started" in answer:
            run.pidfd = fds[0]
            run.pid = _pid_of(fds[0])
            if run.verdict:
                self._kill()
        else:
            return self._finish(run, answer)
        return None

    def on_output(self, fd: int) -> bool:
        """Read what a pipe holds; False at its end."""
        run = self.run
        if run is None:
            return False
        collected = run.outputs[run.pipes.index(fd)]
        try:
            data = os.read(fd, 1 << 16)
        except BlockingIOError:
            return True
        collected += data
        if len(collected) > self.limits.output_bytes:
            del collected[self.limits.output_bytes + 1 :]
            self._end_run(words.OUTPUT_LIMIT, f"output over {self.limits.output_bytes} bytes")
        return bool(data)

    def pipes_to_hear(self, now: float) -> list[int]:
        """The read ends of stdout and stderr of a run that has grown old enough; once."""
        run = self.run
        if run is None or run.is_heard or now < run.watched_from:
            return []
        run.is_heard = True
        return run.pipes

    def on_tick(self, now: float) -> bool:
        """Look after the run; False where the worker does not answer any more and has to be ended."""
        run = self.run
        if run is None:
            return self.is_ready or now < self.start_deadline
        if run.pid and now >= run.watched_from and not run.verdict:
            run.watched_from = now + TICK_S
            if _n_threads(run.pid) > self.limits.n_processes:
                self._end_run(words.MEMORY_LIMIT, f"more than {self.limits.n_processes} threads")
        return now < run.deadline

    def abandoned(self, status: str, detail: str) -> Execution:
        """The execution of a run whose worker is given up."""
        run = self.run
        assert run is not None
        for fd in run.pipes:
            self.on_output(fd)
        stdout, stderr = self._texts(run)
        wall_s = self.limits.wall_s if status == words.TIMEOUT else 0.0
        exit_code = None if status == words.TIMEOUT else -signal.SIGKILL
        return Execution(
            status=status,
            stdout=stdout,
            stderr=stderr,
            exit_code=exit_code,
            wall_s=wall_s,
            tier=self.tier,
            detail=detail,
        )

    def _finish(self, run: Run, answer: dict[str, Any]) -> Execution:
        for fd in run.pipes:
            # The child is gone and so are all writers: this ends.
            while self.on_output(fd) and not run.verdict:
                pass
        if run.failure:
            raise SandboxUnavailable(f"tier {self.tier} cannot confine a snippet: {run.failure}")
        stdout, stderr = self._texts(run)
        status, exit_code, detail = self._judge(run, answer, stderr)
        self._drop_run()
        return Execution(
            status=status,
            stdout=stdout,
            stderr=stderr,
            exit_code=exit_code,
            wall_s=round(answer["wall_s"], 6),
            tier=self.tier,
            detail=detail,
        )

    def _judge(self, run: Run, answer: dict[str, Any], stderr: str) -> tuple[str, int | None, str]:
        if run.verdict:
            return run.verdict[0], None, run.verdict[1]
        if answer["ended"]:
            status, detail = answer["ended"]
            return status, None, detail
        if os.WIFEXITED(answer["done"]):
            code = os.WEXITSTATUS(answer["done"])
            if self.language == OCTAVE and code == 1 and _OCTAVE_ERROR.search(stderr):
                return words.ERROR, 1, self._octave_detail(stderr)
            return (words.EXIT if code else words.OK), code, ""
        number = os.WTERMSIG(answer["done"])
        last_line = stderr.rstrip().rpartition("\n")[2][:500]
        if number == UNCAUGHT:
            return words.ERROR, 1, ""
        if number == UNCAUGHT_REFUSAL:
            return words.ERROR, 1, f"policy: {last_line}"
        if number == UNCAUGHT_MEMORY:
            return words.ERROR, 1, f"memory: over {self.limits.memory_bytes} bytes"
        if number == signal.SIGXCPU or (number == signal.SIGKILL and answer["cpu_s"] >= self.limits.cpu_s):
            return words.TIMEOUT, None, f"processor time over {self.limits.cpu_s:g} s"
        if number == signal.SIGKILL and answer["peak_kib"] * 1024 > NEAR_LIMIT * self.limits.memory_bytes:
            return words.MEMORY_LIMIT, None, "killed by the kernel, out of memory"
        name = signal.Signals(number).name if number in signal.Signals._value2member_map_ else str(number)
        policy = "policy: " if number == signal.SIGSYS else ""
        return words.SIGNAL, -number, f"{policy}ended by {name}"

    def _octave_detail(self, stderr: str) -> str:
        """Why an Octave program failed, as far as its last error says that we refused something."""
        last = _OCTAVE_ERROR.findall(stderr)[-1][:500]
        if _OCTAVE_REFUSAL.search(last):
            return f"policy: {last}"
        return f"memory: over {self.limits.memory_bytes} bytes" if _OCTAVE_MEMORY.search(last) else ""

    def _texts(self, run: Run) -> tuple[str, str]:
        texts = [bytes(output[: self.limits.output_bytes]).decode("utf-8", "replace") for output in run.outputs]
        return texts[0], texts[1]

    def _end_run(self, status: str, detail: str) -> None:
        if self.run and not self.run.verdict:
            self.run.verdict = (status, detail)
            self._kill()

    def _kill(self) -> None:
        if self.run and self.run.pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.run.pidfd, signal.SIGKILL)

    def _is_dead(self, control: socket.socket) -> bool:
        fds = [fd for fd, served in self.pidfds.items() if served is control]
        return bool(fds and select.select(fds, [], [], 0)[0])

    def _drop_run(self) -> None:
        run, self.run = self.run, None
        if run is None:
            return
        for fd in run.pipes:
            os.close(fd)
        if run.pidfd >= 0:
            os.close(run.pidfd)

    def _widen(self, pipe: int) -> None:
        """Room for all the output that is allowed, so that a snippet within its limit never waits for us."""
        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, min(2 * self.limits.output_bytes, MAX_PIPE_BYTES))

    def _stdin(self, content: bytes) -> int:
        return sealed_file(content) if content else os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


def _pid_of(pidfd: int) -> int:
    """The id in our namespace of the process behind a descriptor; 0 where it is gone."""
    for line in Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines():
        if line.startswith("Pid:"):
            return max(0, int(line.split()[1]))
    return 0


def _address_space(pidfd: int) -> int:
    """Bytes of address space of the process behind a descriptor."""
    try:
        pages = int(Path(f"/proc/{_pid_of(pidfd)}/statm").read_text().split()[0])
    except OSError as error:
        raise EOFError("killed as it became ready") from error
    return pages * os.sysconf("SC_PAGE_SIZE")


def _n_threads(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError):
        text = Path(f"/proc/{pid}/status").read_text()
        return int(text.partition("Threads:")[2].split()[0])
    return 0
