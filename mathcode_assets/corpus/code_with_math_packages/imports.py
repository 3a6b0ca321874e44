"""Which of a few packages a piece of Python source imports.

Two readers, tried in this order:

1. `ast`, exact, for whatever Python 3 can parse;
2. a tolerant scanner for the rest (Python 2, notebook magics, half files, sources too long or too
   deeply nested for `ast`): it blanks strings and comments, joins continued lines, and then looks for
   import statements where a statement may begin.

What counts as an import of ``scipy``: ``import`` and ``from`` statements whose *top-level* module is
``scipy``, wherever they stand (function, ``try``, ``if TYPE_CHECKING``), and the two calls that import
by a literal name, ``__import__("scipy")`` and ``importlib.import_module("scipy.stats")``.
What does not: text inside strings, docstrings and comments; relative imports (``from . import
statistics`` is a module of the project's own); ``from mypkg import statistics``; ``import
mypkg.scipy``; ``import scipy_utils``; names passed to pip, find_spec or importorskip.

A local file called statistics.py that shadows the standard module cannot be told from one source.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator

# `ast` takes up to 700 bytes of memory and 1.4 microseconds for a byte of source (measured on runs of
# decorators; 400 bytes on chains of comparisons), so this may cost 0.2 GB for a moment. The longest real
# file here has 149,000 characters; longer ones are data written as Python, and the scanner reads them.
MAX_AST_CHARS = 300_000

# The StarCoder files begin with one line of repository, path and stars in tags of their own.
_HEADER = re.compile(r"\ufeff?(?:<(?:reponame|filename|gh_stars)>[^\r\n]*)?\ufeff?")

_DYNAMIC_CALLS = ("__import__", "import_module")

# Notebook magics whose argument, or whose cell, is Python run in the notebook's own interpreter.
PYTHON_MAGICS = frozenset(
    re.findall(
        r"\w+",
        "capture cython debug lprun memit mprun prun px pypy python python2 python3 snakeviz time timeit",
    )
)

_STRING_OR_COMMENT = r"""
    \#[^\n]*
  | \"\"\" (?: [^\"\\]++ | \\. | \"(?!\"\") )*+ (?: \"\"\" | \\?\Z )
  | \'\'\' (?: [^\'\\]++ | \\. | \'(?!\'\') )*+ (?: \'\'\' | \\?\Z )
  | \"     (?: [^\"\\\n]++ | \\. )*+ \"?
  | \'     (?: [^\'\\\n]++ | \\. )*+ \'?
"""
_BLANK = re.compile(
    rf"""
    (?P<literal> {_STRING_OR_COMMENT} )
  | (?P<continued> \\[ \t]*\n )
  | (?P<run> ^[ \t]*+ %{{1,2}} (?:{"|".join(sorted(PYTHON_MAGICS))}) \b (?: [ \t]+-\w+ (?:[ \t]*\d+)? )*+ )
  | (?P<magic> ^[ \t]*+ (?: [!?] | %{{1,2}}[A-Za-z] ) [^\n]* )
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
_DOTTED_STRING = re.compile(r"""(["']{1,3})([\w.]{1,200})\1""")

_GAP = r"[ \t\f]*+"
_DOTTED = rf"[^\W\d]\w*+(?:{_GAP}\.{_GAP}\w++)*+"
_IMPORT = re.compile(
    rf"(?<![\w.])import[ \t\f]++(?P<names>{_DOTTED}(?:[ \t\f]++as[ \t\f]++\w++)?+"
    rf"(?:{_GAP},{_GAP}{_DOTTED}(?:[ \t\f]++as[ \t\f]++\w++)?+)*+){_GAP}(?=[;\n]|\Z)"
)
_FROM = re.compile(rf"(?<![\w.])from[ \t\f]++(?P<names>{_DOTTED}){_GAP}\bimport\b{_GAP}[*(\w]")
_DYNAMIC = re.compile(
    rf"\b(?:__import__|import_module){_GAP}\(\s*+(?:name{_GAP}={_GAP})?[rRuU]?[\"'](?P<names>\w[\w.]*+)[\"']"
)
# A statement on the same line may follow the colon of one of these.
_BEFORE_SUITE = re.compile(
    r"\s*(?:async|class|def|elif|else|except|finally|for|if|try|while|with)\b.*:\s*\Z", re.DOTALL
)
_LOOK_BACK = 400  # characters of a line before an import that are read: keeps long lines linear


