"""The entry point on a worker: one job specification in, a trained model and its result file out.

    python -m torch.distributed.run --standalone --nproc-per-node 2 -m mathcode_assets.training.worker job.json

or one process with RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT set. It starts from the newest
whole checkpoint of the output folder, so starting again after any death goes on where it was: the
sequences, the learning rate and the seed of a step are functions of the step.

The loss of a step is the mean over the predicted tokens of the whole global batch. It is normalised
before the backward pass, so neither accumulation nor the world size weighs tokens differently.

Exit status 0 with result.json is success; anything else is none. Dagster Pipes is opened by rank 0 only
where its environment variables are set.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from mathcode_assets.training import checkpoint, run_folder
from mathcode_assets.training.deepspeed_config import deepspeed_config
from mathcode_assets.training.model import (
    build_model,
    check_documents_apart,
    export_model,
    float_buffers,
    gather_weights,
    model_inputs,
    restore_buffers,
    seed_step,
)
from mathcode_assets.training.packed import PackedData, rank_batches
from mathcode_assets.training.run_folder import RunFolder
from mathcode_assets.training.schedule import learning_rate
from mathcode_assets.training.spec import JobSpec, config_hash, load_spec, spec_to_dict, total_steps
from mathcode_assets.training.tokenizer_files import find_tokenizer

PR_SET_PDEATHSIG = 1
# Reading and hashing a checkpoint of a large model takes longer than torch's half hour.
COLLECTIVE_TIMEOUT = timedelta(hours=2)
PIPES_CONTEXT = "DAGSTER_PIPES_CONTEXT"


@dataclass(frozen=True, slots=True)
class Run:
    """What stays the same over the steps of a run."""

    spec: JobSpec
    data: PackedData
    folder: RunFolder
    n_steps: int
    rank: int
    world_size: int
    device: Any
    stamps: dict[str, Any]

    @property
    def flatten(self) -> bool:
        """Whether micro batches go to the model as one row."""
        return self.spec.model.attention == "flash_attention_2"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job of one specification file; 0 when result.json is there."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        print("usage: python -m mathcode_assets.training.worker SPEC.json", file=sys.stderr)
        return 2
    die_with_parent()
    spec = load_spec(arguments[0])
    folder = RunFolder(Path(spec.output))
    rank = int(os.environ.get("RANK", "0"))
    try:
        with contextlib.ExitStack() as stack:
            if rank == 0:
                stack.enter_context(run_folder.lock(folder))
                folder.failure.unlink(missing_ok=True)
            report = stack.enter_context(pipes_reporter() if rank == 0 else contextlib.nullcontext(lambda _: None))
            train(spec, folder, report)
    except Exception as error:
        traceback.print_exc()
        if not isinstance(error, run_folder.RunFolderError):  # then the folder is another run's
            failure = {"rank": rank, "error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
            with contextlib.suppress(OSError):
                run_folder.write_json(folder.failure, failure)
        return 1
    return 0


def train(spec: JobSpec, folder: RunFolder, report: Any) -> None:
    """Train, export, and write the result file.

    Args:
        spec: the job.
        folder: its output folder; rank 0 holds the lock.
        report: called with each metrics line, on rank 0.
    """
    data = PackedData(spec)
    find_tokenizer(spec, data)  # now, not when the model is trained
    run = start(spec, data, folder)
    import torch.distributed as dist

    try:
        if not already_done(run):
            engine, step = open_engine(run)
            train_steps(run, engine, step, report)
            weights = gather_weights(engine)
            if run.rank == 0:
                export_model(
                    engine.module, weights or {}, target=folder.export, spec=spec, data=data, stamps=run.stamps
                )
            dist.barrier()
            if run.rank == 0:
                write_result(run)
    finally:
        dist.destroy_process_group()


def start(spec: JobSpec, data: PackedData, folder: RunFolder) -> Run:
    """Join the process group and check that the folder is this run's."""
    import torch

    on_gpu = torch.cuda.is_available() and spec.resources.gpus_per_process > 0
    if not on_gpu:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    os.environ.setdefault("DEEPSPEED_LOG_LEVEL", "warning")
    import deepspeed

    # DeepSpeed compiles a shared-memory kernel for CPUs when it starts (42 s, needs a compiler). Only its
    # inference_all_reduce calls it, training never does.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    device = torch.device("cpu")
    if on_gpu:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    deepspeed.init_distributed(
        dist_backend="nccl" if on_gpu else "gloo", auto_mpi_discovery=False, timeout=COLLECTIVE_TIMEOUT
    )
    rank, world_size = torch.distributed.get_rank(), torch.distributed.get_world_size()
    hashed = config_hash(spec, corpus_fingerprint=data.corpus_fingerprint)
    if rank == 0:
        run_folder.claim(folder, config_hash=hashed, spec=spec_to_dict(spec))
        folder.checkpoints.mkdir(exist_ok=True)
        run_folder.sweep(folder)
    stamps = {
        "corpus_fingerprint": data.corpus_fingerprint,
        "config_hash": hashed,
        "tokenizer_hash": data.tokenizer_hash,
        "lineage": dict(spec.lineage),
    }
    n_steps = total_steps(spec, data.n_sequences)
    return Run(spec, data, folder, n_steps, rank, world_size, device, stamps)


