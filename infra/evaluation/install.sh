#!/bin/sh
# An environment that scores checkpoints: sh infra/evaluation/install.sh ~/evaluation-environment
set -eu
environment=${1:?where to make the environment}
requirements=$(dirname "$0")/requirements.txt
python3.11 -m venv "$environment"
pip="$environment/bin/pip install --quiet"
$pip "$(grep '^torch==' "$requirements")"
$pip --requirement "$requirements"
# Builds for CUDA that do not load beside torch for CPUs and break the import of transformers, if anything brought them.
"$environment/bin/pip" uninstall --quiet --yes torchvision torchaudio torchcodec 2>/dev/null || true
