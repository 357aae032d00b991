//! `--encrypt gpg`: what we wrote and `gpg -d` opens, what `gpg --symmetric` wrote and we open, and what neither believes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::program::Sandbox;
use crate::restore_pipe::{piped, with_input};
use crate::sample;
use crate::util::{TestDatabase, bin_dir, stock};

const MAJOR: u32 = 17;
const OPEN: [&str; 2] = ["--passphrase-file", "phrase"];

/// A sandbox with the files `phrase` and `wrong`, and a gpg whose agent ends with it.
struct Gpg {
    sandbox: Sandbox,
    home: tempfile::TempDir,
}

impl Gpg {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        // gpg takes the first line, whatever follows.
        fs::write(sandbox.path("phrase"), "correct horse battery staple\nmore\n").unwrap();
        fs::write(sandbox.path("wrong"), "wrong\n").unwrap();
        Gpg { sandbox, home: tempfile::tempdir().unwrap() }
    }

    fn run(&self, arguments: &[&str], input: &Path) -> Vec<u8> {
        let mut command = Command::new("gpg");
        command.args(["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase-file"]);
        command.arg(self.sandbox.path("phrase")).args(arguments).env("GNUPGHOME", self.home.path());
        command.stdin(fs::File::open(input).unwrap()).stderr(Stdio::piped());
        let done = command.output().expect("gpg is installed by `make setup`");
        assert!(done.status.success(), "gpg {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        done.stdout
    }

    fn opens(&self, file: &Path) -> Vec<u8> {
        self.run(&["-d"], file)
    }

    /// As one does by hand: `gpg --symmetric --cipher-algo AES256 FILE`.
    fn seals(&self, name: &str) -> String {
        let sealed = self.run(&["--symmetric", "--cipher-algo", "AES256"], &self.sandbox.path(name));
        fs::write(self.sandbox.path(format!("{name}.gpg")), sealed).unwrap();
        format!("{name}.gpg")
    }

    /// A SQLite file with rows that do not compress.
    fn sqlite(&self, name: &str, rows: u32) {
        let db = rusqlite::Connection::open(self.sandbox.path(name)).unwrap();
        db.execute_batch("CREATE TABLE t (a INTEGER, b TEXT)").unwrap();
        (0..rows).for_each(|row| _ = db.execute("INSERT INTO t VALUES (?1, hex(randomblob(500)))", [row]).unwrap());
    }

    fn rows(&self, name: &str) -> u32 {
        let db = rusqlite::Connection::open(self.sandbox.path(name)).unwrap();
        db.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        // Without an agent that was started there is nothing to end.
        let _ = Command::new("gpgconf").args(["--kill", "gpg-agent"]).env("GNUPGHOME", self.home.path()).status();
    }
}

fn with<'a>(arguments: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [arguments, more].concat()
}

