"""The pool: order, isolation of snippets from each other, worker deaths, and what is left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mathcode_assets.sandbox.launch import LANDLOCK, NAMESPACE, TIERS, SandboxUnavailable
from mathcode_assets.sandbox.pool import Sandbox, SandboxConfig
from mathcode_assets.sandbox.snippets import STATUSES, Limits, Snippet
from mathcode_assets_tests.conftest import REPOSITORY

SHORT = Limits(wall_s=1.5, cpu_s=1.5)


def numbered(n: int) -> list[Snippet]:
    return [Snippet(code=f"print({number})") for number in range(n)]


def descendants(pid: int) -> list[int]:
    """Ids of the living processes below one."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        children = parents.get(queue.pop(), [])
        found += children
        queue += children
    return found


def n_open() -> int:
    """Descriptors this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def wait_until(condition: object, seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


def test_order_is_kept_when_a_slow_snippet_holds_it_up(sandbox: Sandbox) -> None:
    codes = [f"import time; time.sleep({0.4 if n % 7 == 0 else 0}); print({n})" for n in range(40)]
    results = list(sandbox.run(Snippet(code=code) for code in codes))
    assert [result.stdout for result in results] == [f"{n}\n" for n in range(40)]


def test_input_is_read_no_further_than_the_window(sandbox: Sandbox) -> None:
    taken = 0

    def endless() -> Iterator[Snippet]:
        nonlocal taken
        while True:
            taken += 1
            yield Snippet(code=f"print({taken})")

    results = sandbox.run(endless())
    assert [next(results).stdout for _ in range(5)] == [f"{n}\n" for n in range(1, 6)]
    assert taken <= 5 + 16 * 2
    results.close()
    # What was under way was ended, and the pool works on.
    assert [result.stdout for result in sandbox.run(numbered(3))] == ["0\n", "1\n", "2\n"]


def test_one_run_at_a_time(sandbox: Sandbox) -> None:
    first = sandbox.run(numbered(2))
    next(first)
    with pytest.raises(RuntimeError, match="already"):
        next(sandbox.run(numbered(1)))
    assert next(first).stdout == "1\n"
    first.close()


@pytest.mark.parametrize(
    ("snippet", "reason"),
    [
        (Snippet(code="print('\ud800')"), "lone surrogate at 7"),
        (Snippet(code="1", language="fortran"), "fortran"),
        (Snippet(code="#" * (1 << 20) + "\n"), "1048576 bytes"),
        (Snippet(code="é" * (1 << 19) + "\n"), "1048576 bytes"),
    ],
    ids=["surrogate", "language", "long", "long in bytes"],
)
def test_rejected_before_it_starts(sandbox: Sandbox, snippet: Snippet, reason: str) -> None:
    before, rejected, after = sandbox.run([*numbered(1), snippet, *numbered(1)])
    assert (rejected.status, rejected.exit_code, rejected.tier) == ("rejected", None, "")
    assert reason in rejected.detail
    assert before.stdout == after.stdout == "0\n"


def test_nothing_passes_from_one_snippet_to_the_next(sandbox: Sandbox) -> None:
    poison = """
import builtins, gc, json, math, numpy, os, sympy, sys
sys.modules["leak"] = math
builtins.LEAK = math.LEAK = sympy.LEAK = 1
builtins.print = lambda *a, **k: None
math.pi = 3
os.environ["LEAK"] = "1"
sympy.Symbol.__add__ = None
open("leak.txt", "w").write("x")
json.dumps = None
sys.path.append(".")
os.umask(0)
gc.disable()
"""
    clean = """
import builtins, gc, json, math, numpy, os, sympy, sys
found = [sys.modules.get("leak"), hasattr(builtins, "LEAK"), hasattr(math, "LEAK"), hasattr(sympy, "LEAK"),
         os.environ.get("LEAK"), os.listdir("."), math.pi == 3, json.dumps is None, "." in sys.path, not gc.isenabled()]
print(any(found), sympy.Symbol("x") + 1)
"""
    results = list(sandbox.run(Snippet(code=code) for code in [poison] * 6 + [clean] * 6))
    assert {result.status for result in results} == {"ok"}
    assert {result.stdout for result in results[6:]} == {"False x + 1\n"}


def test_same_output_twice(sandbox: Sandbox) -> None:
    """Hash seed, random generators and SymPy's own shuffling are the same in every worker."""
    code = """
import random, numpy, sympy
x, y = sympy.symbols("x y")
print({"b", "a", "c", x, y, sympy.sin(x)}, random.random(), numpy.random.rand(), sympy.expand((x + y) ** 3))
"""
    outputs = {result.stdout for result in sandbox.run([Snippet(code=code)] * 12)}
    assert len(outputs) == 1


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.text(), st.text("abc()=:\n 01\"'"), st.just("print(1)")), max_size=6))
def test_any_text_gives_one_execution_each(sandbox: Sandbox, codes: list[str]) -> None:
    results = list(sandbox.run(Snippet(code=code) for code in codes))
    assert len(results) == len(codes)
    for code, result in zip(codes, results, strict=True):
        assert result.status in STATUSES
        assert (result.status == "rejected") == (result.tier == "")
        if code == "print(1)":
            assert (result.status, result.stdout) == ("ok", "1\n")


