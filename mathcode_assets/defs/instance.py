"""The Dagster instance that the commands record their runs in; the UI opens the same one."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from sqlalchemy.exc import OperationalError

from mathcode_assets.storage.full_disk import FullDisk
from mathcode_assets.storage.lake import Lake
from mathcode_assets.storage.leftovers import work_folder

HOME_NAME = ".dagster"
CONFIG_NAME = "dagster.yaml"
# A laptop's settings; the repository's dagster.yaml says more, for a daemon.
CONFIG = "telemetry:\n  enabled: false\nnux:\n  enabled: false\n"
# Where SQLite's databases are, below a home.
DATABASES = ("schedules", "history")


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
        with dg.DagsterInstance.from_config(str(home)) as instance:
            yield instance
    except OperationalError as error:
        if "disk is full" not in str(error.orig):
            raise
        told = f"Dagster's record in {home}: {error.orig}; what was published stays, make room and run again"
        raise FullDisk(errno.ENOSPC, told) from error


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
