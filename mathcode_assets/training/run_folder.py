"""The output folder of a run: who may write it, which checkpoints in it are whole, what it says of itself.

    run.lock                    held by rank 0 while it lives (flock: released by any death)
    run.json                    config hash and specification; another run is refused
    metrics.jsonl               one line a step: step, loss, learning_rate, gradient_norm, tokens, tokens_per_s, ...
    checkpoints/step-00000010/  DeepSpeed's files and done.json with the size and hash of each
    export/                     the trained model for transformers and vLLM
    result.json                 written last, in one rename: only then has the run succeeded
    failure.json                rank and error of a run that ended by one

A checkpoint is written under a name ending in .partial and renamed when done.json is in it, so a
folder without that ending is whole unless the disk damaged it later, which the hashes tell.
The lock needs a file system whose flock holds between nodes if two launchers may run on different ones
(local disks, NFSv4, Lustre mounted with flock).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mathcode_assets.training.spec import CheckpointSpec

PARTIAL = ".partial"
DAMAGED = ".damaged"
DONE_FILE = "done.json"
READ_BYTES = 1 << 22


class RunFolderError(RuntimeError):
    """The folder belongs to another run, or another process is writing it."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of an output folder."""

    root: Path

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints are."""
        return self.root / "checkpoints"

    @property
    def metrics(self) -> Path:
        """One JSON line for each step."""
        return self.root / "metrics.jsonl"

    @property
    def export(self) -> Path:
        """The trained model."""
        return self.root / "export"

    @property
    def result(self) -> Path:
        """There only when the run has succeeded."""
        return self.root / "result.json"

    @property
    def failure(self) -> Path:
        """Why the last start ended."""
        return self.root / "failure.json"

    @property
    def identity(self) -> Path:
        """Whose folder this is."""
        return self.root / "run.json"

    def checkpoint(self, step: int) -> Path:
        """The folder of the checkpoint after so many steps."""
        return self.checkpoints / f"step-{step:08d}"


def lock(folder: RunFolder) -> BinaryIO:
    """Take the folder for this process; it is free again when the file is closed or the process has gone.

    Raises:
        RunFolderError: another process has it.
    """
    folder.root.mkdir(parents=True, exist_ok=True)
    handle = (folder.root / "run.lock").open("a+b")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise RunFolderError(f"{folder.root}: another run is writing this folder") from error
    return handle


def claim(folder: RunFolder, *, config_hash: str, spec: Mapping[str, Any]) -> None:
    """Write whose folder this is, or check that it is ours.

    Raises:
        RunFolderError: the folder holds a run of another configuration or corpus.
    """
    if folder.identity.exists():
        found = json.loads(folder.identity.read_text(encoding="utf-8")).get("config_hash")
        if found != config_hash:
            raise RunFolderError(
                f"{folder.root}: holds a run with config {str(found)[:12]}, not {config_hash[:12]}; "
                "each run has a folder of its own"
            )
        return
    write_json(folder.identity, {"format": 1, "config_hash": config_hash, "spec": dict(spec)})


def checkpoint_steps(folder: RunFolder) -> list[int]:
    """Steps of the checkpoints that were finished, newest first."""
    names = [path.name for path in folder.checkpoints.glob("step-*") if (path / DONE_FILE).is_file()]
    return sorted(
        (int(name.removeprefix("step-")) for name in names if name.removeprefix("step-").isdigit()), reverse=True
    )


def checkpoint_files(path: Path) -> list[str]:
    """Files of a checkpoint, sorted, without done.json."""
    files = (file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    return sorted(name for name in files if name != DONE_FILE)


def hash_files(path: Path, names: Sequence[str], *, sync: bool = False) -> dict[str, list[Any]]:
    """Size and SHA-256 of files under a folder; with `sync` their bytes are on the disk first."""
    found: dict[str, list[Any]] = {}
    for name in names:
        digest, size = hashlib.sha256(), 0
        with (path / name).open("rb") as file:
            if sync:
                os.fsync(file.fileno())
            while block := file.read(READ_BYTES):
                digest.update(block)
                size += len(block)
        found[name] = [size, digest.hexdigest()]
    return found


def read_done(folder: RunFolder, step: int) -> dict[str, Any] | None:
    """done.json of a checkpoint; None where it cannot be read."""
    try:
        done = json.loads((folder.checkpoint(step) / DONE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return done if isinstance(done, dict) and isinstance(done.get("files"), dict) else None


def is_intact(path: Path, files: Mapping[str, Sequence[Any]], names: Sequence[str]) -> bool:
    """Whether these files are there as they were written."""
    try:
        return all(list(files[name]) == found for name, found in hash_files(path, names).items())
    except OSError:
        return False


def sweep(folder: RunFolder) -> None:
    """Remove what a start that was ended left half done."""
    for path in [*folder.checkpoints.glob(f"*{PARTIAL}"), *folder.root.glob(f"*{PARTIAL}")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def set_aside(folder: RunFolder, step: int) -> None:
    """Rename a damaged checkpoint, so that its step can be written again."""
    path = folder.checkpoint(step)
    aside = path.with_name(path.name + DAMAGED)
    shutil.rmtree(aside, ignore_errors=True)
    path.rename(aside)


def prune(folder: RunFolder, policy: CheckpointSpec) -> None:
    """Remove the checkpoints that the policy does not keep."""
    steps = checkpoint_steps(folder)
    for step in steps[policy.keep_last :]:
        if policy.keep_every_steps and step % policy.keep_every_steps == 0:
            continue
        remove(folder.checkpoint(step))


def truncate_metrics(folder: RunFolder, steps: int) -> None:
    """Keep the lines of the first so many steps; later ones, and a torn last line, belong to steps made again."""
    if not folder.metrics.exists():
        return
    kept = []
    for line in folder.metrics.read_bytes().split(b"\n"):
        try:
            if json.loads(line)["step"] <= steps:
                kept.append(line + b"\n")
        except (ValueError, KeyError, TypeError):
            continue
    _replace(folder.metrics, b"".join(kept))


def read_metrics(folder: RunFolder) -> list[dict[str, Any]]:
    """The whole lines of metrics.jsonl; a torn last line is left out."""
    if not folder.metrics.exists():
        return []
    lines = folder.metrics.read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in lines]


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file in one rename, on the disk before its name is."""
    _replace(path, (json.dumps(value, indent=1, sort_keys=True, allow_nan=True) + "\n").encode())


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}{PARTIAL}")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Put the names in a folder on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a folder that must never be seen half-removed under its name."""
    shutil.rmtree(path.rename(path.with_name(path.name + PARTIAL)))
