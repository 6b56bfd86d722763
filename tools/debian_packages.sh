#!/usr/bin/env bash
# Installs those of Debian's packages that are missing, where we may: tools/debian_packages.sh NAME...
set -euo pipefail

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif sudo -n true 2>/dev/null; then sudo "$@"
  else return 1
  fi
}

installed() {
  [ "$(dpkg-query --show --showformat '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=()
for name in "$@"; do installed "$name" || missing+=("$name"); done
[ ${#missing[@]} -gt 0 ] || exit 0
exec 9>"${TMPDIR:-/tmp}/polyhead-packages.lock" # apt-get does not wait for another one
flock 9
echo "installing ${missing[*]} ..." >&2
{ command -v apt-get >/dev/null && as_root apt-get update -q &&
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "${missing[@]}"; } >&2 || {
  echo "install them first: sudo apt-get install ${missing[*]}" >&2
  exit 1
}
