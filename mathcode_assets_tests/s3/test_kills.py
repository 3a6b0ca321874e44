"""The graph with its lake on S3, killed with -9 again and again, ends with the bytes of an undisturbed local lake.

Kills are placed by requests to the store, so that a slow machine dies at the same place as a fast one. Five by default;
`MATHCODE_KILLS=50` for more, `MATHCODE_KILL_SEED` for others.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from mathcode_assets_tests.crash.recorded import check_record
from mathcode_assets_tests.s3.conftest import objects
from mathcode_assets_tests.s3.faulty_proxy import FaultyProxy
from mathcode_assets_tests.s3.small_graph import DRIVE_S, SmallGraph, put_sources
from mathcode_assets_tests.s3.test_graph import on_disk, sha256

pytestmark = [pytest.mark.crash, pytest.mark.timeout(3600)]

N_KILLS = int(os.environ.get("MATHCODE_KILLS", "5"))
SEED = int(os.environ.get("MATHCODE_KILL_SEED", "20"))
KILLS_IN_A_CHAIN = max(5, N_KILLS // 4)
# Of a drive that nobody disturbs, more or less: where it is wrong, kills are elsewhere and no worse.
REQUESTS = 3_000
LONGEST_LIFE = int(1.6 * REQUESTS / (KILLS_IN_A_CHAIN + 1))
SOURCES = "sources-of-the-killed"
POLL_S = 0.002


def test_killed_at_any_request_it_ends_with_the_same_bytes(client: Any, proxy: FaultyProxy, tmp_path: Path) -> None:
    client.create_bucket(Bucket=SOURCES)
    sources_file = tmp_path / "sources.yaml"
    put_sources(client, SOURCES, sources_file)
    undisturbed = SmallGraph(str(tmp_path / "lake"), sources_file, tmp_path / "home")
    chance = random.Random(SEED)
    n_killed = n_chain = 0
    with undisturbed.driven_meanwhile():
        while n_killed < N_KILLS:
            n_chain += 1
            bucket = f"killed-{n_chain}"
            client.create_bucket(Bucket=bucket)
            graph = SmallGraph(f"s3://{bucket}/lake", sources_file, tmp_path / f"home-{n_chain}")
            told = []
            for _ in range(min(KILLS_IN_A_CHAIN, N_KILLS - n_killed)):
                after = chance.randint(1, LONGEST_LIFE)
                was_killed = drive_until(graph, proxy, after)
                told.append(f"after {after} requests: {'killed' if was_killed else 'done before'}")
                print(told[-1], flush=True)
                if not was_killed:
                    break
                n_killed += 1
            with graph.driven_meanwhile():
                pass
            check_record(graph.workspace.lake, graph.home, sources_file, "\n".join(told))
    expected = on_disk(undisturbed.root)
    for number in range(1, n_chain + 1):
        found = {name: sha256(content) for name, content in objects(client, f"killed-{number}", "lake/").items()}
        assert found.keys() == expected.keys()
        assert [name for name in found if found[name] != expected[name]] == []


def drive_until(graph: SmallGraph, proxy: FaultyProxy, n_requests: int) -> bool:
    """Kill a drive with all its processes after so many requests; False if it was done before, as it should."""
    first, deadline = sum(proxy.requests.values()), time.monotonic() + DRIVE_S
    with graph.driving() as process:
        while sum(proxy.requests.values()) < first + n_requests:
            if process.poll() is not None:
                assert process.returncode == 0, "the drive failed"
                return False
            assert time.monotonic() < deadline, "the drive does not end"
            time.sleep(POLL_S)
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait() == -signal.SIGKILL
