"""When training is requested, and when it is not: the condition over reported events, and over the real graph.

The small graph has the shape of the real one: shards with a check each, a pile of all of them, sequences
packed from the pile, a checkpoint.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterEventType, DagsterRunStatus
from dagster._core.definitions.freshness import FreshnessState

from mathcode_assets.defs.assets.clean import RESIDUAL_CHECK
from mathcode_assets.defs.automation import train_when
from mathcode_assets.defs.graph import CORPUS, lineage
from mathcode_assets.defs.resources import WorkspaceResource
from mathcode_assets.defs.training_gate import LINEAGE as REAL_LINEAGE
from mathcode_assets.defs.training_gate import PACKED_KEY, PILE_KEY, TRAIN_WHEN, require_current
from mathcode_assets_tests.defs.reported import (
    CHECK,
    Made,
    report,
    report_checked,
    report_freshness,
    report_made,
    reported_asset,
)
from mathcode_assets_tests.defs.test_automation import NEW_QUESTION, QUESTION, WATCHED, Daemon

SHARDS = dg.DynamicPartitionsDefinition(name="shards")
SOURCE, CLEAN, PILE, PACKED, CHECKPOINT = (
    dg.AssetKey(key.split("/")) for key in ("source/web", "clean/web", "mixture/pile", "tokens/packed", "checkpoint/m")
)
REAL_CHECKPOINT = dg.AssetKey(["checkpoint", "m"])
LINEAGE = ["clean/web", "mixture/pile", "tokens/packed"]


@dg.observable_source_asset(key=SOURCE, partitions_def=SHARDS)
def _source() -> dg.DataVersionsByPartition:
    raise AssertionError("nothing runs here: events are reported")


DEFINITIONS = dg.Definitions(
    assets=[
        _source,
        reported_asset(CLEAN, [SOURCE], checked=True, partitions_def=SHARDS),
        reported_asset(
            PILE, [CLEAN], checked=True, freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(days=1))
        ),
        reported_asset(PACKED, [PILE]),
        reported_asset(CHECKPOINT, [PACKED], automation_condition=train_when("mixture/pile", LINEAGE)),
    ],
    executor=dg.in_process_executor,
)


class Gate:
    """An instance that is told what was made and checked, and asked whether training is requested now."""

    def __init__(self) -> None:
        self.instance = dg.DagsterInstance.ephemeral()
        self.cursor: Any = None
        self.made_last: dict[tuple[dg.AssetKey, str | None], Made] = {}

    def tick(self) -> bool:
        result = dg.evaluate_automation_conditions(DEFINITIONS, instance=self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        assert result.total_requested in (0, 1)
        return result.total_requested == 1

    def made(self, key: dg.AssetKey, version: str, shard: str | None = None, *, passed: bool | None = True) -> None:
        """A run that made this version; `passed` of its check, None for a check that has not run."""
        self.made_last[key, shard] = report_made(self.instance, key, version, shard)
        if passed is not None and key in (CLEAN, PILE):
            self.checked(key, passed, shard)

    def checked(self, key: dg.AssetKey, passed: bool, shard: str | None = None) -> None:
        """A run of the check on what was made last."""
        report_checked(self.instance, key, CHECK, self.made_last[key, shard], passed=passed, partition=shard)

    def observed(self, version: str, shard: str) -> None:
        self.instance.report_runless_asset_event(
            dg.AssetObservation(SOURCE, partition=shard, tags={"dagster/data_version": version})
        )

    def fresh(self, state: FreshnessState = FreshnessState.PASS) -> None:
        report_freshness(self.instance, PILE, state)

    def packed(self, version: str) -> None:
        """The pile and what is packed from it."""
        self.made(PILE, f"pile {version}")
        self.made(PACKED, f"packed {version}")

    def start(self, key: dg.AssetKey, shard: str | None = None) -> dg.DagsterRun:
        """A run that will make the asset, under way."""
        job = DEFINITIONS.resolve_implicit_global_asset_job_def().get_subset(asset_selection={key})
        tags = {"dagster/partition": shard} if shard else {}
        return self.instance.create_run_for_job(
            job_def=job, asset_selection=frozenset({key}), status=DagsterRunStatus.STARTED, tags=tags
        )

    def finish(self, run: dg.DagsterRun, version: str | None = None) -> None:
        """The run ends: with this version of the checkpoint, or by failing."""
        if version is None:
            self.instance.report_run_failed(run)
            return
        report_made(self.instance, CHECKPOINT, version, run_id=run.run_id)
        report(self.instance, DagsterEventType.RUN_SUCCESS, None, run.run_id)

    def trained(self, version: str) -> None:
        self.finish(self.start(CHECKPOINT), version)


@pytest.fixture
def gate() -> Iterator[Gate]:
    """Three shards, all made and checked, a fresh pile of them, and a checkpoint trained on it."""
    gate = Gate()
    with gate.instance:
        gate.instance.add_dynamic_partitions("shards", ["a", "b", "c"])
        gate.tick()
        for shard in ("a", "b", "c"):
            gate.observed("1", shard)
            gate.made(CLEAN, f"{shard}1", shard)
        gate.fresh()
        gate.packed("1")
        assert gate.tick()
        gate.trained("model 1")
        assert not gate.tick()
        yield gate


def test_nothing_new_requests_nothing(gate: Gate) -> None:
    assert [gate.tick() for _ in range(3)] == [False] * 3


def test_an_updated_pile_requests_training_once(gate: Gate) -> None:
    gate.packed("2")
    assert [gate.tick() for _ in range(3)] == [True, False, False]


def test_the_same_bytes_made_again_request_nothing(gate: Gate) -> None:
    gate.packed("1")
    gate.made(CLEAN, "a1", "a")
    assert [gate.tick() for _ in range(3)] == [False] * 3
    gate.packed("2")
    assert gate.tick()


def test_one_red_shard_among_green_ones_holds_training_back(gate: Gate) -> None:
    gate.made(CLEAN, "a2", "a", passed=False)
    gate.made(CLEAN, "b2", "b", passed=True)
    gate.packed("2")
    assert [gate.tick() for _ in range(2)] == [False] * 2
    gate.made(CLEAN, "a3", "a", passed=True)
    gate.packed("3")
    assert [gate.tick() for _ in range(2)] == [True, False]


@pytest.mark.parametrize("key", [CLEAN, PILE])
def test_a_check_that_has_not_run_holds_training_back_until_it_passes(gate: Gate, key: dg.AssetKey) -> None:
    shard = "b" if key == CLEAN else None
    gate.made(CLEAN, "b2", "b", passed=None if key == CLEAN else True)
    gate.made(PILE, "pile 2", passed=None if key == PILE else True)
    gate.made(PACKED, "packed 2")
    assert [gate.tick() for _ in range(2)] == [False] * 2
    gate.checked(key, True, shard)
    assert [gate.tick() for _ in range(2)] == [True, False]


def test_a_check_that_turns_red_later_holds_training_back_though_the_pile_did_not_move(gate: Gate) -> None:
    run = gate.start(PACKED)
    gate.packed("2")
    assert not gate.tick()  # something is under way still
    gate.checked(CLEAN, False, "c")  # an index that is newer finds something
    gate.finish(run)
    assert [gate.tick() for _ in range(2)] == [False] * 2
    gate.checked(CLEAN, True, "c")
    assert [gate.tick() for _ in range(2)] == [True, False]


def test_a_check_made_red_and_green_again_does_not_train_the_same_twice(gate: Gate) -> None:
    gate.checked(PILE, False)
    assert not gate.tick()
    gate.checked(PILE, True)
    assert [gate.tick() for _ in range(2)] == [False] * 2


def test_a_pile_behind_its_inputs_is_not_trained_on(gate: Gate) -> None:
    gate.made(PACKED, "packed 2")
    gate.made(CLEAN, "a2", "a")
    assert [gate.tick() for _ in range(2)] == [False] * 2
    gate.packed("3")
    assert [gate.tick() for _ in range(2)] == [True, False]


def test_sequences_behind_the_pile_are_not_trained_on(gate: Gate) -> None:
    gate.made(PILE, "pile 2", passed=None)
    gate.made(PACKED, "packed 2")
    assert not gate.tick()
    gate.made(PILE, "pile 3")
    assert [gate.tick() for _ in range(2)] == [False] * 2
    gate.made(PACKED, "packed 3")
    assert [gate.tick() for _ in range(2)] == [True, False]


def test_a_shard_behind_its_source_is_not_trained_on(gate: Gate) -> None:
    gate.packed("2")
    gate.observed("2", "b")
    assert [gate.tick() for _ in range(2)] == [False] * 2
    gate.made(CLEAN, "b2", "b")
    assert not gate.tick()  # now the pile is behind
    gate.packed("3")
    assert [gate.tick() for _ in range(2)] == [True, False]


def test_a_source_that_changed_nothing_in_the_end_gives_training_free(gate: Gate) -> None:
    gate.packed("2")
    gate.observed("2", "b")
    assert not gate.tick()
    gate.made(CLEAN, "b1", "b")  # the same bytes: nothing after it is made again
    assert [gate.tick() for _ in range(2)] == [True, False]


@pytest.mark.parametrize("state", [FreshnessState.FAIL, FreshnessState.UNKNOWN])
def test_a_stale_pile_is_not_trained_on(gate: Gate, state: FreshnessState) -> None:
    gate.fresh(state)
    gate.packed("2")
    assert [gate.tick() for _ in range(2)] == [False] * 2
    gate.fresh()
    assert [gate.tick() for _ in range(2)] == [True, False]


def test_training_that_is_under_way_is_not_requested_again_until_it_ends(gate: Gate) -> None:
    gate.packed("2")
    assert gate.tick()
    run = gate.start(CHECKPOINT)
    assert not gate.tick()
    gate.packed("3")
    assert [gate.tick() for _ in range(3)] == [False] * 3
    gate.finish(run, "model 2")
    assert [gate.tick() for _ in range(2)] == [True, False]


@pytest.mark.parametrize(("key", "shard"), [(CLEAN, "a"), (PILE, None), (PACKED, None)])
def test_training_waits_for_what_is_under_way_above(gate: Gate, key: dg.AssetKey, shard: str | None) -> None:
    gate.packed("2")
    run = gate.start(key, shard)
    assert [gate.tick() for _ in range(2)] == [False] * 2
    gate.finish(run)
    gate.made(key, {CLEAN: "a1", PILE: "pile 2", PACKED: "packed 2"}[key], shard)
    assert [gate.tick() for _ in range(2)] == [True, False]


def test_an_update_in_the_tick_of_the_request_is_not_lost(gate: Gate) -> None:
    gate.packed("2")
    assert gate.tick()
    gate.packed("3")  # before the next tick learns that it requested
    run = gate.start(CHECKPOINT)
    assert not gate.tick()
    gate.finish(run, "model 2")
    assert [gate.tick() for _ in range(2)] == [True, False]


def test_an_update_in_the_tick_in_which_training_ends_is_not_lost(gate: Gate) -> None:
    gate.packed("2")
    assert gate.tick()
    run = gate.start(CHECKPOINT)
    assert not gate.tick()
    gate.packed("3")
    gate.finish(run, "model 2")
    assert [gate.tick() for _ in range(2)] == [True, False]


def test_failed_training_is_not_tried_again_by_itself(gate: Gate) -> None:
    gate.packed("2")
    assert gate.tick()
    gate.finish(gate.start(CHECKPOINT))
    assert [gate.tick() for _ in range(3)] == [False] * 3
    gate.packed("3")
    assert [gate.tick() for _ in range(2)] == [True, False]


def test_training_that_was_withheld_is_requested_again_once_something_above_was_made(gate: Gate) -> None:
    gate.packed("2")
    assert gate.tick()
    gate.finish(gate.start(CHECKPOINT))  # the asset found a source changed that nobody had observed
    assert [gate.tick() for _ in range(2)] == [False] * 2
    gate.observed("2", "a")
    assert not gate.tick()
    gate.made(CLEAN, "a1", "a")  # the change made no difference, so no data version says that it is over
    assert [gate.tick() for _ in range(2)] == [True, False]


def test_nothing_is_requested_before_there_is_a_pile() -> None:
    gate = Gate()
    with gate.instance:
        gate.instance.add_dynamic_partitions("shards", ["a"])
        assert [gate.tick() for _ in range(2)] == [False] * 2
        gate.made(CLEAN, "a1", "a")
        assert not gate.tick()
        gate.fresh()
        gate.packed("1")
        assert [gate.tick() for _ in range(2)] == [True, False]


def test_a_pile_that_was_there_before_the_condition_is_trained_on() -> None:
    gate = Gate()
    with gate.instance:
        gate.instance.add_dynamic_partitions("shards", ["a"])
        gate.made(CLEAN, "a1", "a")
        gate.fresh()
        gate.packed("1")
        assert [gate.tick() for _ in range(3)] == [True, False, False]


@dg.asset(key=REAL_CHECKPOINT, deps=[dg.AssetKey(PACKED_KEY.split("/"))], automation_condition=TRAIN_WHEN)
def _stand_in(context, workspace: WorkspaceResource) -> dg.MaterializeResult:  # type: ignore[no-untyped-def]
    """What training has to do before it trains."""
    version = require_current(workspace.open(), PACKED_KEY, instance=context.instance)
    return dg.MaterializeResult(data_version=dg.DataVersion(version), metadata={"corpus": version})


class TrainingDaemon(Daemon):
    """The real graph over code shards and benchmarks, with a checkpoint that only asks whether it may be trained."""

    watched = (
        *WATCHED,
        *(asset for asset in CORPUS if asset.key.startswith("tokens/")),
        SimpleNamespace(key="/".join(REAL_CHECKPOINT.path), asset_key=REAL_CHECKPOINT),
    )

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.definitions = dg.Definitions.merge(self.definitions, dg.Definitions(assets=[_stand_in]))
        self.job = self.definitions.resolve_implicit_global_asset_job_def()

    def trained_on(self) -> list[str]:
        """The version of each training, oldest first."""
        found = self.instance.fetch_materializations(REAL_CHECKPOINT, limit=100, ascending=True)
        events = (record.asset_materialization for record in found.records)
        return [str(event.metadata["corpus"].value) for event in events if event is not None]

    def packed(self) -> str:
        table = self.folder / "lake" / "tokens" / "packed" / "all" / "manifest.json"
        return str(json.loads(table.read_text())["data_version"])

    def until_training_is_requested(self) -> None:
        """Run what the ticks ask for up to the tick that asks for training, which is not run."""
        self.observe()
        for _ in range(12):
            requests = self.tick()
            if "checkpoint/m" in requests:
                assert set(requests) == {"checkpoint/m"}
                return
            for asset in self.watched:
                for partition in sorted(requests.get(asset.key, ())):
                    self.run(asset.key, None if partition == "None" else partition)
        raise AssertionError("training was not requested")


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> TrainingDaemon:
    """Two shards and a benchmark, built to the packed sequences by the conditions, and trained on once."""
    daemon = TrainingDaemon(tmp_path_factory.mktemp("settled"))
    daemon.code("a", "print(sympy.integrate('x**2'))", "print(sympy.factorint(91))")
    daemon.code("b", "print(sympy.integrate('x**3'))", "print(sympy.factorint(92))")
    daemon.benchmark("garden", QUESTION)
    daemon.tick()
    daemon.promote("benchmark_frequencies")
    daemon.settle()
    report_freshness(daemon.instance, dg.AssetKey(PILE_KEY.split("/")), FreshnessState.PASS)
    daemon.promote("tokenizer")
    daemon.settle()
    assert daemon.failures == []
    assert daemon.trained_on() == [daemon.packed()]
    daemon.instance.dispose()
    return daemon


@pytest.fixture
def daemon(settled: TrainingDaemon, tmp_path: Path) -> Iterator[TrainingDaemon]:
    """A copy of the settled state, to change."""
    shutil.copytree(settled.folder, tmp_path / "copy")
    daemon = TrainingDaemon(tmp_path / "copy")
    daemon.cursor = settled.cursor
    with daemon.instance:
        yield daemon


class TestTheRealGraph:
    def test_trains_again_when_a_shard_changed_and_only_then(self, daemon: TrainingDaemon) -> None:
        before = daemon.trained_on()
        assert daemon.settle() == {}
        daemon.code("b", "print(sympy.integrate('x**3'))", "print(sympy.prime(93))")
        daemon.settle()
        assert daemon.failures == []
        assert daemon.trained_on() == [*before, daemon.packed()]
        assert daemon.packed() not in before

    @pytest.mark.slow
    def test_does_not_train_when_a_change_ends_before_the_pile(self, daemon: TrainingDaemon) -> None:
        before = daemon.trained_on()
        daemon.code("b", "print(sympy.integrate('x**3'))", "print(sympy.factorint(92))")
        path = daemon.folder / "code" / "b.jsonl"
        path.write_text(path.read_text() + json.dumps({"id": "dropped", "content": "print(1)\n"}) + "\n")
        asked = daemon.settle()
        assert "filtered/code_python" in asked
        assert daemon.trained_on() == before

    @pytest.mark.slow
    def test_trains_without_what_was_removed(self, daemon: TrainingDaemon) -> None:
        before = daemon.trained_on()
        (daemon.folder / "code" / "a.jsonl").unlink()
        daemon.settle()
        assert daemon.failures == []
        assert daemon.trained_on() == [*before, daemon.packed()]

    @pytest.mark.slow
    def test_trains_once_after_a_promotion_that_changed_the_pile(self, daemon: TrainingDaemon) -> None:
        daemon.code("b", "print(sympy.integrate('tanh(x)**3 + cosh(x)'))" * 20)
        daemon.settle()
        before = daemon.trained_on()
        assert len(before) == 2
        daemon.promote("tokenizer")
        daemon.settle()
        assert daemon.failures == []
        assert daemon.trained_on() == [*before, daemon.packed()]

    @pytest.mark.slow
    def test_does_not_train_while_a_leaky_shard_withholds_the_pile(self, daemon: TrainingDaemon) -> None:
        before = daemon.trained_on()
        daemon.code("leak", f'print("""{QUESTION}""")', f'note = """\n{QUESTION}\n"""')
        daemon.settle()
        assert daemon.failures == ["attributes/contamination/code_python[leak]"]
        assert daemon.trained_on() == before
        (daemon.folder / "code" / "leak.jsonl").unlink()
        daemon.code("c", "print(sympy.divisors(28))")
        daemon.settle()
        assert daemon.trained_on() == [*before, daemon.packed()]

    @pytest.mark.slow
    @pytest.mark.parametrize("what", ["source changed", "source removed", "new benchmark"])
    def test_withholds_training_from_what_changed_since_the_request(self, daemon: TrainingDaemon, what: str) -> None:
        before = daemon.trained_on()
        daemon.code("b", "print(sympy.integrate('x**3'))", "print(sympy.prime(93))")
        daemon.until_training_is_requested()
        stale = daemon.packed()
        # Nobody has observed it yet, so no condition can know.
        if what == "source changed":
            daemon.code("a", "print(sympy.integrate('x**5'))")
        elif what == "source removed":
            (daemon.folder / "code" / "a.jsonl").unlink()
        else:
            daemon.benchmark("ferry", NEW_QUESTION)
        daemon.run("checkpoint/m", None)
        assert daemon.failures == ["checkpoint/m[None]"]
        assert daemon.trained_on() == before
        daemon.settle()
        assert daemon.trained_on() == [*before, daemon.packed()]
        assert (daemon.packed() == stale) == (what == "new benchmark")  # a benchmark that is nowhere in the pile

    @pytest.mark.slow
    def test_withholds_training_from_a_check_that_turned_red_since_the_request(self, daemon: TrainingDaemon) -> None:
        before = daemon.trained_on()
        daemon.code("b", "print(sympy.integrate('x**3'))", "print(sympy.prime(93))")
        daemon.until_training_is_requested()
        clean = dg.AssetKey(["clean", "code_python"])
        made = latest_made(daemon.instance, clean, "a")
        report_checked(daemon.instance, clean, RESIDUAL_CHECK, made, passed=False, partition="a")
        daemon.run("checkpoint/m", None)
        assert daemon.failures == ["checkpoint/m[None]"]
        assert "checkpoint/m" not in daemon.settle()
        assert daemon.trained_on() == before
        report_checked(daemon.instance, clean, RESIDUAL_CHECK, made, passed=True, partition="a")
        daemon.settle()
        assert daemon.trained_on() == [*before, daemon.packed()]


def latest_made(instance: dg.DagsterInstance, key: dg.AssetKey, partition: str) -> Made:
    """The latest materialization of a partition."""
    records = instance.fetch_materializations(dg.AssetRecordsFilter(key, asset_partitions=[partition]), limit=1).records
    return Made(records[0].storage_id, records[0].run_id)


def test_every_blocking_check_above_is_in_the_lineage_of_the_gate() -> None:
    checked = {asset.key for asset in lineage(PACKED_KEY) if any(c.blocking for c in asset.checks)}
    assert checked <= set(REAL_LINEAGE)
    assert {"raw/cc_en", "index/benchmarks", "clean/translated_cc_en_math", PILE_KEY} <= checked
    assert not [key for key in REAL_LINEAGE if key.startswith("promoted/")]
