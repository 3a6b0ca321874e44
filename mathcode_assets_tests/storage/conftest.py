"""Lakes on a local folder, in memory, and on a local server that speaks S3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from moto.server import ThreadedMotoServer

from mathcode_assets.storage.lake import Lake

BUCKET = "lake-tests"
CREDENTIALS = {"key": "testing", "secret": "testing"}


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """A server on loopback with one empty bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    fsspec.filesystem("s3", endpoint_url=endpoint, **CREDENTIALS).mkdir(BUCKET)
    yield endpoint
    server.stop()


@pytest.fixture(params=["local", "memory", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """The same tests on a local folder and on object stores."""
    if request.param == "local":
        return Lake(tmp_path / "lake")
    if request.param == "memory":
        return Lake(f"memory://{tmp_path.name}/lake")
    endpoint = request.getfixturevalue("s3_endpoint")
    return Lake(f"s3://{BUCKET}/{tmp_path.name}/lake", {"endpoint_url": endpoint, **CREDENTIALS})
