"""What goes into the sandbox and what comes out: snippets, limits, executions.

The status of an execution, `Execution.status`:

- `ok`: the program ended by itself with exit status 0;
- `error`: an uncaught exception (a syntax error and a MemoryError included); `exit_code` is 1. Of an Octave program:
  exit status 1, and a line of stderr that begins with `error:` or `parse error:`;
- `exit`: a non-zero exit status without an uncaught exception, as `sys.exit(2)`;
- `signal`: ended by a signal that was not ours; `exit_code` is minus its number;
- `timeout`: ended by us, over the wall clock or the processor time;
- `output_limit`: ended by us, over the output, or over the files it may leave in its directory;
- `memory_limit`: ended by us or by the kernel for memory or for threads (an allocation that is refused raises
  MemoryError in the program first, which is its own affair: `error` where nothing catches it);
- `rejected`: never started.
"""

from __future__ import annotations

from dataclasses import dataclass

OK = "ok"
ERROR = "error"
TIMEOUT = "timeout"
SIGNAL = "signal"
EXIT = "exit"
OUTPUT_LIMIT = "output_limit"
MEMORY_LIMIT = "memory_limit"
REJECTED = "rejected"
STATUSES = (OK, ERROR, TIMEOUT, SIGNAL, EXIT, OUTPUT_LIMIT, MEMORY_LIMIT, REJECTED)

PYTHON = "python"
OCTAVE = "octave"
# Languages there is an interpreter for; Octave only where it is installed.
LANGUAGES = (PYTHON, OCTAVE)

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one snippet may use. Times in seconds, sizes in bytes.

    `memory_bytes` is address space on top of the warm interpreter's own. `output_bytes` holds for stdout and for
    stderr each. `file_bytes` and `n_files` bound the whole private directory.
    """

    wall_s: float = 10.0  # the reference's limit for one block of code
    cpu_s: float = 10.0
    memory_bytes: int = 1024 * MIB
    output_bytes: int = 64 * 1024  # a stated result has a few hundred bytes; printed tables fit
    file_bytes: int = 16 * MIB
    n_files: int = 256
    n_processes: int = 32  # threads: a snippet has one process, see the seccomp rules
    source_bytes: int = MIB

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise ValueError(f"limit {name} is not positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """A program, and what it may read from its standard input."""

    code: str
    language: str = PYTHON
    stdin: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What became of a snippet; see the module for the statuses.

    `stdout` and `stderr` are decoded as UTF-8, invalid bytes as U+FFFD, and cut at the limit. `wall_s` runs from the
    fork to the end. `tier` is "namespace" or "landlock", "" for a snippet that was rejected. `detail` is a reason in
    words; it begins with "policy: " where the exception that ended the snippet was a refusal by the sandbox.
    """

    status: str
    stdout: str
    stderr: str
    exit_code: int | None
    wall_s: float
    tier: str
    detail: str = ""


def refusal(snippet: Snippet, limits: Limits) -> str:
    """Why a snippet is not started; empty where it may be."""
    if snippet.language not in LANGUAGES:
        return f"no interpreter for language {snippet.language!r}"
    # A character has one byte at least: no need to encode what is far too long.
    if len(snippet.code) > limits.source_bytes:
        return f"source over {limits.source_bytes} bytes"
    try:
        n_bytes = len(snippet.code.encode())
    except UnicodeEncodeError as error:
        return f"source is not valid Unicode: lone surrogate at {error.start}"
    if n_bytes > limits.source_bytes:
        return f"source over {limits.source_bytes} bytes"
    return ""


def rejection(reason: str) -> Execution:
    """The execution of a snippet that was never started."""
    return Execution(status=REJECTED, stdout="", stderr="", exit_code=None, wall_s=0.0, tier="", detail=reason)
