"""Start a worker in one of the two tiers.

`namespace`: bubblewrap gives the worker its own user, process, mount, network, IPC and host-name namespaces, with an
empty environment, no /proc, and of the host's files only, read-only and under neutral names: the standard library,
site-packages, the folders of the C libraries the interpreter has loaded, and what the caller adds.

`landlock`: the same worker as a plain process, for containers where namespaces are refused. See the decision record
for what it lacks.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mathcode_assets
from mathcode_assets.sandbox import seccomp
from mathcode_assets.sandbox.levels import Level
from mathcode_assets.sandbox.octave_files import OctaveFiles, octave_files
from mathcode_assets.sandbox.snippets import OCTAVE, PYTHON, Limits

NAMESPACE = "namespace"
LANDLOCK = "landlock"
TIERS = (NAMESPACE, LANDLOCK)

# Names inside the namespaces; nothing of the host's layout shows in a traceback.
HOME = Path("/python")
CODE = Path("/python/worker")
SCRATCH = "/tmp"
# Packages' own folders count as system libraries: only their standard library is shown, not the whole of them.
SYSTEM_PREFIXES = (Path("/usr"), Path("/usr/local"))
DEVICES = ("null", "zero", "full", "random", "urandom")
USER = "1000"
WORKER_FILES = (
    "__init__.py",
    "sandbox/__init__.py",
    "sandbox/worker.py",
    "sandbox/confinement.py",
    "sandbox/octave.py",
    "sandbox/program.py",
    "sandbox/scratch.py",
    "sandbox/star_import.py",
    "sandbox/warming.py",
)

WARMING = Path(mathcode_assets.__file__).parent / "sandbox" / "warming.m"
WARMING_INSIDE = CODE / "warming.m"

ENVIRONMENT: Mapping[str, str] = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    # Without a bound: the caches are filled once, when a worker is warmed, and a hit in a bounded one writes to its
    # neighbours in a list, which copies their pages into the fork (7 % of all).
    "SYMPY_CACHE_SIZE": "None",
}


class SandboxUnavailable(RuntimeError):
    """No tier of isolation works here; the message says why, and what to install."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A started worker process.

    Args:
        process: what this process started, to be waited for.
        controls: our ends of its sockets: of the plain interpreter, and of the warm one where modules are preloaded.
        pidfd: of the process whose end ends everything in the worker.
        log_fd: what it prints on its own stderr.
    """

    process: subprocess.Popen[bytes]
    controls: tuple[socket.socket, ...]
    pidfd: int
    log_fd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What a worker sees: places on the host, and their names inside."""

    binds: tuple[tuple[Path, Path], ...]
    interpreter: Path
    path: tuple[str, ...]
    libraries: tuple[str, ...]


def launch(
    tier: str, *, limits: Limits, levels: Sequence[Level], readable: Sequence[Path], language: str = PYTHON
) -> Launch:
    """Start a worker for snippets of one language; it says when it is ready.

    Args:
        tier: "namespace" or "landlock".
        limits: of each snippet.
        language: of the snippets.
        levels: the interpreters it consists of; one for Octave.
        readable: folders of packages that may be imported as well.

    Raises:
        OctaveMissing: there is no Octave for a worker of that language.
        SandboxUnavailable: the tier cannot even be started.
    """
    if sys.platform != "linux":
        raise SandboxUnavailable(f"isolated execution needs Linux, not {sys.platform}: use a Linux container")
    is_namespace = tier == NAMESPACE
    octave = octave_files() if language == OCTAVE else None
    files = (_files_inside if is_namespace else _files_outside)(readable, octave)
    config = {
        "octave": str(octave.interpreter) if octave else "",
        "warming": str((WARMING_INSIDE if is_namespace else WARMING).resolve()),
        "namespaces": is_namespace,
        "levels": [{"modules": level.modules, "base": level.base} for level in levels],
        "path": list(files.path),
        "environment": dict(ENVIRONMENT),
        "readable": [str(inside) for _, inside in files.binds],
        "program": _program(is_namespace).hex(),
        "own_pid": seccomp.OWN_PID,
        "wall_s": limits.wall_s,
        "cpu_s": limits.cpu_s,
        "file_bytes": limits.file_bytes,
        "n_files": limits.n_files,
        # The interpreters of the worker and the two first processes of its namespaces.
        "n_processes": limits.n_processes + 2 + len(levels) if is_namespace else 0,
    }
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in levels]
    controls = tuple(ours for ours, _ in pairs)
    for control in controls:
        # recv_fds of CPython takes flags and leaves them out: MSG_DONTWAIT would not be heeded.
        control.setblocking(False)
    config_fd = sealed_file(json.dumps(config).encode())
    log_fd = os.memfd_create("log")
    lifeline = os.pidfd_open(os.getpid())
    inherited = (config_fd, lifeline, *(theirs.fileno() for _, theirs in pairs))
    # Options: do not run site, do not write bytecode, do not put the script's folder on the path.
    code = CODE if is_namespace else Path(mathcode_assets.__file__).parent.parent
    script = "import sys; sys.path.append(sys.argv.pop(1)); from mathcode_assets.sandbox.worker import main; main()"
    arguments = [str(files.interpreter), "-sSPB", "-X", "utf8", "-c", script, str(code), *map(str, inherited)]
    environment = dict(ENVIRONMENT)
    try:
        if is_namespace:
            process, pidfd = _start_bubblewrap(arguments, environment, files, inherited, log_fd)
        else:
            process = _start(arguments, environment, inherited, log_fd)
            pidfd = os.pidfd_open(process.pid)
    except BaseException:
        for control in controls:
            control.close()
        os.close(log_fd)
        raise
    finally:
        for _, theirs in pairs:
            theirs.close()
        os.close(config_fd)
        os.close(lifeline)
    return Launch(process=process, controls=controls, pidfd=pidfd, log_fd=log_fd)


