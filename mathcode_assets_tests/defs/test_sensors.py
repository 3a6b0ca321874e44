"""Sensors of the sources: what they ask for, when they ask again, and what they must not lose."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mathcode_assets.config import SOURCE_KEYS, SourcesFileError, load_sources
from mathcode_assets.definitions import defs
from mathcode_assets.defs.assets import sources
from mathcode_assets.defs.assets.models import ASSETS as MODEL_ASSETS
from mathcode_assets.defs.assets.models import MODELS
from mathcode_assets.defs.automation import AutomationSettings
from mathcode_assets.defs.jobs import OBSERVE_JOBS, SCHEDULES, observe_job_name, why_not_promote
from mathcode_assets.defs.reconcile import reconcile_job
from mathcode_assets.defs.resources import WorkspaceResource
from mathcode_assets.defs.sensors import (
    CONDITIONS,
    DIFFERENCE_TAG,
    MAX_TRIES,
    SETTINGS_SENSOR,
    SUMMARY_TAG,
    WATCHED,
    NotObserved,
    look,
    sensor_name,
    sensors,
    settings_of,
)
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.sources.errors import SourceListingError
from mathcode_assets.storage.lake import WHOLE
from mathcode_assets.storage.manifest import Accounting, Recipe

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
CODE = "starcoder_python"
KEY = dg.AssetKey(["source", CODE])


class Watched:
    """A source of some files and a benchmark, and Dagster's record of them."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder, self.instance = folder, instance
        for name in ("code", "benchmarks"):
            (folder / name).mkdir()
        self.sources_file = folder / "sources.yaml"
        self.configure()
        self.resource = WorkspaceResource(sources_file=str(self.sources_file))
        observed = {source: OBSERVE_JOBS[source] for source in (CODE, "benchmarks", "listing")}
        self.definitions = dg.Definitions(
            assets=sources.source_definitions([]), jobs=observed.values(), resources={"workspace": self.resource}
        )
        self.cursors: dict[str, str | None] = {}

    def configure(self, options: str = "", settings: str = "{}") -> None:
        self.sources_file.write_text(
            f"root: lake\nsources:\n  {CODE}: {{uri: 'code/*.jsonl', licence: MIT{options}}}\n"
            f"benchmarks: {{uri: 'benchmarks/*.jsonl'}}\nsettings: {settings}\n"
        )

    def file(self, name: str, text: str) -> None:
        (self.folder / f"{name}.jsonl").write_text(json.dumps({"id": name, "content": text}) + "\n")

    @property
    def workspace(self) -> Workspace:
        return Workspace(load_sources(self.sources_file))

    def look(self, source: str = CODE) -> dg.RunRequest | str:
        """What the sensor asks for, or why it asks for nothing."""
        result = look(self.instance, self.workspace, source, cursor=self.cursors.get(source))
        self.cursors[source] = result.cursor
        if result.run_requests:
            (request,) = result.run_requests
            return request
        assert result.skip_reason is not None and result.skip_reason.skip_message is not None
        return result.skip_reason.skip_message

    def asked(self, source: str = CODE) -> dg.RunRequest:
        """The request that the sensor makes."""
        request = self.look(source)
        assert isinstance(request, dg.RunRequest), request
        return request

    def observe(self, source: str = CODE, request: dg.RunRequest | None = None) -> None:
        job = self.definitions.resolve_job_def(observe_job_name(source))
        tags = {key: str(value) for key, value in request.tags.items()} if request else {}
        assert job.execute_in_process(instance=self.instance, run_config=QUIET, tags=tags).success

    def submit(self, request: dg.RunRequest) -> dg.DagsterRun:
        """A run that is under way."""
        return self.instance.create_run_for_job(
            job_def=self.definitions.resolve_job_def(observe_job_name(CODE)),
            tags={key: str(value) for key, value in request.tags.items()},
            status=dg.DagsterRunStatus.STARTED,
        )

    def partitions(self) -> list[str]:
        return sorted(self.instance.get_dynamic_partitions(CODE))


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """Two files that Dagster has not heard of."""
    with dg.DagsterInstance.ephemeral() as instance:
        watched = Watched(tmp_path, instance)
        watched.file("code/a", "import sympy")
        watched.file("code/b", "import numpy")
        yield watched


