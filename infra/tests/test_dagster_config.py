"""dagster.yaml and workspace.yaml are what Dagster understands, and say what the decision says; no server runs."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import dagster as dg
import pytest
import yaml
from conftest import DAGSTER, ENVIRONMENT, ROOT
from dagster._config import post_process_config, validate_config
from dagster._core.instance.config import dagster_instance_config
from dagster._core.instance.ref import InstanceRef
from dagster._core.workspace.config_schema import process_workspace_config
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import pg_url_from_config
from prepare import fetch_sources, parse_pools
from sqlalchemy.engine import make_url


@pytest.fixture
def ref(environment: dict[str, str], tmp_path: Path) -> InstanceRef:
    shutil.copy(DAGSTER / "dagster.yaml", tmp_path)
    return InstanceRef.from_dir(str(tmp_path))


def test_dagster_accepts_the_file(ref: InstanceRef) -> None:
    config, custom_class = dagster_instance_config(str(DAGSTER))
    assert custom_class is None
    assert config["telemetry"] == {"enabled": False}


def test_storage_is_postgres_with_the_driver_that_is_installed(ref: InstanceRef, environment: dict[str, str]) -> None:
    # Making the object connects; its address alone is asked for here.
    data = ref.storage_data
    assert data is not None and data.class_name == "DagsterPostgresStorage"
    config_type = dg.Field(DagsterPostgresStorage.config_type()).config_type
    checked = validate_config(config_type, data.config_dict)
    assert checked.success, checked.errors
    address = pg_url_from_config(post_process_config(config_type, checked.value).value)
    url = make_url(address)
    assert (url.drivername, url.username, url.host, url.port) == ("postgresql+psycopg2", "dagster", "127.0.0.1", 1)
    assert url.password == environment["DAGSTER_POSTGRES_PASSWORD"]


def test_compute_logs_go_to_the_bucket(ref: InstanceRef) -> None:
    manager = ref.compute_log_manager
    assert type(manager).__name__ == "S3ComputeLogManager"
    assert (manager._s3_bucket, manager._s3_prefix) == ("bucket", "compute-logs")


def test_runs_are_queued_and_limited(ref: InstanceRef) -> None:
    assert type(ref.run_coordinator).__name__ == "QueuedRunCoordinator"
    assert type(ref.run_launcher).__name__ == "DefaultRunLauncher"
    concurrency = ref.settings["concurrency"]
    assert concurrency["runs"]["max_concurrent_runs"] > 0
    assert concurrency["pools"]["granularity"] == "op"


def test_slots_come_back_and_only_crashes_are_retried(ref: InstanceRef) -> None:
    monitoring, retries = ref.settings["run_monitoring"], ref.settings["run_retries"]
    assert monitoring["enabled"] and monitoring["free_slots_after_run_end_seconds"] == 300
    assert retries == {"enabled": True, "max_retries": 3, "retry_on_asset_or_op_failure": False}


def test_freshness_is_watched_and_nothing_is_reported_home(ref: InstanceRef) -> None:
    assert ref.settings["freshness"] == {"enabled": True}
    assert ref.settings["telemetry"] == {"enabled": False}


def test_a_missing_variable_is_named(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_POSTGRES_PASSWORD")
    with pytest.raises(Exception, match="DAGSTER_POSTGRES_PASSWORD"), dg.DagsterInstance.from_config(str(DAGSTER)):
        pass


def test_no_value_of_a_secret_stands_in_the_file() -> None:
    storage = yaml.safe_load((DAGSTER / "dagster.yaml").read_text())["storage"]["postgres"]["postgres_db"]
    assert storage["password"] == {"env": "DAGSTER_POSTGRES_PASSWORD"}


def test_every_variable_of_the_file_is_given_by_a_deployment() -> None:
    def variables(value: object) -> set[str]:
        if isinstance(value, dict):
            return {value["env"]} if set(value) == {"env"} else set().union(*map(variables, value.values()))
        return set()

    for name in ("dagster.yaml", "workspace.yaml"):
        document = yaml.safe_load((DAGSTER / name).read_text())
        named = variables(document) | variables(document.get("load_from", [{}])[0])
        assert named and named <= set(ENVIRONMENT)


def test_workspace_names_the_location_of_the_project(environment: dict[str, str]) -> None:
    document = yaml.safe_load((DAGSTER / "workspace.yaml").read_text())
    assert process_workspace_config(document).success
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    assert document["load_from"][0]["grpc_server"]["location_name"] == project["code_location_name"]


def test_pools_are_read_from_the_environment() -> None:
    assert parse_pools("gpu=1, sandbox=2,s3=8,") == {"gpu": 1, "sandbox": 2, "s3": 8}
    assert parse_pools("") == {}


@pytest.mark.parametrize("text", ["gpu", "gpu=", "=1", "gpu=-1", "gpu=two"])
def test_a_pool_without_a_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="MATHCODE_POOLS"):
        parse_pools(text)


def test_the_sources_file_is_fetched_whole(tmp_path: Path) -> None:
    remote, local = tmp_path / "remote.yaml", tmp_path / "sources.yaml"
    remote.write_text("root: s3://bucket/lake\n")
    local.write_text("of the release before")
    fetch_sources(remote.as_uri(), local)
    assert local.read_bytes() == remote.read_bytes()
    with pytest.raises(FileNotFoundError):
        fetch_sources((tmp_path / "nowhere.yaml").as_uri(), local)
    assert local.read_bytes() == remote.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["remote.yaml", "sources.yaml"]
