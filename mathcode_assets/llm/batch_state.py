"""Where each batch file stands: written, uploaded, under way, collected. One JSON file beside them."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STATE_NAME = "state.json"


def list_request_files(folder: Path) -> list[Path]:
    """The batch files of a folder, in the order they were written."""
    return sorted(path for path in folder.glob("requests-*.jsonl") if path.name.count(".") == 1)


def output_paths(requests_path: Path) -> tuple[Path, Path]:
    """Where the outputs and the errors of a batch file are put."""
    return requests_path.with_suffix(".output.jsonl"), requests_path.with_suffix(".errors.jsonl")


class BatchState:
    """What is known of each batch file by name; every change is on the disk before it returns."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / STATE_NAME

    def read(self) -> dict[str, dict[str, Any]]:
        """Everything, by file name; empty where nothing was written yet."""
        return json.loads(self._path.read_bytes()) if self._path.exists() else {}

    def update(self, name: str, **changes: Any) -> None:
        """Set fields of one file."""
        state = self.read()
        state[name] = state.get(name, {}) | changes
        temporary = self._path.with_suffix(".partial")
        with temporary.open("w") as file:
            json.dump(state, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(self._path)

    def collected(self) -> set[str]:
        """Names of files that need nothing more."""
        return {name for name, entry in self.read().items() if entry.get("is_collected")}

    def reserved(self) -> tuple[int, int]:
        """Prompt tokens (estimated) and completion tokens (at most) of the files that are not collected."""
        waiting = [entry for entry in self.read().values() if not entry.get("is_collected")]
        return (
            sum(entry.get("prompt_tokens", 0) for entry in waiting),
            sum(entry.get("completion_tokens", 0) for entry in waiting),
        )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out; the lock ends with the process at the latest."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
