"""The life of one snippet inside its own process: a fresh interpreter's state, the run, and the end.

How a snippet ended is told by its wait status alone. Exit statuses belong to the snippet, so an uncaught exception,
which would look like `sys.exit(1)`, is told by one of three signals the process sends itself. A snippet could send them
as well: it would only call itself failed.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import gc
import io
import linecache
import os
import random
import signal
import sys
import threading
import traceback
from functools import partial
from traceback import print_exception
from types import CodeType, ModuleType

from mathcode_assets.sandbox import star_import

UNCAUGHT = 61
UNCAUGHT_REFUSAL = 62
UNCAUGHT_MEMORY = 63

FILE_NAME = "snippet.py"
SEED = 0
# A traceback longer than this is shortened in the middle.
REPORT_CHARS = 16_000
# What system calls the sandbox forbids fail with.
REFUSALS = frozenset({errno.EPERM, errno.EACCES, errno.EROFS})

_NO_CODE = compile("", FILE_NAME, "exec")

# Taken before any snippet could replace them.
_exit, _kill, _getpid = os._exit, os.kill, os.getpid


def open_standard_streams() -> None:
    """Standard streams as a snippet finds them, made once for all snippets of a worker.

    The streams are on descriptors 0, 1 and 2, whose places the snippet's take. They are made on /dev/null and pipes,
    as a snippet's are, because a stream asks once whether it can seek, and remembers.
    """
    log = os.dup(1), os.dup(2)
    pipe = os.pipe()
    os.dup2(pipe[1], 1)
    os.dup2(pipe[1], 2)
    _open_streams()
    for number, fd in enumerate(log, start=1):
        os.dup2(fd, number)
    for fd in (*log, *pipe):
        os.close(fd)


def seed_random() -> None:
    """The same random numbers in each snippet: after the fork, since `random` takes a new seed there by itself."""
    random.seed(SEED)


def _open_streams() -> None:
    # Not to be closed: they are the snippet's.
    sys.stdin = sys.__stdin__ = open(  # noqa: SIM115
        0, encoding="utf-8", errors="surrogateescape", closefd=False
    )
    sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = io.TextIOWrapper(
        open(2, "wb", closefd=False),  # noqa: SIM115
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=True,
    )


def run_snippet(source: str) -> None:
    """Run the source as `__main__`, end as CPython would, and never return."""
    source = source.removeprefix("\ufeff")
    linecache.cache[FILE_NAME] = (len(source), None, io.StringIO(source, newline=None).readlines(), FILE_NAME)
    module, source = star_import.take(source) or (star_import.new_main(FILE_NAME), source)
    sys.modules["__main__"] = module
    status, ending, code = 0, 0, _NO_CODE
    try:
        code = compile(source, FILE_NAME, "exec", dont_inherit=True)
        exec(code, module.__dict__)
    except SystemExit as error:
        status = exit_status(error.code)
    except BaseException as error:
        status, ending = 1, how_it_ended(error)
        report(error)
    finish(module, code, status, ending)


def exit_status(code: object) -> int:
    """What `sys.exit(code)` means to the operating system."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    with contextlib.suppress(BaseException):
        print(code, file=sys.stderr)
    return 1


def how_it_ended(error: BaseException) -> int:
    """The signal that tells the supervisor what kind of exception ended the snippet."""
    if isinstance(error, MemoryError):
        return UNCAUGHT_MEMORY
    cause: BaseException | None = error
    for _ in range(8):
        if cause is None:
            break
        if isinstance(cause, OSError) and OSError.errno.__get__(cause) in REFUSALS:
            return UNCAUGHT_REFUSAL
        cause = cause.__cause__ or cause.__context__
    return UNCAUGHT


def report(error: BaseException) -> None:
    """Print the traceback without our own frames, through the hook the snippet may have set.

    Shortened where a line of the source is so long that quoting it would break the limit on output.
    """
    trace = error.__traceback__.tb_next if error.__traceback__ else None
    error.__traceback__ = trace
    stream, sys.stderr = sys.stderr, io.StringIO()
    # The interpreter's own hook looks for the source in a file; `traceback` asks linecache, which has it.
    is_ours = sys.excepthook is sys.__excepthook__
    try:
        print_exception(error) if is_ours else sys.excepthook(type(error), error, trace)
    except BaseException:
        with contextlib.suppress(BaseException):
            sys.__excepthook__(type(error), error, trace)
    with contextlib.suppress(BaseException):
        text = sys.stderr.getvalue()
        if len(text) > REPORT_CHARS:
            text = f"{text[: REPORT_CHARS // 2]}\n[...]\n{text[-REPORT_CHARS // 2 :]}"
        sys.stderr = stream
        stream.write(text)
    sys.stderr = stream


def finish(module: ModuleType, code: CodeType, status: int, ending: int) -> None:
    """End as the interpreter does: threads, atexit, objects of the module, buffers; then leave."""
    clear = partial(star_import.clear, module, code)
    for step in (threading._shutdown, atexit._run_exitfuncs, clear, gc.collect):  # type: ignore[attr-defined]
        try:
            step()
        except BaseException:
            with contextlib.suppress(BaseException):
                traceback.print_exc()
    for stream in (sys.stdout, sys.stderr, sys.__stdout__):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except BaseException:
            status = status or 120  # as CPython where the last flush fails
    if ending:
        with contextlib.suppress(BaseException):
            signal.signal(ending, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [ending])
        _kill(_getpid(), ending)
    _exit(status)
