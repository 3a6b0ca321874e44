"""The warm interpreter: imports once, then forks one process per snippet.

Run by `launch.py`, inside the tier's confinement: `worker.py CONFIG LIFELINE CONTROL...`, inherited descriptors.
It is as many interpreters as it has CONTROLs, each a fork of a lighter one (`levels.py`); the supervisor sends a
snippet to the lightest one that has what it names. A worker for Octave has one CONTROL, and an Octave loaded into it,
which each fork runs; see `octave.py`.

CONTROL is a SOCK_SEQPACKET socket. A request is a JSON message with four descriptors (source, stdin, stdout, stderr).
Answers are JSON messages: `starting` (with a pidfd of this process) and `ready` or `unready`, then for each request
`started` (with a pidfd of the child; only where it runs for more than some milliseconds) and `done` (its wait status),
or `failed`: the child could not be confined, and the snippet was not started.
LIFELINE is a pidfd of the supervisor: when it is gone, so are we.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import select
import signal
import socket
import sys
import time
import traceback
from typing import Any

from mathcode_assets.sandbox import confinement, star_import
from mathcode_assets.sandbox.octave import Octave, write_script
from mathcode_assets.sandbox.program import FILE_NAME, open_standard_streams, run_snippet, seed_random
from mathcode_assets.sandbox.scratch import is_too_full, remove_tree
from mathcode_assets.sandbox.warming import collapse, settle, warm

# Cheap modules that mathematical programs import.
COMMON = """
bisect cmath collections copy dataclasses datetime decimal enum fractions functools heapq itertools json math numbers
operator random re statistics string textwrap time typing
"""
MESSAGE_BYTES = 4096
POLL_MS = 1000
# After this a snippet is reported as started, and so often the private directory of the second tier is looked through.
WATCH_MS = 10
# The words of snippets.py, which this script does without.
TIMEOUT, OUTPUT_LIMIT = "timeout", "output_limit"

Config = dict[str, Any]


def main() -> None:
    """Import, say ready, and serve until the supervisor is gone."""
    config_fd, lifeline, *controls = (int(argument) for argument in sys.argv[1:])
    with open(config_fd, "rb") as file:  # noqa: PTH123
        config: Config = json.load(file)
    config["program"] = bytes.fromhex(config["program"])
    prepare(config)
    started = start_interpreters(config, controls)
    if started is None:
        return
    control, octave, memory = started
    job = serve(control, lifeline, config, memory)
    # Only in the child, each as near to the bottom of the stack as can be.
    if job is not None and octave is not None:
        octave.run()
    elif job is not None:
        run_snippet(job)


def start_interpreters(config: Config, controls: list[int]) -> tuple[socket.socket, Octave | None, list[int]] | None:
    """Import, fork the interpreters that build on this one, and say ready: in each of them.

    Returns its control, Octave where that is its language, and where its memory is; None where it could not start.
    """
    place = 0
    while True:
        control = socket.socket(fileno=os.dup(controls[place]))
        # First, so that the supervisor sees it end while it imports: others have its socket open.
        pidfd = os.pidfd_open(os.getpid())
        send(control, {"starting": True}, pidfd)
        os.close(pidfd)
        try:
            octave = load(config, place)
        except BaseException:
            send(control, {"unready": traceback.format_exc()})
            return None
        memory = settle()
        forked = fork_heavier(config, place)
        if forked is None:
            break
        control.close()
        place = forked
    for number in controls:
        os.close(number)
    send(control, {"ready": True})
    return control, octave, memory


def load(config: Config, place: int) -> Octave | None:
    """Import and warm what the interpreter at this place has more than the one it is a fork of."""
    if config["octave"]:
        return Octave(config["octave"], config["warming"])
    modules = config["levels"][place]["modules"]
    for name in modules or COMMON.split():
        importlib.import_module(name)
    if modules:
        warm(sys.modules)
        if "sympy" in sys.modules:
            star_import.prepare(FILE_NAME)
    else:
        open_standard_streams()
    return None


def fork_heavier(config: Config, place: int) -> int | None:
    """Fork an interpreter for each place that builds on this one. Returns its place in a child, None in this one."""
    parent = os.getpid()
    for heavier, level in enumerate(config["levels"]):
        if heavier > place and level["base"] == place and os.fork() == 0:
            confinement.die_with(parent)
            return heavier
    return None


def prepare(config: Config) -> None:
    """What an interpreter started on a script would look like, without a trace of this package."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "mathcode_assets"]:
        del sys.modules[name]
    sys.path[:] = config["path"]
    sys.argv[:] = [FILE_NAME]
    sys.dont_write_bytecode = True
    os.environ.clear()
    os.environ.update(config["environment"])
    import site

    # The interpreter was started without site, which would run the code in .pth files.
    site.setquit()
    site.setcopyright()
    site.sethelper()
    if config["namespaces"]:
        confinement.make_mounts_private()
    config["rules"] = confinement.file_rules(config["readable"], is_required=not config["namespaces"])
    config["limits"] = confinement.hard_limits(
        cpu_s=config["cpu_s"], file_bytes=config["file_bytes"], n_processes=config["n_processes"]
    )


