"""The DeepSpeed configuration of a job, made from its specification. No torch.

It holds no scheduler and no optimiser: both are given to DeepSpeed as objects, so that nothing in it
can replace what was asked for, and so that no operator has to be compiled on the worker.
"""

from __future__ import annotations

from typing import Any

from mathcode_assets.training.spec import JobSpec, accumulation_steps

NEVER = 10**9


def deepspeed_config(
    spec: JobSpec, *, world_size: int, on_gpu: bool = False, load_universal: bool = False
) -> dict[str, Any]:
    """What `deepspeed.initialize` gets as its configuration.

    Args:
        spec: the job.
        world_size: processes.
        on_gpu: the processes have GPUs.
        load_universal: the checkpoint that will be loaded is a universal one.

    Raises:
        SpecError: the batch does not divide over the processes.
    """
    settings = spec.deepspeed
    stage = settings.zero_stage
    zero: dict[str, Any] = {"stage": stage}
    if stage:
        zero |= {
            "overlap_comm": on_gpu,  # needs streams
            "contiguous_gradients": True,
            "reduce_bucket_size": settings.bucket_elements,
            "allgather_bucket_size": settings.bucket_elements,
        }
    if stage == 3:
        zero |= {
            "stage3_prefetch_bucket_size": settings.bucket_elements,
            "stage3_gather_16bit_weights_on_model_save": True,
        }
    return {
        "train_batch_size": spec.batch.sequences,
        "train_micro_batch_size_per_gpu": spec.batch.micro_per_gpu,
        "gradient_accumulation_steps": accumulation_steps(spec, world_size),
        "gradient_clipping": spec.optimizer.gradient_clip,
        "zero_optimization": zero,
        "bf16": {"enabled": settings.precision == "bf16"},
        # Sixteen micro batches summed in bf16 lose the small gradients. Stage 0 can only sum in the model's type.
        "data_types": {"grad_accum_dtype": "fp32" if stage else settings.precision},
        "zero_allow_untested_optimizer": True,
        "checkpoint": {"load_universal": load_universal},
        "steps_per_print": NEVER,
        "wall_clock_breakdown": False,
    }
