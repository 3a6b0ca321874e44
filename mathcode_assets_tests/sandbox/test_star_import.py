"""A snippet that begins with `from sympy import *` finds what it would have found without our help."""

from __future__ import annotations

from types import ModuleType

import pytest

from mathcode_assets.sandbox import star_import
from mathcode_assets.sandbox.pool import Sandbox
from mathcode_assets.sandbox.snippets import Snippet

STATEMENT = star_import.STATEMENT
PROGRAMS = {
    "computes": "x = symbols('x')\nprint(integrate(x**2, (x, 0, 3)))",
    "names": "print(len(dir()), dir()[:3], '__annotations__' in dir())",
    "names in order": "print(list(globals()))",
    "annotated": "n: int = 3\nprint(__annotations__, dir()[-3:])",
    "binds a name of SymPy's": "E = 3\nprint(E, type(pi))",
    "deletes a name of SymPy's": "del E\nprint('E' in dir())",
    "uses a deleted name": "del E\nprint(E)",
    "fails": "def f():\n    return 1 / 0\nf()",
    "fails on the line of the statement": "print(undefined)",
    "objects that speak as they go": (
        "class Gone:\n    def __init__(self, name): self.name = name\n    def __del__(self): print('gone', self.name)\n"
        "E, other = Gone('E'), Gone('other')\ndef f():\n    global S\n    S = Gone('S')\nf()"
    ),
    "itself imported": "import __main__\nprint(__main__.pi, __main__.__file__)",
    "imports over it": "from math import *\nprint(sqrt(2))",
}


@pytest.mark.parametrize("before", ["", "# a comment\n\n", "\n  # indented\n"])
def test_nothing_tells_that_the_names_were_bound_before(sandbox: Sandbox, before: str) -> None:
    line = before.count("\n") + 1
    ours = [f"{before}{STATEMENT}\n{program}" for program in PROGRAMS.values()]
    # A statement before it: imported by the snippet itself. One on its line: tracebacks have the same numbers.
    plain = [f"{before}0; {STATEMENT}\n{program}" for program in PROGRAMS.values()]
    assert star_import._BEGINNING.match(ours[0])
    assert not star_import._BEGINNING.match(plain[0])
    found = list(sandbox.run(Snippet(code=code) for code in [*ours, *plain]))
    for name, a, b in zip(PROGRAMS, found, found[len(PROGRAMS) :], strict=False):
        assert (a.status, a.exit_code) == (b.status, b.exit_code), name
        assert sorted(a.stdout.splitlines()) == sorted(b.stdout.splitlines()), name
        assert a.stderr.replace(STATEMENT, f"0; {STATEMENT}") == b.stderr, (name, line)


def test_one_snippet_does_not_find_what_another_bound(sandbox: Sandbox) -> None:
    first, second = sandbox.run(
        [Snippet(code=f"{STATEMENT}\nE = 3\nmine = 1"), Snippet(code=f"{STATEMENT}\nprint(E, 'mine' in dir())")]
    )
    assert first.status == "ok"
    assert second.stdout == "E False\n"


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(star_import, "_main", None)
    monkeypatch.setattr(star_import, "_names", frozenset())
    star_import.prepare("snippet.py")
    assert star_import._main is not None
    return star_import._main


@pytest.mark.parametrize(
    "source", [f"{STATEMENT}\n", STATEMENT, f"{STATEMENT}  # all\r\npass", f"\r\n{STATEMENT}\r\nx"]
)
def test_takes_what_begins_so(prepared: ModuleType, source: str) -> None:
    taken = star_import.take(source)
    assert taken is not None
    assert taken[0] is prepared
    assert len(taken[1]) == len(source)
    assert STATEMENT not in taken[1]


@pytest.mark.parametrize(
    "source",
    [
        f"x = 1\n{STATEMENT}\n",
        f"'doc'\n{STATEMENT}\n",
        f"from math import *\n{STATEMENT}\n",
        f" {STATEMENT}\n",
        f"{STATEMENT}; x = 1\n",
        "from sympy import *x\n",
        "from sympy import (symbols)\n",
        f"{STATEMENT}\nglobals()['E'] = 1\n",
        f"{STATEMENT}\nexec('E = 1')\n",
        "",
    ],
)
def test_leaves_alone_what_does_not(prepared: ModuleType, source: str) -> None:
    assert star_import.take(source) is None
