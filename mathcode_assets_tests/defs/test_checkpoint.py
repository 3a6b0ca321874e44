"""The checkpoint asset: a very small model trained by Dagster runs, shown while it trains, and never twice."""

from __future__ import annotations

import importlib.util
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mathcode_assets.config import parse_sources
from mathcode_assets.defs import currency, launching, live_metrics
from mathcode_assets.defs.assets.checkpoint import (
    CHECKPOINT_KEY,
    LOSS_FELL,
    SUMMARY_FILE,
    TRAINING_FINISHED,
    job_of,
    packed_folder,
    spread,
)
from mathcode_assets.defs.assets.tokens import PACKED_KEY
from mathcode_assets.defs.workspace import Withheld, Workspace
from mathcode_assets.training.launchers import Follower
from mathcode_assets.training.model import STAMP_FILE
from mathcode_assets.training.packed import packing_info
from mathcode_assets.training.processes import processes_with
from mathcode_assets.training.run_folder import RunFolder, read_metrics
from mathcode_assets.training.spec import config_hash
from mathcode_assets_tests.defs.training_lake import (
    STEPS,
    TrainingLake,
    end_workers,
    launch_tokens,
    publish,
    settings,
    wait_for,
    watching,
)
from mathcode_assets_tests.training.ray_cluster import ray_cluster

REPOSITORY = Path(__file__).parents[2]
MISSING = [name for name in launching.NEEDED if importlib.util.find_spec(name) is None]


