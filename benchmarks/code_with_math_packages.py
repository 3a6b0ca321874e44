"""The import filter beside what a user would write instead: plain `ast` on every file, a DuckDB regex.

    PYTHONPATH=. python benchmarks/code_with_math_packages.py [--data ../shared/data] [--rounds 3]

All methods read the same Arrow batches, in one process and one thread, in turn; the figures are medians of
CPU time. "Same files" counts the files on whose keeping a method agrees with ours, "same packages" those
with equal lists (a regex that keeps or drops has none).
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from mathcode_assets.corpus.code_with_math_packages.notebooks import python_cells
from mathcode_assets.corpus.code_with_math_packages.tagging import CodeFilterConfig, filter_code_rows

PACKAGES = frozenset(CodeFilterConfig().packages)
SUBSETS = ("python", "jupyter-scripts-dedup-filtered", "jupyter-structured-clean-dedup")

# What a careful user writes: an import at the start of a line. RE2 has no look-behind.
LINE_REGEX = rf"(?m)^[ \t]*(from|import)[ \t]+({'|'.join(sorted(PACKAGES))})\b"

Found = dict[str, list[str] | None]  # id -> packages of the files kept; None where a method lists none


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("MATHCODE_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    pa.set_cpu_count(1)
    warnings.simplefilter("ignore")
    print("| subset | files | method | MB/CPU-s | CPU time, ours = 1 | kept | same files | same packages |")
    print("|---|---|---|---|---|---|---|---|")
    for subset in SUBSETS:
        table = pq.read_table(arguments.data / "starcoder" / subset, columns=["id", "content"])
        report(subset, table.to_batches(max_chunksize=500), arguments.rounds)


def report(subset: str, batches: list[pa.RecordBatch], rounds: int) -> None:
    methods: dict[str, Callable[[list[pa.RecordBatch]], Found]] = {
        "ours": ours,
        "ast on every file": plain_ast,
        "DuckDB regex": duckdb_regex,
    }
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    found: dict[str, Found] = {}
    for _ in range(rounds):
        for name, method in methods.items():
            start = time.process_time()
            found[name] = method(batches)
            seconds[name].append(time.process_time() - start)
    n_files = sum(len(batch) for batch in batches)
    megabytes = sum(batch.column("content").nbytes for batch in batches) / 1e6
    reference, base = found["ours"], statistics.median(seconds["ours"])
    for name in methods:
        median, kept = statistics.median(seconds[name]), found[name]
        same_files = n_files - len(kept.keys() ^ reference.keys())
        differing = {key for key in kept.keys() | reference.keys() if kept.get(key) != reference.get(key)}
        same_packages = "-" if None in kept.values() else n_files - len(differing)
        print(
            f"| {subset} | {n_files} | {name} | {megabytes / median:.0f} | {median / base:.2f} | {len(kept)} "
            f"| {same_files} | {same_packages} |"
        )


def ours(batches: list[pa.RecordBatch]) -> Found:
    kept = [batch.select(["id", "packages"]).to_pylist() for batch in filter_code_rows(batches)]
    return {row["id"]: row["packages"] for rows in kept for row in rows}


def plain_ast(batches: list[pa.RecordBatch]) -> Found:
    """`ast` on every file, after the StarCoder header; what does not parse imports nothing."""
    found: Found = {}
    for batch in batches:
        for key, content in zip(batch.column("id").to_pylist(), batch.column("content").to_pylist(), strict=True):
            is_notebook = content.startswith("<jupyter_start>")
            sources = python_cells(content) if is_notebook else [re.sub(r"\A<\w+>[^\n]*", "", content)]
            packages = sorted(PACKAGES.intersection(*[set().union(*map(_modules, sources))]))
            if packages:
                found[key] = packages
    return found


def _modules(source: str) -> set[str]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            modules.add(node.module.partition(".")[0])
    return modules


def duckdb_regex(batches: list[pa.RecordBatch]) -> Found:
    connection = duckdb.connect(config={"threads": 1})
    connection.register("rows", pa.Table.from_batches(batches))
    query = "select id from rows where regexp_matches(content, $1)"
    return dict.fromkeys((key for (key,) in connection.execute(query, [LINE_REGEX]).fetchall()), None)


if __name__ == "__main__":
    main()
