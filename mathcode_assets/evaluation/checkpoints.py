"""Which model it was: a fingerprint of its files, and what its training stamped into it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

# Files whose content decides what a model answers.
_DECIDING = (".safetensors", ".bin", ".gguf", ".json", ".model", ".txt", ".jinja")
# Written beside an exported checkpoint by the training worker; must be equal to `training.model.STAMP_FILE`.
STAMP_FILE = "mathcode_training.json"
_BLOCK = 1 << 22


def fingerprint(folder: Path) -> str | None:
    """Hash of the names and contents of a checkpoint's files, 64 hex digits; None where it is no local folder.

    Reads every weight: about a second for a GB.
    """
    if not folder.is_dir():
        return None
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*"), key=lambda found: found.relative_to(folder).as_posix()):
        if not path.is_file() or path.suffix not in _DECIDING:
            continue
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
        total.update(f"{path.relative_to(folder).as_posix()}\0{digest.hexdigest()}\n".encode())
    return total.hexdigest()


def stamp(folder: Path) -> dict[str, Any]:
    """What training wrote into the checkpoint: corpus_fingerprint, config_hash, lineage; empty for another model."""
    try:
        found = json.loads((folder / STAMP_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
