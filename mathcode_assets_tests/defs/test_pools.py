"""Which steps share a pool, and that a deployment limits every pool there is."""

from pathlib import Path

import dagster as dg

from mathcode_assets.definitions import defs

ROOT = Path(__file__).resolve().parents[2]


def pools() -> dict[str, set[str]]:
    """Pools by asset key."""
    found = {}
    for asset in defs.assets or []:
        if isinstance(asset, dg.AssetsDefinition) and asset.is_executable:
            found |= {key.to_user_string(): {pool for pool in asset.op.pools} for key in asset.keys}
    return found


def test_what_is_scarce_is_shared_through_a_pool() -> None:
    found = pools()
    assert found["checkpoint/mathcode_pile"] == found["scores/evaluation"] == {"gpu"}
    assert found["computations/open_web_math"] == {"sandbox"}
    assert found["raw/cc_en"] == {"s3"}
    assert found["clean/open_web_math"] == found["scores/items"] == set()


def test_a_deployment_limits_every_pool() -> None:
    line = next(
        line
        for line in (ROOT / "infra/compose/env.example").read_text().splitlines()
        if line.startswith("MATHCODE_POOLS")
    )
    limited = {item.split("=")[0] for item in line.split("=", 1)[1].split(",")}
    assert limited == set().union(*pools().values())
