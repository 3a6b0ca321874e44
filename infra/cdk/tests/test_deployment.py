"""Sizes by context, with errors that name the value; and cfn-lint over the templates."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from mathcode_stacks.deployment import Deployment


def test_defaults_without_a_context() -> None:
    assert Deployment.from_context({}.get) == Deployment()


def test_a_context_is_text_on_the_command_line() -> None:
    context = {"gpu_max_nodes": "4", "database_multi_az": "true", "image_tag": "2026.11"}
    assert Deployment.from_context(context.get) == Deployment(
        gpu_max_nodes=4, database_multi_az=True, image_tag="2026.11"
    )


@pytest.mark.parametrize(
    "context",
    [{"gpu_max_nodes": "many"}, {"database_multi_az": "maybe"}, {"gpu_max_nodes": "0"}, {"backup_days": "36"}],
)
def test_a_value_that_cannot_be_is_named(context: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(context))):
        Deployment.from_context(context.get)


def test_cfn_lint_has_nothing_to_say(assembly: Path) -> None:
    templates = sorted(str(path) for path in assembly.glob("*.template.json"))
    assert len(templates) == 3
    # W3005: CDK states dependencies that follow from references, too.
    command = [Path(sys.executable).parent / "cfn-lint", "--regions", "eu-central-1", "us-east-1", "-i", "W3005"]
    found = subprocess.run([*command, "-t", *templates], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
