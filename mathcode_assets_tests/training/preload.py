"""What every worker process imports, loaded once: workers of the tests are forked from a process that has it."""

import os

os.environ["DS_ACCELERATOR"] = "cpu"

import deepspeed  # noqa: E402, F401
import torch  # noqa: E402
import transformers.models.llama.modeling_llama  # noqa: E402, F401

import mathcode_assets.training.worker  # noqa: E402, F401

torch.set_num_threads(1)
