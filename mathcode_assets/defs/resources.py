"""Dagster resources: each only builds a plain object of the library from its configuration."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import dagster as dg

from mathcode_assets.config import load_sources
from mathcode_assets.defs.workspace import Workspace


class WorkspaceResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The sources file of this code location and the root of its lake."""

    sources_file: str
    root: str | None = None

    def open(self) -> Workspace:
        """The workspace; models it fetched are kept until the file changes or the process ends.

        Raises:
            SourcesFileError: the sources file cannot be used.
        """
        try:
            content = Path(self.sources_file).read_bytes()
        except OSError:
            content = b""  # load_sources says what is wrong
        return _workspace(self.sources_file, self.root, content)


@lru_cache(maxsize=4)
def _workspace(sources_file: str, root: str | None, content: bytes) -> Workspace:
    return Workspace(load_sources(sources_file), root)
