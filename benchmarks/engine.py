"""`mathcode run` with engines side by side: wall clock and CPU, and whether the lakes are the same bytes.

    python benchmarks/engine.py --sources sources.yaml --rounds 3 --workers 2 --folder /tmp/engines

Each round builds the lake from nothing, once with each engine, in turns; medians and the ratios of each round's pair
are told. The load of the machine is told as well: on one that is busy with something else, an engine gains what the
scheduler leaves it, and the CPU says more than the wall clock.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import yaml


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", required=True)
    parser.add_argument("--folder", required=True, help="for the lakes; emptied")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    folder = Path(arguments.folder).absolute()
    engines = {"serial": {"kind": "serial"}, "local": {"kind": "local", "workers": arguments.workers}}
    rounds = [
        {name: one_build(Path(arguments.sources), folder, name, engine) for name, engine in engines.items()}
        for _ in range(arguments.rounds)
    ]
    for number, found in enumerate(rounds):
        print(json.dumps({"round": number, **found}))
    told = {
        "rounds": len(rounds),
        "same_bytes": all(found["serial"]["sha256"] == found["local"]["sha256"] for found in rounds),
    }
    for measure in ("wall_s", "cpu_s"):
        for name in engines:
            told[f"{name}_{measure}"] = statistics.median(found[name][measure] for found in rounds)
        ratios = [found["serial"][measure] / found["local"][measure] for found in rounds]
        told[f"serial_over_local_{measure}"] = round(statistics.median(ratios), 2)
    print(json.dumps(told, indent=1))


def one_build(sources: Path, folder: Path, name: str, engine: dict[str, object]) -> dict[str, object]:
    root = folder / name
    shutil.rmtree(root, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    given = yaml.safe_load(sources.read_text())
    given["settings"] = {**(given.get("settings") or {}), "engine": engine}
    # Beside the original: its addresses may be relative to it.
    path = sources.with_name(f".engine-{os.getpid()}-{name}.yaml")
    path.write_text(yaml.safe_dump(given))
    load = os.getloadavg()[0]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    try:
        command = [sys.executable, "-m", "mathcode_assets", "run", "--sources", str(path), "--root", str(root)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        path.unlink()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall_s": round(time.perf_counter() - started, 1),
        "cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "load_before": round(load, 1),
        "status": done.returncode,
        "sha256": digest_of(root),
    }


def digest_of(root: Path) -> str:
    """One hash over every published file and its name."""
    found = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if path.is_file() and not parts[0].startswith(".") and path.suffix != ".duckdb":
            found.update("/".join(parts).encode() + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:16]


if __name__ == "__main__":
    main()
