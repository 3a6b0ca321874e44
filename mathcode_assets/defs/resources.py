"""Dagster resources: each only builds a plain object of the library from its configuration."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dagster as dg

from mathcode_assets.config import SourcesFile, load_sources
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.storage.filesystem import configure_s3


class WorkspaceResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The sources file of this code location and the root of its lake.

    s3: dagster-aws's `S3Resource`, where the lake or a source is on S3: endpoint, region and credentials, of which
        botocore finds what is not given. It holds for every S3 address of the process: sources are not read by
        other keys than tables are written by.
    """

    sources_file: str
    root: str | None = None
    s3: dg.ConfigurableResource | None = None  # type: ignore[type-arg]

    def open(self) -> Workspace:
        """The workspace; models it fetched are kept until the file changes or the process ends.

        Raises:
            SourcesFileError: the sources file cannot be used.
        """
        try:
            content = Path(self.sources_file).read_bytes()
        except OSError:
            content = b""  # load_sources says what is wrong
        options = s3_options(self.s3) if self.s3 is not None else {}
        if options:
            configure_s3(**options)
        return _workspace(self.sources_file, self.root, content, repr(options))


@lru_cache(maxsize=4)
def _workspace(sources_file: str, root: str | None, content: bytes, store: str) -> Workspace:
    return Workspace(load_sources(sources_file), root)


def s3_options(resource: Any) -> dict[str, Any]:
    """Arguments of s3fs that say what an `S3Resource` says. How often it asks again, `storage.filesystem` says."""
    client = {"region_name": resource.region_name, "verify": resource.verify}
    given = {
        "endpoint_url": resource.endpoint_url,
        "key": resource.aws_access_key_id,
        "secret": resource.aws_secret_access_key,
        "token": resource.aws_session_token,
        "profile": resource.profile_name,
        "anon": resource.use_unsigned_session or None,
        "use_ssl": None if resource.use_ssl else False,
        "client_kwargs": {name: value for name, value in client.items() if value is not None} or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def s3_resource(sources: SourcesFile, root: str | None) -> Any:
    """An `S3Resource` that takes all from the environment, where anything is on S3 and dagster-aws is installed."""
    specs = [*sources.sources.values(), *([sources.benchmarks] if sources.benchmarks else [])]
    addresses = [root or sources.root, *(uri for spec in specs for uri in (*spec.uris, *spec.labels))]
    if not any(address.startswith("s3://") for address in addresses) or find_spec("dagster_aws") is None:
        return None
    from dagster_aws.s3 import S3Resource  # 0.5 s, and only for S3

    return S3Resource()
