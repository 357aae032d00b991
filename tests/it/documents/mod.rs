//! The documents as their reader meets them: every command that stands in a code block is run, in the document's order,
//! against real servers.
//!
//! Each document gets a world of its own (a mount namespace, so root is needed, as for cron): `/srv`, `/mnt`, `/run`, `/etc` and the
//! crontabs are its own copies, and `/etc/hosts` sends the documents' host names to two PostgreSQL servers that were started for it. So
//! names, ports and paths are run as they are written. What still has to be replaced stands in [`Document::replaced`], what
//! happens between the blocks (the accident, the new machine) in its [`Step`]s, and what is not run has its reason there.

mod deploy;
mod operations;
mod readme;
mod recovery;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::own_server::{OwnServer, Recipe};
use crate::s3::server as s3;
use crate::util::{bin_dir, lib_dir, unique};

const MAJOR: u32 = 17;

struct Document {
    /// Its path in the project.
    name: &'static str,
    /// Run before the first block.
    before: String,
    steps: &'static [Step],
    /// Text of the document, what stands in its place when it is run, and why.
    replaced: &'static [(&'static str, &'static str, &'static str)],
    /// Commands that end with another code than 0, by their beginning. The document says so.
    codes: &'static [(&'static str, u8)],
}

/// What a block needs besides its own commands. Blocks without a step are simply run.
struct Step {
    /// The beginning of the block's text.
    block: &'static str,
    before: &'static str,
    fate: Fate,
    after: &'static str,
}

#[derive(Clone, Copy)]
enum Fate {
    Run,
    /// The block is what a file holds.
    File(&'static str),
    /// It is not run, for this reason.
    Not(&'static str),
}

/// A block that is run, with what happens before and after it.
const fn run(block: &'static str, before: &'static str, after: &'static str) -> Step {
    Step { block, before, fate: Fate::Run, after }
}

const fn file(block: &'static str, name: &'static str, after: &'static str) -> Step {
    Step { block, before: "", fate: Fate::File(name), after }
}

const fn not_run(block: &'static str, reason: &'static str) -> Step {
    Step { block, before: "", fate: Fate::Not(reason), after: "" }
}

pub struct Block {
    line: usize,
    language: String,
    pub text: String,
}

/// Fenced blocks, wherever they stand.
pub fn blocks(text: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut open = false;
    for (at, line) in text.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), open) {
            (Some(_), true) => open = false,
            (Some(language), false) => {
                open = true;
                found.push(Block { line: at + 2, language: language.trim().to_owned(), text: String::new() });
            }
            (None, true) => found.last_mut().unwrap().text.push_str(&format!("{line}\n")),
            (None, false) => {}
        }
    }
    assert!(!open, "a code block has no end");
    found
}

impl Document {
    fn step(&self, block: &Block) -> Option<&Step> {
        self.steps.iter().find(|step| block.text.starts_with(step.block))
    }

    /// A text of ours that the document does not have any more would silently test nothing.
    fn assert_nothing_is_stale(&self, blocks: &[Block]) {
        let name = self.name;
        for step in self.steps {
            let found = blocks.iter().filter(|block| block.text.starts_with(step.block)).count();
            assert_eq!(found, 1, "{name} has {found} blocks that begin with `{}`", step.block);
        }
        for (from, _, _) in self.replaced {
            assert!(blocks.iter().any(|block| block.text.contains(from)), "{name} never says `{from}`");
        }
        for (command, _) in self.codes {
            let has = |block: &Block| block.text.lines().any(|line| line.starts_with(command));
            assert!(blocks.iter().any(has), "{name} has no command `{command}`");
        }
    }

    /// The commands of a block as they are run.
    fn commands(&self, block: &Block) -> String {
        let mut text = String::new();
        for line in block.text.lines() {
            let code = self.codes.iter().find(|(command, _)| line.starts_with(command));
            if let Some((_, code)) = code {
                let _ = write!(text, "expect {code} ");
            }
            let _ = writeln!(text, "{line}");
        }
        self.replaced.iter().fold(text, |text, (from, to, _)| text.replace(from, to))
    }

