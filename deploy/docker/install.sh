#!/bin/sh
# Installs client and server, with the pinned packages of `make serve`, into a fresh environment, in
# the root of a checkout: deploy/docker/install.sh DIR EXTRAS
# pip itself does not stay: what runs needs no installer.
set -eu
target=$1 extras=$2
export PIP_CONSTRAINT="$PWD/constraints.txt" # holds for what builds the wheels, too
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

python3 -m venv "$target"
"$target/bin/python" -m pip install --quiet "./clients/python[cli]" "./server[$extras]"
"$target/bin/python" -m pip uninstall --quiet --yes setuptools pip

# The encoder runs on CPU: the plugins for other devices would be a seventh of the image.
for libs in "$target"/lib/python3*/site-packages/openvino/libs; do
  rm -f "$libs"/libopenvino_intel_gpu_plugin.so "$libs"/libopenvino_intel_npu_plugin*.so \
    "$libs"/cache.json
done
