"""`mathcode`, killed with -9 at a point of its own progress: what the crash tests start.

    python -m mathcode_assets_tests.crash.doomed STRIKE.json ROOT run --sources sources.yaml

Progress is counted below ROOT in two kinds of step, so that a slow machine dies at the same place as a fast one:
`files` (opened for writing, renamed, removed, made folders) and `records` (connections to Dagster's databases).
At the n-th step of a kind, and a delay later, the victims get SIGKILL: nothing is caught, flushed or cleaned up.
Without a strike the counts are written to STRIKE.json at the end.

    {"kind": "files", "after": 40, "delay_s": 0.01, "victim": "all"}

Victims: `group` (this process group; what has left it, as the sandbox's workers have, is on its own), `all` (every
descendant too), `child` (one descendant, this process goes on). What was struck is told in STRUCK beside STRIKE.json,
for Dagster takes the standard streams of a step for itself.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

FILES, RECORDS = "files", "records"
GROUP, ALL, CHILD = "group", "all", "child"
STRUCK = "struck"
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_FILE_EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir")


@dataclass(frozen=True)
class Strike:
    """When and whom; `after` counts from 1."""

    kind: str
    after: int
    delay_s: float = 0.0
    victim: str = GROUP
    seed: int = 0

    def to_json(self) -> str:
        return json.dumps(asdict(self))


class Progress:
    """Counts the steps of this process, and strikes.

    Args:
        root: below it they count.
        strike: None to count only.
        told: file for what was struck.
    """

    def __init__(self, root: str, strike: Strike | None, told: Path) -> None:
        self.counts: Counter[str] = Counter()
        self._told = told
        self.records_before_files = 0
        self._root, self._strike = root, strike
        self._is_struck = False

    def on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook."""
        if event == "sqlite3.connect":
            kind = RECORDS
        elif event in _FILE_EVENTS and (event != "open" or _is_writing(arguments)):
            kind = FILES
        else:
            return
        path = arguments[0]
        if not isinstance(path, str | bytes | os.PathLike) or not os.fsdecode(path).startswith(self._root):
            return
        if kind == FILES and "/.dagster" in os.fsdecode(path):
            return
        self.counts[kind] += 1
        if event == "open" and not self.records_before_files:
            self.records_before_files = self.counts[RECORDS]
        strike = self._strike
        if strike and not self._is_struck and kind == strike.kind and self.counts[kind] >= strike.after:
            self._is_struck = True
            if strike.victim == CHILD:
                threading.Thread(target=self._strike_child, args=(strike,), daemon=True).start()
            elif strike.delay_s:
                threading.Timer(strike.delay_s, self._strike_all, (strike,)).start()
            else:
                self._strike_all(strike)

    def _strike_child(self, strike: Strike) -> None:
        """Kill one descendant, once there is one and the delay is over."""
        while not (found := descendants(os.getpid())):
            time.sleep(0.005)
        time.sleep(strike.delay_s)
        found = descendants(os.getpid()) or found
        victim = Random(strike.seed).choice(found)
        self._told.write_text(f"{victim}\n")
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)

    def _strike_all(self, strike: Strike) -> None:
        """Kill this process and its group, in one system call: no handler runs in between."""
        below = descendants(os.getpid())
        self._told.write_text("".join(f"{pid}\n" for pid in below))
        if strike.victim == ALL:
            for pid in below:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        os.killpg(0, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """Processes below one, nearest first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        below = children.get(waiting.pop(0), [])
        found += below
        waiting += below
    return found


def _is_writing(arguments: tuple[Any, ...]) -> bool:
    _, mode, flags = arguments
    return bool(flags & _WRITING) if isinstance(flags, int) else bool(mode) and any(c in mode for c in "wxa+")


def main() -> int:
    """Run `mathcode` with the rest of the arguments."""
    place, root, *arguments = sys.argv[1:]
    content = Path(place).read_text() if Path(place).exists() else ""
    strike = Strike(**json.loads(content)) if content else None
    progress = Progress(root, strike, Path(place).with_name(STRUCK))
    sys.addaudithook(progress.on_event)

    from mathcode_assets.cli import main as mathcode

    code = mathcode(arguments)
    if strike is None:
        found = {**progress.counts, "records_before_files": progress.records_before_files}
        Path(place).write_text(json.dumps(found))
    return code


if __name__ == "__main__":
    sys.exit(main())
