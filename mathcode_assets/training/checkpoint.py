"""Checkpoints of a DeepSpeed engine: saved whole or not at all, checked before they are trusted.

Every function here is collective: all ranks call it with the same arguments. The ranks share the
hashing of files, since the state of a 7B model is 100 GB.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from mathcode_assets.training.run_folder import (
    DONE_FILE,
    PARTIAL,
    RunFolder,
    checkpoint_files,
    checkpoint_steps,
    hash_files,
    is_intact,
    prune,
    read_done,
    set_aside,
    sync_folder,
    write_json,
)
from mathcode_assets.training.spec import JobSpec, SpecError

SETTINGS = ("betas", "eps", "weight_decay")
CONVERSION_TIMEOUT_S = 4 * 3600.0


def save_checkpoint(engine: Any, folder: RunFolder, *, step: int, spec: JobSpec, stamps: Mapping[str, Any]) -> None:
    """Write the checkpoint after `step` steps, then remove those that the policy does not keep."""
    import torch.distributed as dist
    from deepspeed.checkpoint import constants

    rank, world_size = dist.get_rank(), dist.get_world_size()
    state = {
        "mathcode": {"step": step, **stamps},
        # Without it ds_to_universal refuses the checkpoint; no weight needs a pattern of its own.
        constants.UNIVERSAL_CHECKPOINT_INFO: {
            constants.UNIVERSAL_CHECKPOINT_VERSION_KEY: constants.UNIVERSAL_CHECKPOINT_VERSION_VALUE
        },
    }
    target = folder.checkpoint(step)
    partial = target.with_name(target.name + PARTIAL)
    engine.save_checkpoint(str(folder.checkpoints), tag=partial.name, client_state=state, save_latest=False)
    dist.barrier()
    names = checkpoint_files(partial)
    shares: list[Any] = [None] * world_size
    dist.all_gather_object(shares, hash_files(partial, names[rank::world_size], sync=True))
    if rank == 0:
        done = {
            "format": 1,
            "step": step,
            "world_size": world_size,
            "zero_stage": spec.deepspeed.zero_stage,
            "precision": spec.deepspeed.precision,
            **stamps,
            "files": {name: found for share in shares for name, found in share.items()},
        }
        write_json(partial / DONE_FILE, done)
        with folder.metrics.open("rb") as metrics:
            os.fsync(metrics.fileno())
        partial.rename(target)
        sync_folder(folder.checkpoints)
        prune(folder, spec.checkpoints)
    dist.barrier()


def newest_intact(folder: RunFolder) -> int:
    """Steps of the newest checkpoint whose files are as they were written; 0: none. Damaged ones are set aside."""
    import torch
    import torch.distributed as dist

    rank, world_size = dist.get_rank(), dist.get_world_size()
    dist.barrier()  # rank 0 has swept the folder
    for step in checkpoint_steps(folder):
        done = read_done(folder, step)
        path = folder.checkpoint(step)
        good = done is not None and is_intact(path, done["files"], sorted(done["files"])[rank::world_size])
        agreed = torch.tensor([int(good)], device=collective_device())
        dist.all_reduce(agreed, op=dist.ReduceOp.MIN)
        if agreed.item():
            return step
        dist.barrier()
        if rank == 0:
            set_aside(folder, step)
        dist.barrier()
    return 0


def needs_universal(done: Mapping[str, Any], spec: JobSpec, world_size: int) -> bool:
    """Whether the checkpoint must be converted because the world size or the sharding has changed.

    Raises:
        SpecError: DeepSpeed has no way from the one to the other.
    """
    before, now = done["zero_stage"], spec.deepspeed.zero_stage
    if before == now and (done["world_size"] == world_size or before == 0):
        return False
    if before == now or {before, now} == {1, 2}:
        return True
    raise SpecError(f"deepspeed.zero_stage: the checkpoint was written with stage {before}, it cannot go on with {now}")


def convert_to_universal(folder: RunFolder, step: int) -> str:
    """Tag of the universal form of a checkpoint; rank 0 converts, the others wait for its name to appear.

    Raises:
        RuntimeError: the conversion failed, or the others waited in vain.
    """
    import torch.distributed as dist

    source = folder.checkpoint(step)
    target = source.with_name(source.name + ".universal")
    partial = source.with_name(source.name + ".universal" + PARTIAL)
    if dist.get_rank() == 0:
        shutil.rmtree(target, ignore_errors=True)
        shutil.rmtree(partial, ignore_errors=True)
    dist.barrier()  # from here on the name means this conversion
    if dist.get_rank() == 0:
        command = [sys.executable, "-m", "deepspeed.checkpoint.ds_to_universal", "--num_extract_workers", "1"]
        command += ["--num_merge_workers", "1", "--input_folder", str(source), "--output_folder", str(partial)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"conversion of {source.name} failed:\n{done.stdout[-4000:]}")
        partial.rename(target)
    deadline = time.monotonic() + CONVERSION_TIMEOUT_S
    # Not a barrier: it would run into the time limit of the process group with a large model.
    while not target.is_dir():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited in vain for {target.name}")
        time.sleep(0.2)
    dist.barrier()
    return target.name


def load_checkpoint(engine: Any, folder: RunFolder, *, tag: str, step: int, stamps: Mapping[str, Any]) -> None:
    """Load weights and optimiser state.

    DeepSpeed 0.19.8 loads a universal checkpoint of stage 3 with one step counter shared by all parameter
    groups, which Adam then counts up once for each group, and with the first group's weight decay for all.
    Both are put right here.

    Raises:
        RuntimeError: DeepSpeed loaded nothing, or a checkpoint of another step, corpus or configuration.
    """
    import torch

    settings = [{name: group[name] for name in SETTINGS} for group in engine.optimizer.param_groups]
    path, state = engine.load_checkpoint(str(folder.checkpoints), tag=tag)
    if path is None:
        raise RuntimeError(f"checkpoint {tag} was not loaded")
    found = state.get("mathcode", {})
    for name, wanted in {"step": step, **stamps}.items():
        if name != "lineage" and found.get(name) != wanted:
            raise RuntimeError(f"checkpoint {tag}: {name} is {found.get(name)!r}, not {wanted!r}")
    for group, setting in zip(engine.optimizer.param_groups, settings, strict=True):
        group.update(setting)
    base_optimizer = getattr(engine.optimizer, "optimizer", engine.optimizer)
    for weight_state in base_optimizer.state.values():
        if torch.is_tensor(weight_state.get("step")):
            weight_state["step"] = weight_state["step"].clone()


def collective_device() -> Any:
    """Where tensors of collectives must be: the GPU with NCCL, else the CPU."""
    import torch
    import torch.distributed as dist

    return torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")
