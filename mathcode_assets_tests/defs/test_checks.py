"""Every check has a test in which it fails, on tables published for the purpose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mathcode_assets.config import parse_sources
from mathcode_assets.decontamination.config import DecontaminationConfig
from mathcode_assets.decontamination.frequencies import count_frequencies
from mathcode_assets.decontamination.index import build_index
from mathcode_assets.decontamination.items import prepare_items
from mathcode_assets.defs.assets import clean, contamination
from mathcode_assets.defs.assets.consolidated import input_versions
from mathcode_assets.defs.checks import (
    DUPLICATE_SHARE,
    FORMULA_LOSS,
    LICENCE_KNOWN,
    MODEL_PRECISION,
    QUARANTINED_SHARE,
    TOKEN_BUDGET,
    contaminated_share,
    rows_add_up,
    rows_of,
)
from mathcode_assets.defs.table_assets import TableCheck
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.records import (
    BENCHMARK_ITEM,
    CLEAN_DOCUMENT,
    CONTAMINATION_ATTRIBUTES,
    DOCUMENT,
    LABEL,
    batch_of,
)
from mathcode_assets.storage.lake import Table
from mathcode_assets.storage.manifest import Accounting, Recipe

RECIPE = Recipe(code_version="1")
QUESTION = (
    "A gardener plants 14 rows of tulips with 23 bulbs in each row, and a neighbour gives her 17 more bulbs "
    "on Saturday. How many bulbs does the gardener have in the ground at the end of the weekend?"
)
PROSE = (
    "The harbour office opens at eight and closes when the last boat is in. Visitors leave their bicycles "
    "by the chandler's wall, where a board gives the height of the tide and the hour of the next ferry."
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path)


def make_workspace(tmp_path: Path, extra: str = "", settings: str = "") -> Workspace:
    (tmp_path / "synthetic").mkdir(exist_ok=True)
    (tmp_path / "synthetic" / "set.jsonl").write_text('{"id": 1, "text": "a"}\n')
    text = f"root: {tmp_path}/lake\nsources:\n  synthetic: {{uri: {tmp_path}/synthetic/*.jsonl{extra}}}\n{settings}"
    return Workspace(parse_sources(text))


def document(i: int, text: str = PROSE, licence: str = "MIT") -> dict[str, Any]:
    return {
        "doc_id": f"{i:032x}", "source": "synthetic", "source_id": str(i), "source_uri": f"u{i}",
        "source_file": "set.jsonl", "source_row": i, "source_revision": "r", "licence": licence,
        "text": text, "source_metadata": "{}",
    }  # fmt: skip


def verdict(i: int, found: str) -> dict[str, Any]:
    return {
        "doc_id": f"{i:032x}", "verdict": found, "benchmark": "b" if found != "clean" else None,
        "question_index": 0 if found != "clean" else None, "score": 1.0, "evidence": "span", "matches": [],
    }  # fmt: skip


def publish(workspace: Workspace, key: str, schema: pa.Schema, rows: list[dict[str, Any]], **options: Any) -> Table:
    table = workspace.lake.table(key, options.pop("partition", "set"))
    accounting = options.pop("accounting", None) or (lambda n: Accounting(n_in=n, n_kept=n))
    recipe = options.pop("recipe", RECIPE)
    workspace.lake.publish(
        table, schema=schema, recipe=recipe, batches=[batch_of(rows, schema)], accounting=accounting, **options
    )
    return table


def passes(check: TableCheck, workspace: Workspace, table: Table) -> bool:
    return check.evaluate(workspace, table, table.manifest()).passed


class TestSchemaAndAccounting:
    def test_passes_on_what_was_published(self, workspace: Workspace) -> None:
        publish(workspace, "raw/synthetic", DOCUMENT, [document(1), document(2)])
        table = publish(workspace, "filtered/synthetic", DOCUMENT, [document(1), document(2)])
        assert passes(rows_add_up(DOCUMENT, rows_of("raw/synthetic")), workspace, table)

    def test_fails_where_upstream_had_more_rows(self, workspace: Workspace) -> None:
        publish(workspace, "raw/synthetic", DOCUMENT, [document(1), document(2), document(3)])
        table = publish(workspace, "filtered/synthetic", DOCUMENT, [document(1), document(2)])
        outcome = rows_add_up(DOCUMENT, rows_of("raw/synthetic")).evaluate(workspace, table, table.manifest())
        assert not outcome.passed
        assert "2 rows counted in, but 3 were published upstream" in outcome.description

    def test_fails_where_a_file_changed_after_publishing(self, workspace: Workspace) -> None:
        table = publish(workspace, "raw/synthetic", DOCUMENT, [document(1)])
        file = Path(table.files()[0].path)
        file.write_bytes(file.read_bytes() + b"x")
        assert not passes(rows_add_up(DOCUMENT), workspace, table)

    def test_fails_where_the_schema_is_another(self, workspace: Workspace) -> None:
        rows = [{"source_id": "a", "label": "math", "split": "train"}]
        table = publish(workspace, "raw/synthetic", LABEL, rows)
        assert not passes(rows_add_up(DOCUMENT), workspace, table)


def test_quarantined_share_warns_above_one_percent(workspace: Workspace) -> None:
    def one_bad(n: int) -> Accounting:
        return Accounting(n_in=n + 1, n_kept=n, quarantined={"invalid_json": 1})

    few = publish(workspace, "raw/synthetic", DOCUMENT, [document(i) for i in range(200)], accounting=one_bad)
    assert passes(QUARANTINED_SHARE, workspace, few)
    many = publish(workspace, "raw/synthetic", DOCUMENT, [document(i) for i in range(50)], accounting=one_bad)
    assert not passes(QUARANTINED_SHARE, workspace, many)


class TestContaminatedShare:
    CHECK = contaminated_share("synthetic")
    KEY = "attributes/contamination/synthetic"

    def scanned(self, workspace: Workspace, n_contaminated: int, n_clean: int) -> Table:
        rows = [verdict(i, "contaminated") for i in range(n_contaminated)]
        rows += [verdict(100 + i, "clean") for i in range(n_clean)]
        return publish(workspace, self.KEY, CONTAMINATION_ATTRIBUTES, rows)

    def test_exactly_the_limit_passes_and_above_it_blocks(self, workspace: Workspace) -> None:
        assert self.CHECK.blocking
        assert passes(self.CHECK, workspace, self.scanned(workspace, 1, 19))
        assert not passes(self.CHECK, workspace, self.scanned(workspace, 2, 19))

    def test_near_documents_turn_nothing_red(self, workspace: Workspace) -> None:
        table = publish(workspace, self.KEY, CONTAMINATION_ATTRIBUTES, [verdict(i, "near") for i in range(9)])
        assert passes(self.CHECK, workspace, table)

    def test_an_accepted_shard_passes_and_says_so(self, tmp_path: Path) -> None:
        workspace = make_workspace(tmp_path, ", accept_contaminated: [set]")
        table = self.scanned(workspace, 9, 1)
        outcome = self.CHECK.evaluate(workspace, table, table.manifest())
        assert outcome.passed
        assert "accepted in the sources file" in outcome.description

    def test_the_evidence_names_item_and_span(self, workspace: Workspace) -> None:
        table = self.scanned(workspace, 3, 1)
        outcome = self.CHECK.evaluate(workspace, table, table.manifest())
        assert "b #0" in outcome.metadata["evidence"].value
        assert "exclude `set` in the sources file" in outcome.description


NEW_QUESTION = "How many lighthouses stand on the seven islands of the northern archipelago today?"


def publish_index(workspace: Workspace, **benchmarks: list[str]) -> dict[str, str]:
    """An index of these questions; the versions of its parts."""
    rows = [
        {"benchmark": name, "question_index": i, "question": q, "answer": "339", "solution": "", "options": ""}
        for name, questions in benchmarks.items()
        for i, q in enumerate(questions)
    ]
    items = [batch_of(rows, BENCHMARK_ITEM)]
    frequencies = count_frequencies(prepare_items([], DecontaminationConfig()))
    index = build_index(items, frequencies=frequencies)
    with workspace.work_folder() as folder:
        index.save(folder)
        workspace.lake.publish_folder(
            workspace.lake.table(contamination.INDEX_KEY),
            folder=folder,
            recipe=RECIPE,
            accounting=Accounting(n_in=len(rows), n_kept=len(rows)),
            facts={"parts": dict(index.parts)},
        )
    return dict(index.parts)


class TestResidualContamination:
    """The published documents are scanned again, so the index that counts is the one there is now."""

    def published(self, workspace: Workspace, parts: dict[str, str], *texts: str) -> Table:
        """A scan that looked for these parts and found nothing, and the clean partition made with it."""
        inputs = {f"{contamination.PART}{name}": version for name, version in parts.items()}
        rows = [verdict(i, "clean") for i in range(len(texts))]
        scan = publish(
            workspace, "attributes/contamination/synthetic", CONTAMINATION_ATTRIBUTES, rows,
            recipe=Recipe(code_version="1", inputs=inputs),
        )  # fmt: skip
        rows = [document(i, text) | {"n_tokens": 5} for i, text in enumerate(texts)]
        return publish(
            workspace, "clean/synthetic", CLEAN_DOCUMENT, rows, n_tokens=lambda: 5, tokenizer="t@1",
            recipe=Recipe(code_version="1", inputs=input_versions(scan)),
        )  # fmt: skip

    def test_a_question_left_in_turns_it_red(self, workspace: Workspace) -> None:
        table = self.published(workspace, publish_index(workspace, b=[QUESTION]), PROSE, f"{PROSE}\n\n{QUESTION}")
        outcome = clean.residual_outcome(workspace, table)
        assert not outcome.passed
        assert outcome.metadata["residual"] == 1
        assert "14 rows of tulips" in outcome.metadata["evidence"].value

    def test_nothing_left_in_passes(self, workspace: Workspace) -> None:
        table = self.published(workspace, publish_index(workspace, b=[QUESTION]), PROSE)
        assert clean.residual_outcome(workspace, table).passed

    def test_an_index_newer_than_the_scan_turns_it_red_whatever_is_found(self, workspace: Workspace) -> None:
        table = self.published(workspace, publish_index(workspace, b=[QUESTION]), PROSE)
        publish_index(workspace, b=[QUESTION], ferry=[NEW_QUESTION])
        outcome = clean.residual_outcome(workspace, table)
        assert not outcome.passed
        assert outcome.metadata["residual"] == 0
        assert "attributes/contamination/synthetic[set] did not look for ferry" in outcome.description

    def test_a_scan_made_again_since_turns_it_red(self, workspace: Workspace) -> None:
        parts = publish_index(workspace, b=[QUESTION])
        table = self.published(workspace, parts, PROSE)
        publish(workspace, "attributes/contamination/synthetic", CONTAMINATION_ATTRIBUTES, [verdict(0, "near")])
        assert "was made again since" in clean.residual_outcome(workspace, table).description

    def test_the_pile_is_behind_where_one_of_its_shards_is(self, workspace: Workspace) -> None:
        shard = self.published(workspace, publish_index(workspace, b=[QUESTION]), PROSE)
        rows = [document(0) | {"n_tokens": 5}]
        pile = publish(
            workspace, "mixture/mathcode_pile", CLEAN_DOCUMENT, rows, partition="all",
            recipe=Recipe(code_version="1", inputs=input_versions(shard)),
        )  # fmt: skip
        assert clean.residual_outcome(workspace, pile).passed
        publish_index(workspace, b=[QUESTION], ferry=[NEW_QUESTION])
        assert not clean.residual_outcome(workspace, pile).passed


class TestSelfTest:
    def hosts(self, workspace: Workspace) -> None:
        publish(workspace, "raw/synthetic", DOCUMENT, [document(i, "\n\n".join([PROSE] * (3 + i))) for i in range(3)])

    def outcome(self, workspace: Workspace) -> Any:
        publish_index(workspace, b=[QUESTION, NEW_QUESTION])
        table = workspace.lake.table(contamination.INDEX_KEY)
        return contamination.self_test_outcome(workspace, table, table.manifest())

    def test_passes_where_the_scan_finds_what_was_planted(self, workspace: Workspace) -> None:
        self.hosts(workspace)
        outcome = self.outcome(workspace)
        assert outcome.passed, outcome.description
        assert "verbatim" in outcome.metadata["recall"].value

    def test_before_there_are_documents_the_embedded_pages_are_hosts(self, workspace: Workspace) -> None:
        publish(workspace, "raw/synthetic", DOCUMENT, [])  # a shard of which nothing could be read
        outcome = self.outcome(workspace)
        assert outcome.passed, outcome.description
        assert outcome.metadata["hosts"] >= 20

    def test_fails_below_the_bar(self, tmp_path: Path) -> None:
        workspace = make_workspace(tmp_path, settings="settings: {decontamination: {candidate_share: 2.0}}\n")
        self.hosts(workspace)
        outcome = self.outcome(workspace)
        assert not outcome.passed
        assert "verbatim: 0% of" in outcome.description

    def test_fails_where_clean_hosts_are_called_contaminated(self, workspace: Workspace) -> None:
        hosts = [document(1, PROSE), document(2, f"{PROSE}\n\n{QUESTION}")]
        publish(workspace, "raw/synthetic", DOCUMENT, hosts)
        outcome = self.outcome(workspace)
        assert not outcome.passed
        assert "1 of 2 hosts contaminated without a plant" in outcome.description

    def test_the_self_test_fails_without_items(self, workspace: Workspace) -> None:
        publish_index(workspace)
        table = workspace.lake.table(contamination.INDEX_KEY)
        outcome = contamination.self_test_outcome(workspace, table, table.manifest())
        assert not outcome.passed
        assert "no item" in outcome.description


def test_duplicate_share_warns(workspace: Workspace) -> None:
    def copies(n: int) -> Table:
        rows = [document(i) for i in range(10 - n)]
        dropped = {"exact_duplicate": n}
        return publish(
            workspace, "clean/synthetic", DOCUMENT, rows,
            accounting=lambda kept: Accounting(n_in=10, n_kept=kept, dropped=dropped),
        )  # fmt: skip

    assert passes(DUPLICATE_SHARE, workspace, copies(3))
    assert not passes(DUPLICATE_SHARE, workspace, copies(4))


def test_licence_known_warns(workspace: Workspace) -> None:
    rows = [document(1), document(2, licence="unknown"), document(3, licence="unknown")]
    assert not passes(LICENCE_KNOWN, workspace, publish(workspace, "clean/synthetic", DOCUMENT, rows))
    assert passes(LICENCE_KNOWN, workspace, publish(workspace, "clean/synthetic", DOCUMENT, rows[:2]))


def test_formula_loss_warns(workspace: Workspace) -> None:
    lost = document(1, "The integral \ufffd\ue001\ue002 of x is lost here.")
    assert not passes(FORMULA_LOSS, workspace, publish(workspace, "filtered/textbooks", DOCUMENT, [lost]))
    kept = document(1, "The integral ∫ x dx = x²/2 is whole.")
    assert passes(FORMULA_LOSS, workspace, publish(workspace, "filtered/textbooks", DOCUMENT, [kept]))


@pytest.mark.parametrize("budget, n_tokens, expected", [("", 10, True), ("", 0, False), ("9", 10, False)])
def test_token_budget_warns(tmp_path: Path, budget: str, n_tokens: int, expected: bool) -> None:
    workspace = make_workspace(tmp_path)
    if budget:
        sources = parse_sources(
            f"root: {tmp_path}/lake\nsources: {{}}\nsettings: {{checks: {{max_tokens: {budget}}}}}\n"
        )
        workspace = Workspace(sources)
    table = publish(
        workspace, "mixture/mathcode_pile", DOCUMENT, [document(1)], n_tokens=lambda: n_tokens, tokenizer="t@1"
    )
    assert passes(TOKEN_BUDGET, workspace, table) is expected


@pytest.mark.parametrize("precision, expected", [(0.95, True), (0.5, False), (None, False)])
def test_model_precision_warns(workspace: Workspace, precision: float | None, expected: bool) -> None:
    facts = {"precision": precision, "recall": 0.9, "held_out": 20}
    table = publish(workspace, "models/x", DOCUMENT, [document(1)], facts=lambda: facts)
    assert passes(MODEL_PRECISION, workspace, table) is expected
