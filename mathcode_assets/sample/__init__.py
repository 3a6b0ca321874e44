"""The embedded sample: small original data in the formats of the real sources, and how it is made."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def sample_dir() -> Path:
    """Folder of the embedded sample: ``sources.yaml``, ``data/`` and ``source_text/``."""
    return Path(str(files(__name__)))
