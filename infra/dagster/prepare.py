"""What the code location does around its start: sources file and pool limits before, orphaned runs after.

    python prepare.py before
    python prepare.py after &
    exec dagster api grpc ...

Runs are processes of the code location, so none survives it, and nobody else can tell: the default run
launcher has no health check. They would stand as started, with their places in the queue, for ever. So
those that stand so before the start are recorded as failed after it; the daemon then retries them
(`run_retries` in dagster.yaml), and because publishing is atomic and idempotent, a retry makes only what
is missing. Right only with ONE code location: the compose file and the AWS stack both stop the old before
they start the new.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import tempfile
import time
from pathlib import Path

import dagster as dg
import fsspec

POOLS_VARIABLE = "MATHCODE_POOLS"
# Where no folder can be mounted the sources file lies in the bucket, whose versions are its history.
SOURCES_URI_VARIABLE = "MATHCODE_SOURCES_URI"
SOURCES_VARIABLE = "MATHCODE_SOURCES"
ORPHANS = Path(tempfile.gettempdir()) / "orphaned-runs.json"
PORT = 4000
# A retry that finds no code location is given up for good, and the daemon looks for one again only once a minute.
PATIENCE_S = 150
# Left out: QUEUED (the daemon starts it) and NOT_STARTED (nobody has submitted it yet).
LIVE = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)


def parse_pools(text: str) -> dict[str, int]:
    """`gpu=1,sandbox=2` as limits by pool.

    Raises:
        ValueError: not of that form, or a negative limit.
    """
    limits: dict[str, int] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, separator, limit = item.partition("=")
        if not separator or not name.strip() or not limit.strip().isdecimal():
            raise ValueError(f"{POOLS_VARIABLE}: wants pool=limit, got {item!r}")
        limits[name.strip()] = int(limit)
    return limits


def fetch_sources(uri: str, path: Path) -> None:
    """Copy the sources file to where the code location reads it; whole or not at all."""
    temporary = path.with_name(f".{path.name}.new")
    with fsspec.open(uri, "rb") as remote:
        temporary.write_bytes(remote.read())
    temporary.replace(path)


def set_pools(instance: dg.DagsterInstance, limits: dict[str, int]) -> None:
    """Set the limits; pools that are not named keep theirs."""
    for name, limit in limits.items():
        instance.event_log_storage.set_concurrency_slots(name, limit)


def orphans(instance: dg.DagsterInstance) -> list[str]:
    """Ids of the runs that lived in an earlier code location; to be asked before this one serves."""
    return [run.run_id for run in instance.get_runs(filters=dg.RunsFilter(statuses=list(LIVE)))]


def end_runs(instance: dg.DagsterInstance, run_ids: list[str]) -> list[str]:
    """Record those that still stand as live as failed, or cancelled where that was wanted; their ids."""
    if not run_ids:
        return []
    runs = instance.get_runs(filters=dg.RunsFilter(run_ids=run_ids, statuses=list(LIVE)))
    for run in runs:
        if run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message="The code location was restarted.")
        else:
            instance.report_run_failed(run, message="The code location was restarted; what was made is kept.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return [run.run_id for run in runs]


def wait_for_server(port: int) -> None:
    """Return once something listens on the port; a start that fails ends the container, and this with it."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        except OSError:
            time.sleep(1)


def before() -> None:
    """Before the code location starts."""
    limits = parse_pools(os.environ.get(POOLS_VARIABLE, ""))
    if uri := os.environ.get(SOURCES_URI_VARIABLE):
        fetch_sources(uri, Path(os.environ[SOURCES_VARIABLE]))
    with dg.DagsterInstance.get() as instance:
        set_pools(instance, limits)
        found = orphans(instance)
    ORPHANS.write_text(json.dumps(found))
    print(f"pools {limits}; runs of an earlier code location: {len(found)}", flush=True)


def after(port: int, patience_s: float) -> None:
    """Once it serves, and the daemon has seen it."""
    found = json.loads(ORPHANS.read_text())
    if not found:
        return
    wait_for_server(port)
    time.sleep(patience_s)
    with dg.DagsterInstance.get() as instance:
        ended = end_runs(instance, found)
    print(f"runs ended, to be retried: {' '.join(ended) or 'none'}", flush=True)


def main() -> None:
    """Prepare the instance of DAGSTER_HOME."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("when", choices=["before", "after"])
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--patience-s", type=float, default=PATIENCE_S)
    given = parser.parse_args()
    if given.when == "before":
        before()
    else:
        after(given.port, given.patience_s)


if __name__ == "__main__":
    main()
