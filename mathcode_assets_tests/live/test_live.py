"""The graph follows its sources by itself: daemon, code location and webserver as in production, sources on disk.

Everything is asked for as a person does it in the UI (switches, jobs, a backfill), and what happened is read
from Dagster's event log. What a change may make anew is written out here, to the partition.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.execution.backfill import BulkActionStatus
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES

from mathcode_assets.config import load_sources
from mathcode_assets.definitions import LAKE_ASSETS
from mathcode_assets.defs.assets.checkpoint import CHECKPOINT_KEY
from mathcode_assets.defs.assets.tokens import PACKED_KEY
from mathcode_assets.defs.components import COMPONENT_TABLES
from mathcode_assets.defs.launching import NEEDED
from mathcode_assets.defs.reconcile import JOB as RECONCILE
from mathcode_assets.defs.sensors import CONDITIONS, SETTINGS_SENSOR, sensor_name
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.storage.lake import WHOLE as WHOLE_TABLE
from mathcode_assets_tests.live.servers import Servers
from mathcode_assets_tests.training.jobs import SHAPE

MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        bool(MISSING), reason=f"training needs {', '.join(MISSING)}: pip install 'mathcode-assets[train]'"
    ),
]
QUESTION = (
    "A gardener plants 14 rows of tulips with 23 bulbs in each row, and a neighbour gives her 17 more bulbs "
    "on Saturday. How many bulbs does the gardener have in the ground at the end of the weekend?"
)
SETTINGS = {
    "automation": {"list_every_s": 4, "tick_every_s": 3},
    "self_test": {"plants_per_kind": 2, "min_recall": {"verbatim": 0.9}},  # six short programs to plant questions in
    "tokenizer": {"vocab_size": 300},
    "tokenization": {"length": 64},
    "training": {
        "job": {
            "preset": "tiny",
            "model": {"shape": SHAPE},
            "duration": {"steps": 3},
            "batch": {"sequences": 1, "micro_per_gpu": 1},
            "deepspeed": {"zero_stage": 0, "precision": "fp32"},
        }
    },
}

CODE = "starcoder_python"
# What has files here; each look costs a call to the code location.
SENSORS = (*(sensor_name(source) for source in (CODE, "benchmarks", "listing")), SETTINGS_SENSOR)
# What a change of one file may make anew: of that file's own partition ...
OWN = {
    "raw/starcoder_python",
    "attributes/code_python",
    "filtered/code_python",
    "attributes/contamination/code_python",
    "attributes/fingerprints/code_python",
    "clean/code_python",
}
# ... and what is made of all files.
WHOLE = {
    "index/duplicates",
    "report/contamination",
    "mixture/mathcode_pile",
    "mixture/data_card",
    "tokens/mathcode_pile",
    "tokens/packed",
    "checkpoint/mathcode_pile",
    "scores/evaluation",
    "scores/items",
    "scores/mathcode_pile",
}
# What else is made of all partitions of a source: asked again when any comes or goes, and finds nothing changed.
LISTED = {"index/textbook_editions", "index/translated_duplicates"}
# The index tells of every verdict table it stands behind; whose content changed is what `clean/*` shows.
TOLD_AGAIN = "attributes/duplicates/code_python"
KEYS = sorted(
    {asset.key for asset in LAKE_ASSETS} | {f"attributes/duplicates/{component.name}" for component in COMPONENT_TABLES}
)
Made = dict[str, set[str | None]]


class Live:
    """A folder with sources, and the servers over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("code", "benchmarks", "servers"):
            (folder / name).mkdir()
        sources = {
            "root": "lake",
            "sources": {CODE: {"uri": "code/*.jsonl", "licence": "MIT"}},
            "benchmarks": {"uri": "benchmarks/*.jsonl"},
            "settings": SETTINGS,
        }
        self.sources_file = folder / "sources.yaml"
        self.sources_file.write_text(yaml.safe_dump(json.loads(json.dumps(sources))))
        self.servers = Servers(folder / "servers", {"MATHCODE_SOURCES": str(self.sources_file)})
        self.instance = dg.DagsterInstance.from_config(str(self.servers.home))

    def code(self, name: str, *programs: str) -> None:
        rows = [{"id": f"{name}{i}", "content": f"import sympy\n{text}\n"} for i, text in enumerate(programs)]
        for row in rows:
            row |= {"max_stars_repo_name": "owner/repository", "max_stars_repo_path": f"{row['id']}.py"}
        place = self.folder / "code" / f"{name}.jsonl"
        partial = place.with_suffix(".partial")  # what is half written is nobody's to read
        partial.write_text("".join(json.dumps(row) + "\n" for row in rows))
        partial.replace(place)

    def benchmark(self, name: str, question: str) -> None:
        item = {"idx": 0, "question": question, "answer": "339"}
        (self.folder / "benchmarks" / f"{name}.jsonl").write_text(json.dumps(item) + "\n")

    def now(self) -> int:
        """Where the event log ends."""
        return self.instance.event_log_storage.get_maximum_record_id() or 0

    def made(self, since: int, *, without_backfill: str = "") -> Made:
        """Every materialization since then, by asset and partition; without those of one backfill, and removals."""
        found: Made = {}
        for key in KEYS:
            wanted = dg.AssetRecordsFilter(dg.AssetKey(key.split("/")), after_storage_id=since)
            for record in self.instance.fetch_materializations(wanted, limit=1000).records:
                if not record.run_id:  # told of, and by nobody's run: a table that was removed
                    continue
                run = self.instance.get_run_by_id(record.run_id)
                if run is None or not without_backfill or run.tags.get("dagster/backfill") != without_backfill:
                    found.setdefault(key, set()).add(record.partition_key)
        return found

    def is_made(self, key: str, partition: str | None = None) -> bool:
        partitions = None if partition is None else [partition]
        wanted = dg.AssetRecordsFilter(dg.AssetKey(key.split("/")), asset_partitions=partitions)
        return bool(self.instance.fetch_materializations(wanted, limit=1).records)

    def version(self, key: str, partition: str = WHOLE_TABLE) -> str:
        """Data version of what the lake holds; empty for nothing."""
        manifest = Workspace(load_sources(self.sources_file)).lake.table(key, partition).find_manifest()
        return manifest.data_version if manifest else ""

    def trained_on(self) -> list[str]:
        """Versions of the packed sequences that checkpoints were made of, oldest first."""
        key = dg.AssetKey(CHECKPOINT_KEY.split("/"))
        records = self.instance.fetch_materializations(key, limit=100, ascending=True).records
        found = [record.asset_materialization.metadata["corpus_fingerprint"].value for record in records]
        return [str(fingerprint) for fingerprint in found]

    def corpus(self) -> str:
        """Fingerprint of the packed sequences there are."""
        manifest = Workspace(load_sources(self.sources_file)).lake.table(PACKED_KEY).find_manifest()
        return str(manifest.facts["corpus_fingerprint"]) if manifest else ""

    def ticks(self) -> int:
        """Evaluations of the conditions since the start, that asked for nothing or for something."""
        return len(self.sensor_ticks(CONDITIONS))

    def sensor_ticks(self, name: str) -> list[str]:
        """The outcomes of a sensor's looks, newest first."""
        for state in self.instance.all_instigator_state():
            if state.instigator_name == name:
                ticks = self.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1000)
                return [tick.status.value for tick in ticks if tick.status.value in ("SUCCESS", "SKIPPED")]
        return []

    def is_idle(self) -> bool:
        """No run is waiting or under way."""
        return not self.instance.get_runs_count(filters=dg.RunsFilter(statuses=IN_PROGRESS_RUN_STATUSES))

    def wait_until_settled(self) -> None:
        """Until nothing runs, and sensors and conditions have looked twice at that and asked for nothing."""

        def looks() -> dict[str, int]:
            return {name: len(self.sensor_ticks(name)) for name in (CONDITIONS, *SENSORS)}

        while True:
            self.servers.wait_for("the runs to end", self.is_idle)
            n_runs, before = self.instance.get_runs_count(), looks()
            self.servers.wait_for(
                "two looks of everybody",
                lambda before=before: all(n >= before[name] + 2 for name, n in looks().items()),
            )
            if self.is_idle() and self.instance.get_runs_count() == n_runs:
                return

    def failures(self) -> list[str]:
        """Runs that failed."""
        runs = self.instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
        return [
            f"{run.job_name} {sorted(run.asset_selection or ())} {run.tags.get('dagster/partition')}" for run in runs
        ]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    """Two files of code and a benchmark; the servers are up, and nothing is turned on."""
    live = Live(tmp_path)
    live.code("a", "print(sympy.integrate('x**2'))", "print(sympy.factorint(91))")
    live.code("b", "print(sympy.integrate('x**3'))", "print(sympy.factorint(92))")
    live.benchmark("garden", QUESTION)
    try:
        live.servers.start()
        yield live
    finally:
        live.servers.stop()
        live.instance.dispose()


