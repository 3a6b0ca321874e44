"""Each case of `cases.py` ends as it should, in both tiers, and reaches nothing of the host's."""

from __future__ import annotations

import pytest

from mathcode_assets.sandbox.pool import Sandbox
from mathcode_assets.sandbox.snippets import Execution, Snippet
from mathcode_assets_tests.sandbox.cases import CASES, Case
from mathcode_assets_tests.sandbox.conftest import SECRET, Canaries


@pytest.fixture(scope="session")
def executions(sandbox: Sandbox, canaries: Canaries) -> dict[str, Execution]:
    """All cases in one batch: each has hostile neighbours."""

    def placed(code: str) -> str:
        code = code.replace("CANARY_TMP", str(canaries.file_in_tmp)).replace("CANARY_HOME", str(canaries.file_in_home))
        return code.replace("CANARY_PORT", str(canaries.port))

    results = sandbox.run(Snippet(code=placed(case.code), stdin=case.stdin) for case in CASES)
    return {case.name: execution for case, execution in zip(CASES, results, strict=True)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(executions: dict[str, Execution], sandbox: Sandbox, case: Case) -> None:
    execution = executions[case.name]
    statuses = (case.status,) if isinstance(case.status, str) else case.status
    assert execution.status in statuses, execution
    assert execution.tier == sandbox.tier
    assert "ESCAPED" not in execution.stdout
    assert SECRET not in execution.stdout + execution.stderr
    if case.stdout is not None:
        assert execution.stdout == case.stdout, execution.stderr
    if case.stderr is not None:
        assert case.stderr in execution.stderr
    if case.detail is not None:
        assert execution.detail == "" if case.detail == "" else case.detail in execution.detail
    if case.exit_code is not None:
        assert execution.exit_code == case.exit_code


def test_nobody_came(executions: dict[str, Execution], canaries: Canaries) -> None:
    assert len(executions) == len(CASES) >= 60
    assert canaries.n_visitors() == 0
    assert canaries.file_in_tmp.read_text() == canaries.file_in_home.read_text() == SECRET
