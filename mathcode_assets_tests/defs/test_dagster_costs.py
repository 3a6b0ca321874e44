"""What makes the runs of a drive cheap changes nothing of them: files and events are those of Dagster."""

from pathlib import Path

import dagster as dg
import pytest

from mathcode_assets.defs.instance import CONFIG_NAME, open_instance
from mathcode_assets.defs.prepared import QUIET, PreparedJob
from mathcode_assets.defs.sqlite import OPEN_RUNS, KeptEventLogStorage, KeptRunStorage

SHARDS = dg.DynamicPartitionsDefinition(name="shards")
FIRST, SECOND = dg.AssetKey(["raw", "pages"]), dg.AssetKey(["clean", "pages"])


@dg.asset(key=FIRST, partitions_def=SHARDS, check_specs=[dg.AssetCheckSpec("read", asset=FIRST, partitions_def=SHARDS)])
def first(context: dg.AssetExecutionContext):  # type: ignore[no-untyped-def]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(context.partition_key),
        check_results=[dg.AssetCheckResult(check_name="read", passed=True)],
    )


@dg.asset(key=SECOND, partitions_def=SHARDS, deps=[FIRST])
def second(context: dg.AssetExecutionContext) -> None:
    if context.partition_key == "bad":
        raise ValueError("a bad shard")


@dg.asset(deps=[SECOND])
def third() -> None: ...


@pytest.fixture
def job() -> dg.JobDefinition:
    return dg.Definitions(
        assets=[first, second, third], executor=dg.in_process_executor
    ).resolve_implicit_global_asset_job_def()


def told(instance: dg.DagsterInstance, run_id: str) -> list[tuple[object, ...]]:
    """The events of a run, without times and ids."""
    events = [entry.dagster_event for entry in instance.all_logs(run_id) if entry.dagster_event is not None]
    return [(event.event_type_value, event.step_key, str(event.asset_key), event.partition) for event in events]


@pytest.mark.parametrize("partition", ["good", "bad"])
def test_a_prepared_run_is_the_run_that_dagster_makes(job: dg.JobDefinition, tmp_path: Path, partition: str) -> None:
    with open_instance(tmp_path) as instance:
        instance.add_dynamic_partitions("shards", ["good", "bad"])
        selection = [FIRST, SECOND]
        prepared = PreparedJob(job, instance)
        prepared.execute(selection, partition_key="good")
        ours = prepared.execute(selection, partition_key=partition)
        theirs = job.execute_in_process(
            instance=instance,
            partition_key=partition,
            asset_selection=selection,
            run_config=QUIET,
            raise_on_error=False,
        )
        assert ours.success == theirs.success == (partition == "good")
        assert told(instance, ours.run_id) == told(instance, theirs.run_id)
        assert len(told(instance, ours.run_id)) > 10
        runs = [instance.get_run_by_id(result.run_id) for result in (ours, theirs)]
        for name in ("asset_selection", "asset_check_selection", "tags", "job_snapshot_id", "run_config", "status"):
            assert getattr(runs[0], name) == getattr(runs[1], name), name
        assert runs[0] is not None and runs[0].asset_selection == set(selection)


def test_dagsters_own_class_reads_what_is_kept_open_and_the_other_way_round(
    job: dg.JobDefinition, tmp_path: Path
) -> None:
    keys = [f"shard-{number}" for number in range(OPEN_RUNS + 3)]
    with open_instance(tmp_path) as instance:
        assert isinstance(instance.event_log_storage, KeptEventLogStorage)
        assert isinstance(instance.run_storage, KeptRunStorage)
        instance.add_dynamic_partitions("shards", keys)
        prepared = PreparedJob(job, instance)
        runs = [prepared.execute([FIRST, SECOND], partition_key=key).run_id for key in keys]
        events = [told(instance, run_id) for run_id in runs]  # files that were closed are opened again
        with dg.DagsterInstance.from_config(str(tmp_path)) as beside:  # the UI, meanwhile
            assert [told(beside, run_id) for run_id in runs] == events
    with dg.DagsterInstance.from_config(str(tmp_path)) as plain:
        assert not isinstance(plain.event_log_storage, KeptEventLogStorage)
        assert [told(plain, run_id) for run_id in runs] == events
        assert plain.get_materialized_partitions(SECOND) == set(keys)
        assert plain.get_dynamic_partitions("shards") == keys
        added = job.execute_in_process(
            instance=plain, partition_key=keys[0], asset_selection=[FIRST], run_config=QUIET
        ).run_id
        more = told(plain, added)
    with open_instance(tmp_path) as instance:
        assert told(instance, added) == more
        assert {run.run_id for run in instance.get_runs()} == {*runs, added}


def test_a_home_that_names_its_storage_keeps_it(tmp_path: Path) -> None:
    (tmp_path / CONFIG_NAME).write_text(f"storage:\n  sqlite:\n    base_dir: {tmp_path / 'elsewhere'}\n")
    with open_instance(tmp_path) as instance:
        assert not isinstance(instance.event_log_storage, KeptEventLogStorage)
