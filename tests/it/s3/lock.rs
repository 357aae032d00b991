//! Buckets that keep versions: what is locked stays, what is removed is gone.

use jiff::{Timestamp, ToSpan};
use miyabi_backup::error::Kind;
use miyabi_backup::store::s3::{Location, Settings};
use miyabi_backup::store::{Lock, Name};

use super::server::{keys, open, settings, url};
use crate::program::Sandbox;
use crate::util::unique;

fn location() -> Location {
    Location::parse(&format!("s3://locked/{}", unique("lock"))).unwrap()
}

fn settings_of_root() -> Settings {
    Settings { login: keys("root"), ..settings() }
}

#[test]
fn what_is_locked_stays_and_says_until_when() {
    let store = open(&location(), settings_of_root());
    let (locked, free) = (Name::new("locked").unwrap(), Name::new("free").unwrap());
    store.put_new(&locked, b"kept").unwrap();
    store.put_new(&free, b"not kept").unwrap();
    let until = Timestamp::now().checked_add(48.hours()).unwrap();
    store.retain(&locked, Lock::Governance, until).unwrap();
    let error = store.delete(&locked).unwrap_err();
    assert_eq!(error.kind(), Kind::Refused, "{error:?}");
    let day = until.strftime("%Y-%m-%d").to_string();
    assert!(error.chain().contains(&format!("is locked until {day}")), "{}", error.chain());
    store.delete(&free).unwrap();
    let names: Vec<_> = store.list("").unwrap().into_iter().map(|entry| entry.name.to_string()).collect();
    assert_eq!(names, ["locked"]);
    // By its version: no marker hides bytes that are still paid for, so the name is free again.
    store.put_new(&free, b"again").unwrap();
}

#[test]
fn a_backup_is_locked_for_the_days_of_its_tier() {
    let (sandbox, location) = (Sandbox::new(), location());
    let file = sandbox.path("app.db");
    rusqlite::Connection::open(&file).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    let place = location.to_string();
    let mut command = sandbox.command(&["backup", "sqlite", "--file", "app.db", "--to", &place]);
    command.args(["--s3-retain", "governance"]).env("AWS_ENDPOINT_URL", url());
    command.env("AWS_ACCESS_KEY_ID", "rootkey").env("AWS_SECRET_ACCESS_KEY", "rootsecret");
    sandbox.finish(command).expect(0);
    let store = open(&location, settings_of_root());
    let mut locked = 0;
    for entry in store.list("").unwrap() {
        let name = entry.name.as_str();
        let days = match name {
            _ if name.contains("manifest-") => continue,
            _ if name.contains("/daily/") => 7,
            _ if name.contains("/weekly/") => 28,
            _ => 180,
        };
        let error = store.delete(&entry.name).unwrap_err();
        let end = Timestamp::now().checked_add((days * 24).hours()).unwrap();
        // The run began before now, perhaps before midnight.
        let days = [end, end.checked_sub(1.hour()).unwrap()].map(|day| day.strftime("%Y-%m-%d").to_string());
        assert!(days.iter().any(|day| error.chain().contains(day)), "{name}: {}", error.chain());
        locked += 1;
    }
    assert_eq!(locked, 6);
}

#[test]
fn a_bucket_without_locks_says_so() {
    let sandbox = Sandbox::new();
    rusqlite::Connection::open(sandbox.path("app.db")).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    let place = super::server::place("no_lock").to_string();
    let mut command = sandbox.command(&["backup", "sqlite", "--file", "app.db", "--to", &place]);
    command.args(["--s3-retain", "compliance"]).env("AWS_ENDPOINT_URL", url());
    command.env("AWS_ACCESS_KEY_ID", "rootkey").env("AWS_SECRET_ACCESS_KEY", "rootsecret");
    sandbox.finish(command).expect(21).says("cannot lock").says("was the bucket made with object lock?");
}
