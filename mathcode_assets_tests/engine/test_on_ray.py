"""A real Ray cluster on loopback: order, errors, workers that are killed, and what is refused before any work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mathcode_assets.engine.exchange import ATTEMPTS, WorkerDied
from mathcode_assets.engine.mapping import open_engine
from mathcode_assets.engine.on_ray import RayEngine, RayUnreachable
from mathcode_assets.engine.settings import RAY, EngineSettings
from mathcode_assets_tests.engine import functions
from mathcode_assets_tests.training.ray_cluster import free_port, ray_addresses

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with ray_addresses(has_dashboard=False) as (ray, _):
        yield ray


@pytest.fixture(scope="module")
def engine(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayEngine]:
    settings = EngineSettings(kind=RAY, ray_address=address, cpus_per_task=0.5)
    with open_engine(settings, folder=tmp_path_factory.mktemp("lake")) as opened:
        assert isinstance(opened, RayEngine) and opened.n_workers == 4
        yield opened


def test_results_come_in_the_order_of_the_items(engine: RayEngine) -> None:
    assert list(engine.map(functions.slow_when_even, range(40))) == list(range(40))


def test_an_exception_comes_back_as_itself_and_names_its_item(engine: RayEngine) -> None:
    with pytest.raises(functions.Refused, match=r"crawl\.jsonl, record 5: refused") as refused:
        list(engine.map(functions.refuse_at, range(20), describe=lambda n: f"row group {n}"))
    assert "while working on row group 5" in refused.value.__notes__


def test_workers_that_are_killed_lose_nothing(engine: RayEngine, tmp_path: Path) -> None:
    assert list(engine.map(functions.die_once, [(str(tmp_path), n) for n in range(3)])) == [0, 1, 2]


def test_an_item_that_kills_each_worker_fails_alone_and_is_named(engine: RayEngine, tmp_path: Path) -> None:
    items = [(str(tmp_path), n) for n in (0, 3, 4)]
    with pytest.raises(WorkerDied, match="item 3: the process working on it ended"):
        list(engine.map(functions.die_at_three, items, describe=lambda task: f"item {task[1]}"))
    assert (tmp_path / "tries-3").read_text() == "." * ATTEMPTS
    assert list(engine.map(functions.die_at_three, items, lost=lambda task, died: -task[1])) == [0, -3, 4]


def test_a_cluster_of_other_machines_does_not_see_a_folder_of_this_one(
    engine: RayEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "laptop")
    with pytest.raises(RayUnreachable, match=r"is a folder of laptop, but .*shared_paths: true"):
        engine.reach(tmp_path)
    engine.reach(None)  # an object store is seen from everywhere


def test_a_folder_that_is_not_there_is_told_before_any_work(engine: RayEngine, tmp_path: Path) -> None:
    with pytest.raises(RayUnreachable, match="has no folder"):
        engine.reach(tmp_path / "nowhere")


def test_no_cluster_at_the_address(engine: RayEngine) -> None:
    engine.close()  # the last test: a process is connected to one cluster at a time
    settings = EngineSettings(kind=RAY, ray_address=f"127.0.0.1:{free_port()}")
    with pytest.raises(RayUnreachable, match=r"no Ray cluster at 127\.0\.0\.1"):
        open_engine(settings)
