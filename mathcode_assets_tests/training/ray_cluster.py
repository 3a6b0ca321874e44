"""A Ray cluster of one node on the loopback interface, ended by the pids that it started."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest

from mathcode_assets.training.processes import TOKEN_VARIABLE, processes_with

# Workers are started by Ray, in folders of its own.
ENVIRONMENT = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])}


@contextmanager
def ray_cluster() -> Iterator[str]:
    """The address of the dashboard, while the cluster is there."""
    with ray_addresses() as (_, dashboard):
        yield dashboard


@contextmanager
def ray_addresses(*, has_dashboard: bool = True, n_gpus: int = 0) -> Iterator[tuple[str, str]]:
    """The addresses of Ray itself and of the dashboard, while the cluster is there.

    Tasks need no dashboard, and its ten processes are most of what starting a cluster takes. GPUs are what Ray is
    told there are: it counts them and looks at none.
    """
    if importlib.util.find_spec("ray") is None:
        pytest.skip("needs ray: pip install 'mathcode-assets[ray]'")
    from ray._private import ray_constants

    ports = [free_port() for _ in range(3)]
    temporary = Path("/tmp") / f"mathcode-ray-{os.getpid()}"  # Ray's socket paths must stay under 108 bytes
    token = f"ray-{os.getpid()}-{time.monotonic_ns()}"
    environment = {
        **os.environ,
        **ENVIRONMENT,
        TOKEN_VARIABLE: token,
        "GLOO_SOCKET_IFNAME": "lo",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    command = [
        str(Path(sys.executable).with_name("ray")),
        "start",
        "--head",
        "--num-cpus",
        "2",
        "--num-gpus",
        str(n_gpus),
    ]
    command += ["--port", str(ports[0]), "--dashboard-port", str(ports[1])]
    # Two clusters on one machine want the same port for the agent that starts jobs, and one of them gets none.
    command += ["--dashboard-agent-listen-port", str(ports[2])]
    command += ["--node-ip-address", "127.0.0.1", "--dashboard-host", "127.0.0.1"]
    command += ["--temp-dir", str(temporary), "--object-store-memory", str(100 << 20), "--disable-usage-stats"]
    command += ["--include-dashboard", str(has_dashboard).lower()]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        # Who connects from here takes loopback for what it is, as the cluster does: Ray puts the machine's outer
        # address in its place, where this cluster does not listen, and asks there for five minutes.
        with mock.patch.object(ray_constants, "ENABLE_RAY_CLUSTER", False):
            yield f"127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}"
    finally:
        while left := processes_with(token):
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]