@pytest.mark.parametrize("tier", TIERS)
def test_killed_workers_lose_nothing(tier: str) -> None:
    """Processes of the sandbox are killed at random places of the batch; each snippet has its result."""
    with Sandbox(SandboxConfig(tier=tier, limits=SHORT, preload=())) as sandbox:
        results = []
        for number, result in enumerate(sandbox.run(numbered(120))):
            results.append(result)
            if number in (10, 40, 41, 90):
                for pid in descendants(os.getpid())[number % 3 :: 3]:
                    with suppress(ProcessLookupError):  # it ended by itself meanwhile
                        os.kill(pid, signal.SIGKILL)
        # At most the ones under way: two workers, four times.
        failed = [number for number, result in enumerate(results) if result.stdout != f"{number}\n"]
        assert len(results) == 120
        assert len(failed) <= 8
        assert {results[number].status for number in failed} <= {"signal"}
        assert [result.stdout for result in sandbox.run(numbered(2))] == ["0\n", "1\n"]
    assert wait_until(lambda: not descendants(os.getpid()))


@pytest.mark.parametrize("tier", TIERS)
def test_no_process_outlives_a_killed_parent(tier: str, tmp_path: Path) -> None:
    program = f"""
import time
from mathcode_assets.sandbox.pool import Sandbox, SandboxConfig
from mathcode_assets.sandbox.snippets import Limits, Snippet
with Sandbox(SandboxConfig(tier={tier!r}, preload=(), limits=Limits(wall_s=200, cpu_s=200))) as sandbox:
    results = sandbox.run([Snippet(code="print(1)")] + [Snippet(code="while True: pass")] * 2)
    next(results)
    print("running", flush=True)
    next(results)
"""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"running\n"
    assert wait_until(lambda: len(descendants(parent.pid)) >= 4)
    below = descendants(parent.pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert wait_until(lambda: not any(is_alive(pid) for pid in below))


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("tier", TIERS)
def test_close_leaves_nothing(tier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    n_descriptors = n_open()
    for _ in range(2):
        with Sandbox(SandboxConfig(tier=tier, limits=SHORT, preload=())) as sandbox:
            list(sandbox.run([*numbered(5), Snippet(code="while True: print(1)"), Snippet(code="1/0")]))
            results = sandbox.run(
                [Snippet(code="open('f', 'w').write('x'); print(1, flush=True)\nwhile True: pass")] * 2
            )
            sandbox.close()
            results.close()
        assert not descendants(os.getpid())
        assert list(tmp_path.iterdir()) == []
    assert n_open() == n_descriptors


@pytest.mark.slow
def test_memory_and_descriptors_stay_flat(sandbox: Sandbox) -> None:
    def used() -> tuple[int, int]:
        fields = Path("/proc/self/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE"), n_open()

    def workers() -> int:
        total = 0
        for pid in descendants(os.getpid()):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return total * os.sysconf("SC_PAGE_SIZE")

    def snippets(n: int) -> Iterator[Snippet]:
        for number in range(n):
            yield Snippet(code=f"print({number}, 'x' * 20_000)", stdin=bytes(10_000))

    assert sum(len(result.stdout) for result in sandbox.run(snippets(200))) > 200 * 20_000
    bytes_before, n_descriptors_before = used()
    workers_before = workers()
    n_bytes = sum(len(result.stdout) for result in sandbox.run(snippets(2000)))
    bytes_after, n_descriptors_after = used()
    assert n_bytes > 40_000_000
    assert n_descriptors_after - n_descriptors_before < 8  # one of a snippet just ended may still be open
    assert bytes_after - bytes_before < 8 << 20
    assert workers() - workers_before < 16 << 20


BESIDE = """
import judging, pathlib
try:
    print((pathlib.Path(judging.__file__).parent.parent / "beside.txt").read_text())
except OSError:
    print("stopped")
"""


def test_trusted_module_is_preloaded_and_reads_stdin(tmp_path: Path) -> None:
    judging = tmp_path / "judging"
    judging.mkdir()
    (tmp_path / "beside.txt").write_text("not to be read")
    (judging / "__init__.py").write_text("")
    (judging / "compare.py").write_text(
        "import json, sys, pathlib\nORIGIN = pathlib.Path(__file__).exists()\n"
        "def main():\n    pair = json.load(sys.stdin)\n    print(json.dumps(pair[0] == pair[1]))\n"
    )
    code = "import sys\nassert 'judging.compare' in sys.modules\nfrom judging.compare import main\nmain()"
    for tier in TIERS:
        config = SandboxConfig(tier=tier, limits=SHORT, n_workers=1, preload=("judging.compare",), readable=(judging,))
        with Sandbox(config) as sandbox:
            pairs = [b"[1, 1]", b"[1, 2]", b"garbage"]
            results = list(sandbox.run(Snippet(code=code, stdin=pair) for pair in pairs))
            (beside,) = sandbox.run([Snippet(code=BESIDE)])
        assert [result.stdout for result in results] == ["true\n", "false\n", ""]
        assert [result.status for result in results] == ["ok", "ok", "error"]
        assert (beside.status, beside.stdout) == ("ok", "stopped\n"), beside.stderr


@pytest.mark.parametrize("tier", TIERS)
def test_interpreter_killed_while_it_imports(tier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is started again at once, not when it ought to have been ready."""
    monkeypatch.setattr("mathcode_assets.sandbox.supervisor.START_S", 1e9)
    slow = tmp_path / "slow"
    slow.mkdir()
    # The child keeps the interpreter's socket open after its end.
    (slow / "__init__.py").write_text(
        "import os, time\nif os.fork() == 0:\n    time.sleep(30)\n    os._exit(0)\ntime.sleep(2)"
    )
    sandboxes: list[Sandbox] = []
    config = SandboxConfig(tier=tier, limits=SHORT, n_workers=1, preload=("slow",), readable=(slow,))
    others = descendants(os.getpid())
    starting = threading.Thread(target=lambda: sandboxes.append(Sandbox(config)), daemon=True)
    starting.start()
    # One below the other: bubblewrap (first tier), the plain interpreter, the warm one, its child.
    n_processes = 4 if tier == NAMESPACE else 3
    assert wait_until(lambda: len(set(descendants(os.getpid())) - set(others)) == n_processes)
    time.sleep(0.2)
    os.kill([pid for pid in descendants(os.getpid()) if pid not in others][-2], signal.SIGKILL)
    starting.join(20)
    assert len(sandboxes) == 1, "still waiting for an interpreter that is dead"
    with sandboxes[0] as sandbox:
        assert [result.stdout for result in sandbox.run([Snippet(code="import slow; print(1)")])] == ["1\n"]


UNPRIVILEGED = """
import os, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.path[:0] = sys.argv[1:]
from mathcode_assets.sandbox.pool import Sandbox, SandboxConfig
from mathcode_assets.sandbox.snippets import Snippet
with Sandbox(SandboxConfig(preload=(), n_workers=1)) as sandbox:
    code = "import os; print(6 * 7, os.getuid())"
    print(sandbox.tier, *(result.stdout for result in sandbox.run([Snippet(code=code)])))
"""


def test_a_user_without_privileges_can_start_a_tier(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become another user; the other tests run without privileges already")
    packages = [entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    tmp_path.chmod(0o777)
    for interpreter in (sys.executable, "/usr/bin/python3"):
        # The interpreter may be in a folder of root's: then the system's, where it is new enough.
        check = "import os, sys; os.setuid(65534); os.execv(sys.executable, [sys.executable, '-c', sys.argv[1]])"
        version = "import sys; sys.exit(sys.version_info < (3, 11))"
        if not Path(interpreter).exists() or subprocess.run([interpreter, "-c", check, version]).returncode:
            continue
        done = subprocess.run(
            [interpreter, "-c", UNPRIVILEGED, str(REPOSITORY), *packages],
            capture_output=True,
            text=True,
            cwd="/",
            env={"PATH": os.environ["PATH"], "TMPDIR": "/tmp"},
        )
        assert done.returncode == 0, done.stderr
        tier, answer, user = done.stdout.split()
        assert tier in TIERS
        assert (answer, user) == ("42", "1000" if tier == NAMESPACE else "65534")
        return
    pytest.skip("no interpreter that another user may run")


def test_preloading_what_is_not_there_says_so() -> None:
    with pytest.raises(SandboxUnavailable, match="no_such_module"):
        Sandbox(SandboxConfig(tier=LANDLOCK, preload=("no_such_module",), n_workers=1))


def test_without_bubblewrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxUnavailable, match="apt-get install bubblewrap"):
        Sandbox(SandboxConfig(tier=NAMESPACE))
    with Sandbox(SandboxConfig(preload=(), n_workers=1)) as sandbox:
        assert sandbox.tier == LANDLOCK
        assert [result.tier for result in sandbox.run(numbered(1))] == [LANDLOCK]


def test_namespaces_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that denies them: bubblewrap is there and fails."""
    refusing = tmp_path / "bwrap"
    refusing.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(SandboxUnavailable, match="No permissions to create new namespace"):
        Sandbox(SandboxConfig(tier=NAMESPACE, preload=()))
    with Sandbox(SandboxConfig(preload=(), n_workers=1)) as sandbox:
        assert sandbox.tier == LANDLOCK


def test_best_tier_here_is_namespace() -> None:
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    with Sandbox(SandboxConfig(preload=(), n_workers=1)) as sandbox:
        assert sandbox.tier == NAMESPACE


@pytest.mark.parametrize("wrong", [{"wall_s": 0}, {"memory_bytes": -1}, {"n_files": 0}])
def test_limits_are_positive(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Limits(**wrong)


def test_unknown_tier() -> None:
    with pytest.raises(ValueError, match="none of"):
        SandboxConfig(tier="docker")
