//! Status and history as their user meets them: real runs, killed runs, damage, a full year is elsewhere.

use std::fs;

use rusqlite::Connection;
use serde_json::Value;

use crate::program::Sandbox;
use crate::sample::fill_slowly_read;
use crate::util::TestDatabase;

fn configured(sandbox: &Sandbox) {
    Connection::open(sandbox.path("app.db"))
        .unwrap()
        .execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
        .unwrap();
    fs::write(
        sandbox.path("miyabi-backup.toml"),
        "[[sqlite]]\npath = \"app.db\"\n[schedule]\nat = \"03:00\"\n[status]\nmin_free = 0\n",
    )
    .unwrap();
}

fn states(sandbox: &Sandbox) -> Vec<(String, String)> {
    let logs = sandbox.run(&["logs", "--json"]).expect(0).json();
    let text = |run: &Value, key: &str| run[key].as_str().unwrap().to_owned();
    logs["runs"].as_array().unwrap().iter().map(|run| (text(run, "command"), text(run, "state"))).collect()
}

#[test]
fn never_then_healthy_then_damaged() {
    let sandbox = Sandbox::new();
    configured(&sandbox);
    sandbox.run(&["status"]).expect(41).says("never").says("there is no backup");
    sandbox.run(&["backup"]).expect(0);
    let healthy = sandbox.run(&["status", "--json"]).expect(0).json();
    assert_eq!((&healthy["status_version"], &healthy["state"]), (&1.into(), &"ok".into()), "{healthy}");
    let app = &healthy["databases"][0];
    assert_eq!((app["name"].as_str(), app["kind"].as_str()), (Some("app"), Some("sqlite")));
    assert!(app["last"]["size_bytes"].as_u64().is_some_and(|size| size > 0));
    assert_eq!(app["tiers"].as_array().map(Vec::len), Some(3));
    assert!(healthy["schedule"]["next_run"].as_str().is_some_and(|at| at.contains("T03:00:00")), "{healthy}");
    assert!(healthy["place"]["free_bytes"].as_u64().is_some_and(|free| free > 0));
    sandbox.run(&["status"]).expect(0).says("app (sqlite)").says("next run");

    let newest = sandbox.daily("app");
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&newest, bytes).unwrap();
    sandbox.run(&["verify"]).expect(30);
    sandbox.run(&["status"]).expect(41).says("did not verify").says("FAILED");
}

#[test]
fn an_unconfigured_machine_sees_the_tree_it_is_shown() {
    let sandbox = Sandbox::new();
    configured(&sandbox);
    sandbox.run(&["backup"]).expect(0);
    fs::remove_file(sandbox.path("miyabi-backup.toml")).unwrap();
    fs::rename(sandbox.path("backups"), sandbox.path("moved")).unwrap();
    let status = sandbox.run(&["status", "--from", "moved", "--json"]).json();
    assert_eq!(status["databases"][0]["name"], "app", "{status}");
    assert_eq!(status["databases"][0]["state"], "ok", "{status}");
    // A name that is misspelt is not a healthy place.
    sandbox.run(&["status", "--from", "mvoed"]).expect(5).blames("there is no backup in mvoed");
}

/// A monitor that looks in the wrong folder must not be told that all is well.
#[test]
fn nothing_at_all_is_not_health() {
    let sandbox = Sandbox::new();
    for command in ["status", "watch"] {
        sandbox.run(&[command]).expect(5).blames("nothing is configured, and there is no backup in backups").hints();
    }
    assert_eq!(sandbox.run(&["status", "--json"]).expect(5).json()["error"]["kind"], "nothing");
}

