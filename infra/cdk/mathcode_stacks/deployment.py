"""What differs between deployments: one dataclass, filled from CDK's context."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Sizes and choices of one deployment; each is a context value of the same name.

    name: before the names of the stacks; a second deployment in one account needs another.
    image_tag: of both images; tags are immutable, so an upgrade is another tag and a roll-back the one before.
    client_cidr: who reaches the UI, which has no login of its own; empty: the VPC alone.
    certificate_arn: of the UI's name; empty: HTTP, inside the VPC.
    max_azs, nat_gateways: 0 NAT gateways where all sources are on S3; the hub is reached through one.
    database_*: class and size in GiB of PostgreSQL; it holds events, no text but previews.
    backup_days: of the database, and of overwritten and deleted objects of the lake.
    log_days: of the log groups and of the logs of runs; one of the numbers that CloudWatch knows.
    code_location_*: Fargate's sizes (1024 units are a core, MiB, GiB): all runs live in it.
    gpu_*: instance type of the Ray workers, its GPUs, memory for the container (MiB), greatest number of machines.
    idle_minutes: without a job, before the machines end.
    pools: limits of the pools, as prepare.py reads them.
    """

    name: str = "MathCode"
    image_tag: str = "v1"
    client_cidr: str = ""
    certificate_arn: str = ""
    max_azs: int = 2
    nat_gateways: int = 1
    database_class: str = "db.t4g.medium"
    database_gib: int = 50
    database_multi_az: bool = False
    backup_days: int = 30
    log_days: int = 90
    code_location_cpu: int = 8192
    code_location_mib: int = 32768
    code_location_disk_gib: int = 100
    gpu_instance: str = "p4d.24xlarge"
    gpus_per_node: int = 8
    gpu_container_mib: int = 1_000_000
    gpu_max_nodes: int = 2
    idle_minutes: int = 15
    pools: str = "gpu=1,sandbox=4,s3=8"

    def __post_init__(self) -> None:
        if not 1 <= self.gpu_max_nodes <= 20:
            raise ValueError(f"gpu_max_nodes: wants 1 to 20 (steps of a scaling policy), got {self.gpu_max_nodes}")
        if not 1 <= self.backup_days <= 35:
            raise ValueError(f"backup_days: RDS keeps 1 to 35 days, got {self.backup_days}")

    @property
    def tags(self) -> Mapping[str, str]:
        """Of every resource: the cost table of the runbook groups by them."""
        return {"project": "mathcode-pile", "deployment": self.name}

    @classmethod
    def from_context(cls, context: Callable[[str], Any]) -> Deployment:
        """The defaults, with what `-c name=value` says.

        Raises:
            ValueError: a value that is no number or boolean where one is wanted. Names it.
        """
        given = {}
        for field in dataclasses.fields(cls):
            value = context(field.name)
            if value is not None:
                given[field.name] = _typed(field.name, field.default, value)
        return cls(**given)


def _typed(name: str, default: Any, value: Any) -> Any:
    """Context from the command line is text."""
    if isinstance(default, bool):
        if str(value).lower() not in ("true", "false"):
            raise ValueError(f"{name}: wants true or false, got {value!r}")
        return str(value).lower() == "true"
    if isinstance(default, int):
        try:
            return int(value)
        except ValueError:
            raise ValueError(f"{name}: wants a whole number, got {value!r}") from None
    return str(value)
