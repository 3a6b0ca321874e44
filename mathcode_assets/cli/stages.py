"""Commands on files."""

from __future__ import annotations

from typing import Any


def add_commands(commands: Any) -> None:
    """Add the subcommands of this module."""
