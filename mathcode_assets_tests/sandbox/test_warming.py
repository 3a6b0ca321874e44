"""Memory put in order before forks, and the fork itself. Each in an interpreter of its own: both are for good."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest


def printed(code: str, **environment: str) -> str:
    command = [sys.executable, "-c", textwrap.dedent(code)]
    environment = {**os.environ, **environment}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.parametrize("size", [48, 128, 256, 512])
def test_what_is_made_after_gaps_are_filled_lies_side_by_side(size: int) -> None:
    code = f"""
        from mathcode_assets.sandbox.warming import fill_gaps
        made = [bytes({size} - 33) for _ in range(4096)]
        del made[::3]  # gaps all over
        filling = {{filling}}
        if filling:
            fill_gaps()
        new = [id(bytes_) for bytes_ in [bytes({size} - 33) for _ in range(256)]]
        print(sum(after - before == {size} for before, after in zip(new, new[1:])))
    """
    assert int(printed(code.format(filling=True))) >= 240
    assert int(printed(code.format(filling=False))) < 100


def test_filling_is_bounded_where_another_allocator_is_in_use() -> None:
    code = """
        import sys
        from mathcode_assets.sandbox import warming
        warming.fill_gaps()
        n_sizes = (warming.MAX_BLOCK - warming.MIN_BLOCK) // warming.ALIGNMENT + 1
        print(sum(map(sys.getsizeof, warming._filled)) <= n_sizes * warming.MAX_FILLED_BYTES)
    """
    assert printed(code, PYTHONMALLOC="malloc") == "True\n"


@pytest.mark.parametrize(("n_threads", "handlers_run"), [(0, False), (1, True)])
def test_a_fork_sees_to_locks_only_where_there_are_threads(n_threads: int, handlers_run: bool) -> None:
    code = f"""
        import os, threading
        from mathcode_assets.sandbox.confinement import fork
        os.register_at_fork(after_in_child=lambda: print("handler", flush=True))
        over = threading.Event()
        threads = [threading.Thread(target=over.wait) for _ in range({n_threads})]
        for thread in threads:
            thread.start()
        child = fork()
        if child == 0:
            print("child", os.getpid() != os.getppid(), threading.active_count(), flush=True)
            os._exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        over.set()
    """
    expected = "handler\n" * handlers_run + "child True 1\n7\n"
    assert printed(code) == expected