    /// Runs all of it.
    fn check(&self) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(self.name);
        let blocks = blocks(&fs::read_to_string(path).unwrap());
        self.assert_nothing_is_stale(&blocks);
        let world = World::new();
        let mut script = String::from(PROLOGUE);
        let mut stage = |title: &str, stem: &str, text: &str| {
            if text.trim().is_empty() {
                return;
            }
            let path = world.write(&format!("steps/{stem}.sh"), &format!(". ../facts\n{text}\n"));
            let _ = writeln!(script, "stage '{title}' {}", path.display());
        };
        stage("before all", "before", &self.before);
        let mut ran = 0;
        for block in &blocks {
            let at = format!("{}:{}", self.name, block.line);
            let stem = format!("line-{:04}", block.line);
            let step = self.step(block);
            stage(&format!("before {at}"), &format!("{stem}-before"), step.map_or("", |step| step.before));
            match step.map_or(Fate::Run, |step| step.fate) {
                Fate::Not(reason) => println!("{at} is not run: {reason}"),
                Fate::File(name) => {
                    let text =
                        self.replaced.iter().fold(block.text.clone(), |text, (from, to, _)| text.replace(from, to));
                    stage(
                        &at,
                        &stem,
                        &format!("mkdir -p \"$(dirname {name})\"\ncat > {name} <<'CONTENT'\n{text}CONTENT"),
                    );
                }
                Fate::Run => {
                    let commands = match block.language.as_str() {
                        "" | "sh" => self.commands(block),
                        "sql" => format!(
                            "psql -X -q -v ON_ERROR_STOP=1 -h db.internal -U postgres -d postgres <<'SQL'\n{}SQL",
                            self.commands(block)
                        ),
                        other => panic!("{at}: a block of `{other}` is neither run nor marked with a reason"),
                    };
                    stage(&at, &stem, &commands);
                    ran += 1;
                }
            }
            stage(&format!("after {at}"), &format!("{stem}-after"), step.map_or("", |step| step.after));
        }
        assert!(ran > 0, "no block of {} was run", self.name);
        world.run(&script);
    }
}

/// Two servers, stock tools, and a folder in which everything else is.
struct World {
    folder: TempDir,
    _servers: [OwnServer; 2],
}