def test_a_new_source_is_asked_for_once_and_an_unchanged_one_is_not(watched: Watched) -> None:
    request = watched.asked()
    assert request.tags[SUMMARY_TAG] == "2 new: a, b"
    watched.observe(request=request)
    assert watched.partitions() == ["a", "b"]
    assert [watched.look() for _ in range(2)] == [f"{CODE}: all is recorded", f"{CODE}: nothing new"]


def test_new_changed_and_removed_files_are_told_apart(watched: Watched) -> None:
    watched.observe()
    watched.file("code/b", "import scipy")
    watched.file("code/c", "import math")
    (watched.folder / "code" / "a.jsonl").unlink()
    request = watched.asked()
    assert request.tags[SUMMARY_TAG] == "1 new, 1 changed, 1 removed: c, b, a"
    watched.observe(request=request)
    assert watched.partitions() == ["b", "c"]


def test_a_change_is_not_asked_for_twice_and_every_change_has_a_key_of_its_own(watched: Watched) -> None:
    keys = []
    for text in ("first", "second", "first", "second"):  # back and forth
        watched.file("code/a", text)
        request = watched.asked()
        keys.append(request.run_key)
        run = watched.submit(request)
        assert watched.look() == f"{CODE}: {request.tags[SUMMARY_TAG].split(':')[0]}; run {run.run_id} is about it"
        watched.instance.report_run_canceled(run)
        watched.observe()
    assert len(set(keys)) == 4


def test_the_same_change_keeps_its_key_until_a_run_was_made_for_it(watched: Watched) -> None:
    """A daemon that dies between asking and noting asks again: Dagster makes one run for a key."""
    assert watched.asked().run_key == watched.asked().run_key


def test_a_change_that_was_taken_back_before_anybody_saw_it_is_none(watched: Watched) -> None:
    watched.observe()
    watched.file("code/a", "import numpy")
    watched.asked()
    watched.file("code/a", "import sympy")
    assert watched.look() == f"{CODE}: all is recorded"


def test_a_change_while_another_is_being_observed_is_asked_for_too(watched: Watched) -> None:
    first = watched.asked()
    watched.submit(first)
    watched.file("code/c", "import math")
    assert watched.asked().run_key != first.run_key


def test_a_run_that_fails_is_asked_for_again_some_times_and_then_the_look_fails(watched: Watched) -> None:
    keys = []
    for _ in range(MAX_TRIES):
        request = watched.asked()
        keys.append(request.run_key)
        run = watched.submit(request)
        watched.instance.report_run_failed(run)
    assert len(set(keys)) == MAX_TRIES
    with pytest.raises(NotObserved, match=f"^{CODE}: 2 new, but 3 runs did not record it; the last is {run.run_id}"):
        watched.look()
    watched.file("code/a", "something else")
    watched.asked()


@pytest.mark.parametrize("what", ["the files", "the sources file"])
def test_a_listing_that_fails_names_the_source_and_loses_nothing(watched: Watched, what: str) -> None:
    watched.observe()
    watched.look()
    watched.file("code/b", "import scipy")
    if what == "the files":
        (watched.folder / "code").rename(watched.folder / "elsewhere")
        with pytest.raises(SourceListingError, match=f"sources.{CODE}"):
            watched.look()
        (watched.folder / "elsewhere").rename(watched.folder / "code")
    else:
        watched.sources_file.write_text("sources: [")
        with pytest.raises(SourcesFileError, match=r"sources\.yaml"):
            watched.look()
        watched.configure()
    assert watched.asked().tags[SUMMARY_TAG] == "1 changed: b"


def test_a_sources_file_that_names_other_files_is_a_change(watched: Watched) -> None:
    watched.observe()
    watched.configure(options=", exclude: [b]")
    request = watched.asked()
    assert request.tags[SUMMARY_TAG] == "1 removed: b"
    watched.observe(request=request)
    watched.configure(options=", groups: 1")
    assert watched.asked().tags[SUMMARY_TAG] == "1 new, 1 removed: group-0000, a"


