"""`mathcode run` is killed with -9 again and again, and ends with the bytes of a run that nobody disturbed.

Ten kills by default; `MATHCODE_KILLS=50` for more, `MATHCODE_KILL_SEED` for others.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from mathcode_assets.defs.instance import HOME_NAME
from mathcode_assets.storage.catalog import iter_manifests
from mathcode_assets.storage.lake import Lake
from mathcode_assets_tests.crash.conftest import Ended, Undisturbed, run_graph
from mathcode_assets_tests.crash.doomed import ALL, CHILD, FILES, GROUP, RECORDS, Strike
from mathcode_assets_tests.crash.recorded import check_record
from mathcode_assets_tests.mini_graph import MiniGraph, published, write_mini_graph

pytestmark = [pytest.mark.crash, pytest.mark.timeout(3600)]

N_KILLS = int(os.environ.get("MATHCODE_KILLS", "10"))
SEED = int(os.environ.get("MATHCODE_KILL_SEED", "20"))
# What is made before a kill stays made, so a chain of kills costs little more than one run, and many starts.
KILLS_IN_A_CHAIN = max(10, N_KILLS // 4)
# Of all the steps, the longest life in a chain: on average, a chain gets most of the way.
LONGEST_LIFE = 1.6 / (KILLS_IN_A_CHAIN + 1)
# Dagster's events follow what is published by some milliseconds.
MAX_DELAY_S = 0.1
GONE_S = 20.0


def strikes(counts: dict[str, int], seed: int) -> Iterator[Strike]:
    """Seeded kills without end: at a file's step or a record's, at once or some milliseconds later."""
    random = Random(seed)
    start = counts["records_before_files"]
    while True:
        kind = random.choice([FILES, FILES, FILES, RECORDS])
        if kind == FILES:
            after = random.randint(1, int(counts[FILES] * LONGEST_LIFE))
        else:  # while the instance is made and the sources are observed; later its connections are kept
            after = random.randint(1, max(1, start))
        delay = 0.0 if random.random() < 0.3 else random.uniform(0.0, MAX_DELAY_S)
        yield Strike(kind=kind, after=after, delay_s=delay, victim=random.choice([GROUP, ALL]))


def test_killed_at_any_point_it_ends_with_the_same_bytes(undisturbed: Undisturbed, place: Path) -> None:
    n_killed = n_chain = 0
    chosen = strikes(undisturbed.counts, SEED)
    while n_killed < N_KILLS:
        n_chain += 1
        folder = place / f"chain-{n_chain}"
        graph = write_mini_graph(folder / "graph")
        told: list[str] = []
        for _ in range(min(KILLS_IN_A_CHAIN, N_KILLS - n_killed)):
            strike = next(chosen)
            ended, _ = run_graph(graph, folder / "run", strike=strike)
            told.append(f"{strike} -> {ended.code}")
            print(told[-1], flush=True)
            if not ended.was_killed:
                assert ended.code == 0, "\n".join([*told, ended.stdout, ended.stderr])
                break  # it was done before
            n_killed += 1
            wait_until_gone(ended)
            check_readable(graph)
        ended, _ = run_graph(graph, folder / "run")
        assert ended.code == 0, "\n".join([*told, ended.stdout, ended.stderr])
        check_undisturbed(graph, folder / "run", undisturbed, "\n".join(told))


def test_a_worker_that_is_killed_is_replaced(undisturbed: Undisturbed, place: Path) -> None:
    """The sandbox's workers and what they run: the run goes on, and nothing of it shows."""
    graph = write_mini_graph(place / "graph")
    shutil.copytree(undisturbed.root, graph.root)
    lake = Lake(graph.root)
    for key in ("computations/open_web_math", "computations/cc_en_math"):
        for partition in lake.partitions(key):
            lake.remove(lake.table(key, partition))
    ended, _ = run_graph(
        graph, place / "run", strike=Strike(kind=RECORDS, after=1, delay_s=0.8, victim=CHILD, seed=SEED)
    )
    assert ended.struck, "nothing was killed"
    if ended.code:  # what was in that worker may have failed; then the next run makes it
        ended, _ = run_graph(graph, place / "run")
    assert ended.code == 0, ended.stdout + ended.stderr
    check_undisturbed(graph, place / "run", undisturbed, "")


def wait_until_gone(ended: Ended) -> None:
    """The sandbox's workers have sessions of their own, and end by themselves when the process is gone."""
    assert ended.struck is not None
    left = set(ended.struck)
    deadline = time.monotonic() + GONE_S
    while left := {pid for pid in left if is_running(pid)}:
        assert time.monotonic() < deadline, f"processes {left} outlive the killed run"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    """Whether there is such a process; one that nobody has waited for yet is none."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def check_readable(graph: MiniGraph) -> None:
    """After each kill: what is published is whole, whatever else lies there."""
    if not Path(graph.root).exists():
        return
    lake = Lake(graph.root)
    for manifest in iter_manifests(lake):
        lake.table(manifest.key, manifest.partition).verify()


def check_undisturbed(graph: MiniGraph, temporary: Path, undisturbed: Undisturbed, told: str) -> None:
    """The same files with the same bytes and no others; nothing left over; Dagster's record fits."""
    found = published(Path(graph.root))
    assert found.keys() == undisturbed.files.keys(), told
    assert [name for name in found if found[name] != undisturbed.files[name]] == [], told
    left = {path.name for path in temporary.iterdir()} - {"strike.json", "stdout", "stderr"}
    assert not left, f"{told}\ntemporary files of killed processes: {left}"
    check_record(Lake(graph.root), Path(graph.root) / HOME_NAME, graph.sources_file, told)
