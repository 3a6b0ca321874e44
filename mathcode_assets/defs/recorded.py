"""What Dagster has on record of the lake, to compare with what the lake holds.

A process that is killed after it published a partition and before it told Dagster leaves the lake ahead of the
record. What the record lacks is told again: the step runs, finds the partition current, and reports it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from mathcode_assets.storage.lake import WHOLE, Table

_DONE = (AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED)


def version_on_record(instance: dg.DagsterInstance, key: dg.AssetKey, partition: str) -> str | None:
    """Data version of the latest materialization of one partition; None where there was none."""
    if partition == WHOLE:
        event = instance.get_latest_materialization_event(key)
        materialization = event.asset_materialization if event else None
        return (materialization.tags or {}).get(DATA_VERSION_TAG) if materialization else None
    return _versions(instance, key, [partition]).get(partition)


def versions_on_record(
    instance: dg.DagsterInstance, key: dg.AssetKey, *, is_partitioned: bool
) -> Mapping[str | None, str]:
    """Data version of each partition's latest materialization, by partition; None for a whole table."""
    if not is_partitioned:
        return {None: version_on_record(instance, key, WHOLE) or ""}
    return {partition: version or "" for partition, version in _versions(instance, key, None).items()}


def is_on_record(instance: dg.DagsterInstance, table: Table) -> bool:
    """Whether Dagster knows the partition as it is published."""
    manifest = table.find_manifest()
    return manifest is None or version_on_record(instance, _key(table), table.partition) == manifest.data_version


class Record:
    """The record of one instance, read once for each asset: for a pass over the graph that asks for each once."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._versions = cache(lambda key: _versions(instance, key, None))
        self._checked = cache(self._read_checked)

    def has(self, table: Table) -> bool:
        """Whether the latest materialization on record is of the published content."""
        if table.partition == WHOLE:
            return is_on_record(self._instance, table)
        return self._versions(_key(table)).get(table.partition) == table.manifest().data_version

    def has_checked(self, table: Table, names: Sequence[str]) -> bool:
        """Whether each of these checks ran on the latest materialization on record, whatever it found."""
        checked = self._checked(_key(table), tuple(names))
        return all((table.partition, name) in checked for name in names)

    def _read_checked(self, key: dg.AssetKey, names: tuple[str, ...]) -> frozenset[tuple[str, str]]:
        keys = [dg.AssetCheckKey(key, name) for name in names]
        found = self._instance.event_log_storage.get_asset_check_partition_info(keys)
        return frozenset(
            (info.partition_key or WHOLE, info.check_key.name)
            for info in found
            if info.latest_execution_status in _DONE
            and info.latest_target_materialization_storage_id == info.latest_materialization_storage_id
        )


def _versions(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: Sequence[str] | None
) -> Mapping[str, str | None]:
    found = instance.event_log_storage.get_latest_tags_by_partition(
        key, dg.DagsterEventType.ASSET_MATERIALIZATION, [DATA_VERSION_TAG], asset_partitions=partitions
    )
    return {partition: tags.get(DATA_VERSION_TAG) for partition, tags in found.items()}


def _key(table: Table) -> dg.AssetKey:
    return dg.AssetKey(table.key.split("/"))
