#!/usr/bin/env bash
# fidelity.sh [major…]     Restored databases against their sources, with stock pg_dump as the judge (tests/fidelity).
#
# FIDELITY=FOLDER runs another harness behind our own: that folder's load.sh and roundtrip.py on the databases named in
# $DATABASES (default: miyabi torture hostile dump_test regression), on the majors given (default: all that a database
# loads on), once with our restore and once with `gunzip -c | psql`. Ceilings that the folder has are applied.
# BINARY=FILE measures that binary in place of a fresh release build.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
majors=("$@")

binary=${BINARY:-$root/target/release/miyabi-backup}
[ -n "${BINARY:-}" ] || (cd "$root" && cargo build --release --quiet)

[ ${#majors[@]} -gt 0 ] || majors=(13 14 15 16 17 18)
# 14's clients judge 13, 18's load what is to be judged
"$root/scripts/servers.sh" start "${majors[@]}" 14 18 >/dev/null
failed=0
"$root/tests/fidelity/judge.py" --binary "$binary" --majors "$(IFS=,; echo "${majors[*]}")" || failed=1
[ -n "${FIDELITY:-}" ] || exit "$failed"

facts=${MIYABI_TEST_SERVERS:-$root/.servers}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fact() { cat "$facts/$1/$2"; }

# own MAJOR     the major whose objects a database of PostgreSQL's own tests is made of there
own() { if [ "$1" -ge 18 ]; then echo 18; else echo 15; fi; }

# ceiling MAJOR DATABASE     what stock pg_dump itself loses there; a database with other settings loses the same
ceiling() {
  local name=$1-torture
  [ "$2" != dump_test ] || name=$(own "$1")-dump_test
  [ ! -e "$FIDELITY/ceiling/$1-$2.json" ] || name=$1-$2
  [ ! -e "$FIDELITY/ceiling/$name.json" ] || printf '%s\n' "$FIDELITY/ceiling/$name.json"
}

verdicts=()
for major in "${majors[@]}"; do
  clients=$((major < 14 ? 14 : major))
  url=$(fact "$major" url)
  for database in ${DATABASES:-miyabi torture hostile dump_test regression}; do
    case $database in dump_test | regression) [ "$major" -ge 15 ] || continue ;; esac
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
