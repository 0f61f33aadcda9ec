#!/bin/sh
# All set-up that the demo and the tests need, on a machine that has Node >= 20, Go, Rust and root. Idempotent: when
# everything is in place it takes less than a second. `npm run demo` and `npm test` call it by themselves. The words after
# it name what to build (main.ts).
set -eu
cd "$(dirname "$0")/../.."

fail() {
  echo "bootstrap: $1 is missing or unfit. Install it with: $2" >&2
  exit 1
}

at_least() { # at_least WANTED FOUND: is FOUND the same version or a later one?
  [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}

has() { command -v "$1" >/dev/null 2>&1; }

# The Node of an earlier installation may be half removed: judge, and install, with the machine's own.
PATH=$(printf '%s' "$PATH" | tr ':' '\n' | grep -v 'node_modules/.bin' | paste -sd: -)
export PATH

[ "$(uname -s)" = Linux ] || fail "Linux" "a virtual machine with Debian 12 or later"
[ "$(id -u)" = 0 ] || fail "root, which network namespaces need" "sudo -E env PATH=\"\$PATH\" npm run demo"

node_version=$(node --version 2>/dev/null || true)
at_least 20 "${node_version#v}" && has npm ||
  fail "Node.js >= 20 with npm" "curl -fsSL https://deb.nodesource.com/setup_24.x | bash - && apt-get install -y nodejs"
go_version=$(go env GOVERSION 2>/dev/null || true)
at_least 1.21 "${go_version#go}" ||
  fail "Go >= 1.26" "curl -fsSL https://go.dev/dl/go1.26.8.linux-$(uname -m | sed 's/x86_64/amd64/;s/aarch64/arm64/').tar.gz | tar -C /usr/local -xz && export PATH=\$PATH:/usr/local/go/bin"
rust_version=$(rustc --version 2>/dev/null | cut -d ' ' -f 2)
at_least 1.85 "$rust_version" && has cargo ||
  fail "Rust >= 1.85 with cargo" "curl -fsSL https://sh.rustup.rs | sh -s -- -y && . ~/.cargo/env"

# Tools that are Debian packages: installed here where that is possible, because they change nothing else.
missing=
while read -r tool package; do
  has "$tool" || missing="$missing $package"
done <<END
ip iproute2
nft nftables
ping iputils-ping
tcpdump tcpdump
setpriv util-linux
flock util-linux
cc gcc
patch patch
END
if [ -n "$missing" ]; then
  has apt-get || fail "a tool of the packages$missing" "your system's package manager"
  echo "bootstrap: installing the Debian packages$missing"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } >/dev/null ||
    fail "a tool of the packages$missing" "apt-get update && apt-get install -y$missing"
fi
[ -c /dev/net/tun ] || fail "/dev/net/tun" "modprobe tun"

# One at a time: the lock ends with this process, however it ends.
cache="${XDG_CACHE_HOME:-$HOME/.cache}/saf"
mkdir -p "$cache"
exec 9>"$cache/bootstrap.lock"
flock -n 9 || {
  echo "bootstrap: another one is running; waiting for it"
  flock 9
}

if ! node hack/bootstrap/node-modules-current.mjs; then
  echo "bootstrap: installing the npm packages of package-lock.json (half a minute)"
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
fi
exec node_modules/.bin/node hack/bootstrap/main.ts "$@"
