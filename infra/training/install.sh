#!/usr/bin/env bash
# An environment that trains, for a worker or for the tests: infra/training/install.sh .venv-train
# The order matters: torch first, or another package pulls in its newest CUDA build; DeepSpeed without building
# its ops, which training does not use (docs/decisions/0017-training.md).
set -euo pipefail
environment=${1:?where to make the environment}
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-python3.11}
[ -x "$environment/bin/python" ] || "$python" -m venv "$environment"
pip=("$environment/bin/python" -m pip install --quiet -c "$root/constraints.txt")
"${pip[@]}" --upgrade pip
"${pip[@]}" torch
"${pip[@]}" setuptools wheel ninja transformers accelerate safetensors
DS_BUILD_OPS=0 "${pip[@]}" --no-build-isolation deepspeed
"${pip[@]}" -e "$root[train,ray,test]"