def trains(test: Any) -> Any:
    """Mark what starts workers; skipped, saying so, where they could not run."""
    reason = f"training needs {', '.join(MISSING)}: pip install 'mathcode-assets[train]'"
    return pytest.mark.train(pytest.mark.skipif(bool(MISSING), reason=reason)(test))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread, this repository's package in the workers, every step shown."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setattr(live_metrics, "SHOW_EVERY_S", 0.0)
    # The lake of these tests is not built from sources: what is behind is for the tests of `currency`.
    monkeypatch.setattr(currency, "require_current", lambda *arguments, **options: None)


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[TrainingLake]:
    """A packed table, nothing trained."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield TrainingLake(tmp_path, instance).configure(settings()).pack()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrainingLake]:
    """The same trained once, undisturbed. Only to be read, or copied."""
    with dg.DagsterInstance.ephemeral() as instance, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PYTHONPATH", str(REPOSITORY))
        patch.setattr(live_metrics, "SHOW_EVERY_S", 0.0)
        patch.setattr(currency, "require_current", lambda *arguments, **options: None)
        lake = TrainingLake(tmp_path_factory.mktemp("trained"), instance).configure(settings()).pack()
        assert lake.materialize().success
        yield lake


@pytest.fixture
def copy(trained: TrainingLake, lake: TrainingLake) -> TrainingLake:
    """A copy of the trained lake, to change; Dagster knows nothing of it."""
    shutil.rmtree(lake.folder / "lake")
    shutil.copytree(trained.folder / "lake", lake.folder / "lake")
    return lake


def no_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("something was started")

    monkeypatch.setattr(launching, "_launcher", refuse)


@trains
class TestTraining:
    def test_the_model_is_published_with_its_lineage_and_without_optimizer_states(self, trained: TrainingLake) -> None:
        names = sorted(file.name.split("/", 1)[1] for file in trained.table.manifest().files)
        model = [
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
        ]
        assert names == sorted([*model, STAMP_FILE, SUMMARY_FILE])
        summary = trained.summary
        assert summary["steps"] == STEPS and len(summary["loss_curve"]) == STEPS
        assert summary["lineage"]["data_versions"][PACKED_KEY] == trained.workspace.version(PACKED_KEY)
        assert summary["lineage"]["code_versions"][CHECKPOINT_KEY] == "1"
        for location in trained.table.files():
            assert str(trained.folder).encode() not in location.read_bytes()

    def test_transformers_loads_it(self, trained: TrainingLake, tmp_path: Path) -> None:
        import transformers

        folder = trained.workspace.lake.fetch_folder(trained.table, tmp_path)
        model = transformers.AutoModelForCausalLM.from_pretrained(folder)
        assert model.config.mathcode_training["config_hash"] == trained.summary["config_hash"]

    def test_the_plan_comes_first_and_then_each_step(self, trained: TrainingLake) -> None:
        plan, *steps = trained.observations()
        assert plan["planned_steps"] == STEPS and plan["planned_gb_per_gpu"] > 0
        assert [step["step"] for step in steps] == list(range(1, STEPS + 1))
        assert steps[-1]["loss"] < steps[0]["loss"]
        assert all(step["learning_rate"] > 0 and step["tokens_per_s"] > 0 for step in steps)

    def test_the_second_time_nothing_is_started(self, trained: TrainingLake, monkeypatch: pytest.MonkeyPatch) -> None:
        no_launch(monkeypatch)
        result = trained.materialize()
        metadata = trained.metadata(result)
        assert metadata["reused"] and metadata["final_loss"] == trained.summary["final_loss"]
        assert "| 10 |" in metadata["loss"] and len(metadata["loss_curve"]) == STEPS
        assert all(check.passed for check in result.get_asset_check_evaluations())

    def test_a_finished_run_is_published_again_where_the_lake_lost_it(
        self, trained: TrainingLake, copy: TrainingLake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        copy.workspace.lake.remove(copy.table)
        no_launch(monkeypatch)
        assert copy.metadata(copy.materialize())["steps_made_now"] == 0
        assert copy.table.manifest() == trained.table.manifest()

    def test_a_killed_run_goes_on_and_publishes_the_bytes_of_an_undisturbed_one(
        self, trained: TrainingLake, lake: TrainingLake
    ) -> None:
        # Shown from the step's own thread, so the worker is killed within the run that is to fail.
        with watching(lake, 5, lambda: end_workers(lake)):
            failed = lake.materialize(raise_on_error=False)
        assert not failed.success and not lake.table.find_manifest()
        assert shown_steps(lake)  # written while the step ran: it never came to its end
        made = len(read_metrics(RunFolder(lake.runs()[0])))
        assert 5 <= made < STEPS
        result = lake.materialize()
        assert 0 < lake.metadata(result)["steps_made_now"] < STEPS
        assert lake.table.manifest() == trained.table.manifest()

    def test_another_configuration_or_corpus_is_trained_anew(self, copy: TrainingLake) -> None:
        before = copy.summary
        copy.configure(settings(job={"seed": 4, "duration": {"steps": 3}}))
        copy.materialize()
        assert copy.summary["steps"] == 3 and copy.summary["config_hash"] != before["config_hash"]
        copy.configure(settings(job={"duration": {"steps": 3}})).pack(seed=1)
        copy.materialize()
        assert copy.summary["corpus_fingerprint"] != before["corpus_fingerprint"]
        assert len(copy.runs()) == 3

    def test_a_failure_is_the_workers_error_on_one_line(self, lake: TrainingLake) -> None:
        lake.configure(settings(job={"model": {"shape": {"vocab_size": 50}}}))
        result = lake.materialize(raise_on_error=False)
        (event,) = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
        assert event.step_failure_data.user_failure_data is not None
        description = event.step_failure_data.user_failure_data.description
        assert description is not None and "\n" not in description
        assert "exit status 1, SpecError: model: has a vocabulary of 50" in description
        assert "Traceback" in event.step_failure_data.user_failure_data.metadata["log"].value  # type: ignore[operator]

    @pytest.mark.slow
    @pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
    def test_a_cancelled_run_leaves_no_process(self, lake: TrainingLake, how: signal.Signals) -> None:
        lake.configure(settings(job={"duration": {"steps": 100_000}}))
        with subprocess.Popen([sys.executable, "-c", SCRIPT, str(lake.folder)], cwd=REPOSITORY) as process:
            wait_for(lambda: bool(lake.runs()) and len(read_metrics(RunFolder(lake.runs()[0]))) >= 2)
            tokens = launch_tokens(process.pid)
            assert len(tokens) == 1
            process.send_signal(how)
        assert process.returncode != 0
        assert processes_with(tokens.pop()) == []


@trains
@pytest.mark.slow
class TestPipes:
    """Metrics through Pipes alone: the file that the launchers follow is not looked at."""

    @pytest.fixture(autouse=True)
    def pipes_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Follower, "poll", lambda self: None)

    def test_from_a_file(self, lake: TrainingLake) -> None:
        lake.materialize()
        assert shown_steps(lake) == list(range(1, STEPS + 1))
        assert not list(lake.runs()[0].glob("messages-*"))

    def test_from_a_bucket(self, lake: TrainingLake, monkeypatch: pytest.MonkeyPatch) -> None:
        import boto3
        from moto.server import ThreadedMotoServer

        server = ThreadedMotoServer(port=0, verbose=False)
        server.start()
        try:
            _, port = server.get_host_and_port()
            for name, value in {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
                "AWS_ACCESS_KEY_ID": "key",
                "AWS_SECRET_ACCESS_KEY": "secret",
                "AWS_DEFAULT_REGION": "us-east-1",
            }.items():
                monkeypatch.setenv(name, value)
            boto3.client("s3").create_bucket(Bucket="messages")
            lake.configure(settings(messages="s3://messages")).materialize()
        finally:
            server.stop()
        assert shown_steps(lake) == list(range(1, STEPS + 1))

    def test_from_the_log_of_a_ray_job(self, lake: TrainingLake, trained: TrainingLake, ray_address: str) -> None:
        lake.configure(settings(launcher="ray", ray_address=ray_address, python=sys.executable))
        result = lake.materialize()
        assert lake.metadata(result)["launcher"] == "ray"
        assert shown_steps(lake) == list(range(1, STEPS + 1))
        assert lake.table.manifest() == trained.table.manifest()


@trains
@pytest.mark.slow
def test_ray_over_nodes_shows_the_same_as_the_local_launcher(
    lake: TrainingLake, ray_address: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    section = {"launcher": "ray", "ray_address": ray_address, "python": sys.executable}
    lake.configure(settings(**section, job={"resources": {"nodes": 2, "processes_per_node": 1}}))
    assert lake.metadata(lake.materialize())["world_size"] == 2
    with dg.DagsterInstance.ephemeral() as instance:
        local = TrainingLake(tmp_path_factory.mktemp("local"), instance)
        local.configure(settings(job={"resources": {"processes_per_node": 2}})).pack().materialize()
        assert local.summary == lake.summary
        assert shown_steps(local) == shown_steps(lake) == list(range(1, STEPS + 1))


@pytest.fixture(scope="module")
def ray_address() -> Iterator[str]:
    with ray_cluster() as address:
        yield address


def shown_steps(lake: TrainingLake) -> list[int]:
    return [shown["step"] for shown in lake.observations() if "step" in shown]


# A run as the daemon starts it: a process of its own, which is sent a signal to cancel it.
# A shell starts what it puts in the background with SIGINT ignored, and so would this be.
SCRIPT = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
import dagster as dg
from mathcode_assets.defs import currency
from mathcode_assets_tests.defs.training_lake import TrainingLake
currency.require_current = lambda *arguments, **options: None
with dg.DagsterInstance.ephemeral() as instance:
    TrainingLake(Path(sys.argv[1]), instance).materialize()
"""