def test_a_source_that_the_sources_file_does_not_have_asks_for_nothing(watched: Watched) -> None:
    assert watched.look("textbooks") == "textbooks: all is recorded"


def test_benchmarks_are_watched(watched: Watched) -> None:
    watched.file("benchmarks/one", "?")
    request = watched.asked("benchmarks")
    watched.observe("benchmarks", request)
    assert watched.look("benchmarks") == "benchmarks: all is recorded"
    watched.file("benchmarks/two", "?")
    assert watched.asked("benchmarks").tags[SUMMARY_TAG] == "1 changed: all"


def test_the_listing_follows_the_partitions_and_not_the_files(watched: Watched) -> None:
    watched.observe("listing")
    assert watched.look("listing") == "listing: all is recorded"
    watched.observe()
    watched.observe("listing", watched.asked("listing"))
    watched.file("code/a", "changed")
    watched.observe()
    assert watched.look("listing") == "listing: all is recorded"


def test_what_the_hourly_schedule_observed_the_sensor_does_not_ask_for(watched: Watched) -> None:
    watched.asked()
    watched.observe()
    assert watched.look() == f"{CODE}: all is recorded"


def test_partitions_are_added_in_batches(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    add = watched.instance.add_dynamic_partitions

    def counted(name: str, keys: list[str]) -> None:
        calls.append(len(keys))
        add(name, keys)

    monkeypatch.setattr(watched.instance, "add_dynamic_partitions", counted)
    names = {f"shard-{number:04}": "x" for number in range(1_203)}
    sources.synchronise(watched.instance, watched.workspace, source=CODE, fingerprints=names, tables=[])
    assert watched.partitions() == sorted(names)
    assert calls == [500, 500, 203]


def test_too_many_partitions_are_warned_of_and_far_too_many_refused(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(sources, "MANY_PARTITIONS", 1)
    result = look(watched.instance, watched.workspace, CODE, log=told.append)
    assert result.run_requests
    assert told == [f"sources.{CODE}: 2 partitions; group its files (groups: 0 or so)"]
    monkeypatch.setattr(sources, "MAX_PARTITIONS", 1)
    with pytest.raises(SourceListingError, match=rf"sources.{CODE}: 2 partitions; group its files .* at most 1 can be"):
        watched.look()
    job = watched.definitions.resolve_job_def(observe_job_name(CODE))
    assert not job.execute_in_process(instance=watched.instance, run_config=QUIET, raise_on_error=False).success
    assert watched.partitions() == []


class TestInTheCodeLocation:
    def evaluate(self, watched: Watched, name: str, cursor: str | None = None) -> dg.SensorResult:
        sensor = next(found for found in defs.sensors or [] if found.name == name)
        resources = {"workspace": watched.resource}
        with dg.build_sensor_context(instance=watched.instance, cursor=cursor, resources=resources) as context:
            return sensor.evaluate_tick(context)

    def test_a_sensor_asks_for_its_observe_job(self, watched: Watched) -> None:
        found = self.evaluate(watched, sensor_name(CODE))
        (request,) = found.run_requests
        assert request.tags[DIFFERENCE_TAG].startswith(f"{CODE}:")
        assert [target.job_name for target in defs.resolve_sensor_def(sensor_name(CODE)).targets] == [
            observe_job_name(CODE)
        ]

    def test_there_is_one_for_each_source_and_none_is_on_by_itself(self) -> None:
        sensors = {sensor.name: sensor for sensor in defs.sensors or []}
        assert set(WATCHED) == {*SOURCE_KEYS, "benchmarks", "listing"}
        assert set(sensors) == {CONDITIONS, SETTINGS_SENSOR, *(sensor_name(source) for source in WATCHED)}
        assert {sensor.default_status for sensor in sensors.values()} == {dg.DefaultSensorStatus.STOPPED}
        assert {schedule.default_status for schedule in defs.schedules or []} == {dg.DefaultScheduleStatus.STOPPED}

    def test_the_intervals_are_settings(self, watched: Watched) -> None:
        watched.configure(settings="{automation: {list_every_s: 7, tick_every_s: 3}}")
        found = {sensor.name: sensor for sensor in sensors(settings_of(watched.sources_file), reconcile_job([]))}
        assert found[sensor_name("cc_en")].minimum_interval_seconds == 7
        assert found[CONDITIONS].minimum_interval_seconds == 3

    def test_a_mistake_in_the_settings_leaves_the_code_location_standing_and_fails_each_look(
        self, watched: Watched
    ) -> None:
        watched.configure(settings="{automation: {list_every_s: 0}}")
        assert settings_of(watched.sources_file) == AutomationSettings()
        with pytest.raises(SourcesFileError, match=r"settings.automation: list_every_s: wants 1 or more"):
            watched.look()

    def test_changed_settings_ask_for_one_reconciliation(self, watched: Watched) -> None:
        cursor = self.evaluate(watched, SETTINGS_SENSOR).cursor
        assert cursor is not None
        assert not self.evaluate(watched, SETTINGS_SENSOR, cursor).run_requests
        keys = set()
        for settings in ("{checks: {max_duplicate_share: 0.5}}", "{}", "{checks: {max_duplicate_share: 0.5}}"):
            watched.configure(settings=settings)
            found = self.evaluate(watched, SETTINGS_SENSOR, cursor)
            cursor = found.cursor
            assert not self.evaluate(watched, SETTINGS_SENSOR, cursor).run_requests
            keys |= {request.run_key for request in found.run_requests}
        assert len(keys) == 3


class TestSchedules:
    def test_there_are_some_for_observing_training_promoting_and_reconciling(self) -> None:
        names = {schedule.name for schedule in defs.schedules or []}
        models = (
            "open_web_math", "cc_en_math_round1", "cc_en_math_round2", "synthetic_books", "tokenizer",
            "benchmark_frequencies",
        )  # fmt: skip
        assert names == {
            *(f"observe_{source}_hourly" for source in WATCHED),
            *(f"{what}_{model}_monthly" for what in ("train", "promote") for model in models),
            "reconcile_daily",
        }

    def test_training_makes_a_candidate_and_puts_nothing_to_use(self) -> None:
        selected = {
            schedule.name: {str(key) for key in defs.resolve_job_def(schedule.job_name).asset_layer.selected_asset_keys}
            for schedule in SCHEDULES
            if "tokenizer" in schedule.name
        }
        assert selected == {
            "train_tokenizer_monthly": {str(dg.AssetKey(["models", "tokenizer"]))},
            "promote_tokenizer_monthly": {str(dg.AssetKey(["promoted", "tokenizer"]))},
        }

    def test_a_candidate_is_promoted_by_a_schedule_only_if_it_is_new_and_good(self, watched: Watched) -> None:
        model = next(found for found in MODELS if found.key == "models/open_web_math")
        promoted = next(found for found in MODEL_ASSETS if found.key == "promoted/open_web_math")

        def candidate(weights: str, precision: float) -> None:
            folder = watched.folder / f"candidate-{weights}"
            folder.mkdir()
            (folder / "weights").write_text(weights)
            facts = {"precision": precision, "recall": 0.9, "held_out": 50}
            watched.workspace.lake.publish_folder(
                watched.workspace.lake.table(model.key),
                folder=folder,
                recipe=Recipe(code_version="1", config={"weights": weights}),
                accounting=Accounting(n_in=1, n_kept=1),
                facts=facts,
            )

        assert why_not_promote(watched.workspace, model) == "models/open_web_math: no candidate was trained"
        candidate("good", 0.95)
        assert why_not_promote(watched.workspace, model) == ""
        promoted.publish(watched.workspace, WHOLE)
        assert why_not_promote(watched.workspace, model) == "models/open_web_math: the candidate is in use"
        candidate("bad", 0.1)
        reason = why_not_promote(watched.workspace, model)
        assert reason.startswith("models/open_web_math: model_precision: precision 0.100")
