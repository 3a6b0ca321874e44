"""dagster-aws on a real S3 server: logs of steps in the bucket, and a store that a resource names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster_aws.s3 import S3Resource

from mathcode_assets.definitions import build_definitions
from mathcode_assets.storage.lake import Lake
from mathcode_assets_tests.conftest import REPOSITORY
from mathcode_assets_tests.s3.conftest import objects
from mathcode_assets_tests.s3.small_graph import put_sources
from mathcode_assets_tests.s3.swift_server import SwiftServer

SHARD, RAW = "maths_college.0000", dg.AssetKey(["raw", "synthetic"])


def materialize(sources_file: Path, root: str, instance: dg.DagsterInstance, **resources: Any) -> dg.DagsterRun:
    """One partition, by the job that the code location has for everything."""
    instance.add_dynamic_partitions("synthetic", [SHARD])
    job = build_definitions(sources_file, root=root, resources=resources).resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(instance=instance, partition_key=SHARD, asset_selection=[RAW])
    assert result.success
    return result.dagster_run


def test_the_production_instance_keeps_the_logs_of_steps_in_the_bucket(
    client: Any, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    put_sources(client, bucket, tmp_path / "sources.yaml")
    production = yaml.safe_load((REPOSITORY / "infra" / "dagster" / "dagster.yaml").read_text())
    assert production["compute_logs"]["class"] == "S3ComputeLogManager"
    kept = {name: production[name] for name in ("compute_logs", "telemetry")}
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text(yaml.safe_dump(kept))
    monkeypatch.setenv("MATHCODE_BUCKET", bucket)
    with dg.DagsterInstance.from_config(str(tmp_path / "home")) as instance, capfd.disabled():
        run = materialize(tmp_path / "sources.yaml", f"s3://{bucket}/lake", instance)
    logs = objects(client, bucket, "compute-logs/")
    written = [content.decode() for key, content in logs.items() if run.run_id in key and key.endswith(".err")]
    assert len(written) == 1
    assert "raw__synthetic" in written[0] and "STEP_SUCCESS" in written[0]
    assert Lake(f"s3://{bucket}/lake").partitions("raw/synthetic") == [SHARD]


def test_the_resource_names_the_store_for_sources_and_lake(
    server: SwiftServer, client: Any, bucket: str, tmp_path: Path, other_aws: Callable[..., None]
) -> None:
    put_sources(client, bucket, tmp_path / "sources.yaml")
    named = dict.fromkeys(server.environment)
    other_aws(**named, MATHCODE_TEST_SECRET=server.secret)
    store = S3Resource(
        endpoint_url=server.endpoint,
        region_name=server.region,
        aws_access_key_id=server.key,
        aws_secret_access_key=dg.EnvVar("MATHCODE_TEST_SECRET"),
    )
    with dg.DagsterInstance.ephemeral() as instance:
        run = materialize(tmp_path / "sources.yaml", f"s3://{bucket}/lake", instance, s3=store)
        events = "".join(repr(entry) for entry in instance.all_logs(run.run_id))
    assert server.secret not in events
    published = objects(client, bucket, "lake/raw/synthetic/")
    assert f"{SHARD}/manifest.json" in published and len(published) == 2


def test_a_graph_without_s3_has_no_such_resource(tmp_path: Path) -> None:
    (tmp_path / "sources.yaml").write_text("root: ./lake\nsources: {}\n")
    assert "s3" not in build_definitions(tmp_path / "sources.yaml").resources
    assert "s3" in build_definitions(tmp_path / "sources.yaml", root="s3://bucket/lake").resources
