#!/usr/bin/env bash
# Server and gateway together: tools/together.sh BIN SERVER_FLAGS GATEWAY_FLAGS
# Ctrl-C, or the end of either, ends both: the gateway first, so that it can finish its calls.
set -uo pipefail
set -m # jobs get process groups of their own: ctrl-C comes here alone
bin=$1
read -ra server_flags <<<"$2"
read -ra gateway_flags <<<"$3"

"$bin/polyhead-server" serve "${server_flags[@]}" &
server=$!
"$bin/polyhead-server" gateway "${gateway_flags[@]}" &
gateway=$!
told=
trap 'told=1' INT TERM

wait -n "$server" "$gateway" 2>/dev/null
status=$?
[ -n "$told" ] && status=0 # a signal to us, not one that ended either
for process in "$gateway" "$server"; do
  kill -TERM "$process" 2>/dev/null
  wait "$process" 2>/dev/null
  ended=$?
  [ "$status" -eq 0 ] && [ "$ended" -lt 127 ] && status=$ended
done
exit "$status"
