"""Section `engine` of the settings: where the work inside a run is done.

settings:
  engine: {kind: local, workers: 8}
  engine: {kind: ray, ray_address: "head:6379", shared_paths: true}
"""

from __future__ import annotations

import os
from dataclasses import dataclass

SERIAL, LOCAL, RAY = "serial", "local", "ray"
KINDS = (SERIAL, LOCAL, RAY)
# Cores that a process started by an engine may use; its libraries and engines of its own keep to it.
CORES_VARIABLE = "MATHCODE_CORES"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How work is mapped. It decides how fast tables are made, never what is in them.

    kind: `serial` (this process), `local` (processes of this machine) or `ray` (a cluster that is there).
    workers: pieces of work at a time; 0 for one a core this process may use, or one a core of the cluster.
    ray_address: of the cluster, `auto` or HOST:PORT (of Ray itself, not of its dashboard).
    cpus_per_task: what a piece of work asks of Ray.
    shared_paths: the lake's folder is there under the same path on every machine of the cluster.
    """

    kind: str = SERIAL
    workers: int = 0
    ray_address: str = "auto"
    cpus_per_task: float = 1.0
    shared_paths: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind: wants one of {', '.join(KINDS)}, got {self.kind!r}")
        if self.workers < 0:
            raise ValueError(f"workers: wants 0 or more, got {self.workers}")
        if self.cpus_per_task <= 0:
            raise ValueError(f"cpus_per_task: wants more than 0, got {self.cpus_per_task}")
        if self.ray_address.startswith(("http://", "https://")):
            raise ValueError(f"ray_address: wants HOST:PORT of Ray itself, got {self.ray_address}, a dashboard's")

    @property
    def n_local(self) -> int:
        """Processes of this machine at a time: 1 unless the kind is local; in a worker no more than its share."""
        if self.kind != LOCAL:
            return 1
        cores = usable_cores()
        return min(self.workers or cores, cores) if CORES_VARIABLE in os.environ else self.workers or cores


def usable_cores() -> int:
    """Cores this process may use, which in a container, and in a worker of an engine, are fewer than the machine's."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = os.environ.get(CORES_VARIABLE, "")
    return min(own, int(share)) if share.isdigit() and int(share) else own