def serve(control: socket.socket, lifeline: int, config: Config, memory: list[int]) -> str | None:
    """Answer requests. Returns None when the supervisor is gone, and in a child the source of its snippet."""
    is_first = True
    poller = select.poll()
    poller.register(control, select.POLLIN)
    poller.register(lifeline, select.POLLIN)
    while True:
        ready = {fd for fd, _ in poller.poll(POLL_MS)}
        if lifeline in ready:
            return None
        if control.fileno() not in ready:
            continue
        message, fds, _, _ = socket.recv_fds(control, MESSAGE_BYTES, 4)
        if not message:
            return None
        if is_first:
            # All interpreters are ready: the heavier ones have copies of their own by now of what they shared with us.
            collapse(memory)
            is_first = False
        source = run_one(control, lifeline, config, json.loads(message), fds)
        if source is not None:
            return source


def run_one(control: socket.socket, lifeline: int, config: Config, request: Config, fds: list[int]) -> str | None:
    """Fork for one snippet and wait for its end. Returns the source in the child, None in the worker."""
    init = confinement.start_pid_namespace() if config["namespaces"] else 0
    if not config["namespaces"]:
        os.mkdir(request["scratch"], 0o700)  # noqa: PTH102
    parent = 0 if init else os.getpid()
    child = confinement.fork()
    if child == 0:
        try:
            return confine(config, request, fds, parent)
        except BaseException as error:
            send(control, {"failed": f"{type(error).__name__}: {error}"})
            os._exit(1)
    pidfd = os.pidfd_open(child)
    if init:
        confinement.leave_pid_namespace()
    for fd in fds:
        os.close(fd)
    start = time.monotonic()
    ended = wait_for(pidfd, control, lifeline, config, request["scratch"])
    _, status, usage = os.wait4(child, 0)
    wall_s = time.monotonic() - start
    os.close(pidfd)
    if init:
        os.kill(init, signal.SIGKILL)
        os.waitpid(init, 0)
    else:
        remove_tree(request["scratch"])
    used = {"cpu_s": usage.ru_utime + usage.ru_stime, "peak_kib": usage.ru_maxrss, "wall_s": wall_s}
    send(control, {"done": status, "ended": ended, **used})
    return None


def wait_for(pidfd: int, control: socket.socket, lifeline: int, config: Config, scratch: str) -> tuple[str, str] | None:
    """Wait for the end of the child. Returns why it was ended from here; None where it was not.

    The wall clock is kept here and not in the supervisor, which may be waiting for whoever reads its results.
    """
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    poller.register(lifeline, select.POLLIN)
    poller.register(control, 0)  # reports a closed socket only
    deadline = time.monotonic() + config["wall_s"]
    ended: tuple[str, str] | None = None
    is_told = False
    patience_ms = WATCH_MS
    while True:
        left_ms = max(0, math.ceil((deadline - time.monotonic()) * 1000))
        ready = {fd for fd, _ in poller.poll(min(left_ms, patience_ms))}
        if pidfd in ready:
            return ended
        if not ready and not is_told:
            send(control, {"started": True}, pidfd)
            is_told = True
            patience_ms = left_ms if config["namespaces"] else WATCH_MS
        if ready:
            ended = (TIMEOUT, "the supervisor is gone")
        elif time.monotonic() >= deadline:
            ended = (TIMEOUT, f"wall clock over {config['wall_s']:g} s")
        elif not config["namespaces"] and is_too_full(scratch, n_bytes=config["file_bytes"], n_files=config["n_files"]):
            ended = (OUTPUT_LIMIT, f"files over {config['file_bytes']} bytes or {config['n_files']} in number")
        if ended:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            select.select([pidfd], [], [])
            return ended


def confine(config: Config, request: Config, fds: list[int], parent: int) -> str:
    """In the child: take the snippet's place in the world, and give up everything else. Returns the source."""
    confinement.die_with(parent)
    scratch = request["scratch"]
    if config["namespaces"]:
        confinement.mount_scratch(scratch, size_bytes=config["file_bytes"], n_files=config["n_files"])
    os.chdir(scratch)
    os.setsid()
    for number, fd in enumerate(fds[1:]):
        os.dup2(fd, number)
    with open(fds[0], "rb", closefd=False) as file:
        source = file.read().decode()
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    confinement.drop_privileges()
    if config["rules"] is not None:
        confinement.restrict_files(config["rules"], scratch)
    os.environ.update(HOME=scratch, TMPDIR=scratch, PWD=scratch)
    if config["octave"]:
        write_script(source)
    else:
        seed_random()
    # Not earlier: the rules' descriptors are more than a snippet may have open.
    confinement.set_limits(config["limits"], address_bytes=request["address_bytes"])
    confinement.filter_system_calls(config["program"], config["own_pid"])
    # Last: until here a failure can still be reported.
    confinement.close_all_but_standard()
    return source


def send(control: socket.socket, message: Config, *fds: int) -> None:
    """One message, cut to what the supervisor reads."""
    text = json.dumps(message)
    if len(text) > MESSAGE_BYTES:
        text = json.dumps({name: value[-1500:] for name, value in message.items()})
    try:
        socket.send_fds(control, [text.encode()], fds)
    except (BrokenPipeError, ConnectionResetError):
        os._exit(0)


if __name__ == "__main__":
    main()