def test_nothing_is_submitted_from_a_corpus_that_is_behind(lake: TrainingLake, monkeypatch: pytest.MonkeyPatch) -> None:
    def withhold(*arguments: Any, **options: Any) -> None:
        raise Withheld("tokens/packed is behind mixture/mathcode_pile")

    monkeypatch.setattr(currency, "require_current", withhold)
    no_launch(monkeypatch)
    with pytest.raises(Withheld, match="is behind"):
        lake.materialize()
    assert not lake.runs() and not lake.table.find_manifest()


class TestChecks:
    @pytest.mark.parametrize(
        "summary, stamp, problem",
        [
            ({}, {}, ""),
            ({"steps": 9}, {}, "9 steps made, 10 planned"),
            ({"final_loss": float("nan")}, {}, "a loss is not finite"),
            ({"loss_curve": [{"loss": float("inf")}]}, {}, "a loss is not finite"),
            ({}, {"corpus_fingerprint": "f" * 64}, "stamped with corpus_fingerprint ffffffffffff, not 000000000000"),
            ({}, {"config_hash": "f" * 64}, "stamped with config_hash ffffffffffff, not"),
        ],
    )
    def test_training_finished(
        self, lake: TrainingLake, summary: dict[str, Any], stamp: dict[str, Any], problem: str
    ) -> None:
        outcome = evaluated(lake, TRAINING_FINISHED, summary, stamp)
        assert outcome.passed == (not problem) and problem in outcome.description

    def test_training_finished_is_red_when_the_corpus_has_moved_on(self, lake: TrainingLake) -> None:
        hand_made(lake, {}, {})
        lake.pack(seed=1)
        outcome = TRAINING_FINISHED.evaluate(lake.workspace, lake.table, lake.table.manifest())
        assert not outcome.passed and "corpus_fingerprint" in outcome.description

    def test_loss_fell(self, lake: TrainingLake) -> None:
        assert evaluated(lake, LOSS_FELL, {}, {}).passed
        outcome = evaluated(lake, LOSS_FELL, {"last_tenth_loss": 4.0}, {})
        assert not outcome.passed
        assert outcome.description == "mean loss 4.0000 in the first tenth of the steps, 4.0000 in the last"
        assert TRAINING_FINISHED.blocking and not LOSS_FELL.blocking


