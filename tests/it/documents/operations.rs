//! docs/OPERATIONS.md: setting up, and looking how it is.

use super::{DATABASES, Document, Step, not_run, run};

const BEFORE: &str = r#"
cat > miyabi-backup.toml <<'TOML'
[[postgres]]
url = "postgres://backup@db.internal/miyabi"
[drill]
url = "postgres://miyabi_drill@db.internal"
[alerts]
command = "cat >> told"
TOML
"#;

const STEPS: &[Step] = &[
    run("miyabi-backup doctor", "", "grep -q 'this is only a test' told; crontab -l | grep -q miyabi-backup"),
    not_run("journalctl -t", "a journal needs systemd; `journal` runs the same against a journald of its own"),
    run("miyabi-backup status", "", "grep -q '<h1>' status.html"),
];

#[test]
fn operations() {
    let document = Document {
        name: "docs/OPERATIONS.md",
        before: [DATABASES, BEFORE].concat(),
        steps: STEPS,
        replaced: &[],
        // Timers are not installed yet.
        codes: &[("miyabi-backup doctor", 40)],
    };
    document.check();
}
