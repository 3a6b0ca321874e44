"""Isolated execution beside three other ways to run the same snippets, in one run.

- mathcode: the sandbox of this package with full isolation, warm interpreters, one fork per snippet;
- fresh interpreter: `python -I` for each snippet, no isolation at all;
- bubblewrap: one bubblewrap with a fresh interpreter for each snippet;
- bare pool: `exec` in the processes of a multiprocessing pool that has everything imported, no isolation; what one
  snippet leaves the next one finds.

Each way has the same number of snippets under way at a time, and must print the same. Starting the sandbox and the pool
is not counted: it happens once per batch. Wall-clock time; a ratio is formed within a round, where the machine was as
busy for one as for the other, and the median of the rounds is printed.

The kinds `trivial`, `NumPy` and `SymPy` are written by hand, each line another operation; `translated` is what the
graph runs: programs that the translation by rules writes, for pages of a folder, drawn by seed.

    python benchmarks/execution.py [--pages ../shared/data]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import multiprocessing
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mathcode_assets.mathematical_code.symbolic import translate_passage
from mathcode_assets.sandbox.launch import ENVIRONMENT
from mathcode_assets.sandbox.pool import Sandbox, SandboxConfig
from mathcode_assets.sandbox.snippets import Snippet
from mathcode_assets.sources.formats import raw_records
from mathcode_assets.sources.listing import list_inputs
from mathcode_assets.sources.raw_records import ReadLimits, Rejected

SAMPLE = Path(__file__).parents[1] / "mathcode_assets" / "sample" / "data"
N_PAGES, N_TRANSLATED = 500, 40
KINDS: dict[str, tuple[int, tuple[str, ...]]] = {
    "trivial": (
        100,
        (
            "print(17 * 23)",
            "from fractions import Fraction\nprint(Fraction(1, 3) + Fraction(1, 6))",
            "import math\nprint(round(math.sqrt(2), 6))",
            "def f(n): return 1 if n < 2 else n * f(n - 1)\nprint(f(12))",
        ),
    ),
    "NumPy": (
        40,
        (
            "import numpy as np\nprint(np.linalg.solve(np.eye(2) + 1, np.array([3., 5.])).round(6).tolist())",
            "import numpy as np\nprint(np.roots([1, -6, 11, -6]).round(6).tolist())",
            "import numpy as np\nprint(float(np.linalg.det(np.arange(9.).reshape(3, 3) + np.eye(3)).round(6)))",
            "import numpy as np\nprint(np.cumsum(np.arange(10) ** 2).tolist())",
        ),
    ),
    "SymPy": (
        60,
        (
            "from sympy import *\nx = symbols('x')\nprint(integrate(x**3 - 2*x, (x, 0, 2)))",
            "from sympy import symbols, solve\nx = symbols('x')\nprint(solve(x**2 - 9*x + 20, x))",
            "from sympy import *\nx = symbols('x')\nprint(diff(x**2*sin(x), x))",
            "from sympy import *\nprint(simplify(Rational(7, 12) + sqrt(8)))",
            "from sympy import *\nx = symbols('x')\nprint(limit((x**2 - 4)/(x - 2), x, 2))",
        ),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tier", default="auto")
    parser.add_argument("--pages", type=Path, default=SAMPLE, help="folder with open_web_math/ and cc_en/")
    arguments = parser.parse_args()
    kinds = KINDS | {"translated": (N_TRANSLATED, translated_programs(arguments.pages))}
    n_workers = arguments.workers
    context = multiprocessing.get_context("spawn")
    with (
        Sandbox(SandboxConfig(n_workers=n_workers, tier=arguments.tier)) as sandbox,
        context.Pool(n_workers, initializer=preload) as pool,
        ThreadPoolExecutor(n_workers) as threads,
    ):
        # What does not end by itself would hold up the ways that have no limits.
        ends = [done.status == "ok" for done in sandbox.run(Snippet(code=code) for code in kinds["translated"][1])]
        kinds["translated"] = N_TRANSLATED, tuple(itertools.compress(kinds["translated"][1], ends))
        pool.map(run_here, [code for _, codes in kinds.values() for code in codes] * 2)
        ways: dict[str, Callable[[Sequence[str]], list[str]]] = {
            "mathcode": lambda codes: [done.stdout for done in sandbox.run(Snippet(code=code) for code in codes)],
            "fresh interpreter": lambda codes: list(threads.map(run_fresh, codes)),
            "bubblewrap": lambda codes: list(threads.map(run_bubblewrapped, codes)),
            "bare pool": lambda codes: pool.map(run_here, codes, chunksize=1),
        }
        print(f"tier {sandbox.tier}, {n_workers} at a time, {arguments.rounds} rounds")
        print(f"{'':<12}{'way':<20}{'ms a snippet':>13}{'snippets/s':>12}{'x our time':>12}")
        for kind, (n_snippets, codes) in kinds.items():
            batch = [codes[number % len(codes)] for number in range(n_snippets)]
            for name, seconds, ratio in measured(ways, batch, arguments.rounds):
                per_snippet = seconds / n_snippets
                print(f"{kind:<12}{name:<20}{per_snippet * 1000:13.1f}{1 / per_snippet:12.0f}{ratio:12.2f}", flush=True)


def translated_programs(folder: Path) -> tuple[str, ...]:
    """Programs that the translation by rules writes for the pages of a folder; pages and programs drawn by seed."""
    chance = random.Random(0)
    pages: list[str] = []
    for pattern in ("open_web_math/**/*.parquet", "cc_en/*.jsonl.zst"):
        for file in list_inputs(str(folder / pattern)):
            for record in raw_records(file, ReadLimits(), needed=(), present=[["text"]]):
                if not isinstance(record, Rejected) and record.fields.get("text"):
                    pages.append(record.fields["text"])
    some = chance.sample(pages, min(N_PAGES, len(pages)))
    programs = sorted({found.code for page in some for found in translate_passage(page)})
    return tuple(chance.sample(programs, min(N_TRANSLATED, len(programs))))


def measured(
    ways: dict[str, Callable[[Sequence[str]], list[str]]], batch: Sequence[str], n_rounds: int
) -> Iterator[tuple[str, float, float]]:
    """Median seconds for the batch, and median ratio to the first way, of each way."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(n_rounds):
        outputs = {}
        for name, way in ways.items():
            start = time.perf_counter()
            outputs[name] = way(batch)
            seconds[name].append(time.perf_counter() - start)
        for name, output in outputs.items():
            assert output == outputs["mathcode"], f"{name} prints something else"
    for name, values in seconds.items():
        ratios = [value / ours for value, ours in zip(values, seconds["mathcode"], strict=True)]
        yield name, statistics.median(values), statistics.median(ratios)


def run_fresh(code: str) -> str:
    command = [sys.executable, "-I", "-c", code]
    return subprocess.run(command, env=dict(ENVIRONMENT), capture_output=True, text=True).stdout


def run_bubblewrapped(code: str) -> str:
    """The host's files read-only, as simple as it gets; no seccomp, Landlock or limits."""
    isolation = ["bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--tmpfs", "/tmp"]
    command = [*isolation, "--", sys.executable, "-I", "-c", code]
    return subprocess.run(command, env=dict(ENVIRONMENT), capture_output=True, text=True).stdout


def run_here(code: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "snippet.py", "exec"), {"__name__": "__main__"})
    return printed.getvalue()


def preload() -> None:
    import numpy
    import scipy
    import sympy

    assert numpy and scipy and sympy


if __name__ == "__main__":
    main()
