"""The 93 ordinary and hostile snippets of the shared data, in both tiers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mathcode_assets.sandbox.pool import Sandbox
from mathcode_assets.sandbox.snippets import Snippet
from mathcode_assets_tests.sandbox.conftest import SECRET, Canaries


@pytest.mark.shared_data
def test_shared_snippets(sandbox: Sandbox, shared_data: Path, canaries: Canaries) -> None:
    lines = (shared_data / "execution" / "snippets.jsonl").read_bytes().split(b"\n")
    rows = [json.loads(line) for line in lines if line]
    assert len(rows) == 93
    codes = [row["code"].replace("CANARY_PORT", str(canaries.port)) for row in rows]
    wrong = {}
    for row, execution in zip(rows, sandbox.run(Snippet(code=code) for code in codes), strict=True):
        expect = row["expect"]
        is_right = execution.status in expect["status"] and execution.tier == sandbox.tier
        is_right &= "stdout" not in expect or execution.stdout == expect["stdout"]
        is_right &= expect.get("stdout_contains", "") in execution.stdout
        is_right &= all(text not in execution.stdout for text in expect.get("stdout_not_contains", ()))
        is_right &= SECRET not in execution.stdout + execution.stderr
        if not is_right:
            wrong[row["id"]] = (execution, expect)
    assert wrong == {}
    assert canaries.n_visitors() == 0
    assert canaries.file_in_tmp.read_text() == canaries.file_in_home.read_text() == SECRET
