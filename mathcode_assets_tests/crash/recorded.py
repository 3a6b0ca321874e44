"""Dagster's record, compared with what is published."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import dagster as dg

from mathcode_assets.definitions import build_definitions
from mathcode_assets.defs.dead_runs import LIVE
from mathcode_assets.defs.graph import CORPUS
from mathcode_assets.defs.instance import open_instance
from mathcode_assets.defs.recorded import is_on_record
from mathcode_assets.storage.catalog import iter_manifests
from mathcode_assets.storage.lake import WHOLE, Lake


def check_record(lake: Lake, home: Path, sources_file: Path, told: str) -> None:
    """Every published partition is known at its version with every check of it, and no run is under way.

    Args:
        lake: what is published.
        home: of Dagster.
        sources_file: of the lake.
        told: what happened to it, for the message.
    """
    by_key = {asset.key: asset for asset in CORPUS}
    definitions = build_definitions(sources_file)
    checks = {key for key in definitions.resolve_asset_graph().asset_check_keys}
    with open_instance(home) as instance:
        assert [run.run_id for run in instance.get_runs(filters=dg.RunsFilter(statuses=list(LIVE)))] == [], told
        for manifest in iter_manifests(lake):
            if manifest.key.startswith("quarantine/"):
                continue
            table = lake.table(manifest.key, manifest.partition)
            assert is_on_record(instance, table), f"{told}\n{manifest.key}[{manifest.partition}] is not on record"
            asset_key = dg.AssetKey(manifest.key.split("/"))
            partition = None if manifest.partition == WHOLE else manifest.partition
            if partition and (source := by_key[manifest.key].partitioned_by if manifest.key in by_key else None):
                assert partition in instance.get_dynamic_partitions(source)
            for key in checks:
                if key.asset_key == asset_key:
                    check_checked(instance, key, partition, told)
    for database in home.rglob("*.db"):
        with sqlite3.connect(database) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",), database


def check_checked(instance: dg.DagsterInstance, key: dg.AssetCheckKey, partition: str | None, told: str) -> None:
    """The check ran on the latest materialization of the partition."""
    found = instance.event_log_storage.get_asset_check_partition_info([key])
    mine = [info for info in found if info.partition_key == partition]
    assert len(mine) == 1, f"{told}\n{key}[{partition}] is not on record"
    assert mine[0].latest_target_materialization_storage_id == mine[0].latest_materialization_storage_id, (
        f"{told}\n{key}[{partition}] is of an earlier materialization"
    )
    assert mine[0].latest_execution_status.value in ("SUCCEEDED", "FAILED"), told