def already_done(run: Run) -> bool:
    """Whether an earlier start of this very run has succeeded; the same on all ranks."""
    import torch
    import torch.distributed as dist

    done = torch.tensor([int(run.folder.result.exists())], device=checkpoint.collective_device())
    dist.broadcast(done, src=0)
    return bool(done.item())


def open_engine(run: Run) -> tuple[Any, int]:
    """The DeepSpeed engine with the state after so many steps, and that number of steps."""
    import deepspeed
    import torch
    import torch.distributed as dist

    step = checkpoint.newest_intact(run.folder)
    done = run_folder.read_done(run.folder, step) if step else None
    universal = done is not None and checkpoint.needs_universal(done, run.spec, run.world_size)
    tag = run.folder.checkpoint(step).name
    if universal:
        tag = checkpoint.convert_to_universal(run.folder, step)
    config = deepspeed_config(
        run.spec, world_size=run.world_size, on_gpu=run.device.type == "cuda", load_universal=universal
    )
    sharded_loading = contextlib.nullcontext()
    if run.spec.deepspeed.zero_stage == 3 and run.spec.model.path is not None:
        from transformers.integrations import HfDeepSpeedConfig

        # While this object lives, from_pretrained shards each weight as it is read.
        sharded_loading = contextlib.nullcontext(HfDeepSpeedConfig(config))
    with sharded_loading:
        model = build_model(run.spec, run.data)
    buffers = float_buffers(model)
    optimizer = torch.optim.AdamW(
        parameter_groups(model, run.spec.optimizer.weight_decay),
        lr=0.0,  # set at each step; see forget_first_step
        betas=run.spec.optimizer.betas,
        eps=run.spec.optimizer.epsilon,
    )
    engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config, dist_init_required=False)
    restore_buffers(engine.module, buffers)
    forget_first_step(engine)
    if step:
        checkpoint.load_checkpoint(engine, run.folder, tag=tag, step=step, stamps=run.stamps)
    if universal:
        dist.barrier()
        if run.rank == 0:
            run_folder.remove(run.folder.checkpoints / tag)
    if run.rank == 0:
        run_folder.truncate_metrics(run.folder, step)
    vocab_size = engine.module.config.vocab_size
    check_documents_apart(engine, device=run.device, vocab_size=vocab_size, flatten=run.flatten)
    return engine, step


def forget_first_step(engine: Any) -> None:
    """Undo the optimiser step that DeepSpeed makes in stage 0 in bf16 when it starts, to allocate the moments.

    Its gradients are zero and so is the learning rate, but Adam has counted it: the real first update would
    be a quarter too small, the next ones still too small.
    """
    if engine.zero_optimization_stage() == 0 and hasattr(engine.optimizer, "optimizer"):
        engine.optimizer.optimizer.state.clear()


