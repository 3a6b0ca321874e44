"""The system calls a snippet may make, as a BPF program.

An allow-list: what is not named fails with EPERM, which Python raises as PermissionError; the program goes on. The
list was made from what CPython, NumPy, SciPy and SymPy use to compute, import, start threads and write files in the
private directory. Absent on purpose: every way to start a process or program (fork, vfork, execve, clone of anything
but a thread), sockets of any kind but a stream pair, ptrace and process_vm_*, pidfds, namespaces and mounts, keyrings,
BPF, perf, io_uring, System V and POSIX IPC, memfds, priorities and affinities, and `truncate` by path (Landlock before
ABI 3 does not know it).

`clone3` fails with ENOSYS, because its flags lie in memory where BPF cannot look; libc then falls back to `clone`.
"""

from __future__ import annotations

import contextlib
import errno
import tempfile
from typing import Any

# Stands for the process's own id, which only the worker knows: it replaces these four bytes after the fork.
OWN_PID = 0x2A7B6C5D

CLONE_THREAD = 0x00010000
CLONE_NAMESPACES = 0x7E020080  # CLONE_NEW*
AF_UNIX = 1
SOCK_STREAM = 1
SOCK_TYPE_MASK = 0xF

MEMORY = "brk mmap munmap mremap mprotect madvise mincore msync membarrier"
THREADS = "futex set_robust_list get_robust_list set_tid_address gettid sched_yield rseq exit exit_group"
SIGNALS = "rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack pause alarm"
CLOCKS = (
    "clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times getitimer setitimer restart_syscall"
    " timer_create timer_settime timer_gettime timer_delete timer_getoverrun"
    " timerfd_create timerfd_settime timerfd_gettime"
)
DESCRIPTORS = (
    "read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek close close_range dup dup2 dup3"
    " flock pipe pipe2 poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait"
    " epoll_pwait2 eventfd eventfd2 signalfd signalfd4 sendfile copy_file_range splice tee fadvise64 readahead"
    " recvfrom recvmsg shutdown getsockopt setsockopt getsockname getpeername"
)
FILES = (
    "open openat openat2 creat access faccessat faccessat2 stat lstat fstat newfstatat statx statfs fstatfs getdents"
    " getdents64 getcwd chdir fchdir readlink readlinkat mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2"
    " link linkat symlink symlinkat ftruncate fallocate fsync fdatasync umask"
)
IDENTITY = (
    "getpid getppid getuid geteuid getgid getegid getresuid getresgid getgroups getpgrp getpgid getsid uname sysinfo"
    " getrusage getrlimit setrlimit getrandom sched_getaffinity sched_getparam sched_getscheduler getpriority getcpu"
    " sched_get_priority_max sched_get_priority_min wait4 waitid capget"
)
# Harmless on a private file system; on the host's (second tier) they would change files the user owns, which
# Landlock does not prevent.
METADATA = "chmod fchmod fchmodat fchmodat2 utime utimes utimensat futimesat"

# TCGETS, FIONREAD, FIOCLEX, FIONCLEX, FIONBIO, TIOCGWINSZ: what isatty, select and terminal size need.
IOCTLS = (0x5401, 0x541B, 0x5451, 0x5450, 0x5421, 0x5413)
# Duplicates, flags, record locks, pipe sizes and seals; not F_SETOWN and F_SETSIG, by which the kernel would send any
# signal to any process of the user.
FCNTLS = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1031, 1032, 1033, 1034)
# PR_GET_DUMPABLE, PR_SET_NAME, PR_GET_NAME, PR_GET_SECCOMP, PR_GET_NO_NEW_PRIVS, PR_SET_VMA.
PRCTLS = (3, 15, 16, 21, 39, 0x53564D41)


def filter_program(*, metadata: bool) -> bytes:
    """The compiled filter, an array of `struct sock_filter` with OWN_PID in it.

    Args:
        metadata: whether modes and times of files may be changed.

    Raises:
        ImportError: pyseccomp or libseccomp is missing.
    """
    import pyseccomp

    rules = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.EPERM))
    # A tree instead of a list: the kernel walks the program once for every call number when it is installed.
    with contextlib.suppress(AttributeError, OSError, ValueError):
        rules.set_attr(pyseccomp.Attr.CTL_OPTIMIZE, 2)
    names = f"{MEMORY} {THREADS} {SIGNALS} {CLOCKS} {DESCRIPTORS} {FILES} {IDENTITY} {METADATA if metadata else ''}"
    for name in names.split():
        _allow(pyseccomp, rules, name)
    arg, equal, masked = pyseccomp.Arg, pyseccomp.EQ, pyseccomp.MASKED_EQ
    _allow(pyseccomp, rules, "clone", arg(0, masked, CLONE_THREAD | CLONE_NAMESPACES, CLONE_THREAD))
    _allow(pyseccomp, rules, "kill", arg(0, equal, OWN_PID))
    _allow(pyseccomp, rules, "tgkill", arg(0, equal, OWN_PID))
    _allow(pyseccomp, rules, "prlimit64", arg(0, equal, 0))
    pair = (arg(0, equal, AF_UNIX), arg(1, masked, SOCK_TYPE_MASK, SOCK_STREAM))
    _allow(pyseccomp, rules, "socketpair", *pair)
    _allow(pyseccomp, rules, "sendto", arg(4, equal, 0))
    for request in IOCTLS:
        _allow(pyseccomp, rules, "ioctl", arg(1, equal, request))
    for command in FCNTLS:
        _allow(pyseccomp, rules, "fcntl", arg(1, equal, command))
    for option in PRCTLS:
        _allow(pyseccomp, rules, "prctl", arg(0, equal, option))
    rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


def _allow(pyseccomp: Any, rules: Any, name: str, *arguments: Any) -> None:
    try:
        pyseccomp.resolve_syscall(pyseccomp.system_arch(), name)
    except (OSError, ValueError):
        return  # another architecture, or a libseccomp older than the call: it stays forbidden
    rules.add_rule(pyseccomp.ALLOW, name, *arguments)
