//! Messages in the journal of a real systemd-journald, which is started in a namespace of its own. Needs root.

use std::fs;
use std::process::{Command, Stdio};

use rusqlite::Connection;
use serde_json::Value;

use crate::program::Sandbox;

/// Standard error is a file here, and `JOURNAL_STREAM` says that it is the journal's: that is all a unit tells its process.
const SCRIPT: &str = r#"
set -e
mount -t tmpfs none /run && mkdir -p /run/systemd/journal /run/log/journal
mount -t tmpfs none /var/log
[ -s /etc/machine-id ] || { echo 0123456789abcdef0123456789abcdef > /run/machine-id; mount --bind /run/machine-id /etc/machine-id; }
/usr/lib/systemd/systemd-journald & journald=$!
trap 'kill $journald' EXIT
until [ -S /run/systemd/journal/socket ]; do kill -0 $journald; sleep 0.05; done
run() {
  JOURNAL_STREAM=$(stat -L -c %d:%i stderr) "$PROGRAM" "$@" 2>> stderr || echo "$1 $?" >> codes
}
: > stderr
run backup --quiet
rm gone.db
run backup --quiet
run doctor --quiet --log-format json
journalctl --sync
journalctl --directory /run/log/journal -t miyabi-backup -o json --all > entries
"#;

#[test]
fn every_database_has_an_entry_with_fields() {
    let sandbox = Sandbox::new();
    for name in ["app.db", "gone.db"] {
        Connection::open(sandbox.path(name)).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    }
    fs::write(sandbox.path("miyabi-backup.toml"), "[[sqlite]]\npath = \"app.db\"\n[[sqlite]]\npath = \"gone.db\"\n")
        .unwrap();
    fs::write(sandbox.path("script.sh"), SCRIPT).unwrap();
    let program = sandbox.command::<&str>(&[]).get_program().to_owned();
    let mut command = Command::new("unshare");
    command.args(["--mount", "bash", "script.sh"]).current_dir(sandbox.path(".")).env("PROGRAM", program);
    command.env("HOME", sandbox.path(".")).env("MIYABI_BACKUP_STATE_DIR", sandbox.path("state")).stdin(Stdio::null());
    let output = command.output().expect("unshare is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |name: &str| fs::read_to_string(sandbox.path(name)).unwrap();
    let entries: Vec<Value> = read("entries").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |event: &str, database: &str| {
        let is = |one: &&Value| one["MIYABI_EVENT"] == event && one["MIYABI_DATABASE"] == database;
        entries.iter().filter(is).cloned().collect::<Vec<_>>()
    };
    let done = of("backup.done", "app");
    assert_eq!(done.len(), 2, "{entries:#?}");
    assert_eq!(
        (&done[0]["PRIORITY"], &done[0]["MIYABI_COMMAND"], &done[0]["MIYABI_KIND"]),
        (&"6".into(), &"backup".into(), &"sqlite".into())
    );
    assert!(done[0]["MIYABI_SIZE_BYTES"].as_str().is_some_and(|size| size.parse::<u64>().unwrap() > 0), "{done:?}");
    assert!(done[0]["MIYABI_PATH"].as_str().is_some_and(|path| path.ends_with(".db.gz")), "{done:?}");
    let failed = of("backup.failed", "gone");
    assert_eq!((failed.len(), &failed[0]["PRIORITY"]), (1, &"3".into()), "{entries:#?}");
    assert!(failed[0]["MIYABI_ERROR"].to_string().contains("gone.db"), "{failed:?}");
    assert_eq!(failed[0]["MIYABI_RUN"], done[1]["MIYABI_RUN"], "one run, one id");
    assert_ne!(done[0]["MIYABI_RUN"], done[1]["MIYABI_RUN"]);
    let logs = sandbox.run(&["logs", "--json"]).expect(0).json();
    assert_eq!(logs["runs"][1]["run"], failed[0]["MIYABI_RUN"], "logs knows the run by the same id");
    let message = entries.iter().find(|one| one["MIYABI_LEVEL"] == "error").expect("the error itself is an entry");
    assert!(message["MESSAGE"].to_string().contains("gone.db") && message["MIYABI_RUN"].is_string(), "{message}");
    // What went to the journal does not stand on standard error as well; what was asked for as objects does.
    let stderr = read("stderr");
    assert!(!stderr.is_empty() && stderr.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{stderr}");
}
