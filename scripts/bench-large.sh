#!/usr/bin/env bash
# bench-large.sh [orders]     Time and memory of the release binary on a large generated PostgreSQL database.
#
# 2,800,000 orders (the default) are about 1.5 GB of COPY text in four tables. The database, its restored copy and the
# archive are deleted afterwards; the server is the test server of BENCH_MAJOR (default 17) and must be running:
# scripts/servers.sh start 17. COMPRESS (default gzip:6) is handed to `backup --compress`. Needs GNU time.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

orders=${1:-2800000}
case $orders in '' | *[!0-9]*) usage >&2; exit 2 ;; esac
major=${BENCH_MAJOR:-17}
facts=${MIYABI_TEST_SERVERS:-$root/.servers}/$major
[ -s "$facts/url" ] || die "PostgreSQL $major is not running" "run: scripts/servers.sh start $major"
url=$(cat "$facts/url")
# the shell's own `time` knows no memory
timer=$(type -P time) || die "GNU time is missing" "install the package \`time\`"

say "building the release binary"
(cd "$root" && cargo build --release --quiet)

source=bench_large_$$ target=bench_large_$$_restored
folder=$(mktemp -d)
psql() { # psql DATABASE ARGUMENT…
  local database=$1
  shift
  LD_LIBRARY_PATH=$(cat "$facts/libdir") "$(cat "$facts/bindir")/psql" -XAtq -v ON_ERROR_STOP=1 -d "$url/$database" "$@"
}
finish() {
  for database in "$source" "$target"; do psql postgres -c "DROP DATABASE IF EXISTS $database WITH (FORCE)"; done
  rm -rf "$folder"
}
trap finish EXIT

say "filling a database with $orders orders"
psql postgres -c "CREATE DATABASE $source TEMPLATE template0"
psql "$source" -c "SET bench.orders = $orders" -f "$root/benches/shop.sql" >/dev/null

# measured WHAT ARGUMENT…     one line: seconds on the clock, of CPU (ours, not the server's), and peak memory
measured() {
  local what=$1
  shift
  "$timer" -f '%e %U %S %M' -o "$folder/time" \
    "$root/target/release/miyabi-backup" --quiet "$@" --state-dir "$folder/state" >/dev/null
  awk -v what="$what" '{ printf "%-8s %6.1f s   %6.1f CPU s   peak %4.0f MiB\n", what, $1, $2 + $3, $4 / 1024 }' "$folder/time"
}

archive=$folder/large.sql.gz
say "PostgreSQL $major on the same machine, $(nproc) cores, $(psql "$source" -c "SELECT pg_size_pretty(pg_database_size('$source'))") on its disk"
measured backup backup postgres --url "$url/$source" --output "$archive" --compress "${COMPRESS:-gzip:6}"
say "archive  $(($(stat -c %s "$archive") >> 20)) MiB"
measured verify verify "$archive"
measured restore restore --file "$archive" --url "$url/$target" --confirm
