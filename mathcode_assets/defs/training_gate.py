"""The gate of training over the corpus as it is: when a checkpoint is asked for, and how old a pile may be.

    @dg.asset(automation_condition=TRAIN_WHEN, ...)
    def checkpoint(context, workspace):
        version = require_current(workspace.open(), PACKED_KEY, instance=context.instance)

TRAIN_WHEN reads Dagster's events, `require_current` the lake and the sources; decision 0020 says why both.
Scores need no gate of their own: BUILD_WHEN_CHANGED makes them when the checkpoint's data version changes.
"""

from __future__ import annotations

from mathcode_assets.defs.assets.mixture import PILE_KEY
from mathcode_assets.defs.assets.tokens import PACKED_KEY
from mathcode_assets.defs.automation import BUILD_WHEN_CHANGED, train_when
from mathcode_assets.defs.currency import require_current
from mathcode_assets.defs.graph import PROMOTED, lineage

# Promoted models are left out: they are in use until a person promotes others, and then what was scored by
# the old ones is behind.
LINEAGE: tuple[str, ...] = tuple(asset.key for asset in lineage(PACKED_KEY) if not asset.key.startswith(PROMOTED))

TRAIN_WHEN = train_when(PILE_KEY, LINEAGE)
SCORE_WHEN = BUILD_WHEN_CHANGED

__all__ = ["LINEAGE", "PACKED_KEY", "PILE_KEY", "SCORE_WHEN", "TRAIN_WHEN", "require_current"]
