"""The Dagster instance that the commands record their runs in; the UI opens the same one."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import yaml
from dagster._core.instance.ref import InstanceRef
from sqlalchemy.exc import OperationalError

from mathcode_assets.defs.sqlite import KeptSqliteStorage
from mathcode_assets.storage.full_disk import FullDisk
from mathcode_assets.storage.lake import Lake
from mathcode_assets.storage.leftovers import work_folder

HOME_NAME = ".dagster"
CONFIG_NAME = "dagster.yaml"
# Sections of a home's settings that say where runs and events are kept; without any, in SQLite files beside them.
STORAGES = {"storage", "run_storage", "event_log_storage", "schedule_storage"}
# A laptop's settings; the repository's dagster.yaml says more, for a daemon.
CONFIG = "telemetry:\n  enabled: false\nnux:\n  enabled: false\n"
# Where SQLite's databases are, below a home.
DATABASES = ("schedules", "history")
# Less than this is no room for a log and its index.
SQLITE_ROOM_BYTES = 1 << 20


def dagster_home(lake: Lake) -> Path:
    """DAGSTER_HOME, else a folder in the lake (or here, where the lake is on an object store)."""
    given = os.environ.get("DAGSTER_HOME")
    if given:
        return Path(given).absolute()
    return Path(lake.root.path if lake.root.is_local else ".").absolute() / HOME_NAME


@contextmanager
def open_instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """The instance of a home folder, made with quiet settings where it has none.

    Raises:
        FullDisk: Dagster could not write its record.
    """
    try:
        if not (home / CONFIG_NAME).exists():
            _make_home(home)
        with dg.DagsterInstance.from_ref(_reference(home)) as instance:
            yield instance
    except OperationalError as error:
        if not _is_full(home, str(error.orig)):
            raise
        told = f"Dagster's record in {home}: the disk is full ({error.orig}); what was published stays"
        raise FullDisk(errno.ENOSPC, f"{told}, make room and run again") from error


def _is_full(home: Path, told: str) -> bool:
    """Whether SQLite failed for lack of room; where that kept it from its shared memory it tells of I/O alone."""
    return "disk is full" in told or ("disk I/O error" in told and shutil.disk_usage(home).free < SQLITE_ROOM_BYTES)


def _make_home(home: Path) -> None:
    """Databases and settings, the settings last: a home without them is made again.

    Dagster makes its databases in several steps, and goes on with half of one as if it were an old one. So they
    are made elsewhere, and moved when they are whole.
    """
    with work_folder(home) as fresh:
        (fresh / CONFIG_NAME).write_text(CONFIG)
        with dg.DagsterInstance.from_config(str(fresh)) as instance:
            instance.get_runs(limit=1)
        for name in DATABASES:
            if (fresh / name).is_dir() and not (home / name).exists():
                shutil.move(fresh / name, home / name)
        (fresh / CONFIG_NAME).replace(home / CONFIG_NAME)


def _reference(home: Path) -> InstanceRef:
    """What the home's settings say, its own SQLite files written over connections that are kept."""
    given = yaml.safe_load((home / CONFIG_NAME).read_text()) or {}
    if STORAGES & given.keys() or "instance_class" in given:
        return InstanceRef.from_dir(str(home))
    kept = {"module": KeptSqliteStorage.__module__, "class": KeptSqliteStorage.__name__}
    return InstanceRef.from_dir(
        str(home), overrides={"storage": {"custom": {**kept, "config": {"base_dir": str(home)}}}}
    )
