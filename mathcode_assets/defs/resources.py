"""Dagster resources: each only builds a plain object of the library from its configuration."""

from __future__ import annotations

from functools import lru_cache

import dagster as dg

from mathcode_assets.config import load_sources
from mathcode_assets.defs.workspace import Workspace


class WorkspaceResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The sources file of this code location and the root of its lake."""

    sources_file: str
    root: str | None = None

    def open(self) -> Workspace:
        """The workspace; models it fetched are kept for the life of the process.

        Raises:
            SourcesFileError: the sources file cannot be used.
        """
        return _workspace(self.sources_file, self.root)


@lru_cache(maxsize=4)
def _workspace(sources_file: str, root: str | None) -> Workspace:
    return Workspace(load_sources(sources_file), root)
