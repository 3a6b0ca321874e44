"""What outlives every release: network, bucket, database, shared disk, secrets. Deleting the stack keeps the data."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_efs as efs
from aws_cdk import aws_rds as rds
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from mathcode_stacks.deployment import Deployment

# The user of infra/image/Dockerfile, as the shared disk sees it.
USER_ID = "10001"
DATABASE = "dagster"


class DataStack(cdk.Stack):
    """The stack that is never replaced."""

    def __init__(self, scope: Construct, construct_id: str, *, deployment: Deployment, **options: Any) -> None:
        super().__init__(scope, construct_id, termination_protection=True, **options)
        self.deployment = deployment
        self.vpc = self._network()
        self.bucket = self._bucket()
        # All groups are of this stack, because a rule names two, and stacks must not need each other both ways.
        self.balancer_group = self._group("Balancer", "Load balancer of the UI", outbound=False)
        self.dagster_group = self._group("Dagster", "Code location, webserver, daemon")
        self.ray_group = self._group("Ray", "Head and GPU workers")
        self.database_group = self._group("DatabaseAccess", "PostgreSQL", outbound=False)
        self.disk_group = self._group("SharedAccess", "Shared disk", outbound=False)
        self._rules()
        self.database = self._database()
        self.disk, self.access_point = self._disk()
        # Whoever has it may run code on the GPUs. Letters and digits, because it becomes an HTTP header.
        self.ray_token = secretsmanager.Secret(
            self,
            "RayToken",
            description="Token of the Ray cluster's Jobs API",
            generate_secret_string=secretsmanager.SecretStringGenerator(
                password_length=64, exclude_punctuation=True, include_space=False
            ),
        )
        # Generated, so that no value stands in a template; a person replaces it by a real key (docs/runbook.md).
        self.model_key = secretsmanager.Secret(
            self, "ModelKey", description="Key of the model server that translates and annotates"
        )
        cdk.CfnOutput(self, "BucketName", value=self.bucket.bucket_name)
        cdk.CfnOutput(self, "ModelKeyArn", value=self.model_key.secret_arn)
        cdk.CfnOutput(self, "DatabaseId", value=self.database.instance_identifier)

    @property
    def service_subnets(self) -> ec2.SubnetSelection:
        """Where containers run."""
        return ec2.SubnetSelection(subnet_group_name="services")

    def _group(self, name: str, description: str, *, outbound: bool = True) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(self, name, vpc=self.vpc, description=description, allow_all_outbound=outbound)

    def _rules(self) -> None:
        """Who reaches whom; nothing else does."""
        tls = bool(self.deployment.certificate_arn)
        clients = ec2.Peer.ipv4(self.deployment.client_cidr or self.vpc.vpc_cidr_block)
        self.balancer_group.add_ingress_rule(clients, ec2.Port.tcp(443 if tls else 80), "UI")
        rules = [
            (self.balancer_group, self.dagster_group, 3000, "webserver"),
            (self.dagster_group, self.dagster_group, 4000, "code location"),
            (self.dagster_group, self.database_group, 5432, "run storage"),
            (self.dagster_group, self.disk_group, 2049, "run folders"),
            (self.ray_group, self.disk_group, 2049, "run folders"),
            (self.dagster_group, self.ray_group, 8265, "Jobs API"),
        ]
        for source, target, port, what in rules:
            target.connections.allow_from(source, ec2.Port.tcp(port), what)
        # Ray's processes and NCCL talk on ports of their choice, among themselves.
        self.ray_group.connections.allow_from(self.ray_group, ec2.Port.all_tcp(), "the cluster itself")

    def _network(self) -> ec2.Vpc:
        with_nat = self.deployment.nat_gateways > 0
        kind = ec2.SubnetType.PRIVATE_WITH_EGRESS if with_nat else ec2.SubnetType.PRIVATE_ISOLATED
        subnets = [
            ec2.SubnetConfiguration(name="services", subnet_type=kind, cidr_mask=20),
            ec2.SubnetConfiguration(name="database", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=26),
        ]
        if with_nat:  # for the gateways alone
            public = ec2.SubnetConfiguration(
                name="public", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=26, map_public_ip_on_launch=False
            )
            subnets.append(public)
        vpc = ec2.Vpc(
            self,
            "Network",
            max_azs=self.deployment.max_azs,
            nat_gateways=self.deployment.nat_gateways,
            subnet_configuration=subnets,
            restrict_default_security_group=False,  # would need a Lambda function; nothing uses the default group
        )
        # The lake's traffic stays inside AWS and costs nothing by the byte.
        vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
        services = ec2.InterfaceVpcEndpointAwsService
        endpoints = {
            "EcrApi": services.ECR,
            "EcrDocker": services.ECR_DOCKER,
            "Logs": services.CLOUDWATCH_LOGS,
            "Secrets": services.SECRETS_MANAGER,
            "Ecs": services.ECS,
            "EcsAgent": services.ECS_AGENT,
            "EcsTelemetry": services.ECS_TELEMETRY,
        }
        for name, service in endpoints.items():
            vpc.add_interface_endpoint(name, service=service, subnets=ec2.SubnetSelection(subnet_group_name="services"))
        return vpc

    def _bucket(self) -> s3.Bucket:
        days = cdk.Duration.days
        return s3.Bucket(
            self,
            "Lake",
            versioned=True,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            removal_policy=cdk.RemovalPolicy.RETAIN,
            lifecycle_rules=[
                s3.LifecycleRule(id="incomplete-uploads", abort_incomplete_multipart_upload_after=days(7)),
                # How long a mistake can be undone; and how long a taken-down text can still be read by its version.
                s3.LifecycleRule(
                    id="earlier-versions",
                    noncurrent_version_expiration=days(self.deployment.backup_days),
                    expired_object_delete_marker=True,
                ),
                s3.LifecycleRule(id="logs", prefix="compute-logs/", expiration=days(self.deployment.log_days)),
            ],
        )

    def _database(self) -> rds.DatabaseInstance:
        engine = rds.DatabaseInstanceEngine.postgres(version=rds.PostgresEngineVersion.VER_17_9)
        return rds.DatabaseInstance(
            self,
            "Database",
            engine=engine,
            instance_type=ec2.InstanceType(self.deployment.database_class.removeprefix("db.")),
            allocated_storage=self.deployment.database_gib,
            max_allocated_storage=4 * self.deployment.database_gib,
            multi_az=self.deployment.database_multi_az,
            vpc=self.vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_group_name="database"),
            security_groups=[self.database_group],
            publicly_accessible=False,
            credentials=rds.Credentials.from_generated_secret("dagster"),
            database_name=DATABASE,
            parameter_group=rds.ParameterGroup(self, "OnlyTls", engine=engine, parameters={"rds.force_ssl": "1"}),
            storage_encrypted=True,
            backup_retention=cdk.Duration.days(self.deployment.backup_days),
            copy_tags_to_snapshot=True,
            auto_minor_version_upgrade=True,
            deletion_protection=True,
            removal_policy=cdk.RemovalPolicy.SNAPSHOT,
            cloudwatch_logs_exports=["postgresql"],
        )

    def _disk(self) -> tuple[efs.FileSystem, efs.AccessPoint]:
        """Run folders of trainings and answers of models: the launcher follows files that workers write."""
        disk = efs.FileSystem(
            self,
            "Shared",
            vpc=self.vpc,
            vpc_subnets=self.service_subnets,
            security_group=self.disk_group,
            encrypted=True,
            allow_anonymous_access=False,
            enable_automatic_backups=True,
            throughput_mode=efs.ThroughputMode.ELASTIC,
            lifecycle_policy=efs.LifecyclePolicy.AFTER_30_DAYS,
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )
        point = disk.add_access_point(
            "User",
            path="/mathcode",
            create_acl=efs.Acl(owner_uid=USER_ID, owner_gid=USER_ID, permissions="750"),
            posix_user=efs.PosixUser(uid=USER_ID, gid=USER_ID),
        )
        return disk, point
