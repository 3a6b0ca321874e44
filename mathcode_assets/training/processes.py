"""The processes of a local launch: started so that they die with it, found by a token, ended without a rest."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from pathlib import Path

TOKEN_VARIABLE = "MATHCODE_LAUNCH"
# torchrun ends its workers at SIGTERM and waits for them; then they are killed.
GRACE_S = 10.0


def die_with_parent() -> None:
    """Have the kernel end this process when the thread that started it goes. For `preexec_fn`."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def end_processes(process: subprocess.Popen[bytes], token: str) -> None:
    """End the process and all that carry the token in their environment; return when none is left.

    torchrun gives each worker a session of its own, so the process group alone does not hold them.
    """
    with contextlib.suppress(ProcessLookupError):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_S)
    while left := processes_with(token):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.poll()
        time.sleep(0.02)
    process.wait()


def processes_with(token: str) -> list[int]:
    """Living processes that were started with this token."""
    marker = f"{TOKEN_VARIABLE}={token}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # gone meanwhile, or another user's
            if marker in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found
