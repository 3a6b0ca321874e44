"""What is kept: closed to the public, encrypted, backed up, not deleted with its stack."""

from __future__ import annotations

from aws_cdk.assertions import Match, Template
from conftest import resources


def test_the_bucket_is_private_versioned_and_encrypted(data: Template) -> None:
    data.resource_count_is("AWS::S3::Bucket", 1)
    data.has_resource_properties(
        "AWS::S3::Bucket",
        {
            "PublicAccessBlockConfiguration": {
                "BlockPublicAcls": True,
                "BlockPublicPolicy": True,
                "IgnorePublicAcls": True,
                "RestrictPublicBuckets": True,
            },
            "VersioningConfiguration": {"Status": "Enabled"},
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            },
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        },
    )


def test_the_bucket_refuses_what_is_not_tls(data: Template) -> None:
    denied = {"Effect": "Deny", "Action": "s3:*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    data.has_resource_properties(
        "AWS::S3::BucketPolicy", {"PolicyDocument": {"Statement": Match.array_with([Match.object_like(denied)])}}
    )


def test_incomplete_uploads_and_earlier_versions_end(data: Template) -> None:
    (bucket,) = resources(data, "S3::Bucket").values()
    rules = {rule["Id"]: rule for rule in bucket["LifecycleConfiguration"]["Rules"]}
    assert rules["incomplete-uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert rules["earlier-versions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert "ExpirationInDays" not in rules["earlier-versions"], "the lake itself never expires"
    assert rules["logs"]["Prefix"] == "compute-logs/"


def test_the_database_is_closed_encrypted_and_backed_up(data: Template) -> None:
    (database,) = resources(data, "RDS::DBInstance").values()
    assert database["PubliclyAccessible"] is False
    assert database["StorageEncrypted"] is True
    assert database["DeletionProtection"] is True
    assert database["BackupRetentionPeriod"] == 30
    (parameters,) = resources(data, "RDS::DBParameterGroup").values()
    assert parameters["Parameters"] == {"rds.force_ssl": "1"}


def test_the_password_of_the_database_is_a_reference(data: Template) -> None:
    (database,) = resources(data, "RDS::DBInstance").values()
    for name in ("MasterUsername", "MasterUserPassword"):
        assert name in database
    assert "{{resolve:secretsmanager:" in str(database["MasterUserPassword"])


def test_no_secret_has_a_value_in_the_template(data: Template) -> None:
    secrets = resources(data, "SecretsManager::Secret")
    assert len(secrets) == 3
    for name, secret in secrets.items():
        assert "SecretString" not in secret and "GenerateSecretString" in secret, name


def test_the_shared_disk_is_encrypted_and_mounted_by_its_user(data: Template) -> None:
    data.has_resource_properties("AWS::EFS::FileSystem", {"Encrypted": True})
    (point,) = resources(data, "EFS::AccessPoint").values()
    assert point["PosixUser"] == {"Uid": "10001", "Gid": "10001"}


def test_data_survives_its_stack(data: Template) -> None:
    data.has_resource("AWS::S3::Bucket", {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"})
    data.has_resource("AWS::EFS::FileSystem", {"DeletionPolicy": "Retain"})
    data.has_resource("AWS::RDS::DBInstance", {"DeletionPolicy": "Snapshot"})


def test_nothing_is_open_to_the_world(data: Template) -> None:
    groups = resources(data, "EC2::SecurityGroup")
    rules = [rule for group in groups.values() for rule in group.get("SecurityGroupIngress", [])]
    rules += resources(data, "EC2::SecurityGroupIngress").values()
    assert rules and all(rule.get("CidrIp") != "0.0.0.0/0" and "CidrIpv6" not in rule for rule in rules)
    assert not any(subnet.get("MapPublicIpOnLaunch") for subnet in resources(data, "EC2::Subnet").values())


def test_only_dagster_reaches_the_database(data: Template) -> None:
    rules = resources(data, "EC2::SecurityGroupIngress").values()
    (rule,) = [rule for rule in rules if rule.get("FromPort") == 5432]
    assert "Dagster" in str(rule["SourceSecurityGroupId"]) and "DatabaseAccess" in str(rule["GroupId"])


def test_s3_is_reached_inside_the_network(data: Template) -> None:
    kinds = [endpoint["VpcEndpointType"] for endpoint in resources(data, "EC2::VPCEndpoint").values()]
    assert kinds.count("Gateway") == 1 and kinds.count("Interface") == 7


def test_images_cannot_be_overwritten(registry: Template) -> None:
    registry.all_resources_properties(
        "AWS::ECR::Repository",
        {"ImageTagMutability": "IMMUTABLE", "ImageScanningConfiguration": {"ScanOnPush": True}},
    )
