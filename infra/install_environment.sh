#!/usr/bin/env bash
# An environment for one role: infra/install_environment.sh ENV EXTRAS, with the extras of pyproject.toml.
#   .venv dev                  laptop, development, CI (what `make install` does)
#   ~/worker train,ray         a GPU worker that trains
#   ~/scores eval              a machine that scores checkpoints
# The order matters: torch first, or another package pulls in its newest CUDA build; DeepSpeed without building
# its ops, which training does not use (docs/decisions/0017-training.md).
set -euo pipefail
environment=${1:?where to make the environment}
extras=${2:?which extras, as in pyproject.toml}
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3.11}
[ -x "$environment/bin/python" ] || "$python" -m venv "$environment"
pip=("$environment/bin/python" -m pip install --quiet -c "$root/constraints.txt")
"${pip[@]}" --upgrade pip
"${pip[@]}" torch setuptools wheel ninja
[[ ",$extras," =~ ,(dev|train), ]] && DS_BUILD_OPS=0 "${pip[@]}" --no-build-isolation deepspeed
"${pip[@]}" -e "$root[$extras]"
