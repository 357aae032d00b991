#!/usr/bin/env bash
# test.sh [filter…]     All tests: library, binary, integration, documentation. Benches are compiled by `make lint`.
#
# Needs what `make setup servers` gives. Uses cargo-nextest where it is installed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run --lib --bins --tests --no-fail-fast "$@"
else
  cargo test --lib --bins --tests --no-fail-fast -- "$@"
fi
[ $# -gt 0 ] || cargo test --doc