fn daily(sandbox: &Sandbox, place: &str) -> PathBuf {
    let mut found = sandbox.files(".sql.gz.gpg");
    found.retain(|path| path.to_string_lossy().contains(&format!("/{place}/postgres/daily/postgres-")));
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn stock_tools_open_what_a_backup_wrote_and_so_do_we() {
    let gpg = Gpg::new();
    let sandbox = &gpg.sandbox;
    let source = TestDatabase::new(MAJOR, "gpg_source");
    sample::fill(&source, 800);
    let url = source.url();
    let backup = ["backup", "--url", &url, "--to", "backups", "--to", "second", "--encrypt", "gpg"];
    sandbox.run(&with(&backup, &OPEN)).expect(0);
    let archive = daily(sandbox, "backups");
    let path = archive.to_str().unwrap();
    assert!(fs::read(&archive).unwrap() == fs::read(daily(sandbox, "second")).unwrap());
    let open: Vec<_> = sandbox.files(".gz").into_iter().chain(sandbox.files(".age")).collect();
    assert!(open.is_empty(), "something was left open: {open:?}");
    let meta = fs::read_to_string(format!("{path}.meta")).unwrap();
    assert!(meta.contains("\"method\": \"gpg\"") && !meta.contains("horse"), "{meta}");
    // The second run of the day makes no more tiers: they are known by their names.
    let before = sandbox.files(".sql.gz.gpg").len();
    sandbox
        .run(&with(&["backup", "--url", &url, "--to", "backups", "--no-globals", "--encrypt", "gpg"], &OPEN))
        .expect(0);
    assert_eq!(sandbox.files(".sql.gz.gpg").len(), before + 1);
    sandbox.run(&["list", "--from", "backups"]).expect(0).says(".gz.gpg");
    sandbox.run(&["copy", "backups", "third"]).expect(0);
    sandbox.run(&["prune", "--from", "backups", "--dry-run"]).expect(0);

    // `gpg -d F | gunzip | psql`
    let plain = gpg.opens(&archive);
    fs::write(sandbox.path("plain.sql.gz"), &plain).unwrap();
    sandbox.run(&["verify", "plain.sql.gz"]).expect(0).says("is sound");
    let by_hand = TestDatabase::new(MAJOR, "gpg_by_hand");
    let script = format!(
        "gunzip -c plain.sql.gz | {}/psql -X -q -v ON_ERROR_STOP=1 -d '{}'",
        bin_dir(MAJOR).display(),
        by_hand.url()
    );
    let psql = Command::new("sh").args(["-c", &script]).current_dir(sandbox.path("")).output().unwrap();
    assert!(psql.status.success(), "{}", String::from_utf8_lossy(&psql.stderr));
    sample::assert_same(&source, &by_hand);

    sandbox.run(&["verify", path]).expect(3).says("is sealed").says("no passphrase was given");
    sandbox.run(&["verify", path, "--passphrase-file", "wrong"]).expect(3).says("does not open it");
    sandbox.run(&with(&["verify", "--from", "backups"], &OPEN)).expect(0);
    sandbox.run(&with(&["verify", "third"], &OPEN)).expect(0);
    sandbox.run(&["inspect", path]).says("encrypted by gpg");
    sandbox.run(&with(&["inspect", path], &OPEN)).expect(0).says("customers");

    let target = TestDatabase::planned(MAJOR, "gpg_target");
    let target_url = target.url();
    let restore = ["restore", "--url", &target_url, "--confirm", "--file"];
    sandbox.run(&with(&restore, &[path])).expect(4).says("--passphrase-file");
    sandbox.run(&with(&restore, &[path, "--passphrase-file", "wrong"])).expect(4).says("does not open it");
    assert!(!target.exists());
    sandbox.run(&with(&with(&restore, &[path]), &OPEN)).expect(0);
    sample::assert_same(&source, &target);
    let latest = ["latest", "--from", "third", "--name", &source.name];
    sandbox.run(&with(&with(&restore, &latest), &OPEN)).expect(0).says("_before_restore_");
    // From a pipe: sealed, and opened by gpg before.
    let sealed = fs::read(&archive).unwrap();
    with_input(sandbox, &sealed, &with(&with(&restore, &["-"]), &OPEN)).expect(0);
    piped(sandbox, &plain, &target_url).expect(0);
    sample::assert_same(&source, &target);
    sandbox.run(&with(&with(&restore, &[path, "--table", "customers"]), &OPEN)).expect(2).says("gpg -d");
}

#[test]
fn what_was_cut_or_flipped_changes_nothing() {
    let gpg = Gpg::new();
    let sandbox = &gpg.sandbox;
    let source = TestDatabase::new(MAJOR, "gpg_damage");
    sample::fill(&source, 800);
    sandbox
        .run(&with(&["backup", "--url", &source.url(), "--output", "whole.sql.gz.gpg", "--encrypt", "gpg"], &OPEN))
        .expect(0);
    let whole = fs::read(sandbox.path("whole.sql.gz.gpg")).unwrap();
    let target = TestDatabase::new(MAJOR, "gpg_kept");
    target.psql("CREATE TABLE old (a int); INSERT INTO old VALUES (42)");
    let url = target.url();
    let refused = |bytes: &[u8], what: &str| {
        fs::write(sandbox.path("spoilt.sql.gz.gpg"), bytes).unwrap();
        let restore = ["restore", "--file", "spoilt.sql.gz.gpg", "--url", &url, "--confirm"];
        sandbox.run(&with(&restore, &OPEN)).expect(30);
        sandbox.run(&with(&["verify", "spoilt.sql.gz.gpg"], &OPEN)).expect(30);
        assert_eq!(target.psql("SELECT a FROM old"), "42", "{what}");
    };
    let len = whole.len();
    for cut in [len - 1, len - 22, len / 2, len / 7, 100] {
        refused(&whole[..cut], &format!("cut at {cut}"));
    }
    // The last ones are in the digest alone: all of the archive itself is right.
    for at in [200, len / 3, len / 2, len - 40, len - 20, len - 1] {
        let mut flipped = whole.clone();
        flipped[at] ^= 4;
        refused(&flipped, &format!("flipped at {at}"));
    }
    refused(&[&whole[..], b"more"].concat(), "with more behind it");
    assert_eq!(target.psql("SELECT count(*) FROM pg_database WHERE starts_with(datname, current_database())"), "1");
}

/// The way it is done by hand: `pg_dump | gzip`, `gpg --symmetric --cipher-algo AES256`.
#[test]
fn what_gpg_itself_encrypted_comes_back_by_file_and_by_pipe() {
    let gpg = Gpg::new();
    let sandbox = &gpg.sandbox;
    let source = TestDatabase::new(MAJOR, "gpg_manual");
    sample::fill(&source, 500);
    sandbox.run(&["backup", "--url", &source.url(), "--output", "ours.sql.gz"]).expect(0);
    let dump = stock(MAJOR, "pg_dump").args(["-d", &source.url()]).output().unwrap();
    assert!(dump.status.success());
    fs::write(sandbox.path("theirs.sql"), dump.stdout).unwrap();
    assert!(Command::new("gzip").args(["-9", "-k"]).arg(sandbox.path("theirs.sql")).status().unwrap().success());
    for name in ["ours.sql.gz", "theirs.sql.gz", "theirs.sql"] {
        let sealed = gpg.seals(name);
        let target = TestDatabase::planned(MAJOR, "gpg_manual_copy");
        let url = target.url();
        sandbox.run(&with(&["verify", &sealed], &OPEN)).expect(0);
        let mut cut = fs::read(sandbox.path(&sealed)).unwrap();
        cut.truncate(cut.len() - 1);
        fs::write(sandbox.path("cut.gpg"), cut).unwrap();
        sandbox.run(&with(&["verify", "cut.gpg"], &OPEN)).expect(30);
        sandbox.run(&with(&["restore", "--file", "cut.gpg", "--url", &url, "--confirm"], &OPEN)).expect(30);
        assert!(!target.exists(), "{name}: a file that was cut left a database behind");
        sandbox.run(&with(&["restore", "--file", &sealed, "--url", &url, "--confirm"], &OPEN)).expect(0);
        sample::assert_same(&source, &target);
        // gpg -d F | miyabi-backup restore --file - --confirm
        piped(sandbox, &gpg.opens(&sandbox.path(&sealed)), &url).expect(0);
        sample::assert_same(&source, &target);
    }
}

#[test]
fn a_sqlite_file_goes_there_and_back() {
    let gpg = Gpg::new();
    let sandbox = &gpg.sandbox;
    gpg.sqlite("app.db", 3000);
    sandbox
        .run(&with(&["backup", "sqlite", "--file", "app.db", "--to", "backups", "--encrypt", "gpg"], &OPEN))
        .expect(0);
    let archives = sandbox.files(".db.gz.gpg");
    assert_eq!(archives.len(), 3, "one for each tier: {archives:?}");
    let path = archives.iter().find(|path| path.to_string_lossy().contains("/daily/")).unwrap().to_str().unwrap();
    fs::write(sandbox.path("plain.db.gz"), gpg.opens(Path::new(path))).unwrap();
    let unpacked = Command::new("gunzip").arg(sandbox.path("plain.db.gz")).status().unwrap();
    assert!(unpacked.success());
    assert_eq!(gpg.rows("plain.db"), 3000);
    sandbox.run(&with(&["verify", "backups"], &OPEN)).expect(0).says("sound");
    sandbox.run(&with(&["inspect", path], &OPEN)).expect(0).says("3,000 rows");
    let restore = ["restore", "--file", path, "--database", "copy.db", "--confirm"];
    let whole = fs::read(path).unwrap();
    for spoil in [0, 1] {
        let mut spoilt = whole.clone();
        let last = spoilt.len() - 1;
        if spoil == 0 {
            spoilt.truncate(last)
        } else {
            spoilt[last] ^= 1
        }
        fs::write(path, spoilt).unwrap();
        sandbox.run(&with(&restore, &OPEN)).expect(30);
        assert!(!sandbox.path("copy.db").exists() && sandbox.staging_files().is_empty());
        sandbox.run(&with(&["verify", path], &OPEN)).expect(30);
    }
    fs::write(path, whole).unwrap();
    sandbox.run(&with(&restore, &OPEN)).expect(0);
    assert_eq!(gpg.rows("copy.db"), 3000);
    let settings = "passphrase_file = \"phrase\"\nencrypt = \"gpg\"\n[[sqlite]]\npath = \"app.db\"\n";
    fs::write(sandbox.path("miyabi-backup.toml"), settings).unwrap();
    // By the configuration alone; restored for trial, page by page.
    sandbox.run(&["backup", "all", "--no-globals"]).expect(0);
    assert_eq!(sandbox.files(".db.gz.gpg").len(), 4);
    sandbox.run(&["drill"]).expect(0).says("1 of 1 drills succeeded");
    sandbox.run(&["salvage", path, "--output", "rescued.db.gz"]).expect_failure().says("gpg -d");
}

/// Under a name that looks like one of ours: whoever encrypted it decides when it goes.
#[test]
fn rotation_leaves_alone_what_somebody_encrypted_by_hand() {
    let gpg = Gpg::new();
    let sandbox = &gpg.sandbox;
    gpg.sqlite("app.db", 10);
    sandbox.run(&["backup", "sqlite", "--file", "app.db"]).expect(0);
    let daily = sandbox.daily("app");
    let by_hand = daily.with_file_name("sqlite-app-20250101-030000.db.gz.gpg");
    fs::write(&by_hand, gpg.run(&["--symmetric"], &daily)).unwrap();
    sandbox.run(&["backup", "sqlite", "--file", "app.db"]).expect(0);
    sandbox.run(&["prune"]).expect(0);
    assert!(by_hand.exists(), "an archive that is not ours is gone");
}

/// What of gpg's we cannot open is sent to gpg, and is not called damaged.
#[test]
fn other_forms_of_gpg_are_no_damage() {
    let gpg = Gpg::new();
    let sandbox = &gpg.sandbox;
    fs::write(sandbox.path("a.sql"), "SELECT 1;\n".repeat(1000)).unwrap();
    for options in [["--compress-algo", "bzip2"], ["--cipher-algo", "3DES"]] {
        let sealed = gpg.run(&with(&["--symmetric"], &options), &sandbox.path("a.sql"));
        fs::write(sandbox.path("a.sql.gpg"), sealed).unwrap();
        let restore = ["restore", "--file", "a.sql.gpg", "--url", "postgres://nobody@127.0.0.1:1/x", "--confirm"];
        let outcome = sandbox.run(&with(&restore, &OPEN)).expect_failure();
        let stderr = outcome.stderr();
        assert!(stderr.contains("gpg -d") && !stderr.contains("damaged"), "{options:?}: {stderr}");
    }
}

fn openssl(sandbox: &Sandbox, arguments: &[&str]) {
    let done = Command::new("openssl").args(arguments).current_dir(sandbox.path("")).stderr(Stdio::null()).status();
    assert!(done.expect("openssl is installed by `make setup`").success(), "{arguments:?}");
}

/// A passphrase that many know says nothing of who made a backup: the signature does, and what it was checked for is restored.
#[test]
fn a_signature_is_asked_for_beside_the_passphrase() {
    let gpg = Gpg::new();
    let sandbox = &gpg.sandbox;
    gpg.sqlite("app.db", 5000);
    gpg.sqlite("evil.db", 6000);
    for name in ["sign", "other"] {
        openssl(sandbox, &["genpkey", "-algorithm", "ed25519", "-out", &format!("{name}.pem")]);
        openssl(sandbox, &["pkey", "-in", &format!("{name}.pem"), "-pubout", "-out", &format!("{name}.pub")]);
    }
    let back_up = |file: &str, more: &[&str]| {
        let output = format!("{file}.gz.gpg");
        let line = with(&["backup", "--file", file, "--output", &output, "--encrypt", "gpg"], &OPEN);
        sandbox.run(&with(&line, more)).expect(0);
    };
    back_up("app.db", &["--sign-key", "sign.pem"]);
    back_up("evil.db", &[]);
    gpg.opens(&sandbox.path("app.db.gz.gpg"));
    let verify = |file: &str, key: &str| sandbox.run(&with(&["verify", file, "--require-signature", key], &OPEN));
    verify("app.db.gz.gpg", "sign.pub").expect(0).says("is sound");
    verify("app.db.gz.gpg", "other.pub").expect(30).says("not signed by the key");
    verify("evil.db.gz.gpg", "sign.pub").expect(30).says("is not signed");

    let restore = |file: &str, key: &str, swap: &str| {
        fs::write(sandbox.path("miyabi-backup.toml"), format!("[restore]\nbefore_restore = \"{swap}\"\n")).unwrap();
        let _ = fs::remove_file(sandbox.path("copy.db"));
        let target = ["restore", "--file", file, "--database", "copy.db", "--confirm", "--require-signature", key];
        sandbox.run(&with(&target, &OPEN))
    };
    fs::copy(sandbox.path("app.db.gz.gpg"), sandbox.path("kept")).unwrap();
    for (file, key) in [("app.db.gz.gpg", "other.pub"), ("evil.db.gz.gpg", "sign.pub")] {
        restore(file, key, "true").expect(30);
        assert!(!sandbox.path("copy.db").exists());
    }
    restore("app.db.gz.gpg", "sign.pub", "true").expect(0);
    assert_eq!(gpg.rows("copy.db"), 5000);
    // Between the check and the restore: another file under the name, then other bytes in the same file.
    restore("app.db.gz.gpg", "sign.pub", "cp evil.db.gz.gpg swapped && mv swapped app.db.gz.gpg").expect(0);
    assert_eq!(gpg.rows("copy.db"), 5000);
    fs::copy(sandbox.path("kept"), sandbox.path("app.db.gz.gpg")).unwrap();
    restore("app.db.gz.gpg", "sign.pub", "cat evil.db.gz.gpg > app.db.gz.gpg").expect(30);
    assert!(!sandbox.path("copy.db").exists() && sandbox.staging_files().is_empty());

    // The whole of it from a tree, by the configuration alone.
    let settings = "passphrase_file = \"phrase\"\nencrypt = \"gpg\"\nsign_key = \"sign.pem\"\nrequire_signature = \"sign.pub\"\n\
        [[sqlite]]\npath = \"app.db\"\n";
    fs::write(sandbox.path("miyabi-backup.toml"), settings).unwrap();
    sandbox.run(&["backup"]).expect(0);
    sandbox.run(&["verify"]).expect(0);
    sandbox.run(&["drill"]).expect(0).says("1 of 1 drills succeeded");
    sandbox.run(&["restore", "--file", "latest", "--type", "sqlite", "--database", "new.db", "--confirm"]).expect(0);
    assert_eq!(gpg.rows("new.db"), 5000);
}

#[test]
fn what_does_not_go_together_is_told() {
    let gpg = Gpg::new();
    let sandbox = &gpg.sandbox;
    gpg.sqlite("app.db", 1);
    let backup = |more: &[&str]| sandbox.run(&with(&["backup", "--file", "app.db", "--output", "out.db.gz.gpg"], more));
    let age = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    backup(&["--encrypt", "gpg"]).expect(2).says("--passphrase-file");
    backup(&["--encrypt", "age"]).expect(2).says("--encrypt-to");
    backup(&["--encrypt", "pgp"]).expect(2).says("neither age nor gpg");
    backup(&["--encrypt", "gpg", "--encrypt-to", age]).expect(2).says("--encrypt-to").says("by a passphrase");
    backup(&with(&["--encrypt", "gpg", "--encrypt-to", age], &OPEN)).expect(2);
    // gpg would take the first line for another passphrase.
    fs::write(sandbox.path("windows"), "correct horse\r\n").unwrap();
    backup(&["--encrypt", "gpg", "--passphrase-file", "windows"]).expect(2).says("carriage return").hints();
    assert!(sandbox.files(".gpg").is_empty());
    backup(&with(&["--encrypt", "age"], &OPEN)).expect(0);
    assert!(fs::read(sandbox.path("out.db.gz.gpg")).unwrap().starts_with(b"age-encryption.org/"));
}
