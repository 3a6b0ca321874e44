"""What the process of a snippet does to itself between the fork and the first line of the snippet.

Runs in the worker, with the standard library only. Every step raises OSError where the kernel refuses it: the snippet
is then not started.
"""

from __future__ import annotations

import ctypes
import math
import os
import resource
import signal
import struct
import threading
from collections.abc import Sequence
from typing import NamedTuple

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
LIBC.clone.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
# Keeps the interpreter's lock during the call, as a fork has to.
_LOCKED_LIBC = ctypes.PyDLL(None, use_errno=True)

CLONE_VM = 0x00000100
CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
MS_NOSUID_NODEV_NOEXEC = 2 | 4 | 8
MS_REC_PRIVATE = 0x4000 | 0x40000
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2
CAPABILITY_VERSION_3 = 0x20080522

# Numbers from 424 on are the same on every architecture.
SYS_CLOSE_RANGE = 436
SYS_LANDLOCK_CREATE_RULESET = 444
SYS_LANDLOCK_ADD_RULE = 445
SYS_LANDLOCK_RESTRICT_SELF = 446
LANDLOCK_RULE_PATH_BENEATH = 1
READ_FILE, READ_DIR = 1 << 2, 1 << 3
WRITE_FILE = 1 << 1
# Writing, reading, and making and removing plain files, directories and symbolic links: neither executing, nor
# devices, sockets and fifos.
SCRATCH = WRITE_FILE | READ_FILE | READ_DIR | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 12 | 1 << 13 | 1 << 14
DEVICES = ("/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
TCP_BIND_CONNECT = 0b11
ABSTRACT_SOCKETS_AND_SIGNALS = 0b11


def check(result: int, what: str) -> int:
    """The result of a libc call.

    Raises:
        OSError: it is negative; errno says why.
    """
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def fork() -> int:
    """`os.fork` without what it does for locks and other threads, where there are none: it dirties 170 pages.

    Handlers of `os.register_at_fork` do not run; `random`'s, which takes a new seed, is made up for in `program.py`.

    Raises:
        OSError: no process can be made.
    """
    if threading.active_count() > 1:  # a preloaded module's
        return os.fork()
    return check(_LOCKED_LIBC.fork(), "fork")


def landlock_abi() -> int:
    """Version of the kernel's Landlock; 0 without."""
    return max(0, LIBC.syscall(SYS_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), 1))


class FileRules(NamedTuple):
    """Landlock's rules but for a snippet's own directory: made once, descriptors of the paths open."""

    attributes: bytes
    handled: int
    rules: Sequence[bytes]


def file_rules(readable: Sequence[str], *, is_required: bool) -> FileRules | None:
    """Rules to read beneath some paths; no TCP, no signals and abstract sockets to the outside.

    What the kernel's ABI does not know yet is left to seccomp and the namespaces. None where it has no Landlock.

    Raises:
        OSError: the kernel has no Landlock, and it is required.
    """
    abi = landlock_abi()
    if not abi:
        if is_required:
            raise OSError(
                "Landlock is missing: it needs Linux 5.13, and to be in the kernel's list of security modules"
            )
        return None
    n_rights = 13 + (abi >= 2) + (abi >= 3) + (abi >= 5)
    handled = (1 << n_rights) - 1
    network = TCP_BIND_CONNECT if abi >= 4 else 0
    scoped = ABSTRACT_SOCKETS_AND_SIGNALS if abi >= 6 else 0
    attributes = struct.pack("=QQQ", handled, network, scoped)[: 24 if abi >= 6 else 16 if abi >= 4 else 8]
    rights = dict.fromkeys(readable, READ_FILE | READ_DIR) | dict.fromkeys(DEVICES, READ_FILE)
    rights["/dev/null"] = READ_FILE | WRITE_FILE
    rules = []
    for path, allowed in rights.items():
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        if not os.path.isdir(path):  # noqa: PTH112
            allowed &= READ_FILE | WRITE_FILE
        rules.append(struct.pack("=Qi", allowed & handled, fd))
    return FileRules(attributes, handled, rules)


def restrict_files(rules: FileRules, scratch: str) -> None:
    """Landlock: the rules, and to write beneath one directory."""
    n_bytes = ctypes.c_size_t(len(rules.attributes))
    ruleset = check(LIBC.syscall(SYS_LANDLOCK_CREATE_RULESET, rules.attributes, n_bytes, 0), "landlock")
    own = struct.pack("=Qi", SCRATCH & rules.handled, os.open(scratch, os.O_PATH | os.O_CLOEXEC))
    for rule in (*rules.rules, own):
        check(LIBC.syscall(SYS_LANDLOCK_ADD_RULE, ruleset, LANDLOCK_RULE_PATH_BENEATH, rule, 0), "landlock rule")
    check(LIBC.syscall(SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0), "landlock_restrict_self")


