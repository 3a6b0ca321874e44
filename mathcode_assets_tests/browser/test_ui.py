"""What a person does in the UI, in a real browser: materialise a shard, see why it is withheld, launch a backfill."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from mathcode_assets.sample import sample_dir
from mathcode_assets_tests.browser.conftest import LEAKY, SCAN, WHOLESOME, Ui

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

CHROMIUM = "chromium"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
# Set by `make test-servers`, which installs both.
REQUIRED = "MATHCODE_BROWSER"
WAIT_MS = 120_000
RUNS = "{ runsOrError { ... on Runs { results { status assetSelection { path } tags { key value } } } } }"
BACKFILLS = "{ partitionBackfillsOrError { ... on PartitionBackfills { results { id status numPartitions } } } }"
# Texts of the page that are there more than once as soon as a check's own tabs are.
TABS_OF_A_CHECK = """() => [...document.querySelectorAll('*')]
    .filter(node => node.childElementCount === 0 && node.textContent === 'Partitions').length > 1"""


@pytest.fixture(scope="module")
def browser_program() -> str:
    """Chromium, with playwright to drive it."""
    missing = [] if importlib.util.find_spec("playwright") else ["PyPI's playwright"]
    program = shutil.which(CHROMIUM)
    if program is None:
        missing.append("Debian's chromium")
    if missing:
        told = f"{' and '.join(missing)} missing here: make test-servers installs them"
        if os.environ.get(REQUIRED):
            pytest.fail(told)
        pytest.skip(told)
    assert program is not None
    return program


@pytest.fixture(scope="module")
def page(browser_program: str, ui: Ui) -> Iterator[Any]:
    """One page of a browser with an empty profile."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_program, headless=True, args=FLAGS)
        opened = browser.new_page(viewport={"width": 1600, "height": 900})
        opened.set_default_timeout(WAIT_MS)
        yield opened
        browser.close()


def launch(page: Any, ui: Ui, asset: str, choose: str | None) -> None:
    """Open an asset's page and launch one partition, or all of them."""
    page.goto(f"{ui.url}/assets/{asset}")
    page.get_by_role("button", name="Materialize").first.click()
    if choose is None:
        page.get_by_role("button", name="All", exact=True).click()
        page.get_by_role("button", name="Launch backfill").click()
    else:
        page.get_by_text("Select a partition or create one").click()
        page.get_by_text(choose, exact=True).first.click()
        page.get_by_role("button", name="Launch 1 run").click()


def question(benchmark: str, number: int) -> str:
    """A question of the sample's benchmarks."""
    lines = (sample_dir() / "data" / "benchmarks" / f"{benchmark}.jsonl").read_text(encoding="utf-8").splitlines()
    return next(item["question"] for item in map(json.loads, lines) if item["idx"] == number)


def statuses(answer: dict[str, Any], asset: str) -> list[str]:
    """Of the finished runs of an asset; none while one of them is under way."""
    runs = [
        run for run in answer["runsOrError"]["results"] if {"path": asset.split("/")} in (run["assetSelection"] or [])
    ]
    done = [run["status"] for run in runs if run["status"] in ("SUCCESS", "FAILURE", "CANCELED")]
    return done if len(done) == len(runs) else []


def test_a_leaky_shard_is_materialised_turns_red_and_shows_its_evidence(page: Any, ui: Ui) -> None:
    table = ui.workspace.lake.table(SCAN, LEAKY)
    assert table.find_manifest() is None
    launch(page, ui, SCAN, LEAKY)
    # The shard is scanned and published; its red check ends the run.
    assert ui.wait_for("finished run", RUNS, lambda answer: statuses(answer, SCAN)) == ["FAILURE"]
    assert table.manifest().facts["contaminated"] == 6

    page.goto(f"{ui.url}/assets/{SCAN}?view=checks&checkDetail=contaminated_share")
    page.wait_for_function(TABS_OF_A_CHECK)
    page.get_by_text("Partitions", exact=True).last.click()
    page.get_by_text("Failed (1)", exact=True).wait_for()
    page.locator("[class*=MiddleTruncate]:visible", has_text="leaky").last.click()
    page.get_by_text("6 of 10 documents contaminated (60.0%, limit 25.0%); withheld").wait_for()

    page.get_by_text("Show Markdown").first.click()
    evidence = page.get_by_role("row", name="sample_word_problems #3").last
    evidence.wait_for()
    # The whole sentence of the question, as the document has it.
    assert question("sample_word_problems", 3).split(".")[0] in evidence.inner_text()


def test_a_backfill_is_launched_and_its_runs_succeed(page: Any, ui: Ui) -> None:
    launch(page, ui, "raw/synthetic", None)

    def finished(answer: dict[str, Any]) -> Any:
        found = answer["partitionBackfillsOrError"]["results"]
        return found if found and found[0]["status"] not in ("REQUESTED", "CANCELING") else None

    (backfill,) = ui.wait_for("finished backfill", BACKFILLS, finished)
    assert (backfill["status"], backfill["numPartitions"]) == ("COMPLETED_SUCCESS", 2)
    assert ui.wait_for("finished runs", RUNS, lambda answer: statuses(answer, "raw/synthetic")) == ["SUCCESS"] * 2
    tags = [{tag["key"]: tag["value"] for tag in run["tags"]} for run in ui.ask(RUNS)["runsOrError"]["results"]]
    mine = [found for found in tags if found.get("dagster/backfill") == backfill["id"]]
    assert {found["dagster/partition"] for found in mine} == {LEAKY, WHOLESOME}
    # The page shows it too.
    page.goto(f"{ui.url}/assets/raw/synthetic?view=partitions")
    page.get_by_text("Materialized (2)", exact=True).wait_for()
