#!/usr/bin/env bash
# Builds the images of deploy/docker/Dockerfile without a container engine, over a fresh Debian, and runs
# them as their user over a file system that cannot be written to: tools/check_image.sh
# Needs root, and Debian's buildah and debootstrap, which it installs where missing. BASE names another
# base that buildah has or may pull; PIP_CONF a pip configuration and CA a PEM file for the build.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/debian_packages.sh buildah debootstrap
buildah() { command buildah --storage-driver vfs "$@"; } # works inside containers, too
base=${BASE:-localhost/polyhead-check-base}
work=$(mktemp -d)
containers=() processes=()
finish() {
  [ ${#processes[@]} -eq 0 ] || kill -KILL "${processes[@]}" 2>/dev/null || true
  for container in "${containers[@]}"; do buildah rm "$container" >/dev/null || true; done
  rm -rf "$work"
}
trap finish EXIT

make_base() {
  echo "making a Debian to build over ..."
  debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv bookworm "$work/base" >"$work/log" ||
    { tail "$work/log"; return 1; }
  local container
  container=$(buildah from scratch)
  containers+=("$container")
  buildah add --quiet "$container" "$work/base" / >/dev/null
  buildah commit --quiet "$container" "$base" >/dev/null
}

build() {
  local flags=(--isolation chroot --format docker --build-arg "BASE=$base" --target "$1")
  case $base in localhost/*) flags+=(--pull-never) ;; esac
  [ -z "${PIP_CONF:-}" ] || flags+=(--secret "id=pip.conf,src=$PIP_CONF")
  [ -z "${CA:-}" ] || flags+=(--volume "$CA:/etc/ssl/certs/ca-certificates.crt:ro")
  echo "building the image of the $1 ..."
  buildah bud "${flags[@]}" --file deploy/docker/Dockerfile --tag "localhost/polyhead-$1" . >"$work/log" 2>&1 ||
    { tail -n 30 "$work/log"; return 1; }
}

# Becomes a command in an image's file system, without rights; call it in a process of its own.
confined() {
  local root=$1
  shift
  exec unshare --mount --propagation private sh -c '
    root=$1; shift
    mount --bind "$root" "$root" && mount -o remount,bind,ro "$root"
    mount -t proc proc "$root/proc" && mount -t tmpfs -o size=64m tmpfs "$root/tmp"
    exec chroot --userspec=10001:10001 "$root" env -i "$@"' sh "$root" "${variables[@]}" "$@"
}

await() {
  for _ in $(seq 120); do
    (confined "$@") 2>/dev/null && return
    sleep 0.5
  done
  return 1
}

run() { # NAME COMMAND FLAGS_OF_CHECK VARIABLE...
  local name=$1 command=$2 container root process
  read -ra check <<<"$3"
  shift 3
  container=$(buildah from --pull-never "localhost/polyhead-$name")
  containers+=("$container")
  root=$(buildah mount "$container")
  mapfile -t variables < <(buildah inspect --type image --format '{{range .OCIv1.Config.Env}}{{println .}}{{end}}' "localhost/polyhead-$name" | grep .)
  variables+=("$@")
  confined "$root" polyhead-server "$command" >"$work/$name.log" 2>&1 &
  process=$!
  processes+=("$process")
  await "$root" polyhead-server check "${check[@]}" || { cat "$work/$name.log"; return 1; }
  if (confined "$root" touch /written) 2>/dev/null; then
    echo "the file system of the $name can be written to"
    return 1
  fi
  echo "the image of the $name serves, unprivileged and read-only; $(du -sh "$root/opt/polyhead" | cut -f1) on top of the base"
}

[ -n "${BASE:-}" ] || make_base
build server
build gateway
run server serve "" POLYHEAD_HOST=127.0.0.1 POLYHEAD_PORT=50951 POLYHEAD_METRICS_PORT=-1
run gateway gateway --gateway POLYHEAD_GATEWAY_LISTEN=127.0.0.1:50980 \
  POLYHEAD_GATEWAY_METRICS=none POLYHEAD_GATEWAY_UPSTREAM=127.0.0.1:50951
for ((i = ${#processes[@]} - 1; i >= 0; i--)); do
  kill -TERM "${processes[i]}"
  wait "${processes[i]}" # 0: it drained
done
echo "both drained and ended"
