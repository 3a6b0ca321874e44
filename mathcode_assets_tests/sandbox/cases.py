"""Hostile and awkward programs, each with what must become of it.

A hostile one prints ESCAPED where it gets what it should not; no case may print that, in either tier.
"""

# ruff: noqa: E501 - programs of one line

from __future__ import annotations

from dataclasses import dataclass

LIBC = "import ctypes, os; libc = ctypes.CDLL(None, use_errno=True)\n"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A program and its expectation; what is None is not looked at. `detail` and `stderr` are parts."""

    name: str
    code: str
    status: str | tuple[str, ...] = "ok"
    stdout: str | None = None
    stderr: str | None = None
    detail: str | None = None
    exit_code: int | None = None
    stdin: bytes = b""


def attempt(action: str, setup: str = "") -> str:
    """A program that says which error stops an action."""
    return f"{setup}\ntry:\n    r = {action}\n    print('ESCAPED', r)\nexcept OSError as e:\n    print('stopped')\n"


def call(number: int, *arguments: object) -> str:
    """A program that makes a system call directly (numbers of x86-64)."""
    given = ", ".join(str(argument) for argument in arguments)
    return f"{LIBC}r = libc.syscall({number}, {given})\nprint('ESCAPED' if r >= 0 else 'stopped')\n"


FRAMES = """
import sys
frame = sys._getframe()
while frame:
    for value in list(frame.f_locals.values()):
        if hasattr(value, "sendmsg"):
            try:
                value.send(b'{"done": 0}')
                print("ESCAPED")
            except OSError:
                pass
    frame = frame.f_back
