"""Code using mathematics packages: three StarCoder subsets, kept by what they import (paper §2.1)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from mathcode_assets.corpus.code_with_math_packages.tagging import CodeFilterConfig, tag_code
from mathcode_assets.defs.assets.consolidated import (
    attributes_asset,
    counted,
    filtered_asset,
    input_versions,
    verdict_counts,
)
from mathcode_assets.defs.table_assets import LakeAsset, TableBuild
from mathcode_assets.defs.workspace import Workspace, config_dict
from mathcode_assets.storage.manifest import Recipe

CODE_VERSION = "1"
SUBSETS = {
    "code_python": "starcoder_python",
    "code_jupyter_scripts": "starcoder_jupyter_scripts",
    "code_jupyter_structured": "starcoder_jupyter_structured",
}


def _attributes(source: str) -> Callable[[Workspace, str], TableBuild]:
    def build(workspace: Workspace, partition: str) -> TableBuild:
        """Which mathematics packages a file imports: sympy, fractions, cmath, scipy, statistics (paper §2.1).

        One row is a file of the raw table; `labels` are the packages its code really imports, by its
        syntax tree, not by its words. Numpy alone does not count, as in the paper.
        """
        raw = workspace.lake.table(f"raw/{source}", partition)
        config = workspace.settings("code", CodeFilterConfig)
        counts: dict[str, dict[str, int]] = {}
        return TableBuild(
            recipe=Recipe(code_version=CODE_VERSION, inputs=input_versions(raw), config=config_dict(config)),
            batches=lambda: counted(
                workspace.map_rows(raw, partial(tag_code, config=config)), ["verdict", "reason"], counts
            ),
            facts=lambda: verdict_counts(counts),
        )

    return build


ASSETS: list[LakeAsset] = []
for _name, _source in SUBSETS.items():
    ASSETS.append(
        attributes_asset(_name, documents=f"raw/{_source}", source=_source, group="code", build=_attributes(_source))
    )
    ASSETS.append(
        filtered_asset(
            _name,
            documents=f"raw/{_source}",
            source=_source,
            group="code",
            what="One row is a file or notebook that imports a mathematics package (paper §2.1).",
        )
    )
