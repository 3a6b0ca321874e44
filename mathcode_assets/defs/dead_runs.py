"""Runs of a process that was killed: nobody else can tell that they ended, so the next process does.

A drive (`mathcode run`) makes its runs in its own process. Killed, it leaves a run that stands as started for
ever: the UI shows it, and automation waits for it. Each drive therefore holds a folder below the instance's home,
which the kernel lets go when the process dies, and its runs carry that folder's name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import dagster as dg

from mathcode_assets.storage.leftovers import NoLocks, held, taken

TAG = "mathcode/driver"
FOLDER = "drivers"
# The next drive makes what is missing: no daemon has to.
NO_RETRY = {"dagster/max_retries": "0"}
LIVE = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


@contextmanager
def registered(instance: dg.DagsterInstance) -> Iterator[Mapping[str, str]]:
    """Tags for the runs of this process, which tell when it is dead; first ends those of processes that are."""
    if instance.is_ephemeral:
        yield {}
        return
    folder = Path(instance.root_directory) / FOLDER
    end_dead_runs(instance, folder)
    marker = folder / uuid4().hex
    with held(marker):
        try:
            yield {TAG: marker.name, **NO_RETRY}
        finally:
            marker.rmdir()


def end_dead_runs(instance: dg.DagsterInstance, folder: Path) -> list[str]:
    """Record the unfinished runs of dead processes as failed; their ids."""
    ended = []
    for marker in sorted(folder.glob("*")):
        with suppress(NoLocks), taken(marker) as is_dead:
            if not is_dead:
                continue
            filters = dg.RunsFilter(statuses=list(LIVE), tags={TAG: marker.name})
            for run in instance.get_runs(filters=filters):
                instance.report_run_failed(run, message="Its process was killed; what was made is kept.")
                instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
                ended.append(run.run_id)
            marker.rmdir()
    return ended
