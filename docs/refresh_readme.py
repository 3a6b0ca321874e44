"""Makes the printed blocks of README.md and docs/ anew.

python -m docs.refresh_readme            # builds the sample, and its leaky twin, in a temporary folder
python -m docs.refresh_readme --static   # only the blocks that need no sample
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from docs.readme_blocks import OF_SAMPLE, STATIC, leaky_block, markdown_files, model_block, sample_block, with_blocks
from mathcode_assets.config import load_sources
from mathcode_assets.definitions import LAKE_ASSETS, build_definitions
from mathcode_assets.defs.drive import Driver, DriveReport
from mathcode_assets.defs.graph import CORPUS
from mathcode_assets.defs.instance import open_instance
from mathcode_assets.defs.table_assets import LakeAsset
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.sample import sample_dir


def drive(sources_file: Path, root: Path, assets: Sequence[LakeAsset] = CORPUS) -> tuple[Workspace, DriveReport]:
    """Build a lake as `mathcode sample` does, up to the packed pile or with the model."""
    workspace = Workspace(load_sources(sources_file), str(root))
    with open_instance(root / ".dagster") as instance:
        definitions = build_definitions(sources_file, root=str(root))
        driver = Driver(definitions=definitions, assets=assets, workspace=workspace, instance=instance)
        return workspace, driver.run()


def sample_blocks(folder: Path) -> dict[str, str]:
    """The blocks that need a built sample."""
    workspace, report = drive(sample_dir() / "sources.yaml", folder / "lake")
    made = {"sample": sample_block(workspace, report)}
    made |= {name: block(workspace) for name, block in OF_SAMPLE.items()}
    drive(sample_dir() / "sources.yaml", folder / "lake", LAKE_ASSETS)
    made["model"] = model_block(workspace)
    _, leaky = drive(sample_dir() / "sources-leaky.yaml", folder / "leaky")
    return made | {"leaky": leaky_block(leaky)}


def main(arguments: list[str]) -> None:
    """Rewrite the files in place."""
    made = {name: block() for name, block in STATIC.items()}
    if "--static" not in arguments:
        with TemporaryDirectory() as folder:
            made |= sample_blocks(Path(folder))
    for path, text in markdown_files():
        path.write_text(with_blocks(text, made), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
