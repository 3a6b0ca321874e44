"""New data flows on by data version: which partitions a change asks for, and which it leaves alone.

The daemon's loop in miniature: observe, evaluate the conditions, run what they ask for, evaluate again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mathcode_assets.definitions import LAKE_ASSETS, build_definitions
from mathcode_assets.defs.jobs import observe_job_name

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
QUESTION = (
    "A gardener plants 14 rows of tulips with 23 bulbs in each row, and a neighbour gives her 17 more bulbs "
    "on Saturday. How many bulbs does the gardener have in the ground at the end of the weekend?"
)
NEW_QUESTION = (
    "The ferry makes 11 crossings a day with 36 cars on each, and on Sundays it makes only 4. How many cars "
    "does the ferry carry over the strait in a week with one Sunday in it?"
)
OBSERVED = ("starcoder_python", "benchmarks", "listing")

# The source that changes here, and all that is made of every source; the others have no files.
WATCHED = [
    asset
    for asset in LAKE_ASSETS
    if asset.partitioned_by == "starcoder_python" or asset.key.startswith(("index/", "mixture/"))
]

Requests = dict[str, set[str]]


@contextmanager
def partitions_read_once(instance: dg.DagsterInstance) -> Iterator[None]:
    """Dagster asks its database for the keys of a partitions definition thousands of times a tick: 85 % of it."""
    known: dict[str, Sequence[str]] = {}

    def get_dynamic_partitions(partitions_def_name: str) -> Sequence[str]:
        if partitions_def_name not in known:
            found = type(instance).get_dynamic_partitions(instance, partitions_def_name)
            known[partitions_def_name] = found
        return known[partitions_def_name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(instance, "get_dynamic_partitions", get_dynamic_partitions)
        yield


class Daemon:
    """Observes the sources, evaluates all conditions, and runs what they ask for, until they ask for nothing."""

    watched: Sequence[Any] = WATCHED  # in the order of the graph; each has a `key` and an `asset_key`

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("code", "benchmarks"):
            (folder / name).mkdir(exist_ok=True)
        sources = folder / "sources.yaml"
        sources.write_text(
            "root: lake\n"
            "sources:\n  starcoder_python: {uri: 'code/*.jsonl', licence: MIT}\n"
            "benchmarks: {uri: 'benchmarks/*.jsonl'}\n"
            # Six short programs are the only hosts to plant questions in.
            "settings: {self_test: {plants_per_kind: 2, min_recall: {verbatim: 0.9}}, tokenizer: {vocab_size: 300}}\n"
        )
        self.definitions = build_definitions(sources)
        (folder / "home").mkdir(exist_ok=True)
        (folder / "home" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        self.instance = dg.DagsterInstance.from_config(str(folder / "home"))
        self.job = self.definitions.resolve_implicit_global_asset_job_def()
        self.cursor: Any = None
        self.failures: list[str] = []

    def code(self, name: str, *programs: str) -> None:
        rows = [{"id": f"{name}{i}", "content": f"import sympy\n{text}\n"} for i, text in enumerate(programs)]
        for row in rows:
            row |= {"max_stars_repo_name": "owner/repository", "max_stars_repo_path": f"{row['id']}.py"}
        (self.folder / "code" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def benchmark(self, name: str, question: str) -> None:
        item = {"idx": 0, "question": question, "answer": "339"}
        (self.folder / "benchmarks" / f"{name}.jsonl").write_text(json.dumps(item) + "\n")

    def observe(self) -> None:
        for source in OBSERVED:
            job = self.definitions.resolve_job_def(observe_job_name(source))
            assert job.execute_in_process(instance=self.instance, run_config=QUIET).success

    def promote(self, model: str) -> None:
        for layer in ("models", "promoted"):
            self.run(f"{layer}/{model}", None)

    def run(self, key: str, partition: str | None) -> None:
        result = self.job.execute_in_process(
            instance=self.instance,
            partition_key=partition,
            asset_selection=[dg.AssetKey(key.split("/"))],
            run_config=QUIET,
            raise_on_error=False,
        )
        if not result.success:
            self.failures.append(f"{key}[{partition}]")

    def tick(self) -> Requests:
        selection = dg.AssetSelection.assets(*(asset.asset_key for asset in self.watched))
        with partitions_read_once(self.instance):
            result = dg.evaluate_automation_conditions(
                self.definitions, instance=self.instance, cursor=self.cursor, asset_selection=selection
            )
            self.cursor = result.cursor
        asked = {asset.key: result.get_requested_partitions(asset.asset_key) for asset in self.watched}
        return {key: {str(partition) for partition in partitions} for key, partitions in asked.items() if partitions}

    def settle(self, ticks: int = 12) -> Requests:
        """Everything asked for until a tick asks for nothing; each tick's requests are run before the next."""
        self.observe()
        asked: Requests = {}
        for _ in range(ticks):
            requests = self.tick()
            if not requests:
                return asked
            for asset in self.watched:  # in the order of the graph
                for partition in sorted(requests.get(asset.key, ())):
                    self.run(asset.key, None if partition == "None" else partition)
            for key, partitions in requests.items():
                asked.setdefault(key, set()).update(partitions)
        raise AssertionError(f"still asking after {ticks} ticks: {requests}")


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Daemon:
    """Two code shards and a benchmark, built to the pile by the conditions alone (but for the model)."""
    daemon = Daemon(tmp_path_factory.mktemp("settled"))
    daemon.code("a", "print(sympy.integrate('x**2'))", "print(sympy.factorint(91))")
    daemon.code("b", "print(sympy.integrate('x**3'))", "print(sympy.factorint(92))")
    daemon.benchmark("garden", QUESTION)
    daemon.tick()  # conditions that look for news have to have looked once
    daemon.promote("benchmark_frequencies")
    daemon.settle()
    daemon.promote("tokenizer")
    daemon.settle()
    assert daemon.failures == []
    daemon.instance.dispose()
    return daemon


