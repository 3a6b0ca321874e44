"""`dagster-daemon run` whose loops look once a second instead of every five: what a test waits for most."""

from __future__ import annotations

import sys

from dagster._daemon import asset_daemon, controller, sensor
from dagster._daemon.cli import main as cli

LOOP_S = 1


def main() -> None:
    """Run, with the arguments of `dagster-daemon run`."""
    sensor.MIN_INTERVAL_LOOP_TIME = LOOP_S
    asset_daemon.MIN_INTERVAL_LOOP_SECONDS = LOOP_S
    controller.DEFAULT_DAEMON_INTERVAL_SECONDS = LOOP_S
    sys.argv = ["dagster-daemon", "run", *sys.argv[1:]]
    cli()


if __name__ == "__main__":
    main()
