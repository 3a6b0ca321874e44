"""The stacks of a default deployment, synthesized once: Node.js takes seconds to start."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HERE))
for silenced in ("UNTESTED", "DEPRECATED", "END_OF_LIFE"):
    os.environ.setdefault(f"JSII_SILENCE_WARNING_{silenced}_NODE_VERSION", "1")

import aws_cdk as cdk  # noqa: E402
from app import build  # noqa: E402
from aws_cdk.assertions import Template  # noqa: E402


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the three templates."""
    folder = tmp_path_factory.mktemp("cdk.out")
    app = cdk.App(outdir=str(folder))
    build(app)
    app.synth()
    return folder


def _template(assembly: Path, name: str) -> Template:
    return Template.from_string((assembly / f"MathCode{name}.template.json").read_text())


@pytest.fixture(scope="session")
def registry(assembly: Path) -> Template:
    return _template(assembly, "Registry")


@pytest.fixture(scope="session")
def data(assembly: Path) -> Template:
    return _template(assembly, "Data")


@pytest.fixture(scope="session")
def services(assembly: Path) -> Template:
    return _template(assembly, "Services")


def resources(template: Template, kind: str) -> dict[str, dict[str, Any]]:
    """Properties by logical name."""
    found = template.to_json()["Resources"].items()
    return {name: resource["Properties"] for name, resource in found if resource["Type"] == f"AWS::{kind}"}