def parameter_groups(model: Any, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices with weight decay; norms and biases without."""
    # ZeRO-3 shards are flat: the shape of the whole weight is beside them.
    sizes = [(parameter, len(getattr(parameter, "ds_shape", parameter.shape))) for parameter in model.parameters()]
    groups = [
        {"params": [parameter for parameter, n_axes in sizes if n_axes >= 2], "weight_decay": weight_decay},
        {"params": [parameter for parameter, n_axes in sizes if n_axes < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def train_steps(run: Run, engine: Any, done: int, report: Any) -> None:
    """Make the steps from `done` to the last, with metrics and checkpoints."""
    every = run.spec.checkpoints.every_steps
    with contextlib.ExitStack() as stack:
        lines = stack.enter_context(run.folder.metrics.open("a", encoding="utf-8")) if run.rank == 0 else None
        for step in range(done, run.n_steps):
            metrics = train_step(run, engine, step)
            if lines is not None:
                lines.write(json.dumps(metrics) + "\n")
                lines.flush()
                report(metrics)
            if step + 1 == run.n_steps or (every and (step + 1) % every == 0):
                checkpoint.save_checkpoint(engine, run.folder, step=step + 1, spec=run.spec, stamps=run.stamps)


def train_step(run: Run, engine: Any, step: int) -> dict[str, Any]:
    """One optimiser step; its metrics line, the same on all ranks but for the time."""
    import torch
    import torch.distributed as dist

    begin = time.perf_counter()
    spec = run.spec
    seed_step(spec.seed, step, run.rank)
    rate = learning_rate(spec.schedule, step=step, n_steps=run.n_steps, peak=spec.optimizer.learning_rate)
    for group in engine.optimizer.param_groups:
        group["lr"] = rate
    batches = rank_batches(
        run.data,
        step=step,
        micro=spec.batch.micro_per_gpu,
        rank=run.rank,
        world_size=run.world_size,
    )
    where = checkpoint.collective_device()
    counts = torch.tensor([sum(batch.n_tokens for batch in batches), sum(batch.n_predicted for batch in batches)])
    counts = counts.to(where)
    dist.all_reduce(counts)
    n_tokens, n_predicted = (int(count) for count in counts)
    norm = None
    total = torch.zeros((), dtype=torch.float64, device=where)
    for batch in batches:
        inputs = model_inputs(batch, device=run.device, flatten=run.flatten)
        loss = engine(**inputs, num_items_in_batch=max(n_predicted, 1)).loss
        # DeepSpeed averages gradients over the ranks; this loss is a part of the mean over all of them.
        engine.backward(loss * run.world_size, scale_wrt_gas=False)
        total += loss.detach().to(where, torch.float64)
        norm = unsharded_norm(engine)
        engine.step()
    dist.all_reduce(total)
    if not torch.isfinite(total):
        raise FloatingPointError(f"step {step + 1}: the loss is {total.item()}")
    seconds = time.perf_counter() - begin
    return {
        "step": step + 1,
        "loss": total.item(),
        # Read back: what the optimiser used, whatever anything else did to it.
        "learning_rate": engine.optimizer.param_groups[0]["lr"],
        "gradient_norm": float(engine.get_global_grad_norm() if norm is None else norm),
        "tokens": n_tokens,
        "predicted_tokens": n_predicted,
        "seconds": seconds,
        "tokens_per_s": n_tokens / seconds,
    }


def unsharded_norm(engine: Any) -> float | None:
    """L2 norm of the gradient before clipping in stage 0, where DeepSpeed computes none; None elsewhere."""
    import torch

    if engine.zero_optimization_stage() or not engine.is_gradient_accumulation_boundary():
        return None
    gradients = [weight.grad for weight in engine.module.parameters() if weight.grad is not None]
    return torch.nn.utils.get_total_norm(gradients).item()


def write_result(run: Run) -> None:
    """Write result.json: the run has succeeded."""
    metrics = run_folder.read_metrics(run.folder)
    run_folder.write_json(
        run.folder.result,
        {
            "format": 1,
            "status": "succeeded",
            "steps": run.n_steps,
            "tokens": sum(line["tokens"] for line in metrics),
            "first_loss": metrics[0]["loss"],
            "final_loss": metrics[-1]["loss"],
            "seconds": sum(line["seconds"] for line in metrics),
            "world_size": run.world_size,
            # Relative to the output folder, which may be moved.
            "export": run.folder.export.name,
            "checkpoint": f"{run.folder.checkpoints.name}/{run.folder.checkpoint(run.n_steps).name}",
            **run.stamps,
        },
    )


@contextlib.contextmanager
def pipes_reporter() -> Iterator[Any]:
    """What to call with each metrics line: Dagster Pipes where its environment is set, else nothing."""
    if PIPES_CONTEXT not in os.environ:
        yield lambda metrics: None
        return
    import dagster_pipes

    with dagster_pipes.open_dagster_pipes(message_writer=pipes_writer()) as context:
        # No log line for each step: what is shown, and how often, the receiver decides.
        yield lambda metrics: context.report_custom_message({"training_metrics": metrics})


def pipes_writer() -> Any:
    """Where Pipes messages go: to a bucket where the receiver reads one, else what Pipes does by default."""
    import dagster_pipes

    if "bucket" not in dagster_pipes.PipesEnvVarParamsLoader().load_messages_params():
        return None
    import boto3

    return dagster_pipes.PipesS3MessageWriter(client=boto3.client("s3"))


def die_with_parent() -> None:
    """Have the kernel end this process when its parent goes.

    torchrun gives each worker a session of its own, so no signal to torchrun's process group reaches it.
    """
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it went before the call
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
