#!/bin/sh
# sh bench.sh PROGRAM ARGUMENTS...   runs a program of this folder with all that the bench needs beside bootstrap's: iperf3.
# One bench at a time: two would measure each other.
set -eu
cd "$(dirname "$0")/../.."
program=$1
shift
sh hack/bootstrap/bootstrap.sh

if ! command -v iperf3 >/dev/null 2>&1; then
  if command -v apt-get >/dev/null 2>&1; then
    echo "bench: installing the Debian package iperf3"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends iperf3; } >/dev/null
  fi || true
  command -v iperf3 >/dev/null 2>&1 || {
    echo "bench: iperf3 is missing. Install it with: apt-get update && apt-get install -y iperf3" >&2
    exit 1
  }
fi

exec 9>"${XDG_CACHE_HOME:-$HOME/.cache}/saf/bench.lock"
flock -n 9 || {
  echo "bench: another one is running; waiting for it"
  flock 9
}
exec node_modules/.bin/node "hack/bench/$program" "$@"
