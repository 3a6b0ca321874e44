"""Verified translation in the graph: on the embedded sample by rules, and with a model behind a loopback server."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import pytest
import yaml

from mathcode_assets.config import parse_sources
from mathcode_assets.definitions import LAKE_ASSETS
from mathcode_assets.defs.checks import VERIFIED_SHARE
from mathcode_assets.defs.table_assets import Published
from mathcode_assets.defs.translator import Unfinished
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.llm.budget import BudgetExhausted
from mathcode_assets.mathematical_code.prompts import titled_answer
from mathcode_assets.records import CLEAN_DOCUMENT, REFUTED, UNVERIFIABLE, VERIFIED, VERIFIED_COMPUTATION, batch_of
from mathcode_assets.sample import sample_dir
from mathcode_assets.storage.catalog import open_catalog
from mathcode_assets.storage.manifest import Accounting, Recipe
from mathcode_assets_tests.conftest import BuiltLake

ASSETS = {asset.key: asset for asset in LAKE_ASSETS}
COMPUTATIONS = ("computations/open_web_math", "computations/cc_en_math")


def rows(lake: BuiltLake, *keys: str) -> list[dict[str, Any]]:
    found = []
    for key in keys:
        for partition in lake.workspace.lake.partitions(key):
            for batch in lake.workspace.lake.table(key, partition).batches():
                found += batch.to_pylist()
    return found


class TestTheSample:
    def test_every_planted_wrong_result_is_refuted(self, sample_lake: BuiltLake) -> None:
        manifest = yaml.safe_load((sample_dir() / "source_text" / "manifest.yaml").read_text(encoding="utf-8"))
        computed = rows(sample_lake, *COMPUTATIONS)
        for planted in manifest["refuted"]:
            found = [
                row["verdict"]
                for row in computed
                if row["expression"] == planted["expression"] and row["result"] == planted["stated"]
            ]
            assert found == [REFUTED], planted["expression"]

    def test_most_computations_are_verified_and_none_is_without_evidence(self, sample_lake: BuiltLake) -> None:
        computed = rows(sample_lake, *COMPUTATIONS)
        verdicts = Counter(row["verdict"] for row in computed)
        assert verdicts[VERIFIED] > 0.8 * len(computed) > 100
        assert all(row["method"] for row in computed)
        assert all(row["evidence"] and row["stdout"] for row in computed if row["verdict"] != UNVERIFIABLE)

    def test_only_verified_computations_are_in_the_pile(self, sample_lake: BuiltLake) -> None:
        connection = open_catalog(sample_lake.workspace.lake)
        computed = {row["computation_id"]: row for row in rows(sample_lake, *COMPUTATIONS)}
        documents = connection.execute(
            "SELECT text, source_metadata FROM mixture__mathcode_pile WHERE component = 'mathematical_code'"
        ).fetchall()
        assert documents
        for text, metadata in documents:
            for computation_id in json.loads(metadata)["computation_ids"]:
                assert computed[computation_id]["verdict"] == VERIFIED
                assert computed[computation_id]["code"] in text

    def test_a_span_points_at_the_expression_in_the_source_document(self, sample_lake: BuiltLake) -> None:
        texts = {row["doc_id"]: row["text"] for row in rows(sample_lake, "clean/open_web_math", "clean/cc_en_math")}
        located = [row for row in rows(sample_lake, *COMPUTATIONS) if row["span_start"] is not None]
        assert len(located) > 100
        for row in located:
            quoted = texts[row["doc_id"]][row["span_start"] : row["span_end"]]
            assert "".join(quoted.split()) == "".join(row["expression"].split())

    def test_the_separated_form_holds_the_same_computations(self, sample_lake: BuiltLake) -> None:
        def used(key: str) -> Counter[str]:
            metadata = [json.loads(row["source_metadata"]) for row in rows(sample_lake, key)]
            return Counter(name for entry in metadata for name in entry["computation_ids"])

        for web in ("open_web_math", "cc_en_math"):
            paired, separated = used(f"translated/{web}"), used(f"separated/{web}")
            assert paired and {name: 2 * n for name, n in paired.items()} == separated


TEXT = "Take two numbers. Then $17 \\cdot 23 = 391$, which is odd.\n"
ANSWER = titled_answer(
    number=1,
    conditions="Two numbers, 17 and 23.",
    expression="17 \\cdot 23",
    result="391",
    code="print(17 * 23)",
    language="python",
)
WRONG = ANSWER.replace("$391$", "$392$")


@dataclass
class Model:
    """What the loopback server does: answers every question, unless told to fail those that hold a word."""

    url: str = ""
    answer: str = ANSWER
    failing: str = ""
    usage: tuple[int, int] = (100, 40)  # tokens of prompt and answer
    asked: list[str] = field(default_factory=list)
    lock: Any = field(default_factory=Lock)


@pytest.fixture
def model() -> Iterator[Model]:
    state = Model()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            question = body["messages"][-1]["content"]
            with state.lock:
                state.asked.append(question)
            prompt, written = state.usage
            is_failing = bool(state.failing) and state.failing in question
            answer = {
                "id": "a", "object": "chat.completion", "created": 0, "model": body["model"],
                "choices": [
                    {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": state.answer}}
                ],
                "usage": {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written},
            }  # fmt: skip
            payload = json.dumps(answer).encode()
            self.send_response(500 if is_failing else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        yield state
        server.shutdown()


def workspace(tmp_path: Path, server: Model, texts: list[str], **generation: Any) -> Workspace:
    """A lake with a clean shard of open_web_math, translated by the server."""
    (tmp_path / "owm").mkdir(exist_ok=True)
    (tmp_path / "owm" / "shard.jsonl").write_text('{"url": "u", "text": "a"}\n')
    settings = {"generator": "openai", "base_url": server.url, "model": "small", "limits": {"attempts": 1}} | generation
    written = {
        "root": f"{tmp_path}/lake",
        "sources": {"open_web_math": {"uri": f"{tmp_path}/owm/*.jsonl"}},
        "settings": {"generation": settings},
    }
    opened = Workspace(parse_sources(yaml.safe_dump(written)))
    documents = [
        {
            "doc_id": f"{i:032x}", "source": "open_web_math", "source_id": str(i), "source_uri": f"u{i}",
            "source_file": "shard.jsonl", "source_row": i, "source_revision": "r", "licence": "MIT",
            "text": text, "source_metadata": "{}", "n_tokens": 9,
        }
        for i, text in enumerate(texts)
    ]  # fmt: skip
    opened.lake.publish(
        opened.lake.table("clean/open_web_math", "shard"),
        schema=CLEAN_DOCUMENT,
        recipe=Recipe(code_version="1", config={"texts": texts}),
        batches=[batch_of(documents, CLEAN_DOCUMENT)],
        accounting=lambda n: Accounting(n_in=n, n_kept=n),
    )
    return opened


def publish(opened: Workspace, layer: str) -> Published:
    return ASSETS[f"{layer}/open_web_math"].publish(opened, "shard")


def numbered(n: int) -> list[str]:
    return [f"Passage {i}. {TEXT}" for i in range(n)]


class TestWithAModel:
    def test_answers_are_run_compared_and_paired_with_their_cost(self, tmp_path: Path, model: Model) -> None:
        opened = workspace(tmp_path, model, numbered(3), prices={"input_per_million": 10.0, "output_per_million": 20.0})
        facts = publish(opened, "completions").manifest.facts
        assert (facts["prompt_tokens"], facts["completion_tokens"]) == (300, 120)
        assert facts["price"] == pytest.approx((300 * 10 + 120 * 20) / 1e6)
        computed = publish(opened, "computations").manifest
        assert computed.facts["verdict"] == {VERIFIED: 3}
        assert computed.facts["price_per_verified"] == pytest.approx(facts["price"] / 3, abs=1e-6)
        documents = publish(opened, "translated").manifest
        assert documents.accounting.n_kept == documents.accounting.n_in == 3

    def test_a_wrong_result_is_refuted_and_stays_out(self, tmp_path: Path, model: Model) -> None:
        model.answer = WRONG
        opened = workspace(tmp_path, model, numbered(2))
        publish(opened, "completions")
        computed = publish(opened, "computations").manifest
        assert computed.facts["verdict"] == {REFUTED: 2}
        table = opened.lake.table("computations/open_web_math", "shard")
        assert not VERIFIED_SHARE.evaluate(opened, table, computed).passed
        documents = publish(opened, "translated").manifest
        assert (documents.n_rows, documents.accounting.dropped) == (0, {"none_verified": 2})

    def test_no_answered_request_is_sent_again(self, tmp_path: Path, model: Model) -> None:
        first = publish(workspace(tmp_path, model, numbered(3)), "completions")
        assert first.run_facts["llm_answered"] == 3
        again = publish(workspace(tmp_path, model, [*numbered(3), "Another passage. " + TEXT]), "completions")
        assert (again.run_facts["llm_cached"], again.run_facts["llm_answered"]) == (3, 1)
        assert len(model.asked) == 4

    def test_another_model_is_asked_anew(self, tmp_path: Path, model: Model) -> None:
        publish(workspace(tmp_path, model, numbered(2)), "completions")
        publish(workspace(tmp_path, model, numbered(2), model="large"), "completions")
        assert len(model.asked) == 4

    def test_a_passing_failure_publishes_nothing_and_the_next_run_asks_for_it_alone(
        self, tmp_path: Path, model: Model
    ) -> None:
        model.failing = "Passage 1."
        opened = workspace(tmp_path, model, numbered(3))
        with pytest.raises(Unfinished, match="1 requests have no answer yet"):
            publish(opened, "completions")
        assert opened.lake.table("completions/open_web_math", "shard").find_manifest() is None
        n_asked = len(model.asked)
        model.failing = ""
        assert publish(opened, "completions").manifest.n_rows == 3
        assert model.asked[n_asked:] == ["Passage 1. " + TEXT]

    def test_a_request_that_keeps_failing_ends_as_a_row_with_its_reason(self, tmp_path: Path, model: Model) -> None:
        model.failing = "Passage 1."
        opened = workspace(tmp_path, model, numbered(3), limits={"attempts": 1, "max_attempts": 2})
        with pytest.raises(Unfinished):
            publish(opened, "completions")
        facts = publish(opened, "completions").manifest.facts
        assert facts["status"] == {"ok": 2, "failed": 1}
        assert publish(opened, "computations").manifest.facts["verdict"] == {VERIFIED: 2, UNVERIFIABLE: 1}
        computed = list(opened.lake.table("computations/open_web_math", "shard").batches())
        (failed,) = [row for batch in computed for row in batch.to_pylist() if row["verdict"] == UNVERIFIABLE]
        assert failed["method"] == "request_failed" and "500" in failed["raw"]

    def test_a_budget_stops_before_it_is_passed_and_a_larger_one_goes_on(self, tmp_path: Path, model: Model) -> None:
        model.usage = (1500, 900)
        limits = {"attempts": 1, "concurrency": 1}
        opened = workspace(tmp_path, model, numbered(6), limits=limits, budget_tokens=8_000)
        with pytest.raises(BudgetExhausted):
            publish(opened, "completions")
        n_asked = len(model.asked)
        assert 0 < n_asked < 6
        opened = workspace(tmp_path, model, numbered(6), limits=limits, budget_tokens=100_000)
        assert publish(opened, "completions").manifest.n_rows == 6
        assert len(model.asked) == 6

    def test_the_same_inputs_give_the_same_bytes_whatever_was_cached(self, tmp_path: Path, model: Model) -> None:
        versions = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            opened = workspace(tmp_path / name, model, numbered(3))
            if name == "two":
                model.failing = "Passage 2."
                with pytest.raises(Unfinished):
                    publish(opened, "completions")
                model.failing = ""
            layers = ("completions", "computations", "translated", "separated")
            versions.append([publish(opened, layer).manifest.data_version for layer in layers])
        assert versions[0] == versions[1]


def test_the_table_of_computations_tells_cost_source_and_span() -> None:
    names = set(VERIFIED_COMPUTATION.names)
    assert {"verdict", "method", "evidence", "prompt_tokens", "completion_tokens", "source_uri", "span_start"} <= names
