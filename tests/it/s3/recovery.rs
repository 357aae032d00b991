//! The day after: one program, one object and its key, on a machine that has nothing else.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use super::server::{place, url};
use crate::encryption::age_key;
use crate::own_server::{OwnServer, Recipe};
use crate::program::Sandbox;
use crate::restore_parts::Role;
use crate::sample;
use crate::util::{TestDatabase, stock};

const MAJOR: u32 = 17;
const TRUST: &str = "host all all 127.0.0.1/32 trust\n";

/// What stock pg_dump makes of a database, to the byte, but for the token that it draws anew each time.
fn dumped(url: &str) -> String {
    let output = stock(MAJOR, "pg_dump").args(["-d", url]).output().unwrap();
    assert!(output.status.success(), "pg_dump: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let drawn = |line: &&str| !line.starts_with("\\restrict ") && !line.starts_with("\\unrestrict ");
    text.lines().filter(drawn).map(|line| format!("{line}\n")).collect()
}

/// A database whose objects belong to a role of their own, and its backup in a bucket: plain, and sealed for `key.txt`.
struct Vault {
    source: TestDatabase,
    owner: Role,
    sandbox: Sandbox,
    plain: String,
    sealed: String,
}

impl Vault {
    fn filled() -> Self {
        let (owner, source, sandbox) =
            (Role::new(MAJOR, "vault_owner"), TestDatabase::new(MAJOR, "vault"), Sandbox::new());
        sample::fill(&source, 800);
        source.psql(&format!(
            "ALTER TABLE customers OWNER TO {0}; GRANT SELECT ON orders TO {0}; CREATE SCHEMA apart AUTHORIZATION {0}; \
             SELECT lo_from_bytea(4711, decode(repeat('00ff5c', 999), 'hex'))",
            owner.name
        ));
        let public = age_key(&sandbox, "key.txt");
        let [plain, sealed] = ["vault_plain", "vault_sealed"].map(|label| place(label).to_string());
        let vault = Vault { source, owner, sandbox, plain, sealed };
        vault.back_up(&vault.plain, &[]);
        vault.back_up(&vault.sealed, &["--encrypt-to", &public]);
        vault
    }

    fn back_up(&self, to: &str, more: &[&str]) {
        let url = self.source.url();
        let mut command = self.sandbox.command(&["backup", "postgres", "--url", &url, "--to", to, "--no-globals"]);
        self.sandbox.finish(with_keys(command.args(more))).expect(0);
    }

    /// The daily archive below a place, as `s3://bucket/key`.
    fn archive(&self, at: &str) -> String {
        let mut command = self.sandbox.command(&["list", "--from", at, "--json"]);
        let listed = self.sandbox.finish(with_keys(&mut command)).expect(0).json();
        let paths = listed["backups"].as_array().unwrap().iter().map(|row| row["path"].as_str().unwrap());
        let daily: Vec<_> = paths.filter(|path| path.contains("/daily/")).collect();
        assert_eq!(daily.len(), 1, "{listed}");
        format!("{at}/{}", daily[0])
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        // The role goes last, and owns things in the database.
        let drops = format!("DROP OWNED BY {} CASCADE", self.owner.name);
        drop(crate::util::psql_output(MAJOR, &self.source.url(), &drops));
    }
}

/// A copy of the command with the way into the bucket.
fn with_keys(command: &mut Command) -> Command {
    let mut known = Command::new(command.get_program());
    known.args(command.get_args()).envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    known.env("AWS_ENDPOINT_URL", url()).env("AWS_ACCESS_KEY_ID", "testkey").env("AWS_SECRET_ACCESS_KEY", "testsecret");
    known.current_dir(command.get_current_dir().unwrap());
    known.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    known
}

/// A machine of which there is nothing but a folder with the program in it and an empty server.
struct Fresh {
    folder: TempDir,
    server: OwnServer,
}

impl Fresh {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::copy(env!("CARGO_BIN_EXE_miyabi-backup"), folder.path().join("miyabi-backup")).unwrap();
        Fresh { folder, server: OwnServer::start(MAJOR, &Recipe { hba: TRUST, settings: &[], files: &[] }) }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn url(&self, database: &str) -> String {
        self.server.admin_url().replace("/postgres?", &format!("/{database}?"))
    }

    /// `restore` with these variables and no others.
    #[track_caller]
    fn restore(&self, file: &str, database: &str, more: &[&str], variables: &[(&str, &str)]) {
        let target = self.url(database);
        let mut command = Command::new(self.path("miyabi-backup"));
        command.env_clear().envs(variables.iter().copied()).current_dir(self.folder.path()).stdin(Stdio::null());
        command.args([
            "restore",
            "--file",
            file,
            "--url",
            &target,
            "--create-roles",
            "--confirm",
            "--state-dir",
            "state",
        ]);
        let Output { status, stdout, stderr } = command.args(more).output().unwrap();
        let told = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        assert!(status.success(), "{status}: {file}\n{}\n{}", told[0], told[1]);
    }
}

/// Brings one object by a stock tool, as whoever has nothing but the key would.
fn fetch(object: &str, to: &Path) {
    let from = format!("{}/{}", url(), object.trim_start_matches("s3://"));
    let fetched = Command::new("curl")
        .args(["--silent", "--fail", "--user", "testkey:testsecret", "--aws-sigv4", "aws:amz:us-east-1:s3", "--output"])
        .arg(to)
        .arg(from)
        .status();
    assert!(fetched.expect("curl is installed by `make setup`").success(), "{object} could not be fetched");
}

#[test]
fn the_program_the_object_and_the_key_are_enough() {
    let (vault, fresh) = (Vault::filled(), Fresh::new());
    let expected = dumped(&vault.source.url());
    assert!(expected.contains(&vault.owner.name) && expected.contains("COPY public.customers"), "{expected}");
    let same = |database: &str| {
        let found = dumped(&fresh.url(database));
        let differs = expected.lines().zip(found.lines()).find(|(one, other)| one != other);
        assert!(found == expected, "{database} is not its source: {differs:?}");
    };
    fs::copy(vault.sandbox.path("key.txt"), fresh.path("key.txt")).unwrap();
    let endpoint = url();
    let bucket = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "testkey"),
        ("AWS_SECRET_ACCESS_KEY", "testsecret"),
    ];
    let (plain, sealed) = (vault.archive(&vault.plain), vault.archive(&vault.sealed));

    // Out of the bucket, sealed; the newest that there is.
    let newest = ["--from", vault.sealed.as_str(), "--identity", "key.txt"];
    fresh.restore("latest", "out_of_the_bucket", &newest, &bucket);
    same("out_of_the_bucket");
    // The plain one, by its name: sealing changes nothing.
    fresh.restore(&plain, "plain", &[], &bucket);
    same("plain");
    // The object alone, without the `.meta` beside it, and not one variable.
    fetch(&sealed, &fresh.path("object"));
    fresh.restore("object", "object_alone", &["--identity", "key.txt"], &[]);
    same("object_alone");
}
