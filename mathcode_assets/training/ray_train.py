"""The driver of a job on several nodes: Ray Train starts the workers, each runs the very `worker.main`.

    python -m mathcode_assets.training.ray_train job.json     # inside a Ray job; RayLauncher submits it

Ray sets RANK, WORLD_SIZE, MASTER_ADDR and the others, and joins the workers to a process group, which
DeepSpeed takes over. When the driver dies, so do its workers.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from mathcode_assets.training.spec import JobSpec, load_spec
from mathcode_assets.training.worker import COLLECTIVE_TIMEOUT

# Ray Train's own records of the run, in the output folder: it wants a disk that all nodes share.
RECORDS = "ray_train"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job of one specification file on as many nodes as it asks for; 0 when every worker succeeded."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        print("usage: python -m mathcode_assets.training.ray_train SPEC.json", file=sys.stderr)
        return 2
    spec = load_spec(arguments[0])
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    trainer = TorchTrainer(
        run_rank,
        train_loop_config={"spec": arguments[0]},
        torch_config=TorchConfig(timeout_s=int(COLLECTIVE_TIMEOUT.total_seconds())),
        scaling_config=ScalingConfig(
            num_workers=spec.resources.nodes * spec.resources.processes_per_node,
            use_gpu=spec.resources.gpus_per_process > 0,
            resources_per_worker=worker_resources(spec),
            placement_strategy="PACK",  # a node is filled before the next: the fewest links between nodes
        ),
        run_config=RunConfig(storage_path=str(Path(spec.output) / RECORDS)),
    )
    trainer.fit()  # raises where a worker did
    return 0


def worker_resources(spec: JobSpec) -> dict[str, float]:
    """What Ray reserves for each worker."""
    found: dict[str, float] = {"CPU": spec.resources.cpus_per_process}
    if spec.resources.gpus_per_process:
        found["GPU"] = spec.resources.gpus_per_process
    return found


def run_rank(config: Mapping[str, str]) -> None:
    """One worker; Ray has set its rank in the environment.

    Raises:
        RuntimeError: it did not succeed; its error is in failure.json and in its log.
    """
    from mathcode_assets.training import worker

    code = worker.main([config["spec"]])
    if code != 0:
        raise RuntimeError(f"the worker ended with status {code}")


if __name__ == "__main__":
    sys.exit(main())
