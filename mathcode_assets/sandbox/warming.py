"""Make an interpreter cheap to fork and quick to begin: fill caches, and put its memory in order.

SymPy builds tables of integration and simplification rules at first use: the first definite integral of a process
takes 91 ms, with warm caches 9 ms.
"""

from __future__ import annotations

import ctypes
import gc
import random
import sys
from collections.abc import Mapping, Sequence
from typing import Any

SEED = 0
HUGE_BITS = 21
MADV_COLLAPSE = 25
# CPython's allocator of small objects (Objects/obmalloc.c), from 3.10 on: pools of blocks of one size each.
POOL_BYTES, POOL_HEADER = 16 << 10, 48
ALIGNMENT, MIN_BLOCK, MAX_BLOCK = 16, 48, 512
# Of one size; more than there ever was, and a bound where another allocator is in use.
MAX_FILLED_BYTES = 1 << 20
_EMPTY_BYTES = sys.getsizeof(b"")
_filled: list[bytes] = []
_LIBC = ctypes.CDLL(None)
_LIBC.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)

SYMPY = """
x, y, t = symbols("x y t")
n = symbols("n", integer=True, positive=True)
f = Function("f")
integrate(x**2*sin(x)*exp(x), (x, 0, 1)); integrate(1/(1 + x**2), (x, -oo, oo)); integrate(sqrt(1 - x**2), x)
integrate(exp(-x**2), (x, 0, oo)); integrate(log(x)/x, x); integrate((x + 1)/(x**2 + 3*x + 2), x)
integrate(x**2 + 3*x, (x, 0, 1)); integrate(sin(x), (x, 0, pi)); integrate(1/x, (x, 1, E)); integrate(sqrt(x), x)
integrate(3*x**2 - 4, x); integrate(x*exp(x), x); integrate(cos(2*x), x)
solve(x**2 - 5*x + 6, x); solve([x + y - 3, x - y - 1], [x, y]); solve(x**3 - 2*x + 1, x); solve(sin(x) - x/2*0, x)
solve(Eq(3*x - 2, 10), x); solve(x**2 - 2, x); solve(x**2 + x + 1, x); solve(x**3 - 6*x**2 + 11*x - 6, x)
solve(2*x + 3 - 7, x); solve([2*x + y - 5, x - 3*y + 1], [x, y])
solveset(x**2 - 1, x); solve(2**x - 8, x); nsolve(cos(x) - x, x, 1)
limit(sin(x)/x, x, 0); limit((1 + 1/x)**x, x, oo); series(exp(sin(x)), x, 0, 4)
limit((x**3 - 1)/(x - 1), x, 1); limit((sqrt(x + 4) - 2)/x, x, 0); limit((3*x**2 + 1)/(2*x**2 - x), x, oo)
limit((x**2 - 9)/(x - 3), x, 3); limit(x*sin(1/x), x, oo)
simplify(sin(x)**2 + cos(x)**2); factor(x**4 - 1); expand((x + y)**5); apart(1/(x**2 - 1)); cancel((x**2 - 1)/(x - 1))
diff(x**x*tan(x), x); diff(x**3*cos(x), x); diff(exp(2*x), x); diff(log(x**2 + 1), x); diff((x + 1)/(x - 1), x)
simplify(Rational(1, 2) + sqrt(12)); simplify((x**2 - 1)/(x - 1)); simplify(exp(x)*exp(-x)); radsimp(1/(sqrt(2) + 1))
simplify(sqrt(50) + sqrt(2)); simplify(x*(x + 1) - x**2); simplify(Rational(3, 4)*8); sqrtdenest(sqrt(3 + 2*sqrt(2)))
summation(1/n**2, (n, 1, oo)); summation(n, (n, 1, t)); product(n, (n, 1, 5))
dsolve(f(x).diff(x, 2) + f(x), f(x)); dsolve(f(x).diff(x) - f(x), f(x))
M = Matrix([[2, 1], [1, 3]]); M.det(); M.inv(); M.eigenvals(); M.eigenvects()
Rational(1, 3) + sqrt(2); pi.evalf(30); latex(x**2/y); str(x**2); N(sqrt(2), 20); trigsimp(sin(2*x)); nsimplify(0.5)
factorint(360); isprime(97); list(primerange(1, 20)); gcd(12, 18); sympify("x**2 + 1")
"""
SYMPY_WITH_NUMPY = "x = symbols('x'); lambdify(x, x**2)(2)"
NUMPY = """
a = numpy.arange(6.0).reshape(2, 3); (a @ a.T).tolist(); numpy.linalg.solve(numpy.eye(2), numpy.ones(2))
numpy.linalg.eig(numpy.eye(2)); numpy.fft.fft([1, 0]); numpy.roots([1, -3, 2]); numpy.polyfit([0, 1], [0, 1], 1)
str(a); repr(a); numpy.mean(a); numpy.std(a); numpy.round(a, 2); numpy.random.seed(0)
"""


def warm(modules: Mapping[str, Any]) -> None:
    """Exercise what is imported. A line of ours that a version no longer knows must not stop the worker."""
    if sympy := modules.get("sympy"):
        # Drawn at import from the clock; the order of dummy symbols in a sum depends on it.
        sympy.Dummy._base_dummy_index = 10**6
        random.seed(SEED)
        _run(SYMPY if "numpy" not in modules else SYMPY_WITH_NUMPY, dict(vars(sympy)))
    if numpy := modules.get("numpy"):
        _run(NUMPY, {"numpy": numpy})


def settle() -> list[int]:
    """Spare the forks work on memory that they share.

    Objects are kept out of garbage collection, which would write to all of them, the gaps between them are filled, and
    the pages they lie on are collapsed. Returns the places of those, for when they have come apart again.
    """
    gc.unfreeze()
    gc.collect()
    fill_gaps()
    places = sorted({id(found) >> HUGE_BITS for found in gc.get_objects()})
    gc.freeze()
    collapse(places)
    return places


def fill_gaps() -> None:
    """Occupy what is free between objects, about 1 MB, so that what a fork makes lies side by side on new pages.

    Else a SymPy snippet writes to 120 more of the shared pages, each of which is copied, and its own objects lie
    scattered: together some 5 % of its time.
    """
    for size in range(MIN_BLOCK, MAX_BLOCK + 1, ALIGNMENT):
        in_a_whole_pool = (POOL_BYTES - POOL_HEADER) // size
        previous = in_a_row = 0
        for _ in range(MAX_FILLED_BYTES // size):
            block = bytes(size - _EMPTY_BYTES)
            _filled.append(block)
            in_a_row = in_a_row + 1 if id(block) == previous + size else 1
            previous = id(block)
            if in_a_row == in_a_whole_pool:
                break  # CPython takes a new pool only where no other has a gap


def collapse(places: Sequence[int]) -> None:
    """Make huge pages of small ones: a fork copies one entry instead of 512, some 2 of 5 ms of a fork with SymPy.

    What is written to while another process shares it comes apart.
    """
    for place in places:
        # Refused by kernels before 6.1, and where other mappings lie in between: then the pages stay small.
        _LIBC.madvise(place << HUGE_BITS, 1 << HUGE_BITS, MADV_COLLAPSE)


def _run(lines: str, names: dict[str, Any]) -> None:
    for line in lines.strip().splitlines():
        for statement in line.split("; "):
            try:
                exec(statement, names)
            except Exception:
                continue