@pytest.fixture
def daemon(settled: Daemon, tmp_path: Path) -> Iterator[Daemon]:
    """A copy of the settled state, to change."""
    shutil.copytree(settled.folder, tmp_path / "copy")
    daemon = Daemon(tmp_path / "copy")
    daemon.cursor = settled.cursor
    with daemon.instance:
        yield daemon


CHAIN = {
    "raw/starcoder_python", "attributes/code_python", "filtered/code_python",
    "attributes/contamination/code_python", "attributes/fingerprints/code_python", "clean/code_python",
}  # fmt: skip
PILE = {"mixture/mathcode_pile", "mixture/data_card"}


def latest_pile(daemon: Daemon) -> str:
    event = daemon.instance.get_latest_materialization_event(dg.AssetKey(["mixture", "mathcode_pile"]))
    assert event is not None
    assert event.asset_materialization is not None
    return str(event.asset_materialization.metadata["documents"].value)


def test_what_is_there_is_built_to_the_pile(daemon: Daemon) -> None:
    assert latest_pile(daemon) == "4"
    assert daemon.tick() == {}


def test_observing_an_unchanged_source_asks_for_nothing(daemon: Daemon) -> None:
    assert daemon.settle() == {}


def test_a_changed_file_asks_for_its_own_chain_only(daemon: Daemon) -> None:
    daemon.code("b", "print(sympy.integrate('x**3'))", "print(sympy.prime(93))", "print(sympy.prime(94))")
    asked = daemon.settle()
    assert {key: parts for key, parts in asked.items() if key in CHAIN} == {key: {"b"} for key in CHAIN}
    assert set(asked) - CHAIN == PILE | {"index/duplicates"}
    assert daemon.failures == []
    assert latest_pile(daemon) == "5"


def test_a_new_file_asks_for_its_own_chain_only(daemon: Daemon) -> None:
    daemon.code("c", "print(sympy.divisors(28))")
    asked = daemon.settle()
    assert {key: parts for key, parts in asked.items() if key in CHAIN} == {key: {"c"} for key in CHAIN}
    assert daemon.failures == []
    assert latest_pile(daemon) == "5"


def test_a_removed_file_asks_for_the_twin_it_suppressed(daemon: Daemon) -> None:
    daemon.code("b", "print(sympy.integrate('x**2'))", "print(sympy.factorint(92))")  # its first is a's first
    daemon.settle()
    assert latest_pile(daemon) == "3"
    (daemon.folder / "code" / "a.jsonl").unlink()
    asked = daemon.settle()
    assert asked["clean/code_python"] == {"b"}
    assert set(asked) & CHAIN == {"clean/code_python"}
    assert daemon.failures == []
    assert latest_pile(daemon) == "2"


def test_a_new_benchmark_asks_for_scans_and_not_for_documents(daemon: Daemon) -> None:
    daemon.benchmark("ferry", NEW_QUESTION)
    asked = daemon.settle()
    assert asked["attributes/contamination/code_python"] == {"a", "b"}
    assert "clean/code_python" not in asked  # no verdict changed
    assert not {"raw/starcoder_python", "filtered/code_python"} & set(asked)


def test_a_promoted_model_asks_for_what_it_scored(daemon: Daemon) -> None:
    daemon.code("b", "print(sympy.integrate('tanh(x)**3 + cosh(x)'))" * 20)
    daemon.promote("benchmark_frequencies")
    daemon.settle()
    daemon.promote("tokenizer")
    asked = daemon.settle()
    assert asked["clean/code_python"] == {"a", "b"}
    assert set(asked) == {"clean/code_python"} | PILE
    assert daemon.failures == []


def test_a_leaky_shard_stops_before_the_clean_table_and_the_pile(daemon: Daemon) -> None:
    documents = latest_pile(daemon)
    daemon.code("leak", f'print("""{QUESTION}""")', f'note = """\n{QUESTION}\n"""')
    asked = daemon.settle()
    assert daemon.failures == ["attributes/contamination/code_python[leak]"]
    assert "leak" not in asked.get("clean/code_python", set())
    assert "mixture/mathcode_pile" not in asked
    assert latest_pile(daemon) == documents


def test_schedules_observe_every_source() -> None:
    from mathcode_assets.config import SOURCE_KEYS
    from mathcode_assets.definitions import defs

    names = {schedule.name for schedule in defs.schedules or []}
    assert names == {f"observe_{source}_hourly" for source in (*SOURCE_KEYS, "benchmarks", "listing")}
