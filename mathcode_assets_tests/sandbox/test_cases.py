"""Each case of `cases.py` ends as it should, in both tiers, and reaches nothing of the host's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mathcode_assets.sandbox.pool import Sandbox
from mathcode_assets.sandbox.snippets import Snippet
from mathcode_assets_tests.sandbox.cases import CASES, Case
from mathcode_assets_tests.sandbox.conftest import SECRET, Canaries


def placed(case: Case, canaries: Canaries) -> Case:
    """The case with the places of the canaries in its code."""
    code = case.code.replace("CANARY_TMP", str(canaries.file_in_tmp)).replace("CANARY_HOME", str(canaries.file_in_home))
    return replace(case, code=code.replace("CANARY_PORT", str(canaries.port)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(sandbox: Sandbox, canaries: Canaries, case: Case) -> None:
    (execution,) = sandbox.run([Snippet(code=placed(case, canaries).code, stdin=case.stdin)])
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
    assert canaries.n_visitors() == 0


def test_names_of_cases_differ() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) >= 60
