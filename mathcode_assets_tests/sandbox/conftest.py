"""One sandbox for each tier, and things on the host that no snippet may reach."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mathcode_assets.sandbox.launch import TIERS
from mathcode_assets.sandbox.pool import Sandbox, SandboxConfig
from mathcode_assets.sandbox.snippets import Limits

SECRET = "canary-7f1e3b"
# Some cases end only when they are ended; the others need milliseconds, more on a busy machine.
WALL_S = 3.0


@dataclass(frozen=True)
class Canaries:
    """Where the secrets are, and a listener that counts its visitors."""

    file_in_tmp: Path
    file_in_home: Path
    port: int
    listener: socket.socket

    def n_visitors(self) -> int:
        count = 0
        while True:
            try:
                connection, _ = self.listener.accept()
            except BlockingIOError:
                return count
            connection.close()
            count += 1


@pytest.fixture(scope="session")
def canaries() -> Iterator[Canaries]:
    os.environ["MATHCODE_TEST_CANARY"] = SECRET
    home = Path.home() if os.access(Path.home(), os.W_OK) else Path(tempfile.mkdtemp())
    handle, in_tmp = tempfile.mkstemp(prefix="mathcode-canary-")
    os.write(handle, SECRET.encode())
    os.close(handle)
    handle, in_home = tempfile.mkstemp(prefix=".mathcode-canary-", dir=home)
    os.write(handle, SECRET.encode())
    os.close(handle)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        listener.setblocking(False)
        yield Canaries(Path(in_tmp), Path(in_home), listener.getsockname()[1], listener)
    Path(in_tmp).unlink()
    Path(in_home).unlink()
    del os.environ["MATHCODE_TEST_CANARY"]


@pytest.fixture(scope="session", params=TIERS)
def sandbox(request: pytest.FixtureRequest, canaries: Canaries) -> Iterator[Sandbox]:
    """Started after the canaries are in place."""
    with Sandbox(SandboxConfig(tier=request.param, limits=Limits(wall_s=WALL_S, cpu_s=WALL_S))) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True, scope="module")
def no_other_sandbox() -> None:
    """End the workers that tests of the graph leave warm in this process: tests here count all its descendants."""
    from mathcode_assets.defs.isolation import close_isolation

    close_isolation()
