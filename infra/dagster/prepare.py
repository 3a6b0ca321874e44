"""What must be true before the code location serves: sources file, tables, pool limits; no run left from before.

    python prepare.py && dagster code-server start ...

Runs are processes of the code location, so none survives it, and nobody else can tell: the default run
launcher has no health check. They would stand as started, with their places in the queue, for ever. Here
they are recorded as failed; the daemon then retries them (`run_retries` in dagster.yaml), and because
publishing is atomic and idempotent, a retry makes only what is missing. Right only with ONE code location:
the compose file and the AWS stack both stop the old before they start the new.
"""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg
import fsspec

POOLS_VARIABLE = "MATHCODE_POOLS"
# Where no folder can be mounted the sources file lies in the bucket, whose versions are its history.
SOURCES_URI_VARIABLE = "MATHCODE_SOURCES_URI"
SOURCES_VARIABLE = "MATHCODE_SOURCES"
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


def end_orphans(instance: dg.DagsterInstance) -> list[str]:
    """Record the runs that lived in an earlier code location as failed; their ids."""
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=list(LIVE)))
    for run in runs:
        if run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message="The code location was restarted.")
        else:
            instance.report_run_failed(run, message="The code location was restarted; what was made is kept.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return [run.run_id for run in runs]


def main() -> None:
    """Prepare the instance of DAGSTER_HOME."""
    limits = parse_pools(os.environ.get(POOLS_VARIABLE, ""))
    if uri := os.environ.get(SOURCES_URI_VARIABLE):
        fetch_sources(uri, Path(os.environ[SOURCES_VARIABLE]))
    with dg.DagsterInstance.get() as instance:
        set_pools(instance, limits)
        ended = end_orphans(instance)
    print(f"pools {limits}; runs ended {len(ended)}: {' '.join(ended)}", flush=True)


if __name__ == "__main__":
    main()
