"""Which imports count: each form by `ast`, by the scanner where `ast` fails, and by the prefilter."""

from __future__ import annotations

import ast
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathcode_assets.corpus.code_with_math_packages import imports

PACKAGES = frozenset({"cmath", "fractions", "scipy", "statistics", "sympy"})

IMPORTS = {
    "import asyncio, statistics": {"statistics"},
    "import numpy as np, scipy as sp": {"scipy"},
    "x=1; import sympy": {"sympy"},
    "import sympy;x=1": {"sympy"},
    "from scipy.stats import norm": {"scipy"},
    "import scipy.stats as st, cmath": {"scipy", "cmath"},
    "import scipy . stats": {"scipy"},
    "import\tsympy  # computer algebra": {"sympy"},
    "from scipy import (\n    stats,  # a comment\n    optimize,\n)": {"scipy"},
    "from sympy import(solve)": {"sympy"},
    "from sympy import*": {"sympy"},
    "from \\\n    scipy import stats": {"scipy"},
    "import os, \\\n    scipy": {"scipy"},
    "def f():\n    import cmath\n    return cmath.pi": {"cmath"},
    "try: import sympy\nexcept ImportError: sympy = None": {"sympy"},
    "try:\n\timport fractions\nexcept ImportError:\n\tpass": {"fractions"},
    "class A: from scipy import stats": {"scipy"},
    "for x in y:\n    pass\nelse: import scipy": {"scipy"},
    "if TYPE_CHECKING:\n    from sympy import Expr": {"sympy"},
    "match x:\n    case 1:\n        import scipy": {"scipy"},
    'x = __import__("sympy")': {"sympy"},
    "importlib.import_module('scipy.optimize')": {"scipy"},
    "import_module(\n    'scipy'\n)": {"scipy"},
    "import_module(name='scipy')": {"scipy"},
    "import sympy\r\nimport scipy\rimport cmath": {"sympy", "scipy", "cmath"},
    "\ufeffimport sympy": {"sympy"},
    "<reponame>a/b<filename>c.py<gh_stars>10-100\nimport sympy": {"sympy"},
    "\x0cimport sympy": {"sympy"},
}

NO_IMPORTS = [
    "'import sympy'",
    '"""\nimport sympy\n"""',
    "'''\nfrom scipy import stats\n'''",
    'def f():\n    r"""\n    >>> from sympy import x\n    """',
    "s = 'a\\'; import sympy'",
    "s = 'a\\\nimport sympy'",
    "# import sympy",
    "x = 1  # ; import sympy",
    "import scipy_utils",
    "import myscipy, scipyx.scipy",
    "from . import statistics",
    "from . import (a,\n  scipy)",
    "from .statistics import x",
    "from ..scipy.stats import x",
    "from . statistics import x",
    "from mypkg import statistics",
    "from mypkg import (a,\n    statistics)",
    "from mypkg import a, \\\n    statistics",
    "import mypkg.scipy",
    "import numpy as scipy",
    "import numpy as np, os as statistics",
    "scipy.stats.norm",
    "import_module('.statistics', __package__)",
    "import_module(name, 'scipy')",
    "find_spec('scipy')",
    "reimport = 1\nyield_from = scipy",
    "import SciPy",
]

# A line no Python 3 parser takes, so that the scanner decides.
BREAKERS = [
    "print 'python two'\n",
    "%matplotlib inline\n",
    "!pip install sympy\n",
    "?help\n",
    "def half(:\n",
    "x = 0777\n",
]


@pytest.mark.parametrize("source", IMPORTS)
def test_an_import_is_found(source):
    assert imports.python_imports(source, PACKAGES) == IMPORTS[source]


@pytest.mark.parametrize("breaker", BREAKERS)
@pytest.mark.parametrize("source", IMPORTS)
def test_an_import_is_found_where_ast_fails(source, breaker):
    broken = source + "\n" + breaker
    with pytest.raises(SyntaxError):
        ast.parse(broken)
    assert imports.python_imports(broken, PACKAGES) == IMPORTS[source]


@pytest.mark.parametrize("source", IMPORTS)
def test_the_prefilter_passes_every_import(source):
    assert re.search(imports.candidate_pattern(tuple(sorted(PACKAGES))), source)


@pytest.mark.parametrize("source", NO_IMPORTS)
def test_what_is_no_import_is_not_found(source):
    assert imports.python_imports(source, PACKAGES) == set()


@pytest.mark.parametrize("breaker", BREAKERS)
@pytest.mark.parametrize("source", NO_IMPORTS)
def test_what_is_no_import_is_not_found_where_ast_fails(source, breaker):
    assert imports.python_imports(source + "\n" + breaker, PACKAGES) == set()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("%time import sympy", {"sympy"}),
        ("%timeit -n 10 import sympy", {"sympy"}),
        ("%load_ext sympy.interactive", set()),
        ('!python -c "import sympy"', set()),
        ("!echo x; import sympy", set()),
        ("%run script.py ; import sympy", set()),
        ("y = (x\n     % scipy)\nprint 'x'\nimport sympy", {"sympy"}),
    ],
)
def test_magics_are_python_only_if_they_run_it(source, expected):
    assert imports.python_imports(source, PACKAGES) == expected


@pytest.mark.parametrize("text", ["import sympy and then run it", "Note: import scipy", "we import scipy"])
def test_prose_is_no_import(text):
    assert imports.scanned_imports(text, PACKAGES) == set()


def test_a_file_cut_in_the_middle_keeps_what_it_imported():
    assert imports.python_imports('import sympy\n\ndef f():\n    """cut he', PACKAGES) == {"sympy"}
    assert imports.python_imports("x = (1,\nimport scipy", PACKAGES) == {"scipy"}


@pytest.mark.parametrize(
    "deep",
    [
        "(" * 100_000,
        "not " * 50_000 + "1",
        "a" + ".b" * 100_000,
        "1" + "+1" * 100_000,
        "[" * 150 + ":",
        "f'{" * 9,
    ],
    ids=["brackets", "not", "attributes", "sum", "slices", "fstrings"],
)
def test_pathological_nesting_falls_to_the_scanner(deep):
    assert imports.python_imports("import sympy\nx = " + deep, PACKAGES) == {"sympy"}


def test_a_long_source_is_scanned():
    table = "x = [\n" + "1.5, 'scipy',\n" * (imports.MAX_AST_CHARS // 10) + "]\nimport sympy\n"
    assert imports.python_imports(table, PACKAGES) == {"sympy"}


def test_nul_characters_do_not_hide_an_import():
    assert imports.python_imports("x = 1\x00\nimport sympy\n", PACKAGES) == {"sympy"}


@given(st.text())
def test_any_text_has_an_answer(text):
    assert imports.scanned_imports(text, PACKAGES) <= PACKAGES


_PIECES = st.sampled_from(
    [
        "import sympy",
        "from scipy import x",
        "'",
        '"',
        '"""',
        "'''",
        "#",
        "\\",
        "\n",
        ";",
        " ",
        "(",
        ")",
        "x = 1",
        ":",
        "if x",
        "import a, cmath",
    ]
)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=500)
@given(st.lists(_PIECES, max_size=12).map("".join))
def test_the_scanner_agrees_with_ast_on_whatever_parses(source):
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    expected = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            expected |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            expected.add(node.module)
    assert imports.scanned_imports(source, PACKAGES) == expected & PACKAGES
