"""A real S3 server for the session, reached through a proxy that counts requests."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from mathcode_assets_tests.conftest import REPOSITORY
from mathcode_assets_tests.s3.faulty_proxy import FaultyProxy, faulty_proxy
from mathcode_assets_tests.s3.swift_server import SwiftServer, swift_server

# Set by `make test-servers`: then a server that is not there fails the tests instead of skipping them.
ENVIRONMENT_VARIABLE = "MATHCODE_SWIFT"
BucketMaker = Callable[[str], str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.s3)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwiftServer]:
    given = os.environ.get(ENVIRONMENT_VARIABLE)
    environment = Path(given or REPOSITORY / ".venv-swift")
    missing = [
        name
        for name, is_there in {
            f"{environment}/bin/swift-proxy-server": (environment / "bin" / "swift-proxy-server").exists(),
            "memcached": shutil.which("memcached") is not None,
        }.items()
        if not is_there
    ]
    if missing:
        message = f"no S3 server to test against, {' and '.join(missing)} missing: make test-servers"
        pytest.fail(message) if given else pytest.skip(message)
    with swift_server(environment, tmp_path_factory.mktemp("swift")) as running:
        yield running


@pytest.fixture(scope="session")
def proxy(server: SwiftServer) -> Iterator[FaultyProxy]:
    """Every request of the tests that take their addresses from the environment goes through it."""
    with faulty_proxy(server.endpoint) as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def aws(server: SwiftServer, proxy: FaultyProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The server as AWS's own variables name it; no other keys, profiles or caches of whoever runs the tests."""
    empty = tmp_path_factory.mktemp("aws")
    variables = server.environment | {
        "AWS_ENDPOINT_URL": proxy.endpoint,
        "AWS_CONFIG_FILE": str(empty / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(empty / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "XDG_CACHE_HOME": str(empty / "cache"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in variables.items():
            patch.setenv(name, value)
        forget_filesystems()
        yield
    forget_filesystems()


@pytest.fixture
def other_aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Change what the environment says of S3 within one test: None takes a variable away."""

    def change(**variables: str | None) -> None:
        for name, value in variables.items():
            monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
        forget_filesystems()

    yield change
    monkeypatch.undo()
    forget_filesystems()


def forget_filesystems() -> None:
    """fsspec keeps filesystems by their arguments, which say nothing of the environment."""
    fsspec.config.conf.pop("s3", None)
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.fixture(scope="session")
def client(server: SwiftServer) -> Any:
    """boto3's client, past every proxy: what the bucket really holds."""
    import boto3

    return boto3.client("s3", **server.client_options)


@pytest.fixture
def bucket(client: Any, request: pytest.FixtureRequest) -> str:
    """A bucket of the test's own."""
    name = f"of-a-test-{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]}"
    client.create_bucket(Bucket=name)
    return name


def objects(client: Any, bucket: str, prefix: str = "") -> dict[str, bytes]:
    """Every object below a prefix, by its key without it."""
    found = {}
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            content = client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
            found[entry["Key"].removeprefix(prefix)] = content
    return found