def candidate_pattern(packages: tuple[str, ...]) -> str:
    """A regular expression (RE2 and `re`) that every source importing one of the packages matches.

    A name that is imported stands directly behind ``from``, ``import``, a comma, a continued line
    or a quote. Three in four mentions in prose and in attribute chains fail this, which saves parsing.
    """
    names = "|".join(re.escape(name) for name in packages)
    return rf"""(?:from|import|,|\\[ \t]*[\r\n]+|["'])[ \t\f]*(?:{names})\b"""


def python_imports(source: str, packages: frozenset[str]) -> set[str]:
    """The packages of this set that a Python source imports."""
    source = source[_HEADER.match(source).end() :]  # matches at least the empty string
    if len(source) <= MAX_AST_CHARS:
        modules = _modules_by_ast(source)
        if modules is not None:
            return packages & {module.partition(".")[0] for module in modules}
    return scanned_imports(source, packages)


def scanned_imports(source: str, packages: frozenset[str]) -> set[str]:
    """The same by the tolerant scanner alone: linear in the source, and never raises on any text."""
    skeleton = _BLANK.sub(_blanked, source.replace("\r\n", "\n").replace("\r", "\n"))
    found: set[str] = set()
    for pattern in (_IMPORT, _FROM):
        for match in pattern.finditer(skeleton):
            wanted = packages.intersection(_top_levels(match["names"]))
            if wanted - found and _begins_statement(skeleton, match.start()):
                found |= wanted
    for match in _DYNAMIC.finditer(skeleton):
        found |= packages.intersection(_top_levels(match["names"]))
    return found


def _modules_by_ast(source: str) -> list[str] | None:
    """Every absolute module imported, or None where `ast` cannot parse the source."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's strings
            tree = ast.parse(source)
    # ValueError: NUL characters. The last two: nesting deeper than the parser's or Python's stack.
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    modules: list[str] = []
    for statement in _statements(tree):
        if isinstance(statement, ast.Import):
            modules.extend(alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.level == 0 and statement.module:
            modules.append(statement.module)
    if any(call in source for call in _DYNAMIC_CALLS):
        modules.extend(_dynamic_modules(tree))
    return modules


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Every statement, without visiting expressions: a fifth of the cost of `ast.walk`."""
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            children = getattr(node, name, None)
            if isinstance(children, list):
                stack.extend(children)
        if isinstance(node, ast.stmt):
            yield node


def _dynamic_modules(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", None)
        if name not in _DYNAMIC_CALLS:
            continue
        arguments = node.args[:1] or [keyword.value for keyword in node.keywords if keyword.arg == "name"]
        for argument in arguments:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield argument.value  # a relative ".x" has an empty top level and matches nothing


def _blanked(match: re.Match[str]) -> str:
    """What stands in the skeleton for a string, comment, continued line or magic."""
    kind = match.lastgroup
    text = match[0]
    if kind == "literal":
        if text[0] == "#":
            return ""
        name = _DOTTED_STRING.fullmatch(text)
        return f'"{name[2]}"' if name else '""'
    return " " if kind == "continued" else ""


def _top_levels(names: str) -> list[str]:
    return [re.split(r"[ \t\f.]", name.strip(), maxsplit=1)[0] for name in names.split(",")]


def _begins_statement(skeleton: str, start: int) -> bool:
    """Whether a statement may begin here: behind a line's start, ``;``, or the colon of a suite."""
    before = skeleton[max(0, start - _LOOK_BACK) : start]
    before = before[max(before.rfind("\n"), before.rfind(";")) + 1 :]
    return not before.strip() or _BEFORE_SUITE.match(before) is not None
