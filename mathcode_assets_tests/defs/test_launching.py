"""Settings of training: mistakes name the file and the key; and which metrics lines are shown."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mathcode_assets.config import SourcesFileError
from mathcode_assets.defs import currency, launching, live_metrics
from mathcode_assets.defs.assets.checkpoint import checkpoint
from mathcode_assets.defs.live_metrics import LiveMetrics
from mathcode_assets_tests.defs.training_lake import TrainingLake, settings

MISSING = [name for name in launching.NEEDED if importlib.util.find_spec(name) is None]


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrainingLake]:
    """A packed table, nothing trained."""
    monkeypatch.setattr(currency, "require_current", lambda *arguments, **options: None)
    with dg.DagsterInstance.ephemeral() as instance:
        yield TrainingLake(tmp_path, instance).configure(settings()).pack()


class TestSettings:
    @pytest.mark.parametrize(
        "section, message",
        [
            ({"launcher": "slurm"}, r"sources.yaml: settings.training: launcher: wants local or ray, got 'slurm'"),
            ({"messages": "kafka"}, r"settings.training: messages: wants file, job_log or s3://bucket, got 'kafka'"),
            ({"gpu": "abacus"}, r"settings.training: gpu: 'abacus' is not one of a800-80gb"),
            ({"launchers": "ray"}, r"settings.training.launchers: unknown; known are .*launcher"),
            ({"job": ["tiny"]}, r"settings.training.job: wants dict, got list"),
            ({"job": {"preset": "huge"}}, r"sources.yaml: settings.training.job.preset: 'huge' is not one of"),
            (
                {"job": {"preset": "tiny", "optimizer": {"rate": 1}}},
                r"settings.training.job.optimizer.rate: unknown key",
            ),
            ({"job": {"preset": "tiny", "data": "x"}}, r"settings.training.job.data: is filled in by the graph"),
            ({"job": {"duration": {"steps": 3}}}, r"settings.training.job.model: is missing"),
            ({"job": {"preset": "llama-3-8b"}}, r"job.model.sequence_length: wants 8192, but tokens/packed has .* 32"),
        ],
    )
    def test_mistakes_name_the_file_and_the_key(self, lake: TrainingLake, section: Any, message: str) -> None:
        lake.configure(section)
        with pytest.raises(SourcesFileError, match=message):
            checkpoint.build(lake.workspace, "all")

    @pytest.mark.parametrize(
        "section, message",
        [
            (settings(python="/nowhere/python"), r"settings.training.python: '/nowhere/python' is no interpreter"),
            (settings(messages="job_log"), r"settings.training.messages: job_log is for the ray launcher on one node"),
            (settings(job={"batch": {"sequences": 3}}), r"settings.training.job.batch.sequences: 3 does not divide"),
        ],
    )
    @pytest.mark.train
    @pytest.mark.skipif(bool(MISSING), reason=f"training needs {', '.join(MISSING)}")
    def test_what_shows_when_it_is_to_run(self, lake: TrainingLake, section: Any, message: str) -> None:
        lake.configure(section)
        with pytest.raises(SourcesFileError, match=message):
            lake.materialize()
        assert not any((run / "worker.log").exists() for run in lake.runs())

    def test_an_object_store_needs_a_folder_for_the_runs(self, lake: TrainingLake) -> None:
        text = lake.sources_file.read_text().replace(str(lake.folder / "lake"), "memory://lake")
        lake.sources_file.write_text(text)
        with pytest.raises(SourcesFileError, match=r"settings.training.runs: is needed where the lake is on an object"):
            launching.runs_folder(lake.workspace, launching.TrainingSettings())
        found = launching.runs_folder(lake.workspace, launching.TrainingSettings(runs="runs"))
        assert found == lake.folder / "runs"

    @pytest.mark.parametrize("launcher, gpus, kind", [("", 0, "local"), ("", 1, "ray"), ("local", 1, "local")])
    def test_ray_is_for_gpus_unless_told_otherwise(self, launcher: str, gpus: int, kind: str) -> None:
        section = launching.TrainingSettings(launcher=launcher)
        assert launching.launcher_kind(section, gpus_per_process=gpus) == kind


class TestLiveMetrics:
    def test_a_line_is_shown_once_on_whichever_way_it_comes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(live_metrics, "SHOW_EVERY_S", 0.0)
        shown: list[int] = []
        live = LiveMetrics(None, n_steps=4)
        monkeypatch.setattr(live, "_show", lambda metrics: shown.append(metrics["step"]))
        for step, seconds in ((1, 0.5), (2, 0.5), (1, 0.5), (2, 0.5), (3, 0.5), (2, 0.75), (3, 0.5), (4, 0.5)):
            live.add({"step": step, "seconds": seconds})
        assert shown == [1, 2, 3, 2, 4]  # step 2 was made again, in another time

    def test_between_the_first_and_the_last_not_more_often_than_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(live_metrics, "SHOW_EVERY_S", 3600.0)
        shown: list[int] = []
        live = LiveMetrics(None, n_steps=50)
        monkeypatch.setattr(live, "_show", lambda metrics: shown.append(metrics["step"]))
        for step in range(1, 51):
            live.add({"step": step, "seconds": 0.5})
        assert shown == [1, 50]
