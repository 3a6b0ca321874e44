"""The Dockerfile, as far as it can be read without a Docker engine: stages, sources, roles, user."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from conftest import INFRA, ROOT

IMAGE = INFRA / "image"
ROLES = ("dagster", "ray")


def instructions(path: Path) -> list[tuple[str, str]]:
    """Instructions with their arguments; continued lines joined, comments left out."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]  # type: ignore[misc]


DOCKERFILE = instructions(IMAGE / "Dockerfile")


def arguments(name: str) -> list[str]:
    return [argument for instruction, argument in DOCKERFILE if instruction == name]


def copies() -> list[tuple[str | None, list[str]]]:
    """Stage copied from (None: the repository) and the sources."""
    found = []
    for argument in arguments("COPY"):
        words = argument.split()
        flags = [word for word in words if word.startswith("--")]
        stage = next((flag.removeprefix("--from=") for flag in flags if flag.startswith("--from=")), None)
        found.append((stage, [word for word in words if word not in flags][:-1]))
    return found


def parts() -> set[str]:
    """What start.sh can start."""
    found = re.findall(r"^  ([a-z][a-z-]*)\)$", (IMAGE / "start.sh").read_text(), re.MULTILINE)
    return set(found) - {"exec"}


@pytest.mark.parametrize("source", [name for stage, names in copies() if stage is None for name in names])
def test_what_is_copied_exists_and_reaches_the_builder(source: str) -> None:
    assert (ROOT / source).exists()
    allowed = [
        line[1:] for line in (IMAGE / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")
    ]
    assert any(source == path or source.startswith(path + "/") for path in allowed)


def test_nothing_else_reaches_the_builder() -> None:
    lines = (IMAGE / "Dockerfile.dockerignore").read_text().splitlines()
    assert lines[1] == "*" and "**/.env" in lines


def test_every_stage_that_is_used_exists() -> None:
    stages: set[str] = set()
    for argument in arguments("FROM"):
        base, _, name = argument.split()
        named = [base.replace("${ROLE}", role) for role in ROLES]
        assert base == "${PYTHON_IMAGE}" or set(named) <= stages
        stages.add(name)
    assert {stage for stage, _ in copies() if stage} <= stages


def test_the_base_is_pinned_by_a_full_version() -> None:
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.11\.\d+-slim-\w+", arguments("ARG")[0])


def test_extras_exist_and_the_dagster_image_has_postgres() -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    extras = {
        role: set(re.search(r"EXTRAS=(\S+)", environment).group(1).split(","))  # type: ignore[union-attr]
        for role, environment in zip(ROLES, [a for a in arguments("ENV") if "EXTRAS=" in a], strict=True)
    }
    assert extras["dagster"] | extras["ray"] <= set(known)
    assert {"postgres", "s3", "ray"} <= extras["dagster"] and {"train", "ray"} <= extras["ray"]


def test_nobody_is_root_at_the_end() -> None:
    last = [name for name, _ in DOCKERFILE if name in ("USER", "ENTRYPOINT", "RUN", "COPY")][-2:]
    assert last == ["USER", "ENTRYPOINT"]
    uid, gid = arguments("USER")[-1].split(":")
    assert int(uid) > 0 and int(gid) > 0 and f"--uid {uid}" in " ".join(arguments("RUN"))


def test_no_secret_is_built_in() -> None:
    words = " ".join([*arguments("ENV"), *arguments("ARG")]).upper()
    assert not re.search(r"PASSWORD|SECRET|TOKEN|ACCESS_KEY", words)


def test_the_sandbox_is_installed() -> None:
    assert re.search(r"\bbubblewrap\b.*\blibseccomp2\b", " ".join(arguments("RUN")))


def test_the_start_script_is_a_script_that_knows_its_parts() -> None:
    assert os.access(IMAGE / "start.sh", os.X_OK)
    subprocess.run(["sh", "-n", IMAGE / "start.sh"], check=True)
    assert parts() == {"code-location", "webserver", "daemon", "ray-head", "ray-worker", "ray-demand"}
    unknown = subprocess.run([IMAGE / "start.sh", "nonsense"], capture_output=True, text=True, check=False)
    assert unknown.returncode == 2 and "no part nonsense" in unknown.stderr


@pytest.mark.parametrize(
    ("program", "options"),
    [
        (["dagster", "api", "grpc"], ["--host", "--port", "--module-name", "--location-name"]),
        (["dagster", "api", "grpc-health-check"], ["--port"]),
        (["dagster-webserver"], ["--host", "--port", "--workspace"]),
        (["dagster-daemon", "run"], ["--workspace"]),
        (["dagster-daemon", "liveness-check"], []),
    ],
)
def test_the_commands_know_the_options_they_are_given(program: list[str], options: list[str]) -> None:
    import sys

    shown = subprocess.run(
        [Path(sys.executable).parent / program[0], *program[1:], "--help"], capture_output=True, text=True, check=True
    )
    assert all(option in shown.stdout for option in options)
