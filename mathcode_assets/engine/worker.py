"""A worker process: takes pickled calls from a socket until it is closed.

    python -m mathcode_assets.engine.worker SOCKET LIFELINE

It ends with whoever started it: a thread reads the lifeline, which reports its end when that process has gone,
however it went, also in the middle of work. (The kernel's own signal for this follows the thread that started the
worker, which in a server may end long before the process does.)
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from multiprocessing.connection import Connection

from mathcode_assets.engine.exchange import answer_to


def main() -> None:
    """Serve until there is nobody to serve."""
    requests, lifeline = (int(argument) for argument in sys.argv[1:3])
    # A terminal's interrupt reaches the whole group; the parent decides what becomes of its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    connection = Connection(requests)
    while True:
        try:
            request = connection.recv_bytes()
        except (EOFError, OSError):
            break
        connection.send_bytes(answer_to(request))
    # Libraries with threads of their own have hung at exit; nothing here is left to be flushed.
    sys.stdout.flush()
    sys.stderr.flush()


def _end_with(lifeline: int) -> None:
    while os.read(lifeline, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
