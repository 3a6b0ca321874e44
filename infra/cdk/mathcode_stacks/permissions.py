"""What each task role may do: named actions on named things. CDK's own grants would add stars (s3:GetObject*)."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_efs as efs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3

READ = ("s3:GetObject",)
READ_AND_WRITE = (
    "s3:GetObject",
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
)


def allow_objects(role: iam.IRole, bucket: s3.IBucket, prefixes: Sequence[str], *, actions: Sequence[str]) -> None:
    """Let a role read, or read and write, what lies below prefixes of the bucket, and list just that."""
    objects = iam.PolicyStatement(
        actions=list(actions), resources=[bucket.arn_for_objects(f"{prefix}/*") for prefix in prefixes]
    )
    listing = iam.PolicyStatement(
        actions=["s3:ListBucket"],
        resources=[bucket.bucket_arn],
        # IfExists: asking for one object names no prefix, and where listing is not allowed S3 answers "forbidden"
        # for an object that is not there, which fsspec takes for an error and not for "not published yet".
        conditions={
            "StringLikeIfExists": {"s3:prefix": [item for prefix in prefixes for item in (prefix, f"{prefix}/*")]}
        },
    )
    for statement in (objects, listing):
        role.add_to_principal_policy(statement)


def allow_disk(role: iam.IRole, disk: efs.IFileSystem, point: efs.IAccessPoint) -> None:
    """Let a role mount the shared disk, as the user of its access point and not as root."""
    role.add_to_principal_policy(
        iam.PolicyStatement(
            actions=["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"],
            resources=[disk.file_system_arn],
            conditions={"StringEquals": {"elasticfilesystem:AccessPointArn": point.access_point_arn}},
        )
    )