print("walked")
"""
STOPPED = "stopped\n"

# Ordinary programs in unusual dress.
ORDINARY = (
    Case(
        name="main_module",
        code="import sys; print(__name__, sys.modules['__main__'].__name__)",
        stdout="__main__ __main__\n",
    ),
    Case(name="stdin_is_read", code="print(input()[::-1])", stdin=b"abc\ndef\n", stdout="cba\n"),
    Case(
        name="stdin_bytes",
        code="import sys; print(len(sys.stdin.buffer.read()))",
        stdin=bytes(range(256)) * 4096,
        stdout="1048576\n",
    ),
    Case(name="stdin_empty", code="import sys; print(repr(sys.stdin.read()))", stdout="''\n"),
    Case(name="exit_without_code", code="import sys; print(1); sys.exit()", stdout="1\n"),
    Case(name="exit_one", code="import sys; sys.exit(1)", status="exit", exit_code=1),
    Case(name="exit_with_words", code="raise SystemExit('no root')", status="exit", exit_code=1, stderr="no root"),
    Case(name="exit_builtin", code="exit(7)", status="exit", exit_code=7),
    Case(
        name="exit_at_once",
        code="import os; print(1, flush=True); os._exit(9)",
        status="exit",
        exit_code=9,
        stdout="1\n",
    ),
    Case(
        name="exit_handlers",
        code="import atexit; atexit.register(print, 'last'); print('first')",
        stdout="first\nlast\n",
    ),
    Case(name="destructors", code="class A:\n    def __del__(self): print('gone')\na = A()", stdout="gone\n"),
    Case(
        name="thread_is_waited_for",
        code="import threading, time\nthreading.Thread(target=lambda: (time.sleep(.1), print('late'))).start()",
        stdout="late\n",
    ),
    Case(name="byte_order_mark", code="\ufeffprint(1)", stdout="1\n"),
    Case(name="form_feed", code="\x0cprint(1)", stdout="1\n"),
    Case(name="line_separator_in_text", code="print(len('a\u2028b'))", stdout="3\n"),
    Case(name="carriage_returns", code="if 1:\r\n    print(1)\r\n", stdout="1\n"),
    Case(name="empty", code="", stdout=""),
    Case(name="only_comment", code="# nothing", stdout=""),
    Case(
        name="traceback_shows_the_line",
        code="x = 0\ny = 1 / x\n",
        status="error",
        stderr='File "snippet.py", line 2, in <module>\n    y = 1 / x',
        exit_code=1,
    ),
    Case(
        name="own_source",
        code="import inspect\ndef f(): return 1\nprint(inspect.getsource(f))",
        stdout="def f(): return 1\n\n",
    ),
    Case(
        name="private_files",
        code="open('a.txt', 'w').write('x'); import os; print(os.listdir('.'), open('a.txt').read())",
        stdout="['a.txt'] x\n",
    ),
    Case(
        name="temporary_file",
        code="import tempfile\nwith tempfile.TemporaryFile() as f: f.write(b'x'); print(f.tell())",
        stdout="1\n",
    ),
    Case(
        name="devices",
        code="print(len(open('/dev/urandom', 'rb').read(4)), open('/dev/null').read() == '')",
        stdout="4 True\n",
    ),
    Case(name="event_loop", code="import asyncio\nprint(asyncio.run(asyncio.sleep(0, 5)))", stdout="5\n"),
    Case(
        name="thread_pool",
        code="from concurrent.futures import ThreadPoolExecutor as T\nwith T(4) as t: print(list(t.map(abs, [-1, -2])))",
        stdout="[1, 2]\n",
    ),
    Case(
        name="own_signal_handler",
        code="import os, signal\nsignal.signal(10, lambda *a: print('got'))\nos.kill(os.getpid(), 10)",
        stdout="got\n",
    ),
    Case(name="deep_recursion", code="def f(): f()\nf()", status="error", stderr="RecursionError"),
    Case(name="warning", code="import warnings; warnings.warn('w'); print(1)", stdout="1\n", stderr="UserWarning: w"),
    Case(
        name="plain_error_is_no_refusal",
        code="open('/no/such/file')",
        status="error",
        detail="",
        stderr="FileNotFoundError",
    ),
    Case(
        name="error_in_thread",
        code="import threading\nthreading.Thread(target=lambda: 1/0).start()",
        status="ok",
        stderr="ZeroDivisionError",
    ),
    Case(
        name="lapack",
        code="import numpy as np; print(np.linalg.inv(np.diag([2., 4.])).tolist())",
        stdout="[[0.5, 0.0], [0.0, 0.25]]\n",
    ),
    Case(name="module_not_preloaded", code="import scipy.special as s; print(s.gamma(5.0))", stdout="24.0\n"),
    Case(
        name="seeded",
        code="import random, numpy; print(random.random(), numpy.random.rand())",
        stdout="0.8444218515250481 0.5488135039273248\n",
    ),
    Case(
        name="hash_seed",
        code="print(list({'alpha', 'beta', 'gamma'}) == list({'alpha', 'beta', 'gamma'}), hash('a') == hash('a'))",
        stdout="True True\n",
    ),
    Case(name="invalid_source_escape", code="print('\\ud800')", status="error", stderr="UnicodeEncodeError"),
    Case(name="base_exception", code="raise GeneratorExit", status="error", exit_code=1),
    Case(
        name="exception_whose_text_fails",
        code="class E(Exception):\n    def __str__(self): 1/0\nraise E",
        status="error",
        exit_code=1,
    ),
    Case(name="memory_error", code="x = 'a' * (3 << 30)", status="error", detail="memory", stderr="MemoryError"),
    Case(
        name="memory_error_caught",
        code="try: x = bytearray(3 << 30)\nexcept MemoryError: print('small')",
        stdout="small\n",
    ),
)

# Programs that use too much.
GREEDY = (
    Case(name="loop", code="while True: pass", status="timeout"),
    Case(name="native_loop", code="sum(range(10**12))", status="timeout"),
    Case(
        name="loop_in_finaliser",
        code="import atexit\n@atexit.register\ndef f():\n    while True: pass",
        status="timeout",
    ),
    Case(
        name="stopped_by_itself",
        code="import os, signal; os.kill(os.getpid(), signal.SIGSTOP); print('ESCAPED')",
        status=("timeout", "ok"),
        stdout=None,
    ),
    Case(
        name="all_signals_blocked",
        code="import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True: pass",
        status="timeout",
    ),
    Case(name="waits_for_input_pipe", code="import os\nr, w = os.pipe(); os.read(r, 1)", status="timeout"),
    Case(
        name="threads",
        code="import threading, time\nfor i in range(200): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\nprint('ESCAPED')",
        status=("error", "memory_limit"),
        stdout="",
    ),
    Case(
        name="small_threads",
        code="import threading, time\nthreading.stack_size(32768)\nfor i in range(5000): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\ntime.sleep(60)",
        status=("error", "memory_limit"),
    ),
    Case(
        name="output_in_one_write",
        code="import os; os.write(1, b'x' * (1 << 22)); print('ESCAPED')",
        status="output_limit",
    ),
    Case(name="output_just_over", code="print('x' * 65536)", status="output_limit"),
    Case(name="output_just_fits", code="print('x' * 65535)", stdout="x" * 65535 + "\n"),
    Case(name="output_on_stderr", code="import sys\nsys.stderr.write('e' * 70000)", status="output_limit"),
    Case(
        name="big_file",
        code="f = open('big', 'wb')\nfor _ in range(64): f.write(bytes(1 << 20)); f.flush()\nprint('ESCAPED')",
        status=("error", "output_limit", "signal"),
    ),
    Case(
        name="many_big_files",
        code="for i in range(64): open(str(i), 'wb').write(bytes(8 << 20))\nprint('ESCAPED')",
        status=("error", "output_limit"),
    ),
    Case(
        name="sparse_file",
        code="f = open('s', 'wb'); f.truncate(1 << 40); print('ESCAPED')",
        status=("error", "signal", "output_limit"),
    ),
    Case(
        name="descriptors",
        code="a = []\nwhile len(a) < 1000: a.append(open('/dev/null'))\nprint('ESCAPED')",
        status="error",
        stderr="Too many open files",
    ),
    Case(name="map_beyond_limit", code="import mmap\nmmap.mmap(-1, 8 << 30); print('ESCAPED')", status="error"),
    Case(
        name="shared_map_beyond_limit",
        code="import mmap\nm = [mmap.mmap(-1, 1 << 28) for _ in range(8)]; print('ESCAPED')",
        status="error",
    ),
    Case(
        name="raised_limits",
        code="import resource as r\ntry:\n    r.setrlimit(r.RLIMIT_AS, (-1, -1)); print('ESCAPED')\nexcept (OSError, ValueError): print('stopped')",
        stdout=STOPPED,
    ),
    Case(
        name="stack_overflow_in_c",
        code="import ctypes\nf = ctypes.CFUNCTYPE(None)\ndef g(): h()\nh = f(g)\nimport sys; sys.setrecursionlimit(10**7)\ng()",
        status=("signal", "error", "timeout", "output_limit"),
    ),
)

# Crashes and lies about oneself.
CRASHING = (
    Case(
        name="null_pointer", code="import ctypes; ctypes.string_at(0)", status="signal", exit_code=-11, detail="SIGSEGV"
    ),
    Case(name="abort", code="import os; os.abort()", status="signal", exit_code=-6),
    Case(name="kills_itself", code="import os; os.kill(os.getpid(), 9)", status="signal", exit_code=-9),
    Case(name="kills_its_group", code="import os; os.kill(0, 9); print('ESCAPED')", status=("error", "signal")),
    Case(
        name="alarm",
        code="import signal, time; signal.setitimer(signal.ITIMER_REAL, .05); time.sleep(9)",
        status="signal",
        exit_code=-14,
    ),
    Case(
        name="broken_hook",
        code="import sys\nsys.excepthook = lambda *a: 1/0\nraise KeyError('k')",
        status="error",
        exit_code=1,
    ),
    Case(
        name="exit_in_hook",
        code="import sys, os\nsys.excepthook = lambda *a: sys.exit(0)\nraise KeyError",
        status="error",
        exit_code=1,
    ),
    Case(
        name="replaced_exit",
        code="import os, sys\nos._exit = sys.exit = lambda *a: None\nraise KeyError",
        status="error",
    ),
    Case(
        name="replaced_kill",
        code="import os, signal\nos.kill = signal.signal = None\nraise KeyError",
        status="error",
        exit_code=1,
    ),
    Case(name="removed_modules", code="import sys; sys.modules.clear(); raise KeyError", status="error", exit_code=1),
    Case(
        name="closed_streams",
        code="import os\nfor fd in range(3): os.close(fd)\nraise KeyError",
        status="error",
        exit_code=1,
        stdout="",
    ),
    Case(
        name="no_streams",
        code="import sys; sys.stdout = sys.stderr = None; raise KeyError",
        status="error",
        exit_code=1,
    ),
    Case(
        name="forged_message",
        code="import os\nfor fd in range(3, 300):\n    try: os.write(fd, b'{\"done\": 0}'); print('ESCAPED')\n    except OSError: pass",
        stdout="",
    ),
    Case(name="own_frames", code=FRAMES, stdout="walked\n"),
    Case(name="unraisable_exit", code="try: raise SystemExit(3)\nfinally: raise ValueError", status="error"),
    Case(name="exit_code_too_large", code="import sys; sys.exit(256 + 5)", status="exit", exit_code=5),
)

# Reaching out.
HOSTILE = (
    Case(
        name="environment",
        code="import os; print('ESCAPED' if any('CANARY' in k for k in os.environ) else 'clean')",
        stdout="clean\n",
    ),
    Case(
        name="libc_environment",
        code=LIBC
        + "libc.getenv.restype = ctypes.c_char_p\nprint('ESCAPED' if libc.getenv(b'MATHCODE_TEST_CANARY') else 'clean')",
        stdout="clean\n",
    ),
    Case(name="file_in_tmp", code=attempt("open('CANARY_TMP').read()"), stdout=STOPPED),
    Case(name="file_in_home", code=attempt("open('CANARY_HOME').read()"), stdout=STOPPED),
    Case(
        name="list_tmp",
        code="import os\ntry: print('ESCAPED' if any('canary' in n for n in os.listdir('/tmp')) else 'clean')\nexcept OSError: print('clean')",
        stdout="clean\n",
    ),
    Case(name="list_root", code=attempt("os.listdir('/root') + os.listdir('/home')", "import os"), stdout=STOPPED),
    Case(name="host_name", code="import socket; print(len(socket.gethostname()) > 0)", stdout="True\n"),
    Case(name="passwd", code=attempt("open('/etc/passwd').read()"), stdout=STOPPED),
    Case(name="shadow", code=attempt("open('/etc/shadow').read()"), stdout=STOPPED),
    Case(name="resolver", code=attempt("open('/etc/resolv.conf').read()"), stdout=STOPPED),
    Case(name="proc_maps", code=attempt("open('/proc/self/maps').read()"), stdout=STOPPED),
    Case(name="proc_list", code=attempt("os.listdir('/proc')", "import os"), stdout=STOPPED),
    Case(
        name="parent_environment",
        code=attempt("open(f'/proc/{os.getppid()}/environ').read()", "import os"),
        stdout=STOPPED,
    ),
    Case(name="sys_files", code=attempt("os.listdir('/sys')", "import os"), stdout=STOPPED),
    Case(name="kernel_log", code=attempt("open('/dev/kmsg').read(1)"), stdout=STOPPED),
    Case(name="memory_device", code=attempt("open('/dev/mem', 'rb').read(1)"), stdout=STOPPED),
    Case(name="disk", code=attempt("[open('/dev/' + n, 'rb') for n in ('vda', 'sda', 'nvme0n1')]"), stdout=STOPPED),
    Case(name="terminal", code=attempt("open('/dev/tty', 'w')"), stdout=STOPPED),
    Case(name="shared_memory", code=attempt("open('/dev/shm/x', 'w')"), stdout=STOPPED),
    Case(name="write_package", code=attempt("open(os.__file__, 'a')", "import os"), stdout=STOPPED),
    Case(
        name="rename_package",
        code=attempt("os.rename(os.path.dirname(numpy.__file__), 'n')", "import os, numpy"),
        stdout=STOPPED,
    ),
    Case(name="truncate_package", code=attempt("os.truncate(os.__file__, 0)", "import os"), stdout=STOPPED),
    Case(name="chmod_package", code=attempt("os.chmod(os.__file__, 0o777)", "import os"), stdout=STOPPED),
    Case(name="touch_package", code=attempt("os.utime(os.__file__)", "import os"), stdout=STOPPED),
    Case(name="link_package", code=attempt("os.link(os.__file__, 'l')", "import os"), stdout=STOPPED),
    Case(
        name="symlink_out",
        code=attempt("(os.symlink('/etc/passwd', 'p'), open('p').read())", "import os"),
        stdout=STOPPED,
    ),
    Case(name="dotdot", code=attempt("open('../../../../etc/passwd').read()"), stdout=STOPPED),
    Case(name="write_root", code=attempt("open('/x', 'w')"), stdout=STOPPED),
    Case(name="write_parent", code=attempt("open('../x', 'w')"), stdout=STOPPED),
    Case(name="fifo", code=attempt("os.mkfifo('f')", "import os"), stdout=STOPPED),
    Case(name="fork", code=attempt("os.fork()", "import os"), stdout=STOPPED),
    Case(name="forkpty", code=attempt("os.forkpty()", "import os"), stdout=STOPPED),
    Case(name="spawn", code=attempt("os.posix_spawn('/bin/true', ['true'], {})", "import os"), stdout=STOPPED),
    Case(name="subprocess", code="import subprocess; subprocess.run(['true'])", status="error", detail="policy: "),
    Case(
        name="executable_of_its_own",
        code=attempt("os.execv('./x', ['x'])", "import os; open('x', 'w').write('#!/bin/sh')"),
        stdout=STOPPED,
    ),
    Case(name="session", code=attempt("os.setsid()", "import os"), stdout=STOPPED),
    Case(name="process_group", code=attempt("os.setpgid(0, 0)", "import os"), stdout=STOPPED),
    Case(name="become_root", code=attempt("os.setuid(0)", "import os"), stdout=STOPPED),
    Case(name="kill_everyone", code=attempt("os.kill(-1, 9)", "import os"), stdout=STOPPED),
    Case(name="kill_parent", code=attempt("os.kill(os.getppid() or 1, 9)", "import os"), stdout=STOPPED),
    Case(name="kill_first", code=attempt("os.kill(1, 9)", "import os"), stdout=STOPPED),
    Case(name="signal_by_owner", code=attempt("fcntl.fcntl(0, 8, 1)", "import fcntl"), stdout=STOPPED),
    Case(name="signal_by_kernel", code=attempt("fcntl.fcntl(0, 10, 9)", "import fcntl"), stdout=STOPPED),
    Case(name="priority", code=attempt("os.setpriority(os.PRIO_PROCESS, 0, -5)", "import os"), stdout=STOPPED),
    Case(name="affinity", code=attempt("os.sched_setaffinity(0, {0})", "import os"), stdout=STOPPED),
    Case(
        name="tcp",
        code=attempt("socket.create_connection(('127.0.0.1', CANARY_PORT), 1)", "import socket"),
        stdout=STOPPED,
    ),
    Case(name="tcp6", code=attempt("socket.socket(socket.AF_INET6)", "import socket"), stdout=STOPPED),
    Case(name="udp", code=attempt("socket.socket(socket.AF_INET, socket.SOCK_DGRAM)", "import socket"), stdout=STOPPED),
    Case(
        name="raw_socket",
        code=attempt("socket.socket(socket.AF_PACKET, socket.SOCK_RAW)", "import socket"),
        stdout=STOPPED,
    ),
    Case(
        name="netlink",
        code=attempt("socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)", "import socket"),
        stdout=STOPPED,
    ),
    Case(name="unix_socket", code=attempt("socket.socket(socket.AF_UNIX)", "import socket"), stdout=STOPPED),
    Case(
        name="datagram_pair",
        code=attempt("socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)", "import socket"),
        stdout=STOPPED,
    ),
    Case(
        name="stream_pair_connects",
        code=attempt("socket.socketpair()[0].connect('/run/x')", "import socket"),
        stdout=STOPPED,
    ),
    Case(
        name="network_refusal_is_told",
        code="import urllib.request as u; u.urlopen('http://127.0.0.1:CANARY_PORT')",
        status="error",
        detail="policy: ",
    ),
    Case(name="name_lookup", code=attempt("socket.getaddrinfo('example.org', 80)", "import socket"), stdout=STOPPED),
    Case(name="ptrace_parent", code=call(101, 16, "os.getppid() or 1", 0, 0), stdout=STOPPED),
    Case(name="read_parent_memory", code=call(310, "os.getppid() or 1", 0, 0, 0, 0, 0), stdout=STOPPED),
    Case(name="pidfd_of_parent", code=call(434, "os.getppid() or 1", 0), stdout=STOPPED),
    Case(name="user_namespace", code=call(272, 0x10000000), stdout=STOPPED),
    Case(name="clone_process", code=call(56, 17, 0, 0, 0, 0), stdout=STOPPED),
    Case(name="clone3", code=call(435, "ctypes.create_string_buffer(88)", 88), stdout=STOPPED),
    Case(name="vfork", code=call(58), stdout=STOPPED),
    Case(name="pivot_root", code=call(155, "b'.'", "b'.'"), stdout=STOPPED),
    Case(name="new_mount_api", code=call(430, "b'tmpfs'", 0), stdout=STOPPED),
    Case(name="open_by_handle", code=call(304, -100, 0, 0), stdout=STOPPED),
    Case(name="bpf", code=call(321, 0, 0, 0), stdout=STOPPED),
    Case(name="io_uring", code=call(425, 8, "ctypes.create_string_buffer(120)"), stdout=STOPPED),
    Case(name="userfaultfd", code=call(323, 1), stdout=STOPPED),
    Case(name="memfd", code=attempt("os.memfd_create('x')", "import os"), stdout=STOPPED),
    Case(name="system_v_memory", code=call(29, 0, 4096, 0o1600), stdout=STOPPED),
    Case(name="message_queue", code=call(240, "b'q'", 0o102, 0o600, 0), stdout=STOPPED),
    Case(name="keyring", code=call(248, "b'user'", "b'k'", "b'v'", 1, -4), stdout=STOPPED),
    Case(name="seccomp_again", code=call(317, 0, 0, 0), stdout=STOPPED),
    Case(name="survive_parent", code=call(157, 1, 0, 0, 0, 0), stdout=STOPPED),
    Case(name="set_host_name", code=attempt("socket.sethostname('x')", "import socket"), stdout=STOPPED),
    Case(name="set_clock", code=attempt("time.clock_settime(time.CLOCK_REALTIME, 0)", "import time"), stdout=STOPPED),
    Case(name="reboot", code=call(169, 0xFEE1DEAD, 672274793, 0, 0), stdout=STOPPED),
    Case(name="type_into_terminal", code=call(16, 0, 0x5412, "b'x'"), stdout=STOPPED),
    Case(
        name="call_of_32_bits",
        code="import ctypes, mmap\nm = mmap.mmap(-1, 4096, prot=7)\nm.write(bytes.fromhex('b814000000cd80c3'))\nf = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))\nprint('ESCAPED', f())",
        status="signal",
        detail="SIGSYS",
    ),
    Case(
        name="x32_call",
        code=LIBC + "r = libc.syscall(0x40000000 + 39)\nprint('ESCAPED' if r >= 0 else 'stopped')",
        status=("ok", "signal"),
    ),
    Case(
        name="worker_source_holds_no_gold",
        code="import gc\nprint('ESCAPED' if any(isinstance(o, dict) and 'gold' in o for o in gc.get_objects()) else 'clean')",
        stdout="clean\n",
    ),
    Case(
        name="plants_a_module",
        code="for n in ('sympy', 'json'): open(n + '.py', 'w').write('print(\"ESCAPED\")')\nimport json, importlib; importlib.reload(json); print('fine')",
        stdout="fine\n",
    ),
)

CASES = ORDINARY + GREEDY + CRASHING + HOSTILE
