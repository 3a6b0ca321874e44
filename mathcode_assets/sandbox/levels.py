"""The interpreters of one worker, from light to heavy: each snippet is a fork of the lightest that has what it names.

A fork copies page tables and its end unmaps them, so both cost in proportion to what the interpreter holds: 1 ms for
the common part of the standard library (5 MB), 2.4 ms with NumPy (15 MB), 4.6 ms with SymPy (70 MB), 5.5 ms with SciPy
as well (100 MB). Each interpreter is itself a fork of the one it builds on, so they share what they imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Snippets that need one of these alone are common; every other combination gets everything.
ALONE: tuple[frozenset[str], ...] = (frozenset({"numpy"}), frozenset({"sympy", "mpmath"}))
# What SymPy imports packages for at run time, without the snippet naming them.
IMPORTS_LATER = ("lambdify", "plot", "autowrap", "ufuncify")


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One interpreter: `modules` are imported in a fork of the interpreter at place `base`.

    `packages` are all it has then, by their top-level names.
    """

    modules: tuple[str, ...]
    packages: frozenset[str]
    base: int


def levels_of(preload: Sequence[str]) -> tuple[Level, ...]:
    """The interpreters for these modules to preload; the first has only the common part, the last has all."""
    levels = [Level(modules=(), packages=frozenset(), base=0)]
    wanted = frozenset(map(_package, preload))
    for packages in [alone & wanted for alone in ALONE] + [wanted]:
        if packages and packages != levels[-1].packages:
            # The heaviest one whose packages are among these.
            base = max((k for k, level in enumerate(levels) if level.packages < packages), default=0)
            modules = tuple(name for name in preload if _package(name) in packages - levels[base].packages)
            levels.append(Level(modules=modules, packages=packages, base=base))
    return tuple(levels)


def level_for(code: str, levels: Sequence[Level]) -> int:
    """The place of the interpreter for a snippet. A name that stands in a comment costs time, nothing else."""
    everything = levels[-1].packages
    named = {package for package in everything if package in code}
    if "sympy" in named and any(name in code for name in IMPORTS_LATER):
        return len(levels) - 1
    return next(place for place, level in enumerate(levels) if named <= level.packages)


def _package(module: str) -> str:
    return module.partition(".")[0]
