#!/usr/bin/env bash
# fidelity.sh [major…]     Restored databases against their sources, with stock pg_dump as the judge (tests/fidelity).
#
# FIDELITY=FOLDER runs another harness instead: that folder's load.sh and roundtrip.py on the databases named in
# $DATABASES (default: miyabi torture hostile dump_test regression) on the majors given (default: 15 18), once with our
# restore and once with `gunzip -c | psql`. Ceilings that the folder has for a database are applied.
# BINARY=FILE measures that binary in place of a fresh release build.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
majors=("$@")

binary=${BINARY:-$root/target/release/miyabi-backup}
[ -n "${BINARY:-}" ] || (cd "$root" && cargo build --release --quiet)

if [ -z "${FIDELITY:-}" ]; then
  [ ${#majors[@]} -gt 0 ] || majors=(13 14 15 16 17 18)
  "$root/scripts/servers.sh" start "${majors[@]}" 14 >/dev/null
  exec "$root/tests/fidelity/judge.py" --binary "$binary" --majors "$(IFS=,; echo "${majors[*]}")"
fi

[ ${#majors[@]} -gt 0 ] || majors=(15 18)
"$root/scripts/servers.sh" start "${majors[@]}" 14 18 >/dev/null
facts=${MIYABI_TEST_SERVERS:-$root/.servers}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fact() { cat "$facts/$1/$2"; }

# ceiling MAJOR DATABASE     what stock pg_dump itself loses there; a database with other settings loses the same
ceiling() {
  local name
  for name in "$1-$2" "$1-torture"; do
    if [ -e "$FIDELITY/ceiling/$name.json" ]; then printf '%s\n' "$FIDELITY/ceiling/$name.json"; return; fi
  done
}

failed=0
verdicts=()
for major in "${majors[@]}"; do
  clients=$((major < 14 ? 14 : major))
  url=$(fact "$major" url)
  for database in ${DATABASES:-miyabi torture hostile dump_test regression}; do
    LD_LIBRARY_PATH=$(fact 18 libdir) PSQL=$(fact 18 bindir)/psql bash "$FIDELITY/load.sh" "$url/postgres" "$database"
    options=()
    case $database in torture | hostile | dump_test) [ -z "$(ceiling "$major" "$database")" ] || options=(--ceiling "$(ceiling "$major" "$database")") ;; esac
    for path in native psql; do
      case $path in
        native) restore="$binary restore --type postgres --file {archive} --url {url} --confirm --quiet" ;;
        psql) restore='gunzip -c {archive} | {bindir}/psql -X -q -d {url}' ;;
      esac
      printf '\n=== %s on PostgreSQL %s, restored by %s\n' "$database" "$major" "$path"
      verdict="the same"
      LD_LIBRARY_PATH=$(fact "$clients" libdir) python3 "$FIDELITY/roundtrip.py" --server "$url/$database" --pg-dump "$(fact "$clients" bindir)/pg_dump" \
        --workdir "$work/$major-$database-$path" --dump-cmd "$binary backup postgres --url {url} --output {out} --force --quiet" \
        --restore-cmd "$restore" "${options[@]}" || { verdict=DIFFERENT; failed=1; }
      verdicts+=("$(printf '%-12s %5s  %-7s %s' "$database" "$major" "$path" "$verdict")")
    done
  done
done
printf '\n'
printf '%s\n' "${verdicts[@]}"
exit "$failed"
