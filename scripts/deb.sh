#!/usr/bin/env bash
# deb.sh [BINARY]     Makes the Debian package of the release build, or of a binary that is there already.
#
# Binary, manual pages, completions, documents, an empty configuration, and units as examples: `schedule install` writes those that
# fit a machine's configuration. cargo-deb is installed below target/ at its pinned version.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

CARGO_DEB=3.8.0

have dpkg-deb || die "there is no dpkg-deb: a Debian package is made on Debian or Ubuntu"
tools=$root/target/tools
if [ "$("$tools/bin/cargo-deb" --version 2>/dev/null)" != "cargo-deb $CARGO_DEB" ]; then
  say "deb: installing cargo-deb $CARGO_DEB"
  cargo install --quiet --locked --root "$tools" --version $CARGO_DEB cargo-deb
fi
if [ -n "${1:-}" ]; then
  mkdir -p target/release
  [ "$1" -ef target/release/miyabi-backup ] || cp "$1" target/release/miyabi-backup
else
  cargo build --release
fi
program=$root/target/release/miyabi-backup
made=$root/target/deb
rm -rf "$made"
mkdir -p "$made/man" "$made/units"
"$program" man --output "$made/man" --quiet
"$program" completions bash >"$made/miyabi-backup"
"$program" completions zsh >"$made/_miyabi-backup"
"$program" completions fish >"$made/miyabi-backup.fish"

gzip -9nc CHANGELOG.md >"$made/changelog.gz"
version=$(sed -n '0,/^version = /s/^version = "\(.*\)"/\1/p' Cargo.toml)
maintainer=$(sed -n 's/^maintainer = "\(.*\)"/\1/p' Cargo.toml)
dated=$(date -R -d "@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}")
printf 'miyabi-backup (%s-1) unstable; urgency=medium\n\n  * What changed stands in changelog.gz.\n\n -- %s  %s\n' \
  "$version" "$maintainer" "$dated" >"$made/changelog"

# Units of a machine that has one SQLite file, by the program's own word.
work=$made/work
mkdir -p "$work"
: >"$work/app.db"
printf '[places]\nroot = "/var/backups/miyabi-backup"\n[[sqlite]]\npath = "app.db"\n' >"$work/miyabi-backup.toml"
(cd "$work" && "$program" schedule install --method systemd --system --state-dir /var/lib/miyabi-backup --dry-run --json) |
  python3 -c '
import json, pathlib, sys
folder, program, work = sys.argv[1:]
for file in json.load(sys.stdin)["files"]:
    text = file["text"].replace(program, "/usr/bin/miyabi-backup")
    text = text.replace(work + "/miyabi-backup.toml", "/etc/miyabi-backup/miyabi-backup.toml").replace(work, "/var/backups/miyabi-backup")
    (pathlib.Path(folder) / pathlib.Path(file["path"]).name).write_text(text)
' "$made/units" "$program" "$work"
rm -rf "$work"

package=$(PATH="$tools/bin:$PATH" cargo deb --no-build --quiet --output "$root/target/debian/" | tail -n 1)
package=${package:-$(ls -t target/debian/*.deb | head -n 1)}
say "deb: $package"
dpkg-deb --info "$package" | sed -n 's/^ \(Package\|Version\|Depends\|Installed-Size\)/\1/p'
