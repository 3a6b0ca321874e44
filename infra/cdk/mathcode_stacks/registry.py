"""The images' repositories: first, because services start from images that are there."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ecr as ecr
from constructs import Construct

from mathcode_stacks.deployment import Deployment

ROLES = ("dagster", "ray")  # of infra/image/Dockerfile


class RegistryStack(cdk.Stack):
    """One repository for each role of the image."""

    def __init__(self, scope: Construct, construct_id: str, *, deployment: Deployment, **options: Any) -> None:
        super().__init__(scope, construct_id, **options)
        self.repositories = {
            role: ecr.Repository(
                self,
                f"{role.capitalize()}Images",
                repository_name=f"{deployment.name.lower()}-{role}",
                image_tag_mutability=ecr.TagMutability.IMMUTABLE,
                image_scan_on_push=True,
                encryption=ecr.RepositoryEncryption.AES_256,
                removal_policy=cdk.RemovalPolicy.RETAIN,
                lifecycle_rules=[ecr.LifecycleRule(max_image_count=20, description="roll back twenty releases")],
            )
            for role in ROLES
        }