impl World {
    fn new() -> Self {
        let [old, new] = addresses();
        let recipe = Recipe { hba: "local all all trust\nhost all all 127.0.0.0/8 trust\n", settings: &[], files: &[] };
        let servers = [&old, &new].map(|address| OwnServer::start_at(MAJOR, &recipe, address, 5432));
        let world = World { folder: tempfile::tempdir().unwrap(), _servers: servers };
        world.write("hosts", &format!("{old} db.internal\n{new} newhost localhost\n"));
        world.tool("miyabi-backup", PROGRAM);
        world.tool("expect", EXPECT);
        world.write("bin/asked", ASKED);
        for program in ["psql", "createdb", "dropdb"] {
            let (bin, lib) = (bin_dir(MAJOR), lib_dir(MAJOR));
            world.tool(
                program,
                &format!("exec env LD_LIBRARY_PATH={} {}/{program} \"$@\"", lib.display(), bin.display()),
            );
        }
        let facts = [
            ("WORLD", world.folder.path().display().to_string()),
            ("PROGRAM", env!("CARGO_BIN_EXE_miyabi-backup").to_owned()),
            ("BUCKET", format!("s3://{}/{}", s3::BUCKET, unique("documents"))),
            ("AWS_ENDPOINT_URL", s3::url()),
            ("AWS_ACCESS_KEY_ID", "testkey".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "testsecret".to_owned()),
            ("HOME", world.folder.path().display().to_string()),
            ("MIYABI_BACKUP_STATE_DIR", world.folder.path().join("state").display().to_string()),
            // However full the disk is on which this runs.
            ("MIYABI_BACKUP_STATUS_MIN_FREE", "0".to_owned()),
            ("TZ", "UTC".to_owned()),
        ];
        world.write("facts", &facts.map(|(name, value)| format!("export {name}='{value}'\n")).concat());
        fs::create_dir(world.folder.path().join("work")).unwrap();
        world
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn tool(&self, name: &str, text: &str) {
        let path = self.write(&format!("bin/{name}"), &format!("#!/bin/bash\n{text}\n"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn run(&self, script: &str) {
        let path = self.write("all.sh", script);
        let programs = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("unshare");
        command.args(["--mount", "bash"]).arg(&path).current_dir(self.folder.path().join("work")).env_clear();
        command.env("PATH", format!("{}:{programs}", self.folder.path().join("bin").display()));
        let log = self.write("log", "");
        let (out, err) = (append(&log), append(&log));
        let status = command.stdin(Stdio::null()).stdout(out).stderr(err).status().expect("unshare is installed");
        let said = fs::read_to_string(&log).unwrap();
        assert!(status.success(), "{status}\n{said}");
    }
}

fn append(path: &Path) -> fs::File {
    fs::OpenOptions::new().append(true).open(path).unwrap()
}

/// Two of this machine's own addresses that no other test has, so that servers can have the usual port.
fn addresses() -> [String; 2] {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let (id, at) = (std::process::id(), NEXT.fetch_add(2, Ordering::Relaxed));
    [at + 1, at + 2].map(|last| format!("127.{}.{}.{last}", 100 + (id >> 8) % 150, id % 256))
}

/// The namespace, and what runs one step after the other until one fails.
const PROLOGUE: &str = r#"
set -e
. ../facts
mount -t tmpfs none /srv
mount -t tmpfs none /mnt
mount -t tmpfs none /var/spool/cron && mkdir -m 1730 /var/spool/cron/crontabs && chgrp crontab /var/spool/cron/crontabs
mount -t tmpfs none /run
cp -a /etc /srv/etc && cp ../hosts /srv/etc/hosts && mount --bind /srv/etc /etc
stage() {
  printf '\n=== %s\n' "$1"
  bash -exo pipefail "$2" || { code=$?; printf '=== %s ended with %d\n' "$1" "$code"; exit 1; }
}
"#;

/// The program as it is called, with a person at a terminal who says yes where it asks, and a visitor where it serves.
const PROGRAM: &str = r#"
case " $* " in
  *" --confirm "* | *" --dry-run "*) ;;
  " restore "* | *" --before-restore "*)
    exec python3 "$WORLD/bin/asked" "$PROGRAM" "$@" ;;
  *" --listen "*)
    "$PROGRAM" "$@" & server=$!
    address=$(printf '%s\n' "$@" | grep -x '[0-9.]*:[0-9]*')
    for _ in $(seq 100); do curl -sf "http://$address/health" && break; sleep 0.1; done
    for path in / /metrics /health /api/status; do curl -sSf -o /dev/null "http://$address$path" || exit 1; done
    kill -TERM $server
    wait $server || [ $? = 143 ]
    exit ;;
esac
exec "$PROGRAM" "$@"
"#;

/// A person at a terminal: waits for the question, and says yes.
const ASKED: &str = r#"
import os, pty, sys

pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
said, answered = b"", False
while True:
    try:
        piece = os.read(terminal, 4096)
    except OSError:
        break
    if not piece:
        break
    sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
    said += piece
    if not answered and b"anything else to stop:" in said:
        os.write(terminal, b"yes\n")
        answered = True
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

const EXPECT: &str = r#"
wanted=$1
shift
"$@"
code=$?
[ "$code" = "$wanted" ] || { echo "expected exit code $wanted of $*, found $code"; exit 1; }
"#;

/// A table with an owner of its own, rows in it, a role for drills, and a SQLite file.
const DATABASES: &str = r#"
psql -X -q -v ON_ERROR_STOP=1 -h db.internal -U postgres -d postgres <<'SQL'
CREATE ROLE miyabi_app LOGIN PASSWORD 'secret';
CREATE DATABASE miyabi OWNER miyabi_app TEMPLATE template0;
\connect miyabi
SET ROLE miyabi_app;
CREATE TABLE public.users (id bigint PRIMARY KEY, name text NOT NULL);
CREATE TABLE public.orders (id bigint PRIMARY KEY, buyer bigint REFERENCES public.users);
INSERT INTO public.users SELECT n, 'user ' || md5(n::text) FROM generate_series(1, 20000) n;
INSERT INTO public.orders SELECT n, n FROM generate_series(1, 20000) n;
SQL
"#;

#[test]
fn blocks_are_found_with_their_lines() {
    let found = blocks("a\n```\none\ntwo\n```\n\n* x\n  ```toml\n  k = 1\n  ```\n");
    let seen: Vec<_> = found.iter().map(|one| (one.line, one.language.as_str(), one.text.as_str())).collect();
    assert_eq!(seen, [(3, "", "one\ntwo\n"), (9, "toml", "  k = 1\n")]);
}
