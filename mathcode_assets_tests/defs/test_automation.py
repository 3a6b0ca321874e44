"""New data flows on by data version: which partitions a change asks for, and which it leaves alone.

The daemon's loop in miniature: observe, evaluate the conditions, run what they ask for, evaluate again.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus

from mathcode_assets.config import load_sources
from mathcode_assets.definitions import LAKE_ASSETS, build_definitions
from mathcode_assets.defs.assets.clean import RESIDUAL_CHECK
from mathcode_assets.defs.automation import AutomationSettings, check_when
from mathcode_assets.defs.jobs import observe_job_name
from mathcode_assets.defs.reconcile import BACKFILL_TAG, OP, Finding, find, reconcile_job, request
from mathcode_assets.defs.reconcile import JOB as RECONCILE
from mathcode_assets.defs.resources import WorkspaceResource
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets_tests.defs.reported import CHECK, report_checked, report_made, reported_asset
from mathcode_assets_tests.mini_graph import published

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
RESIDUAL = dg.AssetCheckKey(dg.AssetKey(["clean", "code_python"]), RESIDUAL_CHECK)


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


def checks_asked_for(result: Any, check: dg.AssetCheckKey) -> set[str]:
    """Partitions of a check that an evaluation asks for."""
    subsets = (subset for subset in result._requested_subsets if subset.key == check)
    return {partition for subset in subsets for partition in subset.expensively_compute_partition_keys()}


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
        self.residual: set[str] = set()  # partitions that the last tick asked the residual scan for

    def code(self, name: str, *programs: str) -> None:
        rows = [{"id": f"{name}{i}", "content": f"import sympy\n{text}\n"} for i, text in enumerate(programs)]
        for row in rows:
            row |= {"max_stars_repo_name": "owner/repository", "max_stars_repo_path": f"{row['id']}.py"}
        (self.folder / "code" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def benchmark(self, name: str, question: str) -> None:
        item = {"idx": 0, "question": question, "answer": "339"}
        (self.folder / "benchmarks" / f"{name}.jsonl").write_text(json.dumps(item) + "\n")

    @property
    def workspace(self) -> Workspace:
        return Workspace(load_sources(self.folder / "sources.yaml"))

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
        self.residual = checks_asked_for(result, RESIDUAL)
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


@pytest.mark.slow
def test_a_file_that_comes_back_is_made_again_to_the_same_bytes(daemon: Daemon) -> None:
    file, root = daemon.folder / "code" / "b.jsonl", daemon.folder / "lake"
    content, before = file.read_bytes(), published(root)
    file.unlink()
    assert "mixture/mathcode_pile" in daemon.settle()
    assert latest_pile(daemon) == "2"
    file.write_bytes(content)
    asked = daemon.settle()
    assert {key: parts for key, parts in asked.items() if key in CHAIN} == {key: {"b"} for key in CHAIN}
    assert published(root) == before
    assert found(daemon) == []


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


# --- the check that is a step of its own ----------------------------------------------------------------------------


def test_a_check_of_its_own_is_asked_for_by_its_state() -> None:
    shards = dg.DynamicPartitionsDefinition(name="shards")
    index, clean = dg.AssetKey(["index", "benchmarks"]), dg.AssetKey(["clean", "web"])
    check = dg.AssetCheckKey(clean, CHECK)

    @dg.asset_check(
        asset=clean,
        name=CHECK,
        blocking=True,
        additional_deps=[index],
        partitions_def=shards,
        automation_condition=check_when("clean/web", at_once=["index/benchmarks"]),
    )
    def residual() -> dg.AssetCheckResult:
        raise AssertionError("nothing runs here: events are reported")

    definitions = dg.Definitions(
        assets=[reported_asset(index, []), reported_asset(clean, [index], partitions_def=shards)],
        asset_checks=[residual],
    )
    cursor = None

    def asked() -> set[str]:
        nonlocal cursor
        result = dg.evaluate_automation_conditions(definitions, instance=instance, cursor=cursor)
        cursor = result.cursor
        return checks_asked_for(result, check)

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("shards", ["a", "b"])
        assert asked() == set()  # nothing is made
        report_made(instance, index, "1")
        made = {shard: report_made(instance, clean, "1", shard) for shard in "ab"}
        assert [asked(), asked()] == [{"a", "b"}] * 2  # made without it; also when a request was lost
        for shard in "ab":
            report_checked(instance, clean, CHECK, made[shard], passed=True, partition=shard)
        assert asked() == set()
        again = report_made(instance, clean, "2", "a")
        assert asked() == {"a"}
        report_checked(instance, clean, CHECK, again, passed=False, partition="a")
        assert asked() == set()  # red, and asking again would not change that
        report_made(instance, index, "2")
        assert [asked(), asked()] == [{"a", "b"}, set()]


def test_a_check_does_not_look_at_what_is_about_to_be_made_again() -> None:
    """A scan is made again; the check of the pile waits for the clean shard, which waits for another branch."""
    shards = dg.DynamicPartitionsDefinition(name="shards")
    scan, other, clean, pile = (dg.AssetKey(name) for name in ("scan", "other", "clean", "pile"))
    check = dg.AssetCheckKey(pile, CHECK)

    @dg.asset_check(
        asset=pile,
        name=CHECK,
        blocking=True,
        additional_deps=[scan],
        automation_condition=check_when("pile", at_once=[], once_settled=["scan"], between=["clean"]),
    )
    def residual() -> dg.AssetCheckResult:
        raise AssertionError("nothing runs here: events are reported")

    parts = [
        reported_asset(scan, [], partitions_def=shards),
        reported_asset(other, [], partitions_def=shards),
        reported_asset(clean, [scan, other], partitions_def=shards),
    ]
    definitions = dg.Definitions(assets=[*parts, reported_asset(pile, [clean])], asset_checks=[residual])
    cursor = None

    def asked() -> bool:
        nonlocal cursor
        result = dg.evaluate_automation_conditions(definitions, instance=instance, cursor=cursor)
        cursor = result.cursor
        return any(subset.key == check and not subset.is_empty for subset in result._requested_subsets)

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("shards", ["a", "b"])
        for key in (scan, other, clean):
            for shard in "ab":
                report_made(instance, key, "1", shard)
        made = report_made(instance, pile, "1")
        report_checked(instance, pile, CHECK, made, passed=True)
        assert not asked()
        report_made(instance, scan, "2", "b")
        assert [asked(), asked()] == [False, False]  # the clean shard is behind
        report_made(instance, clean, "1", "b")  # nothing in it changed, so the pile stays
        assert [asked(), asked()] == [True, False]
        report_checked(instance, pile, CHECK, made, passed=True)
        report_made(instance, scan, "3", "b")
        assert not asked()
        report_made(instance, clean, "3", "b")
        assert not asked()  # the pile is behind
        made = report_made(instance, pile, "3")
        assert asked()  # made without it
        report_checked(instance, pile, CHECK, made, passed=True)
        assert not asked()
        report_made(instance, scan, "3", "b")  # the same bytes: nothing is behind
        assert [asked(), asked()] == [True, False]


@pytest.mark.slow
def test_the_residual_scan_is_asked_for_in_the_tick_that_asks_for_its_asset(daemon: Daemon) -> None:
    """A run that the conditions ask for holds the checks of the same tick and no others."""
    daemon.code("b", "print(sympy.integrate('x**3'))", "print(sympy.prime(93))")
    daemon.observe()
    while "clean/code_python" not in (requests := daemon.tick()):
        assert requests
        for asset in daemon.watched:
            for partition in requests.get(asset.key, ()):
                daemon.run(asset.key, None if partition == "None" else partition)
    assert requests["clean/code_python"] == daemon.residual == {"b"}


@pytest.mark.slow
def test_the_residual_scan_that_a_run_left_out_is_asked_for_and_the_pile_waits(daemon: Daemon) -> None:
    made = dg.AssetKey(["clean", "code_python"])
    report_made(daemon.instance, made, "made by a backfill, without its check", "a")
    for _ in range(2):  # also when the first request was lost
        assert daemon.tick() == {}
        assert daemon.residual == {"a"}
    run = daemon.job.execute_in_process(
        instance=daemon.instance, partition_key="a", asset_selection=[made], run_config=QUIET
    )
    assert run.success
    assert "clean/code_python" not in daemon.tick()
    assert daemon.residual == set()


# --- reconciliation ------------------------------------------------------------------------------------------------

NO_WAIT = AutomationSettings(reconcile_after_s=0)


def found(daemon: Daemon, settings: AutomationSettings = NO_WAIT) -> list[Finding]:
    return find(daemon.workspace, daemon.instance, daemon.watched, now=time.time(), settings=settings)


def asked_for(findings: list[Finding]) -> set[str]:
    return {finding.name for finding in findings if not finding.waits_for}


class TestReconciliation:
    """What ticks lost, on purpose, is found; nothing else is."""

    def carry_out(self, daemon: Daemon, findings: list[Finding]) -> None:
        """The runs that were asked for, as the backfill holds them."""
        backfill = daemon.instance.get_backfill(request(daemon.instance, findings, now=time.time()))
        assert backfill is not None and backfill.asset_backfill_data is not None
        subset = backfill.asset_backfill_data.target_subset
        wanted = {(part.asset_key, part.partition_key) for part in subset.iterate_asset_partitions()}
        assert len(wanted) == len(asked_for(findings))
        for key, partition in sorted(wanted, key=str):
            daemon.run("/".join(key.path), partition)
        daemon.instance.update_backfill(backfill.with_status(BulkActionStatus.COMPLETED_SUCCESS))

    def test_where_nothing_was_lost_nothing_is_asked_for(self, daemon: Daemon) -> None:
        assert found(daemon) == []
        assert request(daemon.instance, [], now=time.time()) == ""

    @pytest.mark.slow
    def test_a_partition_that_was_there_at_the_first_look_is_found(self, daemon: Daemon) -> None:
        daemon.code("c", "print(sympy.divisors(28))")
        daemon.observe()
        daemon.cursor = None  # a daemon that has never looked
        assert daemon.tick() == {}, "the conditions see it: there is no trap any more"
        findings = found(daemon)
        assert asked_for(findings) == {"raw/starcoder_python[c]"}
        assert {finding.name for finding in findings} >= {"filtered/code_python[c]", "clean/code_python[c]"}
        self.carry_out(daemon, findings)
        assert set(daemon.settle()) >= CHAIN - {"raw/starcoder_python"}
        assert latest_pile(daemon) == "5"
        assert found(daemon) == []

    @pytest.mark.slow
    def test_a_change_in_the_tick_that_sees_the_rebuild_is_found(self, daemon: Daemon) -> None:
        daemon.code("b", "print(sympy.integrate('x**3'))", "print(sympy.prime(93))")
        daemon.observe()
        for asset, partitions in daemon.tick().items():
            for partition in partitions:
                daemon.run(asset, partition)
        daemon.code("b", "print(sympy.integrate('x**3'))", "print(sympy.prime(94))", "print(sympy.prime(95))")
        assert "raw/starcoder_python" not in daemon.settle(), "the conditions see it: there is no trap any more"
        assert latest_pile(daemon) == "4"
        findings = found(daemon)
        assert asked_for(findings) == {"raw/starcoder_python[b]"}
        self.carry_out(daemon, findings)
        daemon.settle()
        assert latest_pile(daemon) == "5"
        assert found(daemon) == []

    @pytest.mark.slow
    def test_what_a_run_published_and_died_before_it_told_is_found(self, daemon: Daemon) -> None:
        daemon.code("b", "print(sympy.integrate('x**3'))", "print(sympy.prime(93))", "print(sympy.prime(94))")
        daemon.observe()
        assert daemon.tick()["raw/starcoder_python"] == {"b"}  # runs that die
        raw = next(asset for asset in daemon.watched if asset.key == "raw/starcoder_python")
        raw.publish(daemon.workspace, "b")
        assert daemon.tick() == {}
        findings = found(daemon)
        assert asked_for(findings) == {"raw/starcoder_python[b]"}
        assert findings[0].problem == "Dagster has no record of the version in the lake"
        self.carry_out(daemon, findings)
        daemon.settle()
        assert latest_pile(daemon) == "5"

    def test_verdicts_that_were_published_and_not_told_are_told(self, daemon: Daemon) -> None:
        """index/duplicates publishes tables besides: a run that finds them there tells of those that nobody knows."""
        key = dg.AssetKey(["attributes", "duplicates", "code_python"])
        report_made(daemon.instance, key, "an older version", "a")
        findings = found(daemon)
        assert asked_for(findings) == {"index/duplicates"}
        assert "attributes/duplicates/code_python[a]" in findings[0].problem
        self.carry_out(daemon, findings)
        assert found(daemon) == []

    def test_settings_that_no_source_tells_of_are_found(self, daemon: Daemon) -> None:
        path = daemon.folder / "sources.yaml"
        path.write_text(path.read_text().replace("licence: MIT", "licence: ISC"))
        assert daemon.settle() == {}
        findings = found(daemon)
        assert asked_for(findings) == {"raw/starcoder_python[a]", "raw/starcoder_python[b]"}
        assert asked_for(found(daemon, AutomationSettings(reconcile_after_s=0, reconcile_partitions=1))) == {
            "raw/starcoder_python[a]"
        }

    def test_what_was_asked_for_is_not_asked_for_again(self, daemon: Daemon) -> None:
        path = daemon.folder / "sources.yaml"
        path.write_text(path.read_text().replace("licence: MIT", "licence: ISC"))
        request(daemon.instance, found(daemon), now=time.time())
        again = found(daemon)
        assert asked_for(again) == set()
        assert again[0].waits_for == "a run or a backfill of it that is under way"

    def test_what_changed_a_moment_ago_is_left_to_the_conditions(self, daemon: Daemon) -> None:
        daemon.code("b", "print(sympy.prime(93))")
        daemon.observe()
        findings = found(daemon, AutomationSettings())
        assert [(finding.name, finding.waits_for) for finding in findings] == [
            ("raw/starcoder_python[b]", "automation: an input changed a moment ago")
        ]

    def test_what_nobody_has_observed_waits_for_that(self, daemon: Daemon) -> None:
        daemon.code("b", "print(sympy.prime(93))")
        daemon.code("c", "print(sympy.prime(94))")
        findings = found(daemon)
        assert asked_for(findings) == set()
        assert [(finding.name, finding.waits_for) for finding in findings[:2]] == [
            ("raw/starcoder_python[b]", "source/starcoder_python[b]: changed, and not observed yet"),
            ("raw/starcoder_python[c]", "source/starcoder_python[c]: new, and not observed yet"),
        ]

    @pytest.mark.slow
    def test_a_red_check_wants_a_person(self, daemon: Daemon) -> None:
        daemon.code("leak", f'print("""{QUESTION}""")', f'note = """\n{QUESTION}\n"""')
        daemon.settle()
        findings = found(daemon)
        assert asked_for(findings) == set()
        waits = {finding.name: finding.waits_for for finding in findings}
        assert waits["attributes/contamination/code_python[leak]"] == "a red check, which wants a person"
        assert waits["clean/code_python[leak]"].startswith("attributes/contamination/code_python[leak]: check ")

    def test_models_are_neither_trained_nor_promoted(self, daemon: Daemon) -> None:
        workspace = daemon.workspace
        promoted = workspace.lake.table("promoted/tokenizer")
        workspace.lake.remove(promoted)
        findings = find(workspace, daemon.instance, LAKE_ASSETS, now=time.time(), settings=NO_WAIT)
        waits = {finding.name: finding.waits_for for finding in findings}
        assert waits["clean/code_python[a]"] == "promoted/tokenizer: nothing is promoted"
        assert not [finding.name for finding in findings if finding.name.startswith(("models/", "promoted/"))]

    def test_the_job_says_what_it_found_and_asks(self, daemon: Daemon) -> None:
        path = daemon.folder / "sources.yaml"
        text = path.read_text().replace("licence: MIT", "licence: ISC")
        path.write_text(text.replace("settings: {", "settings: {automation: {reconcile_after_s: 0}, "))
        job = dg.Definitions(
            jobs=[reconcile_job(WATCHED)], resources={"workspace": WorkspaceResource(sources_file=str(path))}
        ).resolve_job_def(RECONCILE)
        result = job.execute_in_process(instance=daemon.instance, run_config=QUIET)
        lines = result.output_for_node(OP)
        assert lines[0].startswith("raw/starcoder_python[a]: made with other settings: licence")
        assert lines[0].endswith(": asked for")
        (backfill,) = daemon.instance.get_backfills()
        assert backfill.tags == {BACKFILL_TAG: "true"}
