"""The translation assets with a real model, as Dagster materialises them: vLLM in the run, and behind a server.

Wants the environment of infra/vllm/README.md. The passages are real ones where ../shared/data is there. Nothing
is asked of the answers of a small model but that each ends as rows with a verdict.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from mathcode_assets.config import load_sources
from mathcode_assets.definitions import build_definitions
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.records import CLEAN_DOCUMENT, batch_of
from mathcode_assets.storage.manifest import Accounting, Recipe
from mathcode_assets_tests.mathematical_code.test_real_model import MAX_MODEL_LEN, MODEL, served_model

N_PASSAGES = 4
LAYERS = ("completions", "computations", "translated", "separated")

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.timeout(1_200),
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vllm is not installed in this environment"),
    pytest.mark.skipif(not MODEL, reason="MATHCODE_VLLM_MODEL names no local model"),
]


@pytest.fixture
def passages(shared_data: Path) -> list[dict[str, Any]]:
    lines = (shared_data / "passages" / "passages.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:N_PASSAGES]]


def materialized(folder: Path, generation: dict[str, Any], passages: list[dict[str, Any]]) -> Workspace:
    """A clean shard of the passages, and the assets of its translation made in one Dagster run."""
    (folder / "owm").mkdir()
    (folder / "owm" / "shard.jsonl").write_text('{"url": "u", "text": "a"}\n')
    sources = folder / "sources.yaml"
    written = {
        "root": "lake",
        "sources": {"open_web_math": {"uri": "owm/*.jsonl"}},
        "settings": {"generation": generation | {"parameters": {"max_tokens": 128}}},
    }
    sources.write_text(yaml.safe_dump(written))
    workspace = Workspace(load_sources(sources))
    rows = [
        {
            "doc_id": f"{i:032x}", "source": "open_web_math", "source_id": passage["id"], "source_uri": passage["url"],
            "source_file": "shard.jsonl", "source_row": i, "source_revision": "r", "licence": passage["license"],
            "text": passage["text"], "source_metadata": "{}", "n_tokens": 1,
        }
        for i, passage in enumerate(passages)
    ]  # fmt: skip
    workspace.lake.publish(
        workspace.lake.table("clean/open_web_math", "shard"),
        schema=CLEAN_DOCUMENT,
        recipe=Recipe(code_version="1"),
        batches=[batch_of(rows, CLEAN_DOCUMENT)],
        accounting=lambda n: Accounting(n_in=n, n_kept=n),
    )
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("open_web_math", ["shard"])
        result = (
            build_definitions(sources)
            .resolve_implicit_global_asset_job_def()
            .execute_in_process(
                instance=instance,
                partition_key="shard",
                asset_selection=[dg.AssetKey([layer, "open_web_math"]) for layer in LAYERS],
            )
        )
    assert result.success
    return workspace


def check(workspace: Workspace) -> None:
    completions = workspace.lake.table("completions/open_web_math", "shard").manifest()
    assert completions.facts["status"] == {"ok": N_PASSAGES}
    assert completions.facts["prompt_tokens"] > 200 * N_PASSAGES and completions.facts["completion_tokens"] > 0
    computations = workspace.lake.table("computations/open_web_math", "shard").manifest()
    assert sum(computations.facts["verdict"].values()) == computations.n_rows
    translated = workspace.lake.table("translated/open_web_math", "shard").manifest()
    assert translated.accounting.n_in == N_PASSAGES
    print(completions.facts, computations.facts, translated.n_rows, sep="\n")  # shown with pytest -s


def test_offline(tmp_path: Path, passages: list[dict[str, Any]]) -> None:
    engine = {"dtype": "bfloat16", "max_model_len": MAX_MODEL_LEN, "enforce_eager": True, "micro_batch": 8}
    generation = {"generator": "vllm", "model": MODEL, "model_revision": "1", "engine": engine}
    check(materialized(tmp_path, generation, passages))


def test_behind_a_server(tmp_path: Path, passages: list[dict[str, Any]]) -> None:
    with served_model() as address:
        generation = {"generator": "openai", "base_url": address, "model": "small", "limits": {"concurrency": 4}}
        check(materialized(tmp_path, generation, passages))
