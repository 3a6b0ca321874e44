"""The storage section of dagster.yaml against a real PostgreSQL server on the loopback interface."""

# No postponed annotations: Dagster reads the type of `context`.
import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import prepare
import pytest
import yaml
from conftest import DAGSTER, ENVIRONMENT

pytestmark = pytest.mark.slow

# Debian keeps the server's programs out of PATH.
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]


def program(name: str) -> str:
    found = shutil.which(name, path=os.pathsep.join([*map(str, PROGRAMS), os.environ["PATH"]]))
    if found is None:
        pytest.skip(f"no {name} here: apt-get install postgresql")
    return found


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Port of a server of its own, with a user and a password, gone afterwards."""
    folder = tmp_path_factory.mktemp("postgres")
    data, password = folder / "data", folder / "password"
    password.write_text(ENVIRONMENT["DAGSTER_POSTGRES_PASSWORD"])
    user = None
    if os.geteuid() == 0:  # the server refuses to run as root
        user = pwd.getpwnam("postgres" if _exists("postgres") else "nobody").pw_name
        for place in (folder, password):
            shutil.chown(place, user)
        for parent in folder.parents[:2]:  # pytest's own folders, closed to others
            parent.chmod(parent.stat().st_mode | 0o011)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    create = [program("initdb"), "-D", data, "-U", "dagster", "--auth=scram-sha-256", f"--pwfile={password}", "-N"]
    subprocess.run(create, check=True, user=user, stdout=subprocess.DEVNULL, cwd=folder)
    options = ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-k", folder, "-p", str(free)]
    server = subprocess.Popen(
        [program("postgres"), "-D", data, *options], user=user, cwd=folder, stderr=subprocess.DEVNULL
    )
    try:
        ask = [program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(free), "-t", "30"]
        while subprocess.run(ask, check=False).returncode != 0:
            assert server.poll() is None, "the server has ended"
        yield free
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture
def instance(port: int, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """The production instance; its logs stay local, there is no bucket."""
    monkeypatch.setenv("DAGSTER_POSTGRES_PORT", str(port))
    monkeypatch.setenv("DAGSTER_POSTGRES_DB", "postgres")
    config = yaml.safe_load((DAGSTER / "dagster.yaml").read_text())
    del config["compute_logs"]
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(config))
    with dg.DagsterInstance.from_config(str(tmp_path)) as opened:
        yield opened


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a", "b"]), pool="s3")
def shard(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    return dg.MaterializeResult(data_version=dg.DataVersion(f"sha256-{context.partition_key}"))


@dg.job
def work() -> None:
    pass


def test_a_materialization_is_kept_in_postgres(instance: dg.DagsterInstance) -> None:
    assert type(instance.run_storage).__name__ == "PostgresRunStorage"
    assert dg.materialize([shard], partition_key="a", instance=instance).success
    assert instance.get_materialized_partitions(shard.key) == {"a"}
    event = instance.get_latest_materialization_event(shard.key)
    assert event is not None and event.asset_materialization is not None
    assert event.asset_materialization.tags["dagster/data_version"] == "sha256-a"


def test_pools_get_the_limits_of_the_environment(instance: dg.DagsterInstance) -> None:
    prepare.set_pools(instance, {"gpu": 1, "sandbox": 2})
    prepare.set_pools(instance, {"gpu": 3})  # at the next start, changed
    limits = {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()}
    assert (limits["gpu"], limits["sandbox"]) == (3, 2)


def test_runs_of_a_code_location_that_died_are_ended_and_retried(instance: dg.DagsterInstance) -> None:
    def run(status: dg.DagsterRunStatus) -> str:
        return instance.create_run_for_job(work, status=status).run_id

    started, waiting = run(dg.DagsterRunStatus.STARTED), run(dg.DagsterRunStatus.NOT_STARTED)
    canceling, finished = run(dg.DagsterRunStatus.CANCELING), run(dg.DagsterRunStatus.SUCCESS)

    found = prepare.orphans(instance)
    assert set(found) == {started, canceling}
    new = run(dg.DagsterRunStatus.STARTED)  # by the code location that serves now
    assert set(prepare.end_runs(instance, found)) == {started, canceling}

    now = {run_id: instance.get_run_by_id(run_id) for run_id in (started, waiting, canceling, finished)}
    assert [found.status.value for found in now.values() if found] == ["FAILURE", "NOT_STARTED", "CANCELED", "SUCCESS"]
    assert now[started].tags["dagster/will_retry"] == "true"  # type: ignore[union-attr]
    assert prepare.end_runs(instance, found) == prepare.end_runs(instance, []) == []
    assert prepare.orphans(instance) == [new]
