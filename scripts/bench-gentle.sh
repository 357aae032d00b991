#!/usr/bin/env bash
# bench-gentle.sh [scale [seconds]]     What a dump leaves to those who work in the database meanwhile.
#
# pgbench (TPC-B, 4 clients) for some seconds (default 20) in its own database of that scale (default 50, about 750 MB),
# alone and while a dump of the same database runs, again and again until pgbench ends. Prints transactions a second and,
# where the server has pg_buffercache, how much of its cache one dump left as it was. ROUNDS (default 1) repeats all in
# turn. The server is the test server of BENCH_MAJOR (default 17): scripts/servers.sh start 17.
# MIYABI_BACKUP names a binary that is built already.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

scale=${1:-50} seconds=${2:-20}
case $scale$seconds in *[!0-9]*) usage >&2; exit 2 ;; esac
major=${BENCH_MAJOR:-17}
facts=${MIYABI_TEST_SERVERS:-$root/.servers}/$major
[ -s "$facts/url" ] || die "PostgreSQL $major is not running" "run: scripts/servers.sh start $major"
url=$(cat "$facts/url")
LD_LIBRARY_PATH=$(cat "$facts/libdir")
export LD_LIBRARY_PATH
stock=$(cat "$facts/bindir")

if [ -z "${MIYABI_BACKUP:-}" ]; then
  say "building the release binary"
  (cd "$root" && cargo build --release --quiet)
  MIYABI_BACKUP=$root/target/release/miyabi-backup
fi

database=bench_gentle_$$
folder=$(mktemp -d)
dumping=
psql() { "$stock/psql" -XAtq -v ON_ERROR_STOP=1 -d "$url/$1" "${@:2}"; }
stop_dump() {
  [ -z "$dumping" ] || kill -- "-$dumping" 2>/dev/null || true
  dumping=
}
finish() {
  stop_dump
  psql postgres -c "DROP DATABASE IF EXISTS $database WITH (FORCE)"
  rm -rf "$folder"
}
trap finish EXIT

say "filling a database of scale $scale"
psql postgres -c "CREATE DATABASE $database TEMPLATE template0"
"$stock/pgbench" -i -q -s "$scale" "$url/$database" >/dev/null 2>&1
psql "$database" -c "CREATE EXTENSION IF NOT EXISTS pg_buffercache" 2>/dev/null || true

# dump HOW     one dump into nowhere that matters
dump() {
  case $1 in
    nothing) sleep 3600 ;;
    'pg_dump | gzip -9') "$stock/pg_dump" -d "$url/$database" | gzip -9 >"$folder/stock.sql.gz" ;;
    *)
      # shellcheck disable=SC2086 # the flags are several words
      "$MIYABI_BACKUP" backup postgres --quiet --url "$url/$database" --state-dir "$folder/state" \
        --output "$folder/ours.sql.gz" --force ${1#backup}
      ;;
  esac
}

# throughput HOW     pgbench beside it
throughput() {
  # a group of its own, so that whatever it runs ends with it
  set -m
  (while :; do dump "$1" >/dev/null; done) 2>/dev/null &
  dumping=$!
  set +m
  # -n: its TRUNCATE would wait for the dump, and the next dump refuse to wait for it
  "$stock/pgbench" -n -c 4 -j 2 -T "$seconds" "$url/$database" 2>/dev/null |
    awk '/^tps/ { printf "%.0f\n", $3; exit }'
  stop_dump
  # a dump that was killed leaves sessions that the server has yet to notice
  sleep 2
}

# kept HOW     percent of the buffers with users' pages of an index that still hold them after one dump
kept() {
  local held="SELECT count(*) FROM pg_buffercache b JOIN pg_class c ON b.relfilenode = pg_relation_filenode(c.oid)
    WHERE b.reldatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) AND c.relname = 'pgbench_accounts_pkey'"
  # index scans of all accounts in a random order fill the cache with pages that were used once or more
  "$stock/pgbench" -n -S -c 4 -j 2 -T 5 "$url/$database" >/dev/null 2>&1
  local before after
  before=$(psql "$database" -c "$held" 2>/dev/null) || { echo '?'; return; }
  dump "$1" >/dev/null
  after=$(psql "$database" -c "$held")
  echo "$((100 * after / (before > 0 ? before : 1))) %"
}

say "PostgreSQL $major on the same machine, $(nproc) cores, shared_buffers $(psql postgres -c 'SHOW shared_buffers'), $(psql "$database" -c "SELECT pg_size_pretty(pg_database_size('$database'))")"
printf '%-32s %8s   %s\n' 'beside pgbench' 'tps' 'of the index in cache kept'
for ((round = 0; round < ${ROUNDS:-1}; round++)); do
  for how in nothing backup 'backup --gentle' 'backup --limit-rate 20M' 'backup --gentle --limit-rate 20M' 'pg_dump | gzip -9'; do
    tps=$(throughput "$how")
    left='-'
    [ "$how" = nothing ] || left=$(kept "$how")
    printf '%-32s %8s   %s\n' "$how" "$tps" "$left"
  done
done
