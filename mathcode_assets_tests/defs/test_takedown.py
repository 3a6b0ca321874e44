"""Documents leave the pile, come back, and stay out under every address: on a small lake made up to packing."""

from __future__ import annotations

import shutil
from pathlib import Path

import dagster as dg
import pytest

from mathcode_assets.cli import main
from mathcode_assets.defs.currency import behind
from mathcode_assets.defs.recorded import Record
from mathcode_assets.defs.takedown import look_up, plan_of, record, refresh, undo
from mathcode_assets.defs.withdrawal import LICENCE, TAKEN_DOWN, requests, take_downs
from mathcode_assets.defs.withdrawal_checks import LICENCE_POLICY, NOT_TAKEN_DOWN
from mathcode_assets.defs.workspace import Withheld
from mathcode_assets.provenance.selection import Selector
from mathcode_assets.storage.lake import Lake, Table
from mathcode_assets.storage.manifest import Accounting, Recipe
from mathcode_assets_tests.defs.reported import report_checked, report_made
from mathcode_assets_tests.defs.takedown_lake import ASSETS, CODE, PACKED, PILE, TWIN, TakedownLake

ALL = ["a0", "a1", "b1", "c0", "c1", "p0", "p1", "translated p0"]  # a1 stays of the two copies
GIVEN = {"asked_by": "the author", "reason": "by mistake", "date": "2026-11-22"}
ARGUMENTS = ["--asked-by", "the author", "--reason", "by mistake", "--date", "2026-11-22"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> TakedownLake:
    lake = TakedownLake(tmp_path_factory.mktemp("takedown"))
    lake.write()
    for model in ("benchmark_frequencies", "tokenizer"):
        lake.make(*CODE, f"models/{model}", f"promoted/{model}")
    lake.build(PACKED)
    return lake


@pytest.fixture
def lake(whole: TakedownLake, tmp_path: Path) -> TakedownLake:
    """A copy, to change."""
    shutil.copytree(whole.folder, tmp_path / "build")
    return TakedownLake(tmp_path / "build")


def request(lake: TakedownLake, kind: str, value: str) -> str:
    selector = Selector(kind=kind, value=value)
    place = lake.workspace.lake
    return record(place, plan_of(place, selector, look_up(place, selector)), **GIVEN)


def check(lake: TakedownLake, which: object = NOT_TAKEN_DOWN) -> bool:
    workspace = lake.workspace
    table: Table = workspace.lake.table(PILE)
    return which.evaluate(workspace, table, table.manifest()).passed  # type: ignore[attr-defined]


class TestBeforeAnything:
    def test_recipes_are_as_they_were_without_a_request_or_a_policy(self, whole: TakedownLake) -> None:
        assert whole.pile() == ALL
        for shard in "abc":
            recipe = whole.workspace.lake.table("clean/code_python", shard).manifest().recipe
            assert recipe.config == {"drop_near": False}
        assert check(whole) and check(whole, LICENCE_POLICY)

    def test_a_dry_run_says_all_and_writes_nothing(
        self, whole: TakedownLake, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = sorted(Path(whole.root).rglob("*"))
        assert main(["take-down", "--document", "b0", "--dry-run", "--lake", whole.root]) == 0
        told = capsys.readouterr().out
        assert whole.doc_id("b0") in told and whole.doc_id("a1") in told
        assert "made again       clean/code_python[a]\n" in told
        assert "leaves the pile  1 documents" in told
        assert sorted(Path(whole.root).rglob("*")) == before


class TestOfADocument:
    def test_every_copy_goes_and_only_its_shard_is_made_again_and_undoing_brings_the_same_bytes_back(
        self, lake: TakedownLake
    ) -> None:
        before, version = lake.recipes(), lake.workspace.version(PILE)
        name = request(lake, "document", "b0")  # which is in no pile: a1, the same text, is
        (problem,) = (problem for problem in behind(lake.workspace, "clean/code_python") if "code_python" in problem)
        assert problem.startswith("clean/code_python[a]: made with other settings: withdrawn")
        with pytest.raises(Withheld, match=r"code_python\[a\]: made before the take-downs"):
            lake.make(PILE)
        assert not check(lake)
        lake.build()
        assert lake.pile() == [name for name in ALL if name != "a1"]
        assert check(lake)
        after = lake.recipes()
        assert [key for key in before if after[key] != before[key]] == ["clean/code_python[a]"]
        manifest = lake.workspace.lake.table("clean/code_python", "a").manifest()
        assert manifest.accounting.dropped == {TAKEN_DOWN: 1}
        undo(lake.workspace.lake, name, asked_by="the lawyer", reason="it was a joke", date="2026-12-01")
        lake.build()
        assert (lake.recipes(), lake.workspace.version(PILE)) == (before, version)
        (kept,) = requests(lake.workspace.lake)
        assert kept.undone == {"asked_by": "the lawyer", "reason": "it was a joke", "date": "2026-12-01"}

    def test_the_copy_does_not_come_back_when_the_named_one_leaves_the_source(self, lake: TakedownLake) -> None:
        request(lake, "document", lake.doc_id("a1"))
        lake.code("a", "a0")
        lake.build()
        assert [row["verdict"] for row in lake.rows("attributes/duplicates/code_python", "b")] == ["kept", "kept"]
        assert "b0" not in lake.pile() and "b1" in lake.pile()
        assert check(lake)

    def test_a_later_shard_with_the_text_under_another_address_does_not_bring_it_back(self, lake: TakedownLake) -> None:
        request(lake, "document", "a1")
        lake.code("d", "d0", "d1", programs={"d0": ("d", TWIN, "x/y", "MIT"), "d1": ("d", "print(2)", "x/y", "MIT")})
        lake.code("0", "e0", programs={"e0": ("0", TWIN, "x/z", "MIT")})  # comes first, so the copy that stays
        lake.build()
        assert lake.pile() == sorted([*(name for name in ALL if name != "a1"), "d1"])
        assert check(lake)


class TestOfManyDocuments:
    def test_a_page_takes_what_was_translated_from_it_along(self, lake: TakedownLake) -> None:
        selector = Selector(kind="url", value="https://example.org/p0")
        rows = look_up(lake.workspace.lake, selector)
        assert sorted(row["why"] for row in rows) == ["named", "translated"]
        assert all(row["n_tokens"] > 0 for row in rows)
        request(lake, "url", "https://example.org/p0")
        lake.build()
        assert lake.pile() == [name for name in ALL if not name.endswith("p0")]
        assert check(lake)

    def test_a_repository_and_what_comes_of_it_later(self, lake: TakedownLake) -> None:
        before = lake.recipes()
        request(lake, "repository", "Owner/One")
        lake.build()
        assert lake.pile() == [name for name in ALL if name not in ("a0", "c0")]
        changed = [key for key, recipe in lake.recipes().items() if before[key] != recipe]
        assert changed == ["clean/code_python[a]", "clean/code_python[c]"]
        # A new file of the repository leaves by itself. Its text, which another one has, is found by looking again.
        text = "print(sympy.totient(30))"
        new = {"d0": ("d", text, "owner/one", "MIT"), "a9": ("0", text, "x/y", "MIT")}
        lake.code("d", "d0", programs=new)
        lake.code("0", "a9", programs=new)
        lake.build()
        assert "a9" in lake.pile() and not check(lake)
        assert list(refresh(lake.workspace.lake).values()) == [2]
        assert refresh(lake.workspace.lake) == {}
        lake.build()
        assert "a9" not in lake.pile() and check(lake)

    def test_a_licence(self, lake: TakedownLake) -> None:
        request(lake, "licence", "gpl-3.0")
        lake.build()
        assert lake.pile() == [name for name in ALL if name != "b1"]


class TestTheLicencePolicy:
    def test_a_pile_of_permitted_licences_and_the_check_that_fails_on_any_other(self, lake: TakedownLake) -> None:
        before, version = lake.recipes(), lake.workspace.version(PILE)
        lake.sources("  licences: {allow: [MIT, cc-by-4.0]}\n")
        assert not check(lake, LICENCE_POLICY)
        with pytest.raises(Withheld, match="licence policy"):
            lake.make(PILE)
        lake.build()
        assert lake.pile() == [name for name in ALL if name != "b1"]
        assert check(lake, LICENCE_POLICY)
        assert lake.workspace.lake.table("clean/code_python", "b").manifest().accounting.dropped == {
            LICENCE: 1,
            "exact_duplicate": 1,
        }
        assert [key for key in before if lake.recipes()[key] != before[key]] == ["clean/code_python[b]"]
        lake.sources("  licences: {deny: [CC-BY-4.0]}\n")
        assert not check(lake, LICENCE_POLICY)
        lake.build()
        assert lake.pile() == [name for name in ALL if not name.endswith(("p0", "p1"))]
        lake.sources()
        lake.build()
        assert lake.workspace.version(PILE) == version

    def test_what_the_failing_check_says(self, lake: TakedownLake) -> None:
        lake.sources("  licences: {deny: [GPL-3.0]}\n")
        workspace = lake.workspace
        table = workspace.lake.table(PILE)
        outcome = LICENCE_POLICY.evaluate(workspace, table, table.manifest())
        assert LICENCE_POLICY.blocking and NOT_TAKEN_DOWN.blocking
        assert outcome.description == "1 of 8 documents have a licence outside the policy: GPL-3.0 1"


class TestTheCommand:
    def test_a_request_its_record_and_its_undoing(self, lake: TakedownLake, capsys: pytest.CaptureFixture[str]) -> None:
        place = lake.workspace.lake
        model = lake.folder / "model"
        model.mkdir()
        (model / "training.json").write_text("{}")
        corpus = place.table(PACKED).manifest().facts["corpus_fingerprint"]
        place.publish_folder(
            place.table("checkpoint/mathcode_pile"),
            folder=model,
            recipe=Recipe(code_version="1"),
            accounting=Accounting(n_in=1, n_kept=1),
            facts={"corpus_fingerprint": corpus, "steps": 20},
        )
        take_down = ["take-down", "--lake", lake.root]
        assert main([*take_down, "--url", "https://example.org/*", *ARGUMENTS]) == 0
        told = capsys.readouterr().out
        assert "checkpoint/mathcode_pile (finished) was trained on 3 of them" in told
        (name,) = place.partitions("takedown/requests")
        assert main(["export", "--lake", lake.root, "--output", str(lake.folder / "out")]) == 2
        assert "3 documents of the pile were taken down since" in capsys.readouterr().err
        lake.build(PACKED)
        assert main([*take_down, "--list"]) == 0
        told = capsys.readouterr().out
        assert name in told and "the author: by mistake" in told and "was trained on 3 of them" in told
        assert main(["trace", lake.doc_id("p0"), "--lake", lake.root]) == 0
        told = capsys.readouterr().out
        assert f"not in the pile: taken down by request {name}" in told
        assert "checkpoint/mathcode_pile  20 steps: unknown: its packed corpus is gone" in told
        assert main([*take_down, "--undo", name, *ARGUMENTS]) == 0
        assert not take_downs(lake.workspace.lake)
        assert main([*take_down, "--undo", name, *ARGUMENTS]) == 2
        assert "was undone on 2026-11-22" in capsys.readouterr().err
        assert main([*take_down, "--url", "https://example.org/*", *ARGUMENTS]) == 0
        assert len(place.partitions("takedown/requests")) == 2

    def test_trace_goes_to_the_sequences_and_back_to_the_page(
        self, whole: TakedownLake, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (made,) = whole.rows("translated/open_web_math", "web")
        assert main(["trace", made["doc_id"], "--lake", whole.root]) == 0
        told = capsys.readouterr().out
        assert f"translated from document {whole.doc_id('p0')}" in told
        assert "source_uri          https://example.org/p0" in told
        assert "packed            tokens/packed  sequence" in told
        assert main(["trace", whole.doc_id("p0"), "--lake", whole.root]) == 0
        told = capsys.readouterr().out
        assert f"what was translated from it, {made['doc_id']}:\npacked" in told

    @pytest.mark.parametrize(
        "arguments, status, said",
        [
            (["--document", "nobody", "--dry-run"], 1, "no document"),
            (["--document", "nobody", *ARGUMENTS], 1, "no document"),
            (["--undo", "0123456789ab", *ARGUMENTS], 1, "no request 0123456789ab"),
            (["--document", "a1"], 2, "--asked-by, --reason, --date: is kept on record, and missing"),
            (["--document", "a1", *ARGUMENTS[:-1], "yesterday"], 2, "wants YYYY-MM-DD"),
            (["--url", "*", "--dry-run"], 2, "an empty url names nothing"),
            (["--undo", "0123456789ab"], 2, "missing"),
        ],
    )
    def test_status(
        self, whole: TakedownLake, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, said: str
    ) -> None:
        assert main(["take-down", "--lake", whole.root, *arguments]) == status
        assert said in capsys.readouterr().err
        assert not requests(whole.workspace.lake)

    def test_one_thing_at_a_time_and_a_lake_that_is_there(self, tmp_path: Path) -> None:
        for arguments in ([], ["--list", "--refresh"], ["--url", "u", "--document", "d"]):
            with pytest.raises(SystemExit) as ended:
                main(["take-down", *arguments])
            assert ended.value.code == 2
        assert main(["take-down", "--list", "--lake", str(tmp_path / "none")]) == 2


def test_the_pile_is_asked_and_not_the_list_alone() -> None:
    names = [check.name for check in ASSETS[PILE].checks]
    assert {"licence_policy", "not_taken_down"} <= set(names)


def test_a_check_that_came_with_newer_code_runs_on_what_was_made_before_it(tmp_path: Path) -> None:
    """Else training, which wants every blocking check on record, would wait for it for ever."""
    pile, table = ASSETS[PILE], Lake(tmp_path).table(PILE)
    names = [*(check.name for check in pile.checks), *pile.separate_checks]
    with dg.DagsterInstance.ephemeral() as instance:
        made = report_made(instance, pile.asset_key, "version")
        for name in names[:-1]:
            report_checked(instance, pile.asset_key, name, made, passed=True)
        assert not Record(instance).has_checked(table, names)
        report_checked(instance, pile.asset_key, names[-1], made, passed=True)
        assert Record(instance).has_checked(table, names)
        # Of the materialization before, they say nothing of this one.
        report_made(instance, pile.asset_key, "another version")
        assert not Record(instance).has_checked(table, names)