def start_pid_namespace() -> int:
    """Start a process namespace; later forks of this process are born in it. Returns the id of its first process.

    Process 1 of a namespace does not die of signals it sends itself, so a snippet there would survive `abort`. So the
    first process is one that sleeps in `pause` in our own memory: it costs no copy of the interpreter.
    """
    stack = ctypes.addressof(_INIT_STACK) + len(_INIT_STACK) - 64
    entry = ctypes.cast(LIBC.pause, ctypes.c_void_p)
    init = check(LIBC.clone(entry, stack & ~15, CLONE_VM | CLONE_NEWPID | signal.SIGCHLD, None), "clone")
    fd = os.pidfd_open(init)
    try:
        check(LIBC.setns(fd, CLONE_NEWPID), "setns")
    finally:
        os.close(fd)
    return init


def leave_pid_namespace() -> None:
    """Later forks of this process are born in its own namespace again."""
    fd = os.pidfd_open(os.getpid())
    try:
        check(LIBC.setns(fd, CLONE_NEWPID), "setns")
    finally:
        os.close(fd)


_INIT_STACK = ctypes.create_string_buffer(64 * 1024)


def make_mounts_private() -> None:
    """What a snippet mounts stays its own."""
    check(LIBC.mount(None, b"/", None, MS_REC_PRIVATE, None), "make mounts private")


def mount_scratch(path: str, *, size_bytes: int, n_files: int) -> None:
    """A mount namespace of one's own, and an empty file system in memory at `path`, from which nothing executes."""
    check(LIBC.unshare(CLONE_NEWNS), "unshare mounts")
    options = f"size={size_bytes},nr_inodes={n_files + 1},mode=700".encode()
    check(LIBC.mount(b"tmpfs", path.encode(), b"tmpfs", MS_NOSUID_NODEV_NOEXEC, options), "mount")


def die_with(parent: int) -> None:
    """SIGKILL when the parent dies, also where it has died already."""
    check(LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "PR_SET_PDEATHSIG")
    if parent and os.getppid() != parent:
        os._exit(0)


def hard_limits(*, cpu_s: float, file_bytes: int, n_processes: int) -> dict[int, tuple[int, int]]:
    """Limits of a snippet but for its address space, as far as the ones we run under allow.

    Args:
        cpu_s: seconds of processor time; SIGXCPU, and SIGKILL a second later.
        file_bytes: size of any file.
        n_processes: threads and processes of this user in this user namespace; 0 leaves them alone, since outside a
            user namespace of our own it would count the user's other processes.
    """
    seconds = max(1, math.ceil(cpu_s))
    wanted = {
        resource.RLIMIT_CPU: (seconds, seconds + 1),
        resource.RLIMIT_FSIZE: (file_bytes, file_bytes),
        resource.RLIMIT_NOFILE: (128, 128),
        resource.RLIMIT_STACK: (8 << 20, 8 << 20),
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_MEMLOCK: (0, 0),
        resource.RLIMIT_MSGQUEUE: (0, 0),
    }
    if n_processes:
        wanted[resource.RLIMIT_NPROC] = (n_processes, n_processes)
    return {kind: _bounded(kind, limits) for kind, limits in wanted.items()}


def set_limits(limits: dict[int, tuple[int, int]], *, address_bytes: int) -> None:
    """Set them, and the address space of the process."""
    for kind, pair in limits.items():
        resource.setrlimit(kind, pair)
    resource.setrlimit(resource.RLIMIT_AS, _bounded(resource.RLIMIT_AS, (address_bytes, address_bytes)))


def _bounded(kind: int, limits: tuple[int, int]) -> tuple[int, int]:
    bound = resource.getrlimit(kind)[1]
    if bound == resource.RLIM_INFINITY:
        return limits
    return min(limits[0], bound), min(limits[1], bound)


def drop_privileges() -> None:
    """No capabilities, and none to be had again."""
    check(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")
    header = struct.pack("=Ii", CAPABILITY_VERSION_3, 0)
    check(LIBC.capset(header, bytes(24)), "capset")


class _Program(ctypes.Structure):
    _fields_ = (("n_instructions", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def filter_system_calls(program: bytes, own_pid_mark: int) -> None:
    """Install a BPF program, in which the mark is replaced by the id of this process."""
    program = program.replace(struct.pack("=I", own_pid_mark), struct.pack("=I", os.getpid()))
    loaded = _Program(len(program) // 8, program)
    check(LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(loaded), 0, 0), "seccomp")


def close_all_but_standard() -> None:
    """Close every descriptor but 0, 1 and 2."""
    if LIBC.syscall(SYS_CLOSE_RANGE, 3, ctypes.c_uint(0xFFFFFFFF), 0) < 0:
        os.closerange(3, 1 << 20)
