"""Task definitions and containers, the same way for every part: image, log, disk, no privilege, no plain secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_logs as logs
from constructs import Construct

from mathcode_stacks.data import DataStack
from mathcode_stacks.deployment import Deployment
from mathcode_stacks.permissions import allow_disk
from mathcode_stacks.registry import RegistryStack

SHARED = "/shared"  # as the image has it
_VOLUME = "shared"
TaskT = TypeVar("TaskT", bound=ecs.TaskDefinition)


class Containers:
    """Makes tasks and containers of one stack, and keeps the tasks it made."""

    def __init__(self, scope: Construct, *, deployment: Deployment, registry: RegistryStack, data: DataStack) -> None:
        self.scope = scope
        self.deployment = deployment
        self.registry = registry
        self.data = data
        self.tasks: list[ecs.TaskDefinition] = []

    def fargate_task(
        self, name: str, *, cpu: int, mib: int, disk_gib: int = 21, shared: bool = False
    ) -> ecs.FargateTaskDefinition:
        """An empty task; `cpu` in 1024ths of a core. A pair that Fargate does not have is refused at deployment."""
        task = ecs.FargateTaskDefinition(
            self.scope,
            f"{_construct(name)}Task",
            cpu=cpu,
            memory_limit_mib=mib,
            ephemeral_storage_gib=disk_gib,
            volumes=[self.volume()] if shared else None,
        )
        return self._kept(task, shared=shared)

    def gpu_task(self, name: str) -> ecs.Ec2TaskDefinition:
        """An empty task for machines of our own, with an address of its own in the network."""
        task = ecs.Ec2TaskDefinition(
            self.scope, f"{_construct(name)}Task", network_mode=ecs.NetworkMode.AWS_VPC, volumes=[self.volume()]
        )
        return self._kept(task, shared=True)

    def volume(self) -> ecs.Volume:
        """The shared disk, encrypted on the way, mounted by the task's role."""
        return ecs.Volume(
            name=_VOLUME,
            efs_volume_configuration=ecs.EfsVolumeConfiguration(
                file_system_id=self.data.disk.file_system_id,
                transit_encryption="ENABLED",
                authorization_config=ecs.AuthorizationConfig(
                    access_point_id=self.data.access_point.access_point_id, iam="ENABLED"
                ),
            ),
        )

    def add(
        self,
        task: ecs.TaskDefinition,
        name: str,
        *,
        role: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        secrets: Mapping[str, ecs.Secret],
        health: Sequence[str] | None = None,
        port: int | None = None,
        shared: bool = False,
        gpus: int | None = None,
        mib: int | None = None,
        shm_mib: int | None = None,
        essential: bool = True,
    ) -> ecs.ContainerDefinition:
        """A container of the image of a role, with a log group of its own."""
        parameters = ecs.LinuxParameters(
            self.scope, f"{_construct(name)}Linux", init_process_enabled=True, shared_memory_size=shm_mib
        )
        parameters.drop_capabilities(ecs.Capability.ALL)
        group = logs.LogGroup(
            self.scope,
            f"{_construct(name)}Log",
            retention=_retention(self.deployment.log_days),
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )
        container = task.add_container(
            name,
            image=ecs.ContainerImage.from_ecr_repository(self.registry.repositories[role], self.deployment.image_tag),
            command=list(command),
            environment=dict(environment),
            secrets=dict(secrets),
            logging=ecs.LogDrivers.aws_logs(stream_prefix=name, log_group=group),
            linux_parameters=parameters,
            stop_timeout=cdk.Duration.seconds(120),
            essential=essential,
            gpu_count=gpus,
            memory_reservation_mib=mib,
            port_mappings=[ecs.PortMapping(container_port=port)] if port else None,
            health_check=ecs.HealthCheck(
                command=list(health),
                interval=cdk.Duration.seconds(60),
                timeout=cdk.Duration.seconds(30),
                retries=3,
                start_period=cdk.Duration.seconds(300),
            )
            if health
            else None,
        )
        if shared:
            container.add_mount_points(ecs.MountPoint(container_path=SHARED, source_volume=_VOLUME, read_only=False))
        return container

    def _kept(self, task: TaskT, *, shared: bool) -> TaskT:
        if shared:
            allow_disk(task.task_role, self.data.disk, self.data.access_point)
        self.tasks.append(task)
        return task


def _construct(name: str) -> str:
    return name.title().replace("-", "")


def _retention(days: int) -> logs.RetentionDays:
    """CloudWatch knows certain numbers only.

    Raises:
        ValueError: not one of them.
    """
    words = {1: "ONE_DAY", 7: "ONE_WEEK", 14: "TWO_WEEKS", 30: "ONE_MONTH", 90: "THREE_MONTHS", 365: "ONE_YEAR"}
    if days not in words:
        raise ValueError(f"log_days: wants one of {', '.join(map(str, words))}, got {days}")
    return logs.RetentionDays[words[days]]
