"""Ray: a head that is always there and costs little, and GPU workers that are there while a job wants them.

The workers are an Auto Scaling group of 0 to N machines; ECS starts one worker on each. The head's container
`demand` tells CloudWatch how many are wanted (infra/ray/demand.py); one alarm sets the group to that number,
another back to none. Why not EKS with KubeRay, or Ray's own autoscaler: docs/decisions/0024-deployment.md.
"""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_servicediscovery as discovery
from constructs import Construct

from mathcode_stacks.containers import Containers
from mathcode_stacks.data import DataStack
from mathcode_stacks.permissions import READ_AND_WRITE, allow_objects

HEAD = "ray-head"
GCS_PORT = 6379
# Ray's object store, and NCCL between the GPUs of a machine; Docker's default is 64 MiB.
SHARED_MEMORY_MIB = 32_768
# As infra/ray/demand.py writes them; a test compares.
METRIC_NAMESPACE = "MathCode/Ray"
METRIC_NAME = "GpuNodesWanted"


class RayCluster(Construct):
    """Head, workers, and what scales them."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: ecs.Cluster,
        namespace: discovery.PrivateDnsNamespace,
        containers: Containers,
        data: DataStack,
    ) -> None:
        super().__init__(scope, construct_id)
        self.cluster = cluster
        self.namespace = namespace
        self.containers = containers
        self.data = data
        self.deployment = containers.deployment
        self.head = self._head()
        self.group = self._group()
        self.workers = self._workers()
        self._scale()

    def _credentials(self) -> dict[str, ecs.Secret]:
        return {"RAY_AUTH_TOKEN": ecs.Secret.from_secrets_manager(self.data.ray_token)}

    def _environment(self) -> dict[str, str]:
        region = cdk.Stack.of(self).region
        return {"RAY_AUTH_MODE": "token", "AWS_REGION": region, "AWS_DEFAULT_REGION": region}

    def _service(self, name: str) -> dict[str, Any]:
        """What head and workers have in common as services."""
        return {
            "cluster": self.cluster,
            "security_groups": [self.data.ray_group],
            "vpc_subnets": self.data.service_subnets,
            "enable_ecs_managed_tags": True,
            "propagate_tags": ecs.PropagatedTagSource.SERVICE,
        }

    def _head(self) -> ecs.FargateService:
        task = self.containers.fargate_task(HEAD, cpu=2048, mib=8192, disk_gib=50, shared=True)
        self.containers.add(
            task,
            HEAD,
            role="ray",
            # Fargate's /dev/shm is small, and the head keeps no data.
            command=[HEAD, "--object-store-memory", "200000000"],
            # Ray fails a job that waits 15 minutes; a machine with GPUs may take longer to be had.
            environment={**self._environment(), "RAY_JOB_START_TIMEOUT_SECONDS": "86400"},
            secrets=self._credentials(),
            health=["CMD", "ray", "health-check", "--address", f"127.0.0.1:{GCS_PORT}"],
            port=GCS_PORT,
            shared=True,
        )
        self.containers.add(
            task,
            "ray-demand",
            role="ray",
            command=[
                "ray-demand",
                "--cluster",
                self.deployment.name,
                "--gpus-per-node",
                str(self.deployment.gpus_per_node),
                "--max-nodes",
                str(self.deployment.gpu_max_nodes),
            ],
            environment=self._environment(),
            secrets=self._credentials(),
            essential=False,
        )
        allow_objects(task.task_role, self.data.bucket, ["lake"], actions=READ_AND_WRITE)
        return ecs.FargateService(
            self,
            "HeadService",
            task_definition=task,
            desired_count=1,
            min_healthy_percent=0,
            max_healthy_percent=100,
            assign_public_ip=False,
            circuit_breaker=ecs.DeploymentCircuitBreaker(enable=True, rollback=True),
            cloud_map_options=ecs.CloudMapOptions(name=HEAD, cloud_map_namespace=self.namespace),
            **self._service(HEAD),
        )

    def _group(self) -> autoscaling.AutoScalingGroup:
        """No machine at first, and no wish for one in the template: a deployment must not end a training."""
        settings = ec2.UserData.for_linux()
        settings.add_commands(
            "echo ECS_ENABLE_GPU_SUPPORT=true >> /etc/ecs/ecs.config",
            "echo ECS_AWSVPC_BLOCK_IMDS=true >> /etc/ecs/ecs.config",  # no container gets at the machine's role
        )
        template = ec2.LaunchTemplate(
            self,
            "Machine",
            instance_type=ec2.InstanceType(self.deployment.gpu_instance),
            machine_image=ecs.EcsOptimizedImage.amazon_linux2023(ecs.AmiHardwareType.GPU),
            security_group=self.data.ray_group,
            role=self._machine_role(),
            require_imdsv2=True,
            http_put_response_hop_limit=1,
            user_data=settings,
            block_devices=[
                ec2.BlockDevice(
                    device_name="/dev/xvda",
                    volume=ec2.BlockDeviceVolume.ebs(200, encrypted=True, volume_type=ec2.EbsDeviceVolumeType.GP3),
                )
            ],
        )
        group = autoscaling.AutoScalingGroup(
            self,
            "Machines",
            vpc=self.data.vpc,
            vpc_subnets=self.data.service_subnets,
            launch_template=template,
            min_capacity=0,
            max_capacity=self.deployment.gpu_max_nodes,
            default_instance_warmup=cdk.Duration.minutes(10),
        )
        provider = ecs.AsgCapacityProvider(
            self,
            "Capacity",
            auto_scaling_group=group,
            enable_managed_scaling=False,  # the alarms below scale; ECS cannot, for one worker a machine
            enable_managed_termination_protection=False,
            enable_managed_draining=True,  # else CDK adds a Lambda function for it
        )
        self.cluster.add_asg_capacity_provider(provider)
        return group

    def _machine_role(self) -> iam.Role:
        """Of the ECS agent, which CDK lets join this cluster; what runs in the containers has the task's role."""
        return iam.Role(self, "MachineRole", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))

    def _workers(self) -> ecs.Ec2Service:
        """One on every machine that comes."""
        name = "ray-worker"
        task = self.containers.gpu_task(name)
        worker = self.containers.add(
            task,
            name,
            role="ray",
            command=[name, "--num-gpus", str(self.deployment.gpus_per_node)],
            environment={
                **self._environment(),
                "RAY_HEAD": f"{HEAD}.{self.namespace.namespace_name}:{GCS_PORT}",
            },
            secrets=self._credentials(),
            shared=True,
            gpus=self.deployment.gpus_per_node,
            mib=self.deployment.gpu_container_mib,
            shm_mib=SHARED_MEMORY_MIB,
        )
        worker.add_ulimits(ecs.Ulimit(name=ecs.UlimitName.MEMLOCK, soft_limit=-1, hard_limit=-1))
        allow_objects(task.task_role, self.data.bucket, ["lake"], actions=READ_AND_WRITE)
        return ecs.Ec2Service(self, "WorkerService", task_definition=task, daemon=True, **self._service(name))

    def _scale(self) -> None:
        metric = cloudwatch.Metric(
            namespace=METRIC_NAMESPACE,
            metric_name=METRIC_NAME,
            dimensions_map={"Cluster": self.deployment.name},
            statistic="Maximum",
            period=cdk.Duration.minutes(1),
        )
        wanted = metric.create_alarm(
            self,
            "Wanted",
            alarm_description="Jobs want GPU machines: as many as the metric says",
            threshold=1,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            # A head that is restarting says nothing: then nothing starts and nothing ends.
            treat_missing_data=cloudwatch.TreatMissingData.IGNORE,
        )
        idle = metric.create_alarm(
            self,
            "Idle",
            alarm_description="No job wants a GPU machine: none stays",
            threshold=0,
            evaluation_periods=self.deployment.idle_minutes,
            comparison_operator=cloudwatch.ComparisonOperator.LESS_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.IGNORE,
        )
        up = self._action("Up")
        for number in range(1, self.deployment.gpu_max_nodes + 1):
            last = number == self.deployment.gpu_max_nodes
            # Bounds are relative to the alarm's threshold, 1.
            up.add_adjustment(adjustment=number, lower_bound=number - 1, upper_bound=None if last else number)
        down = self._action("Down")
        down.add_adjustment(adjustment=0, upper_bound=0)
        wanted.add_alarm_action(actions.AutoScalingAction(up))
        idle.add_alarm_action(actions.AutoScalingAction(down))

    def _action(self, name: str) -> autoscaling.StepScalingAction:
        return autoscaling.StepScalingAction(
            self,
            name,
            auto_scaling_group=self.group,
            adjustment_type=autoscaling.AdjustmentType.EXACT_CAPACITY,
            metric_aggregation_type=autoscaling.MetricAggregationType.MAXIMUM,
        )
