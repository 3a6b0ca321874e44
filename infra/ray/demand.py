"""How many GPU nodes the Ray cluster wants, told to CloudWatch once a minute by a line in the log.

    python demand.py --address 127.0.0.1:6379 --gpus-per-node 8 --max-nodes 4

Runs beside the head. The line is CloudWatch's embedded metric format: the log driver delivers it and CloudWatch
makes a metric of it, so that no role needs the right to put metrics, and nothing needs the right to start machines
but the Auto Scaling group, which an alarm on this metric sets from 0 to N and back.

A cluster that works keeps its nodes until it is idle as a whole: a group that shrinks cannot choose which node
ends, and a training would lose one.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterable, Mapping
from typing import Any

NAMESPACE = "MathCode/Ray"
METRIC = "GpuNodesWanted"
PERIOD_S = 60
GPU = "GPU"


def nodes_wanted(
    bundles: Iterable[tuple[Mapping[str, float], int]],
    *,
    gpus_in_use: float,
    gpus_there: float,
    gpus_per_node: int,
    max_nodes: int,
) -> int:
    """Nodes for what runs and what waits, in [0, max_nodes].

    Args:
        bundles: resources that wait for a place, and how often; those without a GPU do not count.
        gpus_in_use: by tasks and actors that run.
        gpus_there: of all nodes that are up.
        gpus_per_node: of the group's instance type.
        max_nodes: of the group.
    """
    waiting = sum(bundle.get(GPU, 0) * count for bundle, count in bundles)
    if waiting <= 0 and gpus_in_use <= 0:
        return 0
    needed = math.ceil((gpus_in_use + waiting) / gpus_per_node)
    there = math.ceil(gpus_there / gpus_per_node)
    return min(max(needed, there), max_nodes)


def metric_line(value: int, *, cluster: str, now_ms: int) -> str:
    """The metric as a line of CloudWatch's embedded metric format."""
    directive = {"Namespace": NAMESPACE, "Dimensions": [["Cluster"]], "Metrics": [{"Name": METRIC, "Unit": "Count"}]}
    metadata = {"Timestamp": now_ms, "CloudWatchMetrics": [directive]}
    return json.dumps({"_aws": metadata, "Cluster": cluster, METRIC: value})


def read_cluster(address: str) -> tuple[list[tuple[Mapping[str, float], int]], float, float]:
    """What waits, GPUs in use and GPUs there, from the cluster's own status.

    Raises:
        Exception: the head cannot be asked (Ray raises several kinds).
    """
    from ray.autoscaler.v2.sdk import get_cluster_status

    status = get_cluster_status(address)
    demands: list[Any] = [
        *status.resource_demands.ray_task_actor_demand,
        *status.resource_demands.placement_group_demand,
    ]
    bundles = [(by_count.bundle, by_count.count) for demand in demands for by_count in demand.bundles_by_count]
    usage = next((item for item in status.cluster_resource_usage if item.resource_name == GPU), None)
    return bundles, (usage.used if usage else 0.0), (usage.total if usage else 0.0)


def main() -> None:
    """Say it once a minute, until ended; a head that does not answer is said too, and asked again."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--address", default="127.0.0.1:6379")
    parser.add_argument("--cluster", default="mathcode")
    parser.add_argument("--gpus-per-node", type=int, required=True)
    parser.add_argument("--max-nodes", type=int, required=True)
    parser.add_argument("--once", action="store_true", help="for trying it out")
    given = parser.parse_args()
    while True:
        try:
            bundles, in_use, there = read_cluster(given.address)
        except Exception as error:
            # No metric: the alarm keeps its state, so that a restart of the head neither starts nor ends a node.
            print(f"the head at {given.address} does not answer: {error}", flush=True)
        else:
            wanted = nodes_wanted(
                bundles,
                gpus_in_use=in_use,
                gpus_there=there,
                gpus_per_node=given.gpus_per_node,
                max_nodes=given.max_nodes,
            )
            print(metric_line(wanted, cluster=given.cluster, now_ms=int(time.time() * 1000)), flush=True)
        if given.once:
            return
        time.sleep(PERIOD_S)


if __name__ == "__main__":
    main()