#[test]
fn every_run_is_in_the_history_with_its_end() {
    let sandbox = Sandbox::new();
    configured(&sandbox);
    sandbox.run(&["logs"]).expect(0).says("no run is noted");
    sandbox.run(&["backup"]).expect(0);
    sandbox.run(&["verify"]).expect(0);
    fs::remove_file(sandbox.path("app.db")).unwrap();
    sandbox.run(&["backup"]).expect_failure();
    sandbox.run(&["backup", "--dry-run"]);
    fs::write(sandbox.path("miyabi-backup.toml"), "jobs = 0\n").unwrap();
    sandbox.run(&["backup", "--url", "postgres://u@127.0.0.1:1/d"]).expect(2);
    let names = |(command, state): (&str, &str)| (command.to_owned(), state.to_owned());
    let expected = [("backup", "ok"), ("verify", "ok"), ("backup", "failed"), ("backup", "failed")].map(names);
    fs::remove_file(sandbox.path("miyabi-backup.toml")).unwrap();
    assert_eq!(states(&sandbox), expected);
    sandbox.run(&["logs"]).expect(0).says("app failed: cannot back up").says("error: cannot use jobs");
    sandbox.run(&["logs", "-n", "1"]).expect(0).never_says("app failed");
    sandbox.run(&["logs", "--since", "2099-01-01"]).expect(0).says("no run");
    sandbox.run(&["logs", "--follow", "--json"]).expect(2);
}

#[test]
fn a_killed_run_is_running_first_and_vanished_then() {
    let sandbox = Sandbox::new();
    let database = TestDatabase::new(17, "vanish");
    fill_slowly_read(&database, "slow", 100);
    let run = sandbox.start(&["backup", "postgres", "--url", &database.url(), "--no-globals", "--limit-rate", "1M"]);
    let begun = || !sandbox.staging_files().is_empty();
    while !begun() {
        std::thread::yield_now();
    }
    assert_eq!(states(&sandbox), [("backup".to_owned(), "running".to_owned())]);
    run.kill().expect_failure();
    assert_eq!(states(&sandbox), [("backup".to_owned(), "vanished".to_owned())]);
    fs::write(
        sandbox.path("miyabi-backup.toml"),
        format!("globals = false\n[[postgres]]\nurl = \"{}\"\n", database.url()),
    )
    .unwrap();
    sandbox.run(&["status"]).expect(41).says("vanished without an end");
}

#[test]
fn a_follower_sees_runs_begin_and_end() {
    let sandbox = Sandbox::new();
    configured(&sandbox);
    sandbox.run(&["backup"]).expect(0);
    let follower = sandbox.start(&["logs", "--follow", "-n", "0"]);
    sandbox.run(&["verify"]).expect(0);
    // The next look comes within a second; the test waits for the line, not for a time.
    let mut follower = follower.stop_when_it_says("verify   ok");
    follower.push('\n');
    assert!(!follower.contains("backup"), "{follower}");
}

#[test]
fn messages_can_be_objects_for_a_log_collector() {
    let sandbox = Sandbox::new();
    let failed = sandbox.run(&["backup", "sqlite", "--file", "gone.db", "--log-format", "json"]).expect_failure();
    let stderr = failed.stderr();
    let lines: Vec<Value> = stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(
        lines.iter().any(|line| line["level"] == "error" && line["message"].to_string().contains("gone.db")),
        "{stderr}"
    );
}

/// Whatever goes wrong, and whatever is only said: a collector reads every line.
#[test]
fn every_command_says_objects_when_it_is_told_to() {
    let sandbox = Sandbox::new();
    configured(&sandbox);
    sandbox.run(&["backup"]).expect(0);
    let archive = sandbox.daily("app").display().to_string();
    let lines = [
        "backup sqlite --file gone.db",
        &format!("restore --file {archive} --database app.db"),
        &format!("restore --file {archive} --database new.db --confirm"),
        "verify gone",
        "list --from gone",
        "inspect gone",
        "salvage gone --output x",
        "copy gone there",
        "prune --from gone",
        "status --from gone --config gone",
        "logs --follow --json",
        "drill nobody",
        "watch",
        "doctor",
        "dashboard",
        "dashboard --listen 0.0.0.0:1",
        "alert test",
        "metrics --from gone --config gone",
        "schedule install --method systemd --time 25:00",
        "completions nonsense",
        "man",
        "nonsense",
    ];
    for line in lines {
        let arguments: Vec<&str> = line.split(' ').chain(["--log-format", "json"]).collect();
        let ran = sandbox.run(&arguments);
        let stderr = ran.stderr();
        assert!(!stderr.is_empty(), "{line} says nothing{ran}");
        for said in stderr.lines() {
            let object: Value = serde_json::from_str(said).unwrap_or_else(|_| panic!("{line}: {said}"));
            assert!(object["level"].is_string() && object["message"].is_string(), "{line}: {said}");
        }
    }
}
