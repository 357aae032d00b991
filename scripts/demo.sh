#!/usr/bin/env bash
# demo.sh     From nothing to a proven restore: a throwaway PostgreSQL and two SQLite files filled with a realistic
#             application's data, backed up, verified, listed and restored under other names, then compared.
#
# Everything happens in .demo/ of the project. Afterwards the server is stopped and deleted; the backups stay.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

MAJOR=17
demo=$root/.demo
here=$root/scripts/demo

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  heading() { printf '\n\033[1m%s\033[0m\n' "$*"; }
else
  heading() { printf '\n== %s\n' "$*"; }
fi

# shows a command as somebody would type it, then runs it in the demo's folder with the demo's settings only
run() {
  printf '$ %s\n' "$*"
  (cd "$demo" && env -i HOME="$demo" TERM="${TERM:-dumb}" ${NO_COLOR:+NO_COLOR=1} PATH="$root/target/release:$PATH" "$@")
}

# what the server and the programs cost is thrown away on every exit; the backups are the point
finish() {
  MIYABI_TEST_SERVERS=$demo/server "$root/scripts/servers.sh" remove "$MAJOR" >/dev/null
  rm -rf "$demo/server" "$demo/data" "$demo/state" "$demo/.env"
}

heading "1. What this needs"
"$root/scripts/setup.sh" demo
say "building the release binary (some minutes the first time)"
(cd "$root" && cargo build --release --quiet)

heading "2. A PostgreSQL $MAJOR and two SQLite files with data"
mkdir -p "$demo"
trap finish EXIT
finish
export MIYABI_TEST_SERVERS=$demo/server
"$root/scripts/servers.sh" start "$MAJOR"
url=$(cat "$demo/server/$MAJOR/url")
psql() { # psql DATABASE ARGUMENT…
  local database=$1
  shift
  LD_LIBRARY_PATH=$(cat "$demo/server/$MAJOR/libdir") "$(cat "$demo/server/$MAJOR/bindir")/psql" -XAtq -v ON_ERROR_STOP=1 -d "$url/$database" "$@"
}
psql postgres -c 'CREATE DATABASE miyabi'
psql miyabi -f "$here/miyabi.sql" >/dev/null
mkdir -p "$demo/data"
sqlite3 "$demo/data/miyabi.db" <"$here/persistence.sql" >/dev/null
sqlite3 "$demo/data/miyabi-persistence.db" <"$here/persistence.sql" >/dev/null
sqlite3 "$demo/data/miyabi-persistence.db" "DELETE FROM checkpoints WHERE step = 2"

address=${url#postgres://postgres@}
cat >"$demo/.env" <<ENV
DATABASE_HOST=${address%:*}
DATABASE_PORT=${address#*:}
DATABASE_NAME=miyabi
DATABASE_USER=postgres
SQLITE_DATABASES=data/miyabi.db:data/miyabi-persistence.db
MIYABI_BACKUP_STATE_DIR=state
ENV
say "settings, in .demo/.env:"
sed 's/^/  /' "$demo/.env"

heading "3. Back up"
run miyabi-backup backup

heading "4. Verify and list"
run miyabi-backup verify
run miyabi-backup list

heading "5. Restore under other names"
# the newest by modification time: names of one second may carry a later one
newest() { find "$demo/backups/$1/daily" -type f -name "$2" -printf '%T@ %P\n' | sort -n | sed -n '$s/^[^ ]* //p'; }
sqlite_name='sqlite-miyabi-[0-9]*.db.gz'
persistence_name='sqlite-miyabi-persistence-[0-9]*.db.gz'
run miyabi-backup restore --type postgres --file "backups/postgres/daily/$(newest postgres 'postgres-miyabi-*.sql.gz')" --database miyabi_restored --confirm
run miyabi-backup restore --type sqlite --file "backups/sqlite/daily/$(newest sqlite "$sqlite_name")" --database data/miyabi-restored.db --confirm
run miyabi-backup restore --type sqlite --file "backups/sqlite/daily/$(newest sqlite "$persistence_name")" --database data/miyabi-persistence-restored.db --confirm

heading "6. The same? Rows and a digest of their contents, source against restored copy"
different=0
compare() { # compare OBJECT SOURCE COPY, each "rows|digest"
  local verdict=DIFFERENT
  if [ "$2" = "$3" ] && [ "${2%%|*}" -gt 0 ]; then verdict=same; else different=1; fi
  printf '  %-45s %9s %9s   %s\n' "$1" "${2%%|*}" "${3%%|*}" "$verdict"
}
printf '  %-45s %9s %9s\n' "" source restored
pg_digest() { psql "$1" -c "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0) FROM public.$2 t"; }
for table in users repositories workflows agent_executions line_messages websocket_connections agent_totals; do
  compare "postgres  $table" "$(pg_digest miyabi $table)" "$(pg_digest miyabi_restored $table)"
done
sqlite_digest() { printf '%s|%s\n' "$(sqlite3 "$1" "SELECT count(*) FROM $2")" "$(sqlite3 "$1" ".mode quote" "SELECT * FROM $2 ORDER BY 1, 2" | cksum)"; }
for file in miyabi miyabi-persistence; do
  for table in execution_runs checkpoints worktrees; do
    compare "sqlite    $file.db: $table" "$(sqlite_digest "$demo/data/$file.db" $table)" "$(sqlite_digest "$demo/data/$file-restored.db" $table)"
  done
done
[ "$different" = 0 ] || die "a restored table differs from its source"

heading "Done: every table came back. The backups are in .demo/backups"
say "Read one without this program:  gunzip -c .demo/backups/postgres/daily/$(newest postgres 'postgres-miyabi-*.sql.gz') | head"
