//! An object that is another one after its signature was checked: what was checked is restored, or nothing.

use std::fs;
use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use miyabi_backup::store::Name;
use miyabi_backup::store::s3::Location;

use super::proxy::{Action, Proxy};
use super::server::{self, place, url};
use crate::program::{Outcome, Sandbox};

const OBJECT: &str = "app.db.gz";

/// A signed archive in a bucket, and another sound one that nobody signed.
struct Vault {
    sandbox: Sandbox,
    place: String,
    signed: Vec<u8>,
    evil: Vec<u8>,
}

impl Vault {
    fn new(label: &str) -> Self {
        let sandbox = Sandbox::new();
        let openssl = |arguments: &[&str]| {
            let done = Command::new("openssl").args(arguments).current_dir(sandbox.path("")).output();
            assert!(done.expect("openssl is installed by `make setup`").status.success(), "{arguments:?}");
        };
        openssl(&["genpkey", "-algorithm", "ed25519", "-out", "sign.pem"]);
        openssl(&["pkey", "-in", "sign.pem", "-pubout", "-out", "sign.pub"]);
        for file in ["app", "bad"] {
            let db = rusqlite::Connection::open(sandbox.path(format!("{file}.db"))).unwrap();
            db.execute_batch("CREATE TABLE t (a INTEGER, b TEXT, c BLOB)").unwrap();
            // More than is held of what was read before.
            let rows = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 5000)
                        INSERT INTO t SELECT n, ?1, randomblob(12000) FROM n";
            db.execute(rows, [file]).unwrap();
            drop(db);
            let more: &[&str] = if file == "app" { &["--sign-key", "sign.pem"] } else { &[] };
            let (from, output) = (format!("{file}.db"), format!("{file}.db.gz"));
            let backup = ["backup", "--file", &from, "--output", &output, "--compress", "none"];
            sandbox.run(&[&backup, more].concat()).expect(0);
        }
        let read = |file: &str| fs::read(sandbox.path(file)).unwrap();
        let (signed, evil) = (read("app.db.gz"), read("bad.db.gz"));
        let vault = Vault { place: place(label).to_string(), signed, evil, sandbox };
        vault.put(&format!("{OBJECT}.meta"), &read_meta(&vault.sandbox));
        vault
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let store = server::open(&Location::parse(&self.place).unwrap(), server::settings());
        let name = Name::new(name).unwrap();
        let _ = store.delete(&name);
        let mut upload = store.begin(&name).unwrap();
        upload.write_all(bytes).unwrap();
        upload.publish(&mut |_| Ok(())).unwrap();
    }

    /// Restores, and does something at the moment between check and restore.
    fn restore(&self, endpoint: &str, meanwhile: impl FnOnce() + Send) -> Outcome {
        let file = |name: &str| self.sandbox.path(name);
        for name in ["checked", "swapped", "copy.db"] {
            let _ = fs::remove_file(file(name));
        }
        let hook = "touch checked; while [ ! -e swapped ]; do sleep 0.02; done";
        fs::write(file("miyabi-backup.toml"), format!("[restore]\nbefore_restore = \"{hook}\"\n")).unwrap();
        let object = format!("{}/{OBJECT}", self.place);
        let restore = ["restore", "--file", &object, "--database", "copy.db", "--confirm"];
        let mut command = self.sandbox.command(&[&restore[..], &["--require-signature", "sign.pub"]].concat());
        command.env("AWS_ENDPOINT_URL", endpoint);
        command.env("AWS_ACCESS_KEY_ID", "testkey").env("AWS_SECRET_ACCESS_KEY", "testsecret");
        // One that is refused by the check itself never comes to the hook.
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !file("checked").exists() {
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                    thread::sleep(Duration::from_millis(10));
                }
                meanwhile();
                fs::write(file("swapped"), "").unwrap();
            });
            let outcome = self.sandbox.finish(command);
            is_over.store(true, Ordering::SeqCst);
            outcome
        })
    }

    /// Whose rows the restored file has.
    fn restored(&self) -> Option<String> {
        let path = self.sandbox.path("copy.db");
        path.exists().then(|| {
            let copy = rusqlite::Connection::open(path).unwrap();
            copy.query_row("SELECT min(b) || count(*) FROM t WHERE b = (SELECT max(b) FROM t)", [], |row| row.get(0))
                .unwrap()
        })
    }
}

fn read_meta(sandbox: &Sandbox) -> Vec<u8> {
    fs::read(sandbox.path("app.db.gz.meta")).unwrap()
}

#[test]
fn an_object_that_was_overwritten_after_the_check_is_not_restored() {
    let vault = Vault::new("swapped");
    vault.put(OBJECT, &vault.signed);
    vault.restore(&url(), || {}).expect(0);
    assert_eq!(vault.restored().as_deref(), Some("app5000"));

    vault.restore(&url(), || vault.put(OBJECT, &vault.evil)).expect_failure();
    assert_eq!(vault.restored(), None);
    // Nor is what stands there now, which nobody signed.
    vault.restore(&url(), || {}).expect(30);
    assert_eq!(vault.restored(), None);
    // One byte.
    vault.put(OBJECT, &vault.signed);
    let mut flipped = vault.signed.clone();
    flipped[vault.signed.len() / 2] ^= 1;
    vault.restore(&url(), || vault.put(OBJECT, &flipped)).expect_failure();
    assert_eq!(vault.restored(), None);
}

/// The store itself may be the attacker: it answers with other bytes, under the ETag that it was asked for.
#[test]
fn a_store_that_answers_with_another_object_after_the_check_is_seen_through() {
    let vault = Vault::new("lying");
    vault.put(OBJECT, &vault.signed);
    let mut evil = vault.evil.clone();
    evil.resize(vault.signed.len(), 0);
    let (evil, lies) = (Arc::new(evil), Arc::new(AtomicBool::new(false)));
    let judge_lies = Arc::clone(&lies);
    let proxy = Proxy::start(&url(), move |request| {
        let is_read =
            request.method == "GET" && request.target.split('?').next().is_some_and(|path| path.ends_with(OBJECT));
        match is_read && judge_lies.load(Ordering::SeqCst) {
            true => Action::Instead(Arc::clone(&evil)),
            false => Action::Pass,
        }
    });
    let outcome = vault.restore(&proxy.url, || lies.store(true, Ordering::SeqCst));
    assert!(proxy.log().iter().any(|line| line.contains("Instead")), "the proxy was not asked: {:#?}", proxy.log());
    outcome.expect(30).says("changed after its signature had been checked");
    assert_eq!(vault.restored(), None);
}
