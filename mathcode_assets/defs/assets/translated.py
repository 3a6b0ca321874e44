"""translated/*: the place of model-translated mathematical code in the graph (paper §2.2).

Its partitions are those of the web components it reads. Nothing makes it yet, so the pile is
mixed without it.
"""

from __future__ import annotations

import dagster as dg

from mathcode_assets.defs.partitions import partitions_def
from mathcode_assets.defs.table_assets import OWNER

_READ_FROM = {"open_web_math": "open_web_math", "cc_en_math": "cc_en"}

SPECS: list[dg.AssetSpec] = [
    dg.AssetSpec(
        key=dg.AssetKey(["translated", name]),
        deps=[dg.AssetKey(["clean", name])],
        group_name="mathematical_code",
        description=(
            "Conditions, expression, result and Python code of each computation in the text, verified by "
            "execution (paper §2.2). Not made yet."
        ),
        owners=[OWNER],
        kinds={"translated", "parquet"},
        partitions_def=partitions_def(source),
    )
    for name, source in _READ_FROM.items()
]
