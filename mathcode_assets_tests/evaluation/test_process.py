"""The worker's process ends with whoever started it, and says why it ended by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mathcode_assets.evaluation.process import EvaluationFailed, last_lines, run_worker
from mathcode_assets.evaluation.spec import parse_spec

# A shell starts what it puts in the background with SIGINT ignored, and so would this be.
STARTER = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
import sys
from pathlib import Path
from mathcode_assets.evaluation.process import run_worker
from mathcode_assets.evaluation.spec import parse_spec
spec = parse_spec({"model": {"path": "x"}, "tasks": ["gsm8k"], "data": "d", "output": sys.argv[1]})
run_worker(spec, python=sys.argv[2])
"""
# Stands for a worker that loads a model and has started a process of its own.
SLEEPER = "#!/bin/sh\nsleep 300 &\necho $! > '{0}/child'\necho $$ > '{0}/worker'\nwait\n"
PATIENCE_S = 60.0


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_for(path: Path) -> int:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if path.exists() and path.read_text().strip():
            return int(path.read_text())
        time.sleep(0.05)
    raise AssertionError(f"{path.name} did not come")


def script(folder: Path, text: str) -> str:
    path = folder / "python"
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_the_worker_ends_with_the_process_that_started_it(ending: signal.Signals, tmp_path: Path) -> None:
    python = script(tmp_path, SLEEPER.format(tmp_path))
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path / "out"), python],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    pids = [wait_for(tmp_path / name) for name in ("worker", "child")]
    assert all(is_alive(pid) for pid in pids)
    os.kill(starter.pid, ending)
    starter.wait(PATIENCE_S)
    # Killed outright, nobody is left to end the worker's own child: it is the kernel that ends the worker.
    gone = pids if ending == signal.SIGINT else pids[:1]
    end = time.monotonic() + PATIENCE_S
    while any(is_alive(pid) for pid in gone) and time.monotonic() < end:
        time.sleep(0.05)
    left = [pid for pid in gone if is_alive(pid)]
    for pid in pids:
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)
    assert not left


def test_an_old_result_is_not_taken_for_this_runs(tmp_path: Path) -> None:
    spec = parse_spec({"model": {"path": "x"}, "tasks": ["gsm8k"], "data": "d", "output": str(tmp_path / "out")})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "result.json").write_text("{}")
    with pytest.raises(EvaluationFailed, match="status 0"):
        run_worker(spec, python=script(tmp_path, "#!/bin/sh\nexit 0\n"))


def test_a_mistake_in_the_items_is_the_last_line(tmp_path: Path) -> None:
    spec = parse_spec({"model": {"path": "x"}, "tasks": ["gsm8k"], "data": "d", "output": str(tmp_path / "out")})
    with pytest.raises(EvaluationFailed, match=r"status 2:\nevaluate: gsm8k: gsm8k\.jsonl cannot be read"):
        run_worker(spec, python=sys.executable)


def test_progress_bars_are_one_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"start\n\n10%\r50%\r100%\n" + "\n".join(f"line {n}" for n in range(30)).encode() + b"\xff\n")
    lines = last_lines(log).split("\n")
    assert len(lines) == 20 and lines[-1] == "line 29\ufffd"
    log.write_bytes(b"10%\r50%\r100%\n")
    assert last_lines(log) == "100%"
