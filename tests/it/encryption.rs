//! Archives for whom they are meant: sealed by us and opened by `age`, restored, damaged, passed on without a key.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::program::Sandbox;
use crate::restore_pipe::{piped, with_input};
use crate::sample;
use crate::util::TestDatabase;

const MAJOR: u32 = 16;

/// A private key in this file; the public one is returned.
pub fn age_key(sandbox: &Sandbox, file: &str) -> String {
    let path = sandbox.path(file);
    let made = Command::new("age-keygen").arg("-o").arg(&path).stderr(Stdio::null()).status();
    assert!(made.expect("age-keygen is installed by `make setup`").success());
    let shown = Command::new("age-keygen").arg("-y").arg(&path).output().unwrap();
    String::from_utf8(shown.stdout).unwrap().trim().to_owned()
}

fn ssh_key(sandbox: &Sandbox, file: &str, kind: &str) -> String {
    let path = sandbox.path(file);
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", kind, "-N", "", "-C", "someone@example.org", "-f"]).arg(&path);
    assert!(command.status().expect("ssh-keygen is installed by `make setup`").success());
    fs::read_to_string(path.with_extension("pub")).unwrap().trim().to_owned()
}

fn source(name: &str) -> TestDatabase {
    let source = TestDatabase::new(MAJOR, name);
    sample::fill(&source, 800);
    source.psql(
        "CREATE TABLE plain (a int, b text); INSERT INTO plain SELECT n, 'row ' || n FROM generate_series(1, 30000) n",
    );
    source
}