def sealed_file(content: bytes) -> int:
    """A descriptor at the start of an anonymous file that nobody can change."""
    import fcntl

    fd = os.memfd_create("sealed", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return fd


def _program(is_namespace: bool) -> bytes:
    try:
        return seccomp.filter_program(metadata=is_namespace)
    except (ImportError, RuntimeError, OSError) as error:
        raise SandboxUnavailable(f"seccomp filter: {error} (apt-get install libseccomp2)") from error


def _start(
    arguments: Sequence[str], environment: Mapping[str, str], inherited: Sequence[int], log_fd: int
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            arguments,
            env=dict(environment),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log_fd,
            stderr=log_fd,
            pass_fds=tuple(inherited),
            start_new_session=True,
        )
    except OSError as error:
        raise SandboxUnavailable(f"{arguments[0]}: {error.strerror}") from error


def _start_bubblewrap(
    arguments: Sequence[str], environment: Mapping[str, str], files: Files, inherited: Sequence[int], log_fd: int
) -> tuple[subprocess.Popen[bytes], int]:
    bubblewrap = shutil.which("bwrap")
    if bubblewrap is None:
        raise SandboxUnavailable("bubblewrap is not installed (apt-get install bubblewrap)")
    info_read, info_write = os.pipe()
    environment = {**environment, "PYTHONHOME": str(HOME), "LD_LIBRARY_PATH": ":".join(files.libraries)}
    command = [bubblewrap, *_isolation(files), "--info-fd", str(info_write), "--", *arguments]
    try:
        process = _start(command, environment, (*inherited, info_write), log_fd)
    finally:
        os.close(info_write)
        info_file = os.fdopen(info_read)
    with info_file:
        text = info_file.read()
    try:
        # The first process of the namespace: when it dies everything in it does.
        return process, os.pidfd_open(json.loads(text)["child-pid"])
    except (ValueError, KeyError, ProcessLookupError) as error:
        process.kill()
        process.wait()
        log = os.pread(log_fd, 2000, 0).decode(errors="replace").strip()
        raise SandboxUnavailable(f"bubblewrap: {log or error}") from error


def _isolation(files: Files) -> Iterator[str]:
    yield from ("--unshare-all", "--unshare-user", "--new-session", "--uid", USER, "--gid", USER)
    # When the first process of a namespace dies, all others do: let that be the worker.
    yield "--as-pid-1"
    # The worker starts namespaces and mounts for each snippet, which drops the capability before it runs.
    yield from ("--hostname", "sandbox", "--cap-drop", "ALL", "--cap-add", "CAP_SYS_ADMIN")
    for outside, inside in files.binds:
        yield from ("--ro-bind", str(outside), str(inside))
    for name in ("lib", "lib64", "lib32", "libx32"):
        folder = Path("/", name)
        if folder.is_symlink():
            yield from ("--symlink", str(folder.readlink()), str(folder))
    for name in DEVICES:
        yield from ("--dev-bind-try", f"/dev/{name}", f"/dev/{name}")
    yield from ("--dir", SCRATCH, "--remount-ro", "/", "--chdir", "/")


def _files_inside(readable: Sequence[Path], octave: OctaveFiles | None) -> Files:
    """The tree a worker in namespaces sees."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    prefix, standard = Path(sys.base_prefix), Path(sysconfig.get_path("stdlib"))
    interpreter = Path(sys.executable).resolve()
    inside_library = HOME / sys.platlibdir
    binds = [(interpreter, HOME / "bin" / version)]
    if prefix in SYSTEM_PREFIXES:
        binds.append((standard, inside_library / version))
    else:
        binds.append((prefix / sys.platlibdir, inside_library))
    package = Path(mathcode_assets.__file__).parent
    binds += [(package / name, CODE / "mathcode_assets" / name) for name in WORKER_FILES]
    shown = [outside for outside, _ in binds]
    path = [str(inside_library / version), str(inside_library / version / "lib-dynload")]
    if octave is None:
        for number, folder in enumerate(_site_packages()):
            inside = HOME / "site" / str(number)
            binds.append((folder.resolve(), inside))
            path.append(str(inside))
        for number, package in enumerate(readable):
            # Alone: what stands beside a package, such as the rest of a checkout, is not shown.
            inside = HOME / "packages" / str(number)
            binds.append((package.resolve(), inside / package.resolve().name))
            path.append(str(inside))
        libraries = [place for place in _library_folders() if not any(place.is_relative_to(other) for other in shown)]
        binds += [(folder, folder) for folder in libraries]
    else:
        binds += [(place, place) for place in (*octave.folders, *octave.libraries)]
        binds.append((WARMING, WARMING_INSIDE))
        libraries = list(dict.fromkeys(file.parent for file in octave.libraries))
    if loader := _loader(interpreter):
        binds.append((loader.resolve(), loader.parent.resolve() / loader.name))
    return Files(
        binds=tuple(binds),
        interpreter=HOME / "bin" / version,
        path=tuple(path),
        libraries=(str(inside_library), *map(str, libraries)),
    )


def _files_outside(readable: Sequence[Path], octave: OctaveFiles | None) -> Files:
    """The same files under their own names."""
    standard = Path(sysconfig.get_path("stdlib"))
    path = [standard, standard / "lib-dynload"]
    if octave is None:
        packages = [package.resolve() for package in readable]
        path += [*_site_packages(), *(package.parent for package in packages)]
        shown = [standard, *_site_packages(), *packages, *_library_folders()]
    else:
        # Python's own files are read before the confinement.
        shown = [*octave.folders, *octave.libraries]
    return Files(
        binds=tuple((place, place) for place in shown),
        interpreter=Path(sys.executable).resolve(),
        path=tuple(map(str, path)),
        libraries=(),
    )


def _loader(interpreter: Path) -> Path | None:
    """The dynamic loader an executable names in its header; None for a static one."""
    with interpreter.open("rb") as file:
        found = re.search(rb"(/[\w/.+-]*/ld[\w.+-]*\.so[\w.]*)\0", file.read(4096))
    return Path(found[1].decode()) if found else None


def _site_packages() -> list[Path]:
    """Folders of installed packages on the path of this process; not the folder it was started in."""
    places = [Path(entry) for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    return [place for place in dict.fromkeys(places) if place.is_dir()]


def _library_folders() -> list[Path]:
    """Folders of the C libraries this process has loaded from outside of Python's own folders."""
    inside = (Path(sys.prefix), *(Path(place) for place in (sysconfig.get_path("stdlib"),)), *_site_packages())
    folders: dict[Path, None] = {}
    for line in Path("/proc/self/maps").read_text().splitlines():
        name = Path(line.partition("/")[1] + line.partition("/")[2])
        if ".so" in name.name and not any(name.is_relative_to(place) for place in inside):
            folders[name.parent.resolve()] = None
    return list(folders)


def end(launched: Launch) -> None:
    """End a worker and everything in it, and wait until it is gone."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(launched.pidfd, signal.SIGKILL)
    for control in launched.controls:
        control.close()
    os.close(launched.pidfd)
    os.close(launched.log_fd)
    launched.process.wait()


def log_tail(launched: Launch) -> str:
    """The end of what a worker printed about itself."""
    size = os.fstat(launched.log_fd).st_size
    return os.pread(launched.log_fd, 2000, max(0, size - 2000)).decode(errors="replace").strip()
