"""Octave's snippets: each case ends as it should in both tiers, beside Python's in one stream."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from mathcode_assets.sandbox import octave_files as places
from mathcode_assets.sandbox.octave import FUNCTION_FIRST
from mathcode_assets.sandbox.pool import Sandbox, SandboxConfig
from mathcode_assets.sandbox.snippets import Execution, Limits, Snippet
from mathcode_assets_tests.sandbox.cases import Case
from mathcode_assets_tests.sandbox.conftest import SECRET, Canaries
from mathcode_assets_tests.sandbox.octave_cases import OCTAVE_CASES
from mathcode_assets_tests.sandbox.test_pool import descendants

needs_octave = pytest.mark.skipif(
    shutil.which("octave-cli") is None, reason="octave-cli is not installed (apt-get install octave)"
)
POISON = """
pi = 3;
function r = sin(x)
  r = 99;
end
rand("twister", 5); setenv("LEAK", "1"); format long; global g; g = 1; warning("off", "all"); cd("/"); addpath("/tmp");
"""
CLEAN = """
global g
printf("%g %g %d %d\\n", pi, sin(0), isempty(getenv("LEAK")), isempty(g)); x = 1/3
disp(exist("leak.txt", "file"))
"""


def octave(code: str) -> Snippet:
    return Snippet(code=code, language="octave")


@pytest.fixture(scope="session")
def octave_executions(sandbox: Sandbox, canaries: Canaries) -> dict[str, Execution]:
    """All cases in one batch: each has hostile neighbours."""

    def placed(code: str) -> str:
        code = code.replace("CANARY_TMP", str(canaries.file_in_tmp)).replace("CANARY_HOME", str(canaries.file_in_home))
        return code.replace("CANARY_PORT", str(canaries.port))

    cases = (Snippet(code=placed(case.code), stdin=case.stdin, language="octave") for case in OCTAVE_CASES)
    return {case.name: execution for case, execution in zip(OCTAVE_CASES, sandbox.run(cases), strict=True)}


@needs_octave
@pytest.mark.parametrize("case", OCTAVE_CASES, ids=lambda case: case.name)
def test_case(octave_executions: dict[str, Execution], sandbox: Sandbox, case: Case) -> None:
    execution = octave_executions[case.name]
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


@needs_octave
def test_nobody_came(octave_executions: dict[str, Execution], canaries: Canaries) -> None:
    assert len(octave_executions) == len(OCTAVE_CASES) >= 80
    assert canaries.n_visitors() == 0
    assert canaries.file_in_tmp.read_text() == canaries.file_in_home.read_text() == SECRET


@needs_octave
def test_languages_are_mixed_in_order(sandbox: Sandbox) -> None:
    snippets = [octave(f"disp({n})") if n % 3 == 0 else Snippet(code=f"print({n})") for n in range(30)]
    assert [result.stdout for result in sandbox.run(snippets)] == [f"{n}\n" for n in range(30)]


@needs_octave
def test_nothing_passes_from_one_snippet_to_the_next(sandbox: Sandbox) -> None:
    results = list(sandbox.run(octave(code) for code in [POISON] * 4 + [CLEAN] * 4))
    assert {result.status for result in results} == {"ok"}, results[0].stderr
    assert {result.stdout for result in results[4:]} == {"3.14159 0 1 1\nx = 0.3333\n0\n"}


@needs_octave
def test_same_output_twice(sandbox: Sandbox) -> None:
    code = "disp(rand), disp(randn), disp(randi(1000)), disp(randperm(9)), disp(rande), disp(randp(5))"
    assert len({result.stdout for result in sandbox.run([octave(code)] * 6)}) == 1


@needs_octave
def test_killed_workers_lose_nothing() -> None:
    limits = Limits(wall_s=3.0, cpu_s=3.0)
    with Sandbox(SandboxConfig(preload=(), n_workers=1, limits=limits)) as sandbox:
        outputs = []
        for number, result in enumerate(sandbox.run(octave(f"disp({n})") for n in range(12))):
            outputs.append(result.stdout)
            if number == 5:
                for pid in descendants(os.getpid()):
                    os.kill(pid, signal.SIGKILL)
    assert sum(output != f"{number}\n" for number, output in enumerate(outputs)) <= 1
    assert len(outputs) == 12


def test_rejected_where_octave_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places.octave_files.cache_clear()
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("bwrap", "ldd"):
        if found := shutil.which(name):
            (programs / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(programs))
    try:
        with Sandbox(SandboxConfig(preload=(), n_workers=1)) as sandbox:
            results = list(sandbox.run([Snippet(code="print(1)"), octave("disp(1)"), Snippet(code="print(2)")]))
    finally:
        places.octave_files.cache_clear()
    assert [result.stdout for result in results] == ["1\n", "", "2\n"]
    assert (results[1].status, results[1].tier) == ("rejected", "")
    assert "apt-get install octave" in results[1].detail


@needs_octave
def test_an_octave_that_does_not_load_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one of another version would be, or a broken one; Python's snippets are run nevertheless."""
    broken = places.octave_files()
    wrong = places.OctaveFiles(
        interpreter=next(path for path in broken.libraries if path.name.startswith("libm.")),
        folders=broken.folders,
        libraries=broken.libraries,
    )
    monkeypatch.setattr("mathcode_assets.sandbox.launch.octave_files", lambda: wrong)
    with Sandbox(SandboxConfig(preload=(), n_workers=2)) as sandbox:
        results = list(sandbox.run([octave("disp(1)"), Snippet(code="print(2)"), octave("disp(3)")]))
    assert [result.status for result in results] == ["rejected", "ok", "rejected"]
    assert "Octave does not start" in results[0].detail and "undefined symbol" in results[0].detail


@pytest.mark.parametrize(
    ("source", "is_function_first"),
    [
        ("function f()\nend", True),
        ("\n  % a\n\t# b\r\nfunction f()\nend", True),
        ("x = 1;\nfunction f()\nend", False),
        ("functional = 1", False),
        ("% function f()\nx = 1", False),
        ("", False),
    ],
)
def test_function_first(source: str, is_function_first: bool) -> None:
    assert bool(FUNCTION_FIRST.match(source)) == is_function_first
