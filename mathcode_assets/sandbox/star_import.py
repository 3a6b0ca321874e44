"""`from sympy import *` before the fork: its names are bound once in a worker, not in every snippet.

Binding SymPy's thousand names counts a reference to each object, and so copies the 600 pages they lie on into every
fork: a quarter of all the pages that a snippet like `print(integrate(x**2, x))` copies. A snippet that begins with the
statement gets a `__main__` that holds the names already, and must not find a difference.
"""

from __future__ import annotations

import re
import sys
from types import CodeType, ModuleType

STATEMENT = "from sympy import *"
_BEGINNING = re.compile(r"(?:[ \t\f]*(?:#[^\r\n]*)?\r?\n)*(from sympy import \*)[ \t]*(?:#[^\r\n]*)?(?:\r?\n|\Z)")
# With these a snippet may bind a name that its code does not show.
_UNSEEN = ("globals", "locals", "vars", "exec", "eval", "__dict__", "__main__", "modules")

_main: ModuleType | None = None
_names: frozenset[str] = frozenset()


def prepare(file_name: str) -> None:
    """Make the `__main__` that snippets get; once SymPy is imported, before forks."""
    global _main, _names
    bound: dict[str, object] = {}
    exec(STATEMENT, bound)
    del bound["__builtins__"]
    _main = new_main(file_name)
    _main.__dict__.update(bound)
    _names = frozenset(bound)


def new_main(file_name: str) -> ModuleType:
    """A `__main__` as the interpreter makes it for a script."""
    module = ModuleType("__main__")
    module.__dict__.update(__builtins__=sys.modules["builtins"], __file__=file_name)
    return module


def take(source: str) -> tuple[ModuleType, str] | None:
    """The prepared `__main__`, and the source with `pass` for the statement; None where it does not begin so."""
    if _main is None or any(word in source for word in _UNSEEN):
        return None
    found = _BEGINNING.match(source)
    if found is None:
        return None
    start, stop = found.span(1)
    return _main, source[:start] + "pass".ljust(stop - start) + source[stop:]


def clear(module: ModuleType, code: CodeType) -> None:
    """Let go of what the snippet bound; to let go of the rest would copy the pages after all."""
    if module is not _main:
        module.__dict__.clear()
        return
    own = []
    for name in reversed(module.__dict__):
        if name in _names:
            break  # what is new stands behind what was there
        own.append(name)
    dropped = [module.__dict__.pop(name, None) for name in (*_bound_again(code), *reversed(own))]
    dropped.clear()


def _bound_again(code: CodeType) -> list[str]:
    """Names of SymPy's that the code speaks of: it may have bound them anew."""
    found = [name for name in code.co_names if name in _names]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found += _bound_again(constant)
    return found
