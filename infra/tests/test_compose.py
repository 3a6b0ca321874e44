"""compose.yaml: services, roles, health, order, secrets. Read as YAML; no engine is asked."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from conftest import ENVIRONMENT, INFRA, ROOT
from test_image import ROLES, parts

FOLDER = INFRA / "compose"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if name != "postgres"}
EXAMPLE = dict(
    line.split("=", 1)
    for line in (FOLDER / "env.example").read_text().splitlines()
    if "=" in line and not line.startswith("#")
)


@pytest.mark.parametrize("name", OURS)
def test_a_service_starts_a_part_that_exists_in_an_image_that_is_built(name: str) -> None:
    service = SERVICES[name]
    assert service["command"] == [name] and name in parts()
    role = service["image"].split(":")[0].removeprefix("mathcode-")
    built = [other["build"]["args"]["ROLE"] for other in SERVICES.values() if "build" in other]
    assert role in ROLES and role in built


def test_what_is_built_is_the_dockerfile() -> None:
    for service in SERVICES.values():
        if "build" in service:
            context = (FOLDER / service["build"]["context"]).resolve()
            assert context == ROOT and (context / service["build"]["dockerfile"]).is_file()


def test_services_are_healthy_before_others_need_them() -> None:
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}, name
            assert "healthcheck" in SERVICES[needed]
    # The code location makes the tables and ends what an earlier one left, before the daemon looks at the queue.
    assert "code-location" in SERVICES["daemon"]["depends_on"]
    assert all("healthcheck" in SERVICES[name] for name in ("webserver", "daemon", "code-location", "postgres"))


def test_there_is_one_code_location() -> None:
    assert SERVICES["code-location"].get("deploy", {}).get("replicas", 1) == 1


def test_only_the_webserver_is_published_and_only_here() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert list(published) == ["webserver"]
    assert all(port.startswith("127.0.0.1:") for port in published["webserver"])


@pytest.mark.parametrize("name", OURS)
def test_a_service_has_no_rights_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"] and "no-new-privileges:true" in service["security_opt"]
    assert not service.get("privileged") and "/var/run/docker.sock" not in str(service.get("volumes", ""))


def test_volumes_that_are_mounted_are_declared() -> None:
    mounted = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert {name for name in mounted if re.fullmatch(r"\w+", name)} == set(COMPOSE["volumes"])


def test_images_of_others_are_pinned_by_tag() -> None:
    assert re.fullmatch(r"postgres:\d+\.\d+-\w+", SERVICES["postgres"]["image"])


def test_every_variable_is_in_the_example_and_no_secret_has_a_value() -> None:
    text = (FOLDER / "compose.yaml").read_text()
    needed = set(re.findall(r"\$\{(\w+):\?", text)) | set(ENVIRONMENT)
    assert needed <= set(EXAMPLE)
    secrets = {name: value for name, value in EXAMPLE.items() if re.search("PASSWORD|SECRET|TOKEN|ACCESS_KEY", name)}
    assert set(secrets.values()) == {""}
    for name in secrets:
        assert not re.search(rf"{name}: +[^$]", text), "a value in the file itself"


def test_gpu_services_do_not_get_the_database() -> None:
    for name in ("ray-head", "ray-worker"):
        assert "env_file" not in SERVICES[name] and not any("POSTGRES" in key for key in SERVICES[name]["environment"])