/// The one daily archive of a database, which is encrypted.
fn sealed(sandbox: &Sandbox) -> PathBuf {
    let mut found = sandbox.files(".sql.gz.age");
    found.retain(|path| path.to_string_lossy().contains("/daily/postgres-"));
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn opened_by_age(file: &Path, key: &Path) -> Vec<u8> {
    let output = Command::new("age").arg("-d").arg("-i").arg(key).arg(file).output().unwrap();
    assert!(output.status.success(), "age: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn an_archive_for_several_is_opened_by_each_and_by_age_itself() {
    let sandbox = Sandbox::new();
    let source = source("sealed_source");
    let public = age_key(&sandbox, "key.txt");
    let ssh = ssh_key(&sandbox, "id_ed25519", "ed25519");
    let rsa = ssh_key(&sandbox, "id_rsa", "rsa");
    fs::write(sandbox.path("team.txt"), format!("# the team\n{ssh}\n\n{rsa}\n")).unwrap();
    let url = source.url();
    let backup = ["backup", "--url", &url, "--to", "backups", "--encrypt-to", &public, "--encrypt-to", "team.txt"];
    sandbox.run(&backup).expect(0);
    let archive = sealed(&sandbox);
    assert_eq!(fs::metadata(&archive).unwrap().permissions().mode() & 0o777, 0o600);
    let everything = sandbox.files("");
    let open: Vec<_> = everything.iter().filter(|path| path.to_string_lossy().ends_with(".gz")).collect();
    assert!(open.is_empty(), "something was left open: {open:?}");
    let meta = fs::read_to_string(format!("{}.meta", archive.display())).unwrap();
    assert!(meta.contains(&public) && meta.contains("\"age\"") && !meta.contains("someone@example.org"), "{meta}");

    // Stock tools, with each of the keys.
    let plain = opened_by_age(&archive, &sandbox.path("key.txt"));
    assert!(plain == opened_by_age(&archive, &sandbox.path("id_ed25519")));
    fs::write(sandbox.path("plain.sql.gz"), &plain).unwrap();
    sandbox.run(&["verify", "plain.sql.gz"]).expect(0);

    let path = archive.to_str().unwrap();
    for key in ["key.txt", "id_ed25519", "id_rsa"] {
        sandbox.run(&["verify", path, "--identity", key]).expect(0).says("is sound");
    }
    sandbox.run(&["inspect", path, "--identity", "key.txt"]).expect(0).says("customers");
    sandbox.run(&["list", "--from", "backups"]).expect(0).says(".age");

    let copy = TestDatabase::planned(MAJOR, "sealed_copy");
    let restore = ["restore", "--from", "backups", "--file", "latest", "--name", &source.name, "--identity", "key.txt"];
    sandbox.run(&[&restore[..], &["--url", &copy.url(), "--confirm"]].concat()).expect(0);
    sample::assert_same(&source, &copy);
    let part = TestDatabase::new(MAJOR, "sealed_part");
    let table = ["restore", "--file", path, "--table", "public.plain", "--identity", "id_rsa", "--confirm"];
    sandbox.run(&[&table[..], &["--url", &part.url()]].concat()).expect(0);
    assert_eq!(part.psql("SELECT count(*), sum(a), max(b) FROM plain"), "30000|450015000|row 9999");
    // Through a pipe, decrypted on the way; one that is cut leaves nothing behind.
    let sealed_bytes = fs::read(&archive).unwrap();
    let through = TestDatabase::planned(MAJOR, "sealed_through");
    let url = through.url();
    let pipe = ["restore", "--file", "-", "--url", &url, "--identity", "id_ed25519", "--confirm"];
    for cut in [sealed_bytes.len() - 1, sealed_bytes.len() / 2] {
        with_input(&sandbox, &sealed_bytes[..cut], &pipe).expect(30);
        assert!(!through.exists(), "a pipe that was cut left a database behind");
    }
    with_input(&sandbox, &sealed_bytes, &pipe).expect(0);
    sample::assert_same(&source, &through);
    // What age decrypts goes in, too.
    let from_pipe = TestDatabase::planned(MAJOR, "sealed_pipe");
    piped(&sandbox, &plain, &from_pipe.url()).expect(0);
    sample::assert_same(&source, &from_pipe);
}

#[test]
fn without_its_key_an_archive_is_sealed_and_never_verified() {
    let sandbox = Sandbox::new();
    let source = source("sealed_keyless");
    let public = age_key(&sandbox, "key.txt");
    age_key(&sandbox, "other.txt");
    sandbox
        .run(&["backup", "--url", &source.url(), "--to", "backups", "--encrypt-to", &public, "--no-globals"])
        .expect(0);
    let archive = sealed(&sandbox);
    let path = archive.to_str().unwrap();
    sandbox.run(&["verify", "--from", "backups"]).expect(3).says("is sealed");
    sandbox.run(&["verify", path, "--identity", "other.txt"]).expect(3).says("none of the given keys");
    let target = TestDatabase::planned(MAJOR, "sealed_refused");
    let restore = |more: &[&str]| {
        let url = target.url();
        sandbox.run(&[&["restore", "--file", path, "--url", &url, "--confirm"][..], more].concat())
    };
    restore(&[]).expect(4).says("--identity");
    restore(&["--identity", "other.txt"]).expect(4).says("none of the given keys");
    let latest = ["restore", "--from", "backups", "--file", "latest", "--url", &target.url(), "--confirm"];
    sandbox.run(&latest).expect(5).says("no key was given");

    // A flipped byte is damage with the key, and against `.meta` without it.
    let mut bytes = fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&archive, &bytes).unwrap();
    sandbox.run(&["verify", path]).expect(30).says("SHA-256");
    sandbox.run(&["verify", path, "--identity", "key.txt"]).expect(30);
    restore(&["--identity", "key.txt"]).expect(30);
    assert!(!target.exists(), "a damaged archive left a database behind");
    // So is a cut at the end of a chunk, which only the mark of the last one tells.
    bytes[middle] ^= 1;
    let whole = bytes.len() - 200;
    fs::write(&archive, &bytes[..whole]).unwrap();
    sandbox.run(&["verify", path, "--identity", "key.txt"]).expect(30);
    sandbox.run(&["verify", path]).expect(30);
}

#[test]
fn a_passphrase_and_a_sqlite_file() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("app.db");
    let db = rusqlite::Connection::open(&file).unwrap();
    db.execute_batch("CREATE TABLE t (a INTEGER, b TEXT); INSERT INTO t VALUES (1, 'one'), (2, 'two')").unwrap();
    drop(db);
    fs::write(sandbox.path("phrase"), "correct horse battery staple\n").unwrap();
    fs::write(sandbox.path("wrong"), "wrong\n").unwrap();
    fs::write(sandbox.path("empty"), "\n").unwrap();
    sandbox.run(&["backup", "--file", "app.db", "--output", "app.age", "--passphrase-file", "empty"]).expect(2);
    sandbox.run(&["backup", "--file", "app.db", "--output", "app.age", "--passphrase-file", "phrase"]).expect(0);
    assert!(fs::read(sandbox.path("app.age")).unwrap().starts_with(b"age-encryption.org/v1\n-> scrypt "));
    sandbox.run(&["verify", "app.age", "--passphrase-file", "phrase"]).expect(0).says("is sound");
    sandbox.run(&["verify", "app.age", "--passphrase-file", "wrong"]).expect(3);
    let restore = ["restore", "--file", "app.age", "--database", "copy.db", "--confirm", "--passphrase-file", "phrase"];
    sandbox.run(&restore).expect(0);
    let copy = rusqlite::Connection::open(sandbox.path("copy.db")).unwrap();
    let rows: String = copy.query_row("SELECT group_concat(b) FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, "one,two");
    // A secret key on the machine that writes is a mistake.
    age_key(&sandbox, "key.txt");
    let secret = fs::read_to_string(sandbox.path("key.txt")).unwrap();
    let secret = secret.lines().last().unwrap().to_owned();
    let told = sandbox.run(&["backup", "--file", "app.db", "--output", "b.age", "--encrypt-to", &secret]);
    told.expect(2).says("secret key");
}

fn openssl(sandbox: &Sandbox, arguments: &[&str]) {
    let done = Command::new("openssl").args(arguments).current_dir(sandbox.path("")).stderr(Stdio::null()).status();
    assert!(done.expect("openssl is installed by `make setup`").success(), "{arguments:?}");
}

/// Whoever can write the place can make archives and `.meta` that fit each other, but no signature.
#[test]
fn a_backup_that_nobody_signed_is_refused_where_a_signature_is_asked_for() {
    let sandbox = Sandbox::new();
    let db = rusqlite::Connection::open(sandbox.path("app.db")).unwrap();
    db.execute_batch("CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1), (2)").unwrap();
    drop(db);
    for name in ["sign", "other"] {
        let (private, public) = (format!("{name}.pem"), format!("{name}.pub"));
        openssl(&sandbox, &["genpkey", "-algorithm", "ed25519", "-out", &private]);
        openssl(&sandbox, &["pkey", "-in", &private, "-pubout", "-out", &public]);
    }
    let public = age_key(&sandbox, "key.txt");
    let backup = ["backup", "--file", "app.db", "--to", "backups", "--sign-key", "sign.pem", "--encrypt-to", &public];
    sandbox.run(&backup).expect(0);
    sandbox.run(&["copy", "backups", "vault"]).expect(0);
    let verify = |place: &str, key: &str| {
        sandbox.run(&["verify", "--from", place, "--require-signature", key, "--identity", "key.txt"])
    };
    for place in ["backups", "vault"] {
        verify(place, "sign.pub").expect(0);
        verify(place, "other.pub").expect(30).says("not signed by the key");
    }
    let restore = |key: &str| {
        let latest = ["restore", "--from", "backups", "--file", "latest", "--type", "sqlite", "--confirm"];
        let with = ["--database", "copy.db", "--identity", "key.txt", "--require-signature", key];
        sandbox.run(&[&latest[..], &with].concat())
    };
    restore("other.pub").expect(5).says("not signed by the key");
    assert!(!sandbox.path("copy.db").exists());
    restore("sign.pub").expect(0);

    // Another archive in its place, with all that nobody needs a key for.
    fs::remove_dir_all(sandbox.path("backups")).unwrap();
    sandbox.run(&["backup", "--file", "app.db", "--to", "backups", "--encrypt-to", &public]).expect(0);
    verify("backups", "sign.pub").expect(30).says("is not signed");
    restore("sign.pub").expect(5).says("is not signed");
    let age = sandbox.files(".age").into_iter().find(|path| path.to_string_lossy().contains("/backups/")).unwrap();
    let named = ["restore", "--file", age.to_str().unwrap(), "--database", "other.db", "--confirm"];
    sandbox.run(&[&named[..], &["--identity", "key.txt", "--require-signature", "sign.pub"]].concat()).expect(30);
    let mut piped = sandbox.command(&[
        "restore",
        "--file",
        "-",
        "--database",
        "other.db",
        "--require-signature",
        "sign.pub",
        "--confirm",
    ]);
    piped.stdin(fs::File::open(&age).unwrap());
    sandbox.finish(piped).expect(4).says("no .meta");
}

/// Swapped after the check and before the restore: what was checked is restored, or nothing.
#[test]
fn what_was_checked_is_what_is_restored() {
    let sandbox = Sandbox::new();
    let fill = |file: &str, rows: u32| {
        let db = rusqlite::Connection::open(sandbox.path(file)).unwrap();
        db.execute_batch("CREATE TABLE t (a INTEGER, b TEXT)").unwrap();
        (0..rows).for_each(|row| _ = db.execute("INSERT INTO t VALUES (?1, hex(randomblob(500)))", [row]).unwrap());
    };
    fill("app.db", 5000);
    fill("evil.db", 6000);
    openssl(&sandbox, &["genpkey", "-algorithm", "ed25519", "-out", "sign.pem"]);
    openssl(&sandbox, &["pkey", "-in", "sign.pem", "-pubout", "-out", "sign.pub"]);
    let back_up = |file: &str, output: &str, more: &[&str]| {
        sandbox.run(&[&["backup", "--file", file, "--output", output][..], more].concat()).expect(0);
    };
    back_up("app.db", "app.db.gz", &["--sign-key", "sign.pem"]);
    back_up("evil.db", "evil.db.gz", &[]);
    fs::copy(sandbox.path("app.db.gz"), sandbox.path("kept")).unwrap();
    let restore = |swap: &str| {
        fs::copy(sandbox.path("kept"), sandbox.path("app.db.gz")).unwrap();
        fs::write(sandbox.path("miyabi-backup.toml"), format!("[restore]\nbefore_restore = \"{swap}\"\n")).unwrap();
        let _ = fs::remove_file(sandbox.path("copy.db"));
        let target = ["restore", "--file", "app.db.gz", "--database", "copy.db", "--confirm"];
        sandbox.run(&[&target[..], &["--require-signature", "sign.pub"]].concat())
    };
    let rows = || {
        let copy = rusqlite::Connection::open(sandbox.path("copy.db")).unwrap();
        copy.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, u32>(0)).unwrap()
    };
    restore("true").expect(0);
    assert_eq!(rows(), 5000);
    // Another file under the name: the one that was checked is still open.
    restore("cp evil.db.gz swapped && mv swapped app.db.gz").expect(0);
    assert_eq!(rows(), 5000);
    // The same file with other bytes.
    restore("cat evil.db.gz > app.db.gz").expect(30).says("changed after its signature had been checked");
    assert!(!sandbox.path("copy.db").exists());
    // One byte in the middle, which the archive's own checks could be made to fit.
    restore("printf x | dd of=app.db.gz bs=1 seek=1500000 conv=notrunc status=none").expect(30);
    assert!(!sandbox.path("copy.db").exists());
}
