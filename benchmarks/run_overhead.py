"""Where the time of `mathcode run` goes: work of stages, checks, storage; and what Dagster adds.

    python benchmarks/run_overhead.py --sources sources.yaml --root /tmp/lake [--profile out.prof]

Builds the lake from nothing in this process, as `mathcode run` does without an engine, with a stopwatch around

    publish     what makes and writes a partition: stage functions, reading and writing of tables
    checks      what is looked at once it is published
    previews    what the UI shows of it
    listing     looking for the files of the sources

Everything else is overhead: starting, resolving jobs, Dagster's runs and its record of events. Prints seconds of wall
clock and CPU, and the overhead's share. Peaks of other work on the machine fall on whatever runs then: CPU is the
steadier of the two, but counts what waits for a disk as nothing.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

STARTED = time.perf_counter(), time.process_time()


class Stopwatch:
    """Seconds of wall clock and CPU (of ended children too) by name; what is inside something counted counts there."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = defaultdict(float)
        self.cpu: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self._depth = 0

    @contextmanager
    def counting(self, name: str) -> Iterator[None]:
        self._depth += 1
        started = time.perf_counter(), cpu_seconds()
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                self.wall[name] += time.perf_counter() - started[0]
                self.cpu[name] += cpu_seconds() - started[1]
                self.calls[name] += 1

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **options: Any) -> Any:
            with self.counting(name):
                return function(*arguments, **options)

        return timed


def cpu_seconds() -> float:
    """Of this process and its ended children; those still warm (sandboxes) are not in it."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", required=True)
    parser.add_argument("--root", required=True, help="emptied first")
    parser.add_argument("--profile", help="also write a cProfile of the drive here; slows what it measures")
    arguments = parser.parse_args()
    root = Path(arguments.root).absolute()
    shutil.rmtree(root, ignore_errors=True)

    import mathcode_assets.definitions as definitions
    from mathcode_assets.defs.assets import clean
    from mathcode_assets.defs.drive import Driver
    from mathcode_assets.defs.graph import CORPUS
    from mathcode_assets.defs.instance import open_instance
    from mathcode_assets.defs.resources import WorkspaceResource
    from mathcode_assets.defs.table_assets import LakeAsset
    from mathcode_assets.defs.workspace import Workspace

    watch = Stopwatch()
    LakeAsset.publish = watch.around("publish", LakeAsset.publish)  # type: ignore[method-assign]
    clean.residual_outcome = watch.around("checks", clean.residual_outcome)
    Workspace.partitions = watch.around("listing", Workspace.partitions)  # type: ignore[method-assign]

    def timed(asset: Any) -> Any:
        checks = [replace(check, evaluate=watch.around("checks", check.evaluate)) for check in asset.checks]
        preview = watch.around("previews", asset.preview) if asset.preview else None
        return replace(asset, checks=checks, preview=preview)

    assets = [timed(asset) for asset in CORPUS]
    definitions.LAKE_ASSETS = [*assets, *definitions.LAKE_ASSETS[len(CORPUS) :]]
    built = definitions.build_definitions(arguments.sources, root=str(root))
    workspace = WorkspaceResource(sources_file=arguments.sources, root=str(root)).open()
    with open_instance(root / ".dagster") as instance:
        driver = Driver(definitions=built, assets=assets, workspace=workspace, instance=instance)
        ready = time.perf_counter(), time.process_time()
        if arguments.profile:
            import cProfile

            profile = cProfile.Profile()
            report = profile.runcall(driver.run)
            profile.dump_stats(arguments.profile)
        else:
            report = driver.run()
    wall, cpu = time.perf_counter() - STARTED[0], cpu_seconds() - STARTED[1]
    told = {
        name: {"wall_s": round(watch.wall[name], 1), "cpu_s": round(watch.cpu[name], 1), "calls": watch.calls[name]}
        for name in watch.wall
    }
    start_up = {"wall_s": round(ready[0] - STARTED[0], 1), "cpu_s": round(ready[1] - STARTED[1], 1)}
    inside_wall, inside_cpu = sum(watch.wall.values()), sum(watch.cpu.values())
    print(json.dumps({
        "partitions": report.materialized, "complete": report.is_complete, "start_up": start_up, **told,
        "total": {"wall_s": round(wall, 1), "cpu_s": round(cpu, 1)},
        "overhead": {"wall_s": round(wall - inside_wall, 1), "cpu_s": round(cpu - inside_cpu, 1)},
        "overhead_share": {"wall": round(1 - inside_wall / wall, 3), "cpu": round(1 - inside_cpu / cpu, 3)},
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