class TestPackedFolder:
    def test_links_on_the_disk_of_the_lake(self, lake: TrainingLake) -> None:
        packed = lake.workspace.lake.table(PACKED_KEY)
        folder = packed_folder(lake.workspace, packed, lake.folder / "runs")
        assert packing_info(folder)["n_sequences"] == 64
        inodes = {Path(location.path).stat().st_ino for location in packed.files()}
        assert {path.stat().st_ino for path in folder.iterdir()} == inodes
        assert packed_folder(lake.workspace, packed, lake.folder / "runs") == folder

    def test_copies_from_an_object_store(self, lake: TrainingLake) -> None:
        workspace = Workspace(parse_sources(f"root: memory://{lake.folder.name}\nsources: {{}}\n"))
        publish(workspace, PACKED_KEY, lake.folder / "packed-0")
        folder = packed_folder(workspace, workspace.lake.table(PACKED_KEY), lake.folder / "runs")
        assert (folder / "packing.json").read_bytes() == (lake.folder / "packed-0" / "packing.json").read_bytes()
        assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_curve_keeps_its_ends() -> None:
    assert spread(range(10), 20) == list(range(10))
    found = spread(range(10_000), 200)
    assert len(found) == 200 and (found[0], found[-1]) == (0, 9_999)


def hand_made(lake: TrainingLake, summary: dict[str, Any], stamp: dict[str, Any]) -> None:
    """A published checkpoint as it should be, with these values changed."""
    spec = job_of(
        lake.workspace,
        lake.workspace.settings("training", launching.TrainingSettings),
        lake.workspace.lake.table(PACKED_KEY),
    )
    folder = lake.folder / "hand_made"
    folder.mkdir()
    good = {"steps": STEPS, "final_loss": 3.0, "first_tenth_loss": 4.0, "last_tenth_loss": 3.0, "loss_curve": []}
    hashes = {"corpus_fingerprint": spec.corpus_fingerprint, "config_hash": config_hash(spec)}
    (folder / SUMMARY_FILE).write_text(json.dumps(good | summary))
    (folder / STAMP_FILE).write_text(json.dumps(hashes | stamp))
    publish(lake.workspace, CHECKPOINT_KEY, folder, facts={})


def evaluated(lake: TrainingLake, check: Any, summary: dict[str, Any], stamp: dict[str, Any]) -> Any:
    shutil.rmtree(lake.folder / "hand_made", ignore_errors=True)
    hand_made(lake, summary, stamp)
    return check.evaluate(lake.workspace, lake.table, lake.table.manifest())
