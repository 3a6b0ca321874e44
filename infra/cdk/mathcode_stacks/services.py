"""What runs: code location, webserver and daemon on Fargate, and Ray beside them."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_servicediscovery as discovery
from constructs import Construct

from mathcode_stacks.containers import Containers
from mathcode_stacks.data import DATABASE, DataStack
from mathcode_stacks.deployment import Deployment
from mathcode_stacks.permissions import READ, READ_AND_WRITE, allow_objects
from mathcode_stacks.ray import RayCluster
from mathcode_stacks.registry import RegistryStack

NAMESPACE = "mathcode.internal"
CODE_LOCATION = "code-location"
WEBSERVER_PORT = 3000
CODE_LOCATION_PORT = 4000
HEALTH = {
    CODE_LOCATION: ["CMD", "dagster", "api", "grpc-health-check", "--port", str(CODE_LOCATION_PORT)],
    "webserver": [
        "CMD",
        "python",
        "-c",
        f"import urllib.request as u; u.urlopen('http://127.0.0.1:{WEBSERVER_PORT}/server_info', timeout=5)",
    ],
    "daemon": ["CMD", "dagster-daemon", "liveness-check"],
}


class ServicesStack(cdk.Stack):
    """The stack that every release replaces."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        deployment: Deployment,
        registry: RegistryStack,
        data: DataStack,
        **options: Any,
    ) -> None:
        super().__init__(scope, construct_id, **options)
        self.deployment = deployment
        self.data = data
        self.cluster = ecs.Cluster(self, "Cluster", vpc=data.vpc, container_insights_v2=ecs.ContainerInsights.ENABLED)
        self.namespace = discovery.PrivateDnsNamespace(self, "Names", name=NAMESPACE, vpc=data.vpc)
        self.containers = Containers(self, deployment=deployment, registry=registry, data=data)
        self.code_location = self._code_location()
        self.webserver = self._webserver()
        self.daemon = self._daemon()
        self.ray = RayCluster(
            self, "Ray", cluster=self.cluster, namespace=self.namespace, containers=self.containers, data=data
        )
        self._balancer()

    def _environment(self) -> dict[str, str]:
        """What is no secret. dagster.yaml and workspace.yaml say what they read."""
        database = self.data.database
        bucket = self.data.bucket.bucket_name
        return {
            "DAGSTER_POSTGRES_HOST": database.instance_endpoint.hostname,
            "DAGSTER_POSTGRES_PORT": "5432",
            "DAGSTER_POSTGRES_DB": DATABASE,
            "PGSSLMODE": "require",
            "MATHCODE_CODE_LOCATION_HOST": f"{CODE_LOCATION}.{NAMESPACE}",
            "MATHCODE_BUCKET": bucket,
            "MATHCODE_POOLS": self.deployment.pools,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
        }

    def _secrets(self) -> dict[str, ecs.Secret]:
        """What ECS puts into the environment at the start; templates and task definitions hold addresses alone."""
        secret = self.data.database.secret
        assert secret is not None
        return {
            "DAGSTER_POSTGRES_USER": ecs.Secret.from_secrets_manager(secret, "username"),
            "DAGSTER_POSTGRES_PASSWORD": ecs.Secret.from_secrets_manager(secret, "password"),
        }

    def _task(self, name: str, *, cpu: int, mib: int, disk_gib: int = 21, shared: bool = False, **extra: Any) -> Any:
        """A task of one container, which starts the part of start.sh with its name."""
        task = self.containers.fargate_task(name, cpu=cpu, mib=mib, disk_gib=disk_gib, shared=shared)
        self.containers.add(
            task,
            name,
            role="dagster",
            command=[name],
            environment={**self._environment(), **extra.get("environment", {})},
            secrets={**self._secrets(), **extra.get("secrets", {})},
            health=HEALTH[name],
            port=extra.get("port"),
            shared=shared,
        )
        return task

    def _service(self, name: str, task: ecs.FargateTaskDefinition, *, one_at_most: bool) -> ecs.FargateService:
        """A service of one task; `one_at_most`: the old one ends before the new one starts."""
        return ecs.FargateService(
            self,
            f"{name.title().replace('-', '')}Service",
            cluster=self.cluster,
            task_definition=task,
            desired_count=1,
            min_healthy_percent=0 if one_at_most else 100,
            max_healthy_percent=100 if one_at_most else 200,
            security_groups=[self.data.dagster_group],
            vpc_subnets=self.data.service_subnets,
            assign_public_ip=False,
            circuit_breaker=ecs.DeploymentCircuitBreaker(enable=True, rollback=True),
            cloud_map_options=ecs.CloudMapOptions(name=name, cloud_map_namespace=self.namespace),
            enable_ecs_managed_tags=True,
            propagate_tags=ecs.PropagatedTagSource.SERVICE,
        )

    def _code_location(self) -> ecs.FargateService:
        """All runs are processes in it: one of it, never two (infra/dagster/prepare.py)."""
        bucket = self.data.bucket
        sizes = self.deployment
        task = self._task(
            CODE_LOCATION,
            cpu=sizes.code_location_cpu,
            mib=sizes.code_location_mib,
            disk_gib=sizes.code_location_disk_gib,
            shared=True,
            port=CODE_LOCATION_PORT,
            environment={
                "MATHCODE_SOURCES_URI": f"s3://{bucket.bucket_name}/config/sources.yaml",
                "MATHCODE_SOURCES": "/home/mathcode/sources.yaml",
                "MATHCODE_ROOT": f"s3://{bucket.bucket_name}/lake",
                "RAY_AUTH_MODE": "token",
            },
            secrets={
                "RAY_AUTH_TOKEN": ecs.Secret.from_secrets_manager(self.data.ray_token),
                "OPENAI_API_KEY": ecs.Secret.from_secrets_manager(self.data.model_key),
            },
        )
        allow_objects(task.task_role, bucket, ["lake", "compute-logs"], actions=READ_AND_WRITE)
        allow_objects(task.task_role, bucket, ["config", "sources"], actions=READ)
        return self._service(CODE_LOCATION, task, one_at_most=True)

    def _webserver(self) -> ecs.FargateService:
        task = self._task("webserver", cpu=1024, mib=4096, port=WEBSERVER_PORT)
        allow_objects(task.task_role, self.data.bucket, ["compute-logs"], actions=READ)
        return self._service("webserver", task, one_at_most=False)

    def _daemon(self) -> ecs.FargateService:
        """Two daemons would both launch: one at most. It reads and writes the database alone."""
        return self._service("daemon", self._task("daemon", cpu=1024, mib=4096), one_at_most=True)

    def _balancer(self) -> None:
        """The UI inside the VPC: through a VPN, or a tunnel of the Session Manager."""
        certificate = self.deployment.certificate_arn
        balancer = elb.ApplicationLoadBalancer(
            self,
            "Ui",
            vpc=self.data.vpc,
            vpc_subnets=self.data.service_subnets,
            internet_facing=False,
            security_group=self.data.balancer_group,
            drop_invalid_header_fields=True,
            idle_timeout=cdk.Duration.minutes(5),  # the UI holds its websocket open
        )
        listener = balancer.add_listener(
            "Listener",
            port=443 if certificate else 80,
            protocol=elb.ApplicationProtocol.HTTPS if certificate else elb.ApplicationProtocol.HTTP,
            certificates=[elb.ListenerCertificate.from_arn(certificate)] if certificate else None,
            open=False,
        )
        listener.add_targets(
            "Webserver",
            port=WEBSERVER_PORT,
            protocol=elb.ApplicationProtocol.HTTP,
            targets=[self.webserver],
            deregistration_delay=cdk.Duration.seconds(30),
            health_check=elb.HealthCheck(path="/server_info", healthy_http_codes="200"),
        )
        cdk.CfnOutput(
            self, "UiAddress", value=f"{'https' if certificate else 'http'}://{balancer.load_balancer_dns_name}"
        )


def task_roles(stack: ServicesStack) -> list[iam.IRole]:
    """Every role that a container of ours has."""
    return [task.task_role for task in stack.containers.tasks]
