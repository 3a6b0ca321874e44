"""The corpus as a graph: every asset from the sources to the packed sequences, and what is above what.

What uses the corpus (a checkpoint, its scores) stands below and may ask here what it rests on.
"""

from __future__ import annotations

from collections.abc import Sequence

from mathcode_assets.defs.assets import (
    clean,
    code,
    contamination,
    contamination_report,
    duplicates,
    mixture,
    models,
    raw,
    synthetic,
    textbooks,
    tokens,
    translated,
    web,
)
from mathcode_assets.defs.table_assets import LakeAsset

_MODULES = (
    raw, textbooks, models, web, synthetic, code, contamination, duplicates, clean, translated, mixture, tokens,
    contamination_report,
)  # fmt: skip
CORPUS: list[LakeAsset] = [asset for module in _MODULES for asset in module.ASSETS]

PROMOTED = "promoted/"


def lineage(key: str, assets: Sequence[LakeAsset] = CORPUS) -> list[LakeAsset]:
    """An asset and all that it is made from, sources' tables first.

    Ends at promoted models: a candidate newer than the model in use, or the documents it was trained on,
    are no input of the corpus (decision 0005). A table that another asset's step publishes stands as that
    asset.

    Raises:
        KeyError: no asset of this key.
    """
    makers = {made: asset for asset in assets for made in (asset.key, *asset.publishes)}
    ordered: dict[str, LakeAsset] = {}
    entered: set[str] = set()

    def visit(asset: LakeAsset) -> None:
        if asset.key in entered:
            return
        entered.add(asset.key)
        if not asset.key.startswith(PROMOTED):
            for dep in asset.deps:
                if dep in makers:
                    visit(makers[dep])
        ordered[asset.key] = asset

    visit(makers[key])
    return list(ordered.values())
