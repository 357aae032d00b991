//! docs/JSON.md against what the commands write: every key that is written stands there, in the command's own section or in one that
//! it refers to.

use std::collections::BTreeSet;
use std::fs;

use rusqlite::Connection;
use serde_json::Value;

use crate::program::Sandbox;

/// What is below these keys is data, or described by FORMAT.md.
const FREE: &[&str] = &["object_kinds", "role_map", "meta"];

fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                found.insert(key.clone());
                if !FREE.contains(&key.as_str()) {
                    keys(value, found);
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|one| keys(one, found)),
        _ => {}
    }
}

/// Words in backticks, of the section that names the command and of those for all.
fn documented(page: &str, command: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let heading = |section: &str| section.lines().next().unwrap_or_default().to_owned();
    let is_ours = |section: &&str| heading(section).contains(&format!("`{command}`"));
    let sections: Vec<&str> = page.split("\n## ").collect();
    assert_eq!(sections.iter().filter(|section| is_ours(section)).count(), 1, "JSON.md has no section of `{command}`");
    let mut wanted: Vec<&str> = sections.iter().copied().filter(|section| is_ours(section)).collect();
    // "as of `logs`": what another section describes.
    let others = sections.iter().filter(|section| !is_ours(section));
    let named = |section: &&&str| {
        let title = heading(section);
        let mut names = title.split('`').skip(1).step_by(2);
        names.any(|name| wanted[0].contains(&format!("of `{name}`")))
    };
    let referred: Vec<&str> = others.filter(named).copied().collect();
    wanted.extend(referred);
    wanted.extend(sections.iter().filter(|section| heading(section) == "A command that failed"));
    for section in wanted {
        words.extend(section.split('`').skip(1).step_by(2).map(str::to_owned));
    }
    words
}

#[test]
fn every_key_is_documented() {
    let page = include_str!("../../docs/JSON.md");
    let sandbox = Sandbox::new();
    Connection::open(sandbox.path("app.db"))
        .unwrap()
        .execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
        .unwrap();
    let toml = "zone = \"UTC\"\n[[sqlite]]\npath = \"app.db\"\n[alerts]\ncommand = \"cat > told.json\"\n[status]\nmin_free = \"900000G\"\n";
    fs::write(sandbox.path("miyabi-backup.toml"), toml).unwrap();
    let lines: &[(&str, &[&str])] = &[
        ("status", &["status"]),
        ("backup", &["backup", "--dry-run"]),
        ("backup", &["backup"]),
        ("list", &["list"]),
        ("verify", &["verify"]),
        ("drill", &["drill"]),
        ("prune", &["prune", "--dry-run"]),
        ("prune", &["prune"]),
        ("restore", &["restore", "--file", "latest", "--name", "app", "--dry-run"]),
        ("restore", &["restore", "--file", "latest", "--name", "app", "--database", "new.db", "--confirm"]),
        ("status", &["status"]),
        ("logs", &["logs"]),
        ("doctor", &["doctor"]),
        ("watch", &["watch"]),
        ("alert test", &["alert", "test"]),
        ("schedule", &["schedule", "install", "--method", "systemd", "--dry-run"]),
        ("schedule", &["schedule", "status"]),
    ];
    let mut unknown = Vec::new();
    for (command, line) in lines {
        let outcome = sandbox.run(&[*line, &["--json"]].concat());
        let (mut found, value) = (BTreeSet::new(), outcome.json());
        keys(&value, &mut found);
        assert!(value.get("error").is_none_or(Value::is_null), "{line:?}{outcome}");
        assert_eq!(value["exit_code"].as_i64(), outcome.code(), "{line:?}{outcome}");
        let words = documented(page, command);
        unknown.extend(found.difference(&words).map(|key| format!("{}: {key}", line.join(" "))));
    }
    let told: Value = serde_json::from_str(&fs::read_to_string(sandbox.path("told.json")).unwrap()).unwrap();
    let mut found = BTreeSet::new();
    keys(&told, &mut found);
    unknown.extend(found.difference(&documented(page, "alert test")).map(|key| format!("an alert: {key}")));
    assert!(unknown.is_empty(), "docs/JSON.md does not say what these are:\n{}", unknown.join("\n"));
}

/// Whatever the doctor finds, it says what to do.
#[test]
fn every_finding_of_the_doctor_has_a_way_out() {
    let broken: &[&str] = &[
        "",
        "[[sqlite]]\npath = \"gone.db\"\n[status]\nmin_free = \"900000G\"\n",
        "[[sqlite]]\npath = \"gone/*.db\"\n[drill]\nurl = \"postgres://u@127.0.0.1:9/d\"\n",
        "[[sqlite]]\npath = \"not.db\"\n[places]\nroot = \"/proc/backups\"\n",
        "[[postgres]]\nurl = \"postgres://u@127.0.0.1:9/d\"\n[alerts]\nemail_to = \"a@example.com\"\n",
        "[[postgres]]\nurl = \"postgres://u@nowhere.invalid/d\"\nsslmode = \"disable\"\n[places]\nroot = \"app.txt/tree\"\n",
    ];
    for toml in broken {
        let sandbox = Sandbox::new();
        fs::write(sandbox.path("miyabi-backup.toml"), toml).unwrap();
        fs::write(sandbox.path("not.db"), "this is no database, whatever its name says").unwrap();
        fs::write(sandbox.path("app.txt"), "").unwrap();
        let outcome = sandbox.run(&["doctor", "--json"]).expect(41);
        let found = outcome.json();
        for finding in found["findings"].as_array().unwrap() {
            let helps =
                finding["mend"].as_array().unwrap().iter().any(|how| how.as_str().is_some_and(|how| how.len() > 10));
            assert!(finding["level"] == "ok" || helps, "{toml}\nhas no mend: {finding}");
        }
        let left: Vec<_> = ["backups", "state"].into_iter().filter(|name| sandbox.path(name).exists()).collect();
        assert!(left.is_empty(), "the doctor left {left:?} behind{outcome}");
    }
}
