//! What looks after a folder and a bucket together, and what a key is good for.

use std::fs;
use std::process::Command;

use miyabi_backup::store::s3::Location;
use miyabi_backup::store::{Excess, Name, Store};

use super::proxy::{Action, Proxy, Request};
use super::server::{keys, open, place, settings, url};
use crate::program::{Outcome, Sandbox};
use crate::prune::age;
use crate::util::unique;

/// A SQLite file that is backed up into the folder `backups` and a place in a bucket.
struct Both {
    sandbox: Sandbox,
    bucket: Location,
}

impl Both {
    fn configured() -> Self {
        let (sandbox, bucket) = (Sandbox::new(), place("both"));
        let database = rusqlite::Connection::open(sandbox.path("app.db")).unwrap();
        database.execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1)").unwrap();
        let both = Both { sandbox, bucket };
        both.configure("");
        both
    }

    fn configure(&self, more: &str) {
        let toml = format!(
            "[[sqlite]]\npath = \"app.db\"\n[places]\nroot = \"backups\"\ns3 = \"{}\"\n{more}[status]\nmin_free = 0\n",
            self.bucket
        );
        fs::write(self.sandbox.path("miyabi-backup.toml"), toml).unwrap();
    }

    fn as_key(&self, key: &str, endpoint: &str, arguments: &[&str]) -> Outcome {
        let mut command: Command = self.sandbox.command(arguments);
        command.env("AWS_ENDPOINT_URL", endpoint);
        command.env("AWS_ACCESS_KEY_ID", format!("{key}key")).env("AWS_SECRET_ACCESS_KEY", format!("{key}secret"));
        self.sandbox.finish(command)
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        self.as_key("test", &url(), arguments)
    }

    fn store(&self) -> std::sync::Arc<dyn Store> {
        open(&self.bucket, settings())
    }
}

#[test]
fn every_place_is_looked_at_by_itself() {
    let both = Both::configured();
    // A backup of long ago lies in the bucket alone.
    both.run(&["backup", "--to", "old"]).expect(0);
    age(&both.sandbox, "app");
    both.run(&["copy", "old", &both.bucket.to_string()]).expect(0);
    fs::remove_dir_all(both.sandbox.path("old")).unwrap();
    both.run(&["backup", "--no-prune"]).expect(0);

    let status = both.run(&["status", "--json"]).expect(0).json();
    assert_eq!((status["place"]["place"].as_str(), status["status_version"].as_u64()), (Some("backups"), Some(1)));
    let further = &status["further_places"][0];
    assert_eq!(further["place"], both.bucket.to_string(), "{status}");
    let count = |place: &serde_json::Value| place["databases"][0]["tiers"][0]["count"].as_u64();
    assert_eq!((count(&status), count(further)), (Some(1), Some(2)), "{status}");

    let plan = both.run(&["prune", "--dry-run", "--json"]).expect(0).json();
    let removed = |place: &serde_json::Value| place["removed"].as_array().map(Vec::len);
    assert_eq!((removed(&plan), removed(&plan["further_places"][0])), (Some(0), Some(1)), "{plan}");
    let before = both.store().list("").unwrap().len();
    both.run(&["prune"]).expect(0).says("0 backups removed from backups").says("1 backups removed from s3://");
    assert_eq!(both.store().list("").unwrap().len(), before - 2);
    both.run(&["status"]).expect(0).says(&format!("IN {}", both.bucket));
    both.run(&["metrics"])
        .expect(0)
        .says("miyabi_backup_copy_state{")
        .says("miyabi_backup_place_used_bytes{place=\"s3://");
    both.run(&["status", "--from", "backups", "--json"]).expect(0).says("\"further_places\": []");

    // Nothing arrives there any more, and the disk is as it was.
    for entry in both.store().list("").unwrap() {
        both.store().delete(&entry.name).unwrap();
    }
    let status = both.run(&["status", "--json"]).expect(41).json();
    assert_eq!((&status["databases"][0]["state"], &status["place"]["state"]), (&"ok".into(), &"ok".into()), "{status}");
    both.run(&["status"]).expect(41).says(&format!("app (sqlite) in {}: there is no backup", both.bucket));
    both.run(&["watch"]).expect(41).says("there is no backup");
    both.run(&["status", "--from", "backups"]).expect(0);
}

