"""Which interpreter a snippet is a fork of: the lightest that has what it names, and any gives the same answer."""

from __future__ import annotations

import pytest

from mathcode_assets.sandbox.levels import Level, level_for, levels_of
from mathcode_assets.sandbox.pool import PRELOAD, Sandbox, SandboxConfig
from mathcode_assets.sandbox.snippets import Snippet

LEVELS = levels_of(PRELOAD)


def test_levels_build_on_each_other() -> None:
    assert [sorted(level.packages) for level in LEVELS] == [
        [],
        ["numpy"],
        ["mpmath", "sympy"],
        ["mpmath", "numpy", "scipy", "sympy"],
    ]
    assert [level.base for level in LEVELS] == [0, 0, 0, 2]
    for level in LEVELS[1:]:
        assert LEVELS[level.base].packages < level.packages
    assert LEVELS[3].modules == tuple(name for name in PRELOAD if not name.startswith(("sympy", "mpmath")))


@pytest.mark.parametrize(
    ("preload", "packages"),
    [
        ((), [set()]),
        (("numpy",), [set(), {"numpy"}]),
        (("mpmath", "judge.compare"), [set(), {"mpmath"}, {"mpmath", "judge"}]),
        (("scipy.linalg",), [set(), {"scipy"}]),
    ],
)
def test_levels_of_other_modules(preload: tuple[str, ...], packages: list[set[str]]) -> None:
    assert [set(level.packages) for level in levels_of(preload)] == packages


def test_nothing_to_preload_is_one_level() -> None:
    assert levels_of(()) == (Level(modules=(), packages=frozenset(), base=0),)
    assert level_for("import sympy", levels_of(())) == 0


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ("print(1)", 0),
        ("import numpy as np", 1),
        ("from sympy import *", 2),
        ("import mpmath", 2),
        ("import sympy, numpy", 3),
        ("from scipy.optimize import brentq", 3),
        ("from sympy import lambdify", 3),
        ("# numpy would do too\nimport sympy", 3),
    ],
)
def test_lightest_that_has_what_is_named(code: str, place: int) -> None:
    assert level_for(code, LEVELS) == place


def test_each_level_runs_and_what_is_not_named_is_imported() -> None:
    codes = {
        "import numpy; print(numpy.arange(3).sum())": "3\n",
        "import sympy; print(sympy.sqrt(8))": "2*sqrt(2)\n",
        "import scipy.linalg, sympy; print(scipy.linalg.det([[2, 0], [0, 3]]), sympy.Integer(2))": "6.0 2\n",
        "print(__import__('num' + 'py').arange(4).sum())": "6\n",
        "import sympy\nx = sympy.Symbol('x')\nprint(getattr(sympy, 'lambd' + 'ify')(x, x + 1)(2))": "3\n",
        "import random; print(random.random())": "0.8444218515250481\n",
        "import random, sympy; print(random.random())": "0.8444218515250481\n",
        "import numpy; print(numpy.random.rand())": "0.5488135039273248\n",
        "import numpy, scipy.stats; print(numpy.random.rand())": "0.5488135039273248\n",
    }
    with Sandbox(SandboxConfig(n_workers=1)) as sandbox:
        executions = list(sandbox.run(Snippet(code=code) for code in codes))
    assert [execution.stdout for execution in executions] == list(codes.values()), executions
