"""The worker in a process of its own: started, waited for, ended with whoever started it.

The caller needs neither torch nor lm-evaluation-harness; the interpreter it names does.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from mathcode_assets.evaluation.spec import EvaluationSpec, spec_to_dict
from mathcode_assets.evaluation.worker import RESULT_FILE

# Interpreter of the environment with the model's libraries, where it is not this one (infra/evaluation).
PYTHON_VARIABLE = "MATHCODE_EVALUATION_PYTHON"
SPEC_FILE = "spec.json"
LOG_FILE = "worker.log"
WORKER_MODULE = "mathcode_assets.evaluation.worker"
LAST_LINES = 20
MAX_LINE_CHARS = 500
# A worker that does not end itself by then is killed.
GRACE_S = 10.0


class EvaluationFailed(RuntimeError):
    """The worker ended without a result; the message holds the last lines it wrote."""


def run_worker(spec: EvaluationSpec, *, python: str = "", is_shown: bool = False) -> dict[str, Any]:
    """Evaluate in a process of its own; the content of its result.json.

    The specification and all the worker writes are in the specification's `output`. However this call ends, also by
    an interruption or by the death of this process, the worker and its processes end with it.

    Args:
        spec: with absolute paths.
        python: interpreter; by default that of MATHCODE_EVALUATION_PYTHON, else this one.
        is_shown: what the worker writes goes where this process writes, and not to a file.

    Raises:
        EvaluationFailed: the worker ended with another status than 0, or without a result.
    """
    output = Path(spec.output)
    output.mkdir(parents=True, exist_ok=True)
    (output / RESULT_FILE).unlink(missing_ok=True)
    spec_file = output / SPEC_FILE
    spec_file.write_text(json.dumps(spec_to_dict(spec), indent=2) + "\n", encoding="utf-8")
    interpreter = python or os.environ.get(PYTHON_VARIABLE) or sys.executable
    log_file = output / LOG_FILE
    with log_file.open("wb") as log:
        try:
            process = subprocess.Popen(
                [interpreter, "-m", WORKER_MODULE, str(spec_file)],
                stdin=subprocess.DEVNULL,
                stdout=None if is_shown else log,
                stderr=None if is_shown else subprocess.STDOUT,
                env=worker_environment(),
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        except OSError as error:
            raise EvaluationFailed(f"evaluation.python: {interpreter}: {error.strerror}") from error
        try:
            status = process.wait()
        finally:
            end_group(process)
    result_file = output / RESULT_FILE
    if status != 0 or not result_file.is_file():
        said = " what it said stands above" if is_shown else f"\n{last_lines(log_file)}"
        raise EvaluationFailed(f"the evaluation ended with status {status}:{said}")
    return json.loads(result_file.read_text(encoding="utf-8"))


def worker_environment() -> dict[str, str]:
    """This environment, with this package where the worker's interpreter finds it."""
    import mathcode_assets

    package = str(Path(mathcode_assets.__file__).resolve().parents[1])
    before = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": package if not before else f"{package}{os.pathsep}{before}"}


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End the process and those it started (a server of vLLM's, for one); return when it is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_S)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def last_lines(log: Path) -> str:
    """The end of what the worker wrote, without the empty lines; bars of progress only as they stood last."""
    text = log.read_bytes().decode("utf-8", "replace")
    lines = [line.rpartition("\r")[2].rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    return "\n".join(line[:MAX_LINE_CHARS] for line in [line for line in lines if line][-LAST_LINES:])


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
