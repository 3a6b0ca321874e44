"""The code location: every asset, check, job, schedule and sensor, assembled explicitly.

    build_definitions("sources.yaml", root="lake")

The module's own `defs` (what `dg dev` loads) takes the sources file from MATHCODE_SOURCES, by
default the embedded sample, and the lake's root from MATHCODE_ROOT (for the sample by default
`lake` in the current folder).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg

from mathcode_assets.config import SourcesFileError, load_sources
from mathcode_assets.defs.assets import ablation, checkpoint, clean, duplicates, mixture, scores, sources
from mathcode_assets.defs.graph import CORPUS
from mathcode_assets.defs.jobs import JOBS, SCHEDULES
from mathcode_assets.defs.partition_runs import OpenedLocation
from mathcode_assets.defs.reconcile import reconcile_job, reconcile_schedule
from mathcode_assets.defs.resources import WorkspaceResource, s3_resource
from mathcode_assets.defs.sensors import sensors, settings_of
from mathcode_assets.defs.table_assets import LakeAsset
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.sample import sample_dir

LAKE_ASSETS: list[LakeAsset] = [*CORPUS, *checkpoint.ASSETS, *scores.ASSETS, *ablation.ASSETS]


def automatic(sources_file: str | Path) -> list[LakeAsset]:
    """The assets; those that the sources file does not ask for are never made without being asked.

    A sources file that cannot be read leaves them as they are: the first step that opens it says what is wrong.
    """
    try:
        workspace = Workspace(load_sources(sources_file))
    except SourcesFileError:
        return LAKE_ASSETS
    return [asset if asset.is_wanted(workspace) else replace(asset, automation=None) for asset in LAKE_ASSETS]


def build_definitions(
    sources_file: str | Path, *, root: str | None = None, resources: Mapping[str, Any] | None = None
) -> dg.Definitions:
    """The graph over one sources file.

    Args:
        sources_file: local path of the YAML.
        root: another root of the lake than the file names.
        resources: replacements; `s3`, an `S3Resource`, where S3 is not to be found through the environment.
    """
    bound = store_of(sources_file, root) | dict(resources or {})
    assets = automatic(sources_file)
    reconcile = reconcile_job(assets)
    return dg.Definitions(
        assets=[
            *sources.source_definitions(LAKE_ASSETS),
            *ablation.SOURCES,
            *(asset.definition() for asset in assets),
            *duplicates.SPECS,
        ],
        asset_checks=[*clean.CHECKS, *mixture.CHECKS],
        jobs=[*JOBS, reconcile],
        schedules=[*SCHEDULES, reconcile_schedule(reconcile)],
        sensors=sensors(settings_of(sources_file), reconcile),
        resources={
            "workspace": WorkspaceResource(sources_file=str(sources_file), root=root, s3=bound.get("s3")),
            **bound,
        },
        # One process a run: a partition is minutes of work, and stages parallelise inside it.
        executor=dg.in_process_executor,
    )


def opened_location(sources_file: str, root: str | None) -> OpenedLocation:
    """The graph over one sources file, as a worker of a drive opens it."""
    return OpenedLocation(
        definitions=build_definitions(sources_file, root=root),
        assets=LAKE_ASSETS,
        workspace=WorkspaceResource(sources_file=sources_file, root=root).open(),
    )


def store_of(sources_file: str | Path, root: str | None) -> dict[str, Any]:
    """The resource `s3`, where the sources file or the root names S3; a file that cannot be read names nothing."""
    try:
        found = s3_resource(load_sources(sources_file), root)
    except SourcesFileError:
        return {}
    return {} if found is None else {"s3": found}


_SOURCES = os.environ.get("MATHCODE_SOURCES")
# The sample's sources file lies inside the package, where no lake belongs.
_ROOT = os.environ.get("MATHCODE_ROOT") or (None if _SOURCES else str(Path("lake").absolute()))

defs = build_definitions(_SOURCES or sample_dir() / "sources.yaml", root=_ROOT)
