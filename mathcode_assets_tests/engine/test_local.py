"""Processes of this machine: order, errors, workers that die, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mathcode_assets.engine.exchange import ATTEMPTS, WorkerDied, WorkerError
from mathcode_assets.engine.local import WINDOW, LocalEngine
from mathcode_assets.engine.mapping import SerialEngine, close_engines, open_engine, shared_engine
from mathcode_assets.engine.settings import LOCAL, EngineSettings
from mathcode_assets_tests.engine import functions


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalEngine]:
    with LocalEngine(2) as engine:
        yield engine


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "not within 30 s"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 30), max_size=30))
def test_results_come_in_the_order_of_the_items(pool: LocalEngine, items: list[int]) -> None:
    assert list(pool.map(functions.slow_when_even, items)) == items
    assert list(SerialEngine().map(functions.slow_when_even, items)) == items


def test_work_is_done_elsewhere_by_the_same_processes(pool: LocalEngine) -> None:
    first, second = set(pool.map(functions.pid_of, range(40))), set(pool.map(functions.pid_of, range(40)))
    assert first == second == set(pool.pids) and os.getpid() not in first and len(first) == 2


def test_items_are_taken_a_bounded_number_ahead(pool: LocalEngine) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for n in range(1000):
            taken.append(n)
            yield n

    results = pool.map(functions.squared, items())
    for n in range(50):
        assert next(results) == n * n
        assert len(taken) <= n + WINDOW * pool.n_workers
    results.close()  # type: ignore[attr-defined]


def test_results_larger_than_a_socket_holds(pool: LocalEngine) -> None:
    assert [(len(found), found[0]) for found in pool.map(functions.big, range(5))] == [(3 << 20, n) for n in range(5)]


@pytest.mark.parametrize("kind", ["serial", "local"])
def test_an_exception_comes_back_as_itself_and_names_its_item(pool: LocalEngine, kind: str) -> None:
    results = (pool if kind == "local" else SerialEngine()).map(
        functions.refuse_at, range(20), describe=lambda n: f"row group {n}"
    )
    found: list[int] = []
    with pytest.raises(functions.Refused, match=r"crawl\.jsonl, record 5: refused") as refused:
        found.extend(results)
    assert found == [0, 1, 2, 3, 4]
    assert (refused.value.file, refused.value.row) == ("crawl.jsonl", 5)
    assert "while working on row group 5" in refused.value.__notes__
    if kind == "local":
        assert "refuse_at" in str(refused.value.__cause__)  # the worker's traceback
        assert list(pool.map(functions.squared, [3])) == [9]


def test_an_exception_of_no_module_says_what_it_was(pool: LocalEngine) -> None:
    with pytest.raises(WorkerError, match=r"Local: of item 0"):
        list(pool.map(functions.unpicklable_error, [0]))


def test_a_function_that_cannot_travel_is_refused_before_anything_runs(pool: LocalEngine) -> None:
    with pytest.raises((AttributeError, TypeError, ValueError), match=r"local|lambda"):
        list(pool.map(lambda n: n, [1]))
    assert list(pool.map(functions.squared, [3])) == [9]


@pytest.mark.parametrize("n_items", [1, 12])
def test_a_worker_that_is_killed_loses_nothing(pool: LocalEngine, tmp_path: Path, n_items: int) -> None:
    items = [(str(tmp_path), n) for n in range(n_items)]
    assert list(pool.map(functions.die_once, items)) == list(range(n_items))
    assert {path.read_text() for path in tmp_path.iterdir()} == {".."}


def test_an_item_that_kills_each_worker_fails_alone_and_is_named(pool: LocalEngine, tmp_path: Path) -> None:
    items = [(str(tmp_path), n) for n in range(8)]
    results, found = pool.map(functions.die_at_three, items, describe=lambda task: f"item {task[1]}"), []
    with pytest.raises(WorkerDied, match=rf"item 3: .* ended {ATTEMPTS} times, .*SIGKILL"):
        for result in results:
            found.append(result)
    assert found == [0, 1, 2]
    assert (tmp_path / "tries-3").read_text() == "." * ATTEMPTS
    stand_in = pool.map(functions.die_at_three, items, lost=lambda task, died: -task[1])
    assert list(stand_in) == [0, 1, 2, -3, 4, 5, 6, 7]


def test_leaving_early_ends_what_is_under_way(pool: LocalEngine, tmp_path: Path) -> None:
    results = pool.map(functions.wait_unless_zero, [(str(tmp_path), n) for n in range(3)])
    assert next(results) == 0
    wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
    results.close()  # type: ignore[attr-defined]
    assert not any(is_alive(int(path.name)) for path in tmp_path.iterdir())
    assert list(pool.map(functions.squared, [4])) == [16]


def test_while_it_is_at_work_another_map_runs_here(pool: LocalEngine) -> None:
    outer = pool.map(functions.pid_of, range(20))
    assert next(outer) != os.getpid()
    assert set(pool.map(functions.pid_of, range(3))) == {os.getpid()}
    assert os.getpid() not in set(outer)


_SCRIPT = """
import sys
from mathcode_assets.engine.local import LocalEngine
from mathcode_assets_tests.engine import functions
engine = LocalEngine(2)
try:
    list(engine.map(functions.wait_in, [sys.argv[1]] * 2))
except KeyboardInterrupt:
    print("interrupted", engine.pids)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_no_process_outlives_the_one_that_asked(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", _SCRIPT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=_interruptible) as process:
        try:
            wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
            process.send_signal(number)
            said = process.communicate(timeout=60)[0]
        finally:
            process.kill()
    assert said == ("interrupted []\n" if number == signal.SIGINT else "")
    wait_for(lambda: not any(is_alive(int(path.name)) for path in tmp_path.iterdir()))


def _interruptible() -> None:
    """What started the tests may ignore these signals, as a shell does for its background; a child would inherit it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_workers_keep_to_their_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with LocalEngine(1, cores=1) as engine:
        assert list(engine.map(functions.cores, [0])) == [(1, "1")]
    monkeypatch.setenv("MATHCODE_CORES", "1")
    assert EngineSettings(kind=LOCAL, workers=4).n_local == 1  # an engine in a worker


def test_one_engine_a_process_and_setting() -> None:
    settings = EngineSettings(kind=LOCAL, workers=2)
    try:
        first = shared_engine(settings)
        assert shared_engine(settings) is first and isinstance(first, LocalEngine)
        pids = set(first.map(functions.pid_of, range(8)))
        assert shared_engine(EngineSettings()) is not first
        assert not any(is_alive(pid) for pid in pids)
    finally:
        close_engines()
    assert isinstance(open_engine(EngineSettings(kind=LOCAL, workers=1)), SerialEngine)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"kind": "spark"}, "kind: wants one of serial, local, ray, got 'spark'"),
        ({"workers": -1}, "workers: wants 0 or more"),
        ({"cpus_per_task": 0.0}, "cpus_per_task: wants more than 0"),
        ({"kind": "ray", "ray_address": "http://127.0.0.1:8265"}, "a dashboard's"),
    ],
)
def test_settings_that_cannot_be_used(given: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        EngineSettings(**given)  # type: ignore[arg-type]
