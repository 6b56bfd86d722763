#!/usr/bin/env bash
# Makes a virtual environment with the newest Python from 3.11 on: tools/venv.sh DIR
# On Debian and Ubuntu the venv module is a package of its own; it is installed where we may do so.
set -euo pipefail
dir=$1

find_python() {
  local name
  for name in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
    [ -n "$name" ] && command -v "$name" >/dev/null || continue
    "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
    command -v "$name"
    return
  done
  echo "polyhead needs Python 3.11 or newer: install it, or set PYTHON" >&2
  return 1
}

install_venv_module() {
  local version
  version=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
  echo "this Python has no venv module: installing the package $version" >&2
  "$(dirname "$0")/debian_packages.sh" "$version"
}

python=$(find_python)
"$python" -c 'import ensurepip, venv' 2>/dev/null || install_venv_module "$python"
rm -rf "$dir"
"$python" -m venv "$dir"
