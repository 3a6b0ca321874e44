"""What every worker process imports, loaded once: workers of the tests are forked from a process that has it."""

import os

os.environ["DS_ACCELERATOR"] = "cpu"

import deepspeed  # noqa: F401
import torch
import transformers.models.llama.modeling_llama  # noqa: F401

import mathcode_assets.training.worker  # noqa: F401

torch.set_num_threads(1)