#[test]
fn a_place_that_cannot_be_looked_at_hides_nothing_of_the_others() {
    let both = Both::configured();
    both.run(&["backup"]).expect(0);
    both.as_key("wo", &url(), &["status"]).expect(40).says("nothing is known of its backups").says("app (sqlite)");
    both.as_key("wo", &url(), &["prune"]).expect(3).says("0 backups removed from backups").says("access is denied");
    // A run that reaches one place alone is remembered by the other.
    both.as_key("ro", &url(), &["backup"]).expect(3).says("access is denied");
    both.run(&["status"]).expect(40).says("did not get there").says("access is denied");
    both.run(&["backup"]).expect(0);
    both.run(&["status"]).expect(0).never_says("did not get there");
}

/// A store that does not answer has not healed what was wrong in it.
#[test]
fn an_alarm_of_a_place_is_not_over_because_nobody_can_look() {
    let both = Both::configured();
    both.run(&["backup", "--to", "backups"]).expect(0);
    let toml = both.sandbox.path("miyabi-backup.toml");
    let with_alerts = fs::read_to_string(&toml).unwrap() + "[alerts]\ncommand = \"cat >> told\"\n";
    fs::write(&toml, with_alerts).unwrap();
    let told = || fs::read_to_string(both.sandbox.path("told")).unwrap_or_default();
    both.run(&["watch"]).expect(0);
    assert!(told().contains("there is no backup") && told().contains(&both.bucket.to_string()), "{}", told());
    both.as_key("wo", &url(), &["watch"]).expect(0).says("nothing is known of its backups");
    assert!(!told().contains("recovered"), "{}", told());
    both.run(&["backup"]).expect(0);
    assert!(told().contains("recovered"), "{}", told());
}

/// Says no as a store does whose key has a policy for backups alone.
fn deny_all_but_backups(request: &Request) -> Action {
    let is_denied = match request.method.as_str() {
        "DELETE" => !request.target.contains("uploadId="),
        "GET" => request.target.contains("?policy") || request.target.contains("max-keys=1"),
        _ => false,
    };
    if is_denied { Action::Answer(403, "AccessDenied") } else { Action::Pass }
}

#[test]
fn the_doctor_knows_a_key_that_may_do_too_much() {
    let both = Both::configured();
    both.run(&["doctor"])
        .says("may do more than backups need: remove backups")
        .says("list what else lies in the bucket");
    let proxy = Proxy::start(&url(), deny_all_but_backups);
    both.as_key("test", &proxy.url, &["doctor"]).says("can be written").never_says("may do more");
    let asked = proxy.log().iter().filter(|line| line.contains("AccessDenied")).count();
    assert_eq!(asked, 4, "{:#?}", proxy.log());
    // What is locked cannot be removed by any key.
    both.configure("s3_retain = \"compliance\"\n");
    both.run(&["doctor"]).never_says("remove backups").says("list what else lies in the bucket");
    assert!(both.store().list("").unwrap().is_empty(), "the doctor left something");
}

fn raw(method: &str, path: &str) -> String {
    let output = Command::new("curl")
        .args(["--silent", "--user", "rootkey:rootsecret", "--aws-sigv4", "aws:amz:us-east-1:s3", "--request", method])
        .arg(format!("{}/{path}", url()))
        .output()
        .expect("curl is installed by `make setup`");
    assert!(output.status.success(), "{method} {path}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn versions_that_are_not_current_are_counted() {
    let prefix = unique("versions");
    let location = Location::parse(&format!("s3://locked/{prefix}")).unwrap();
    let store = open(&location, miyabi_backup::store::s3::Settings { login: keys("root"), ..settings() });
    let bytes = |store: &dyn Store| store.noncurrent().unwrap().unwrap();
    store.put_new(&Name::new("kept").unwrap(), b"kept").unwrap();
    store.put_new(&Name::new("hidden").unwrap(), b"seven b").unwrap();
    assert_eq!(bytes(store.as_ref()).bytes, 0);
    // What other tools do: they hide, and the bytes are still paid for.
    raw("DELETE", &format!("locked/{prefix}/hidden"));
    let found = bytes(store.as_ref());
    assert_eq!((found.versions, found.bytes), (1, 7));
    assert_eq!(open(&place("unversioned"), settings()).noncurrent().unwrap().unwrap().bytes, 0);

    // The probe of a key's rights leaves neither version nor marker, also where there are versions.
    let before = raw("GET", &format!("locked?prefix={prefix}&versions="));
    let excess = store.excess().unwrap();
    assert!(excess.contains(&Excess::Delete) && excess.contains(&Excess::DeleteVersions), "{excess:?}");
    let after = raw("GET", &format!("locked?prefix={prefix}&versions="));
    assert_eq!((before.matches("<VersionId>").count(), before.matches("<DeleteMarker>").count()), (3, 1), "{before}");
    assert_eq!(after.matches("<VersionId>").count(), 3, "{after}");
}
