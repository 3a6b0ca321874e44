"""What runs: least privilege, no plain secret, no GPU machine without a job, logs that end."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from aws_cdk.assertions import Template
from conftest import HERE, resources

INFRA = HERE.parent
PARTS = {"code-location", "webserver", "daemon", "ray-head", "ray-demand", "ray-worker"}


def containers(template: Template) -> dict[str, dict[str, Any]]:
    tasks = resources(template, "ECS::TaskDefinition").values()
    return {container["Name"]: container for task in tasks for container in task["ContainerDefinitions"]}


def statements(template: Template, role_name: str) -> list[dict[str, Any]]:
    """Of the policies of the roles whose logical name has this in it."""
    found = []
    for policy in resources(template, "IAM::Policy").values():
        if any(role_name in role["Ref"] for role in policy["Roles"]):
            found += policy["PolicyDocument"]["Statement"]
    return found


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_every_part_runs_once(services: Template) -> None:
    found = containers(services)
    assert set(found) == PARTS
    known = set(re.findall(r"^  ([a-z-]+)\)$", (INFRA / "image" / "start.sh").read_text(), re.MULTILINE))
    for name, container in found.items():
        assert container["Command"][0] == name and name in known


def test_task_roles_name_actions_and_things(services: Template) -> None:
    found = statements(services, "TaskTaskRole")
    assert found
    for statement in found:
        assert all("*" not in action for action in listed(statement["Action"])), statement
        for resource in listed(statement["Resource"]):
            assert resource != "*", statement
            # The one star: what lies below a prefix of the bucket.
            text = json.dumps(resource)
            assert text.count("*") == 0 or re.search(r'"/(lake|compute-logs|config|sources)/\*"', text), statement


def test_task_roles_have_no_policy_of_somebody_else(services: Template) -> None:
    for name, role in resources(services, "IAM::Role").items():
        if "TaskTaskRole" in name:
            assert "ManagedPolicyArns" not in role and "Policies" not in role


@pytest.mark.parametrize("part", ["RayHead", "RayWorker"])
def test_ray_writes_the_lake_and_nothing_else_of_the_bucket(services: Template, part: str) -> None:
    objects = [s for s in statements(services, f"{part}TaskTaskRole") if "s3:GetObject" in s["Action"]]
    assert len(objects) == 1
    assert re.findall(r'"(/[^"]*)"', json.dumps(objects[0]["Resource"])) == ["/lake/*"]


def test_listing_names_prefixes_but_a_missing_object_is_not_forbidden(services: Template) -> None:
    listing = [s for s in statements(services, "TaskTaskRole") if s["Action"] == "s3:ListBucket"]
    assert listing
    for statement in listing:
        (operator,) = statement["Condition"]
        assert operator == "StringLikeIfExists"
        assert "*" not in statement["Condition"][operator]["s3:prefix"]


@pytest.mark.parametrize(
    ("part", "secrets"),
    [
        ("Webserver", ["DatabaseSecret"]),
        ("Daemon", ["DatabaseSecret"]),
        ("CodeLocation", ["DatabaseSecret", "ModelKey", "RayToken"]),
        ("RayHead", ["RayToken"]),
        ("RayWorker", ["RayToken"]),
    ],
)
def test_a_part_is_given_its_own_secrets_alone(services: Template, part: str, secrets: list[str]) -> None:
    reads = [s for s in statements(services, f"{part}Task") if "secretsmanager:GetSecretValue" in s["Action"]]
    names = re.findall(r"DatabaseSecret|ModelKey|RayToken", json.dumps([s["Resource"] for s in reads]))
    assert sorted(set(names)) == secrets


def test_only_the_code_location_writes_logs_and_nobody_deletes_versions(services: Template) -> None:
    writers = [
        part
        for part in ("CodeLocation", "Webserver", "Daemon", "RayHead", "RayWorker")
        for s in statements(services, f"{part}TaskTaskRole")
        if "s3:PutObject" in s["Action"] and "/compute-logs/" in json.dumps(s["Resource"])
    ]
    assert writers == ["CodeLocation"]
    assert "s3:DeleteObjectVersion" not in json.dumps(services.to_json())


def test_no_secret_is_a_plain_variable(services: Template) -> None:
    for name, container in containers(services).items():
        plain = {variable["Name"] for variable in container.get("Environment", [])}
        assert not [v for v in plain if re.search(r"PASSWORD|TOKEN|SECRET|API_KEY|ACCESS_KEY|_USER$", v)], name
        for secret in container.get("Secrets", []):
            assert "Import" in json.dumps(secret["ValueFrom"]), name
    assert "RAY_AUTH_TOKEN" in {secret["Name"] for secret in containers(services)["ray-worker"]["Secrets"]}


def test_everything_dagster_yaml_reads_is_given(services: Template) -> None:
    read = set(re.findall(r"env: (\w+)", (INFRA / "dagster" / "dagster.yaml").read_text()))
    read |= set(re.findall(r"env: (\w+)", (INFRA / "dagster" / "workspace.yaml").read_text()))
    for name in ("code-location", "webserver", "daemon"):
        container = containers(services)[name]
        given = {item["Name"] for item in [*container["Environment"], *container["Secrets"]]}
        assert read <= given, name
    head = {v["Name"]: v["Value"] for v in containers(services)["ray-head"]["Environment"]}
    assert head["RAY_AUTH_MODE"] == "token"


def test_no_gpu_machine_without_a_job(services: Template) -> None:
    (group,) = resources(services, "AutoScaling::AutoScalingGroup").values()
    assert group["MinSize"] == "0" and group["MaxSize"] == "2"
    # Without a wish in the template a new group has MinSize machines, and a deployment leaves a working one alone.
    assert "DesiredCapacity" not in group


def test_as_many_machines_as_are_wanted_and_none_when_idle(services: Template) -> None:
    policies = resources(services, "AutoScaling::ScalingPolicy")
    assert {policy["AdjustmentType"] for policy in policies.values()} == {"ExactCapacity"}
    up = next(p["StepAdjustments"] for name, p in policies.items() if "Up" in name)
    bounds = [(step["MetricIntervalLowerBound"], step.get("MetricIntervalUpperBound")) for step in up]
    # Relative to the threshold of 1: one wanted is [0, 1), two or more is [1, ...).
    assert bounds == [(0, 1), (1, None)]
    assert [step["ScalingAdjustment"] for step in up] == [1, 2]
    (down,) = [step for name, p in policies.items() if "Down" in name for step in p["StepAdjustments"]]
    assert down["ScalingAdjustment"] == 0
    alarms = resources(services, "CloudWatch::Alarm").values()
    assert {(alarm["Threshold"], alarm["EvaluationPeriods"]) for alarm in alarms} == {(1, 1), (0, 15)}
    assert {alarm["TreatMissingData"] for alarm in alarms} == {"ignore"}


def test_the_alarms_watch_what_the_head_says(services: Template) -> None:
    source = (INFRA / "ray" / "demand.py").read_text()
    demand = containers(services)["ray-demand"]["Command"]
    for alarm in resources(services, "CloudWatch::Alarm").values():
        assert f'NAMESPACE = "{alarm["Namespace"]}"' in source and f'METRIC = "{alarm["MetricName"]}"' in source
        assert alarm["Dimensions"] == [{"Name": "Cluster", "Value": demand[demand.index("--cluster") + 1]}]


def test_workers_are_one_on_each_machine_with_all_its_gpus(services: Template) -> None:
    worker = containers(services)["ray-worker"]
    assert worker["ResourceRequirements"] == [{"Type": "GPU", "Value": "8"}]
    daemons = [s for s in resources(services, "ECS::Service").values() if s.get("SchedulingStrategy") == "DAEMON"]
    assert len(daemons) == 1


def test_machines_are_encrypted_and_keep_their_role_to_themselves(services: Template) -> None:
    (template,) = resources(services, "EC2::LaunchTemplate").values()
    data = template["LaunchTemplateData"]
    assert data["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
    assert (
        data["MetadataOptions"]["HttpTokens"] == "required" and data["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    )
    assert "ECS_AWSVPC_BLOCK_IMDS=true" in json.dumps(data["UserData"])


def test_there_is_never_a_second_code_location_or_daemon(services: Template) -> None:
    for name, service in resources(services, "ECS::Service").items():
        limits = service["DeploymentConfiguration"]
        if "CodeLocation" in name or "Daemon" in name or "Head" in name:
            assert (limits["MinimumHealthyPercent"], limits["MaximumPercent"]) == (0, 100), name
        if service.get("SchedulingStrategy") != "DAEMON":
            assert service["DesiredCount"] == 1


def test_containers_have_no_capability_and_a_log_that_ends(services: Template) -> None:
    for container in containers(services).values():
        assert container["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}
        assert container["LogConfiguration"]["LogDriver"] == "awslogs"
        assert not container.get("Privileged")
    for group in resources(services, "Logs::LogGroup").values():
        assert group["RetentionInDays"] == 90


def test_the_ui_is_inside_the_network(services: Template) -> None:
    services.has_resource_properties("AWS::ElasticLoadBalancingV2::LoadBalancer", {"Scheme": "internal"})
    for service in resources(services, "ECS::Service").values():
        network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
        assert network.get("AssignPublicIp", "DISABLED") == "DISABLED"


def test_no_function_runs_that_nobody_wrote(services: Template, data: Template) -> None:
    for template in (services, data):
        template.resource_count_is("AWS::Lambda::Function", 0)


def test_everything_is_tagged(services: Template, data: Template) -> None:
    for template in (services, data):
        for kind in ("S3::Bucket", "RDS::DBInstance", "ECS::Service", "ECS::Cluster"):
            for resource in resources(template, kind).values():
                assert {"Key": "project", "Value": "mathcode-pile"} in resource["Tags"]


def test_the_example_of_compose_and_the_stack_speak_of_the_same_image(assembly: Path, services: Template) -> None:
    images = {name: json.dumps(container["Image"]) for name, container in containers(services).items()}
    assert all(("RayImages" if name.startswith("ray") else "DagsterImages") in image for name, image in images.items())
    assert all(":v1" in image for image in images.values())