def test_the_graph_follows_its_sources_to_the_trained_model(live: Live) -> None:
    servers = live.servers
    assert live.is_idle() and live.instance.get_runs_count() == 0, "something ran that nobody had turned on"

    # Bootstrap: conditions first, for they do not see what was there before their first look.
    servers.turn_on(CONDITIONS)
    servers.wait_for("the first look of the conditions", live.ticks)
    for name in SENSORS:
        servers.turn_on(name)
    servers.launch("train_and_promote_benchmark_frequencies")
    servers.wait_for("the code", lambda: all(live.is_made("filtered/code_python", shard) for shard in "ab"))
    servers.launch("train_and_promote_tokenizer")
    servers.wait_for("the first checkpoint", lambda: live.corpus() and live.trained_on()[-1:] == [live.corpus()])
    live.wait_until_settled()
    assert live.failures() == []
    first = live.trained_on()
    assert len(first) == 1

    # A file changes.
    since, verdicts = live.now(), live.version(TOLD_AGAIN, "a")
    live.code("b", "print(sympy.integrate('x**3'))", "print(sympy.prime(93))", "print(sympy.prime(94))")
    servers.wait_for("the checkpoint of the change", lambda: live.trained_on()[1:] == [live.corpus()])
    live.wait_until_settled()
    made = live.made(since)
    assert made.pop(TOLD_AGAIN) >= {"b"}
    assert live.version(TOLD_AGAIN, "a") == verdicts, "its content did not change"
    assert made == {key: {"b"} for key in OWN} | {key: {None} for key in WHOLE}
    assert live.failures() == []

    # A file goes, and meanwhile a person backfills an asset over its partitions.
    since, listed = live.now(), {key: live.version(key) for key in LISTED}
    (live.folder / "code" / "a.jsonl").unlink()
    servers.wait_for("the partition to go", lambda: live.instance.get_dynamic_partitions(CODE) == ["b"])
    backfill = servers.backfill("raw/starcoder_python", ["b"])
    servers.launch(RECONCILE)
    servers.wait_for("the checkpoint without the file", lambda: live.trained_on()[2:] == [live.corpus()])
    live.wait_until_settled()
    made = live.made(since, without_backfill=backfill)
    assert made.pop(TOLD_AGAIN, {"b"}) == {"b"}
    assert made == {key: {None} for key in WHOLE | LISTED}
    assert {key: live.version(key) for key in LISTED} == listed
    assert live.failures() == []

    done = live.instance.get_backfill(backfill)
    assert done is not None and done.status == BulkActionStatus.COMPLETED_SUCCESS
    runs = live.instance.get_runs(filters=dg.RunsFilter(tags={"dagster/backfill": backfill}))
    assert [run.tags["dagster/partition"] for run in runs] == ["b"]
