"""The code location: every asset, check, job and schedule, assembled explicitly.

    build_definitions("sources.yaml", root="lake")

The module's own `defs` (what `dg dev` loads) takes the sources file from MATHCODE_SOURCES, by
default the embedded sample, and the lake's root from MATHCODE_ROOT (for the sample by default
`lake` in the current folder).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from mathcode_assets.defs.assets import (
    clean,
    code,
    contamination,
    contamination_report,
    duplicates,
    mixture,
    models,
    raw,
    sources,
    synthetic,
    textbooks,
    tokens,
    translated,
    web,
)
from mathcode_assets.defs.jobs import JOBS, SCHEDULES
from mathcode_assets.defs.resources import WorkspaceResource
from mathcode_assets.defs.table_assets import LakeAsset
from mathcode_assets.sample import sample_dir

_MODULES = (
    raw, textbooks, models, web, synthetic, code, contamination, duplicates, clean, translated, mixture, tokens,
    contamination_report,
)  # fmt: skip
LAKE_ASSETS: list[LakeAsset] = [asset for module in _MODULES for asset in module.ASSETS]


def build_definitions(
    sources_file: str | Path, *, root: str | None = None, resources: Mapping[str, Any] | None = None
) -> dg.Definitions:
    """The graph over one sources file.

    Args:
        sources_file: local path of the YAML.
        root: another root of the lake than the file names.
        resources: replacements, for tests.
    """
    return dg.Definitions(
        assets=[
            *sources.source_definitions(LAKE_ASSETS),
            *(asset.definition() for asset in LAKE_ASSETS),
            *duplicates.SPECS,
        ],
        asset_checks=[*clean.CHECKS, *mixture.CHECKS],
        jobs=JOBS,
        schedules=SCHEDULES,
        resources={
            "workspace": WorkspaceResource(sources_file=str(sources_file), root=root),
            **(resources or {}),
        },
        # One process a run: a partition is minutes of work, and stages parallelise inside it.
        executor=dg.in_process_executor,
    )


_SOURCES = os.environ.get("MATHCODE_SOURCES")
# The sample's sources file lies inside the package, where no lake belongs.
_ROOT = os.environ.get("MATHCODE_ROOT") or (None if _SOURCES else str(Path("lake").absolute()))

defs = build_definitions(_SOURCES or sample_dir() / "sources.yaml", root=_ROOT)
