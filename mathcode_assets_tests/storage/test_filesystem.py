"""How S3 is opened: with retries and sizes of ours, unless somebody says otherwise. Nothing is asked of a store."""

from __future__ import annotations

from collections.abc import Iterator

import fsspec.config
import pytest

from mathcode_assets.storage.filesystem import configure_s3, locate, open_filesystem

OWN = {"endpoint_url": "http://127.0.0.1:9", "key": "key", "secret": "secret"}


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(fsspec.config, "conf", {})
    yield


def test_s3_is_opened_with_bounded_patience_and_memory() -> None:
    filesystem, path = open_filesystem("s3://bucket/lake/raw", **OWN)
    assert path == "bucket/lake/raw"
    assert filesystem.config_kwargs["retries"] == {"mode": "standard", "total_max_attempts": 6}
    assert (filesystem.config_kwargs["connect_timeout"], filesystem.config_kwargs["read_timeout"]) == (10, 60)
    assert filesystem.max_concurrency == 1
    assert locate("s3://bucket/lake", **OWN).filesystem is filesystem


def test_what_the_process_is_told_holds_and_options_go_over_it() -> None:
    configure_s3(**OWN, config_kwargs={"read_timeout": 300})
    filesystem, _ = open_filesystem("s3://bucket/lake", key="another")
    assert (filesystem.endpoint_url, filesystem.key, filesystem.secret) == ("http://127.0.0.1:9", "another", "secret")
    assert filesystem.config_kwargs["read_timeout"] == 300
    assert filesystem.config_kwargs["connect_timeout"] == 10


def test_other_addresses_are_opened_as_ever() -> None:
    assert locate("/data/lake").is_local
    assert locate("memory://lake").path == "/lake"
