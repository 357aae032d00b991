#!/usr/bin/env bash
# browser.sh get     What the browser tests need from npm, as tests/browser/package-lock.json pins it.
#
# The browser itself is Debian's chromium-headless-shell, which setup.sh installs.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ "${1:-}" = get ] || { usage >&2; exit 2; }
cd "$root/tests/browser"
# a copy of the lock file that was installed
if ! cmp -s package-lock.json node_modules/.of-lock; then
  say "browser: fetching what package-lock.json pins"
  npm ci --silent --no-audit --no-fund --ignore-scripts || die "npm could not fetch the browser's driver" "is there a network?"
  cp package-lock.json node_modules/.of-lock
fi
