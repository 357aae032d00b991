//! What tests share: where the servers are, their stock tools, throwaway databases, names that do not clash.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Every major that we support; `make test` starts one server of each.
pub const MAJORS: [u32; 6] = [13, 14, 15, 16, 17, 18];

/// One line that a script left about the test server `server`.
pub fn fact_of(server: &str, name: &str, started_by: &str) -> String {
    let folder = std::env::var_os("MIYABI_TEST_SERVERS")
        .filter(|folder| !folder.is_empty())
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".servers"), PathBuf::from);
    let file = folder.join(server).join(name);
    match std::fs::read_to_string(&file) {
        Ok(text) => text.trim().to_owned(),
        Err(cause) => panic!(
            "no server {server} to test with ({}: {cause}); run `make test`, or `{started_by}` once",
            file.display()
        ),
    }
}

fn fact(major: u32, name: &str) -> String {
    fact_of(&major.to_string(), name, "scripts/servers.sh start")
}

/// `postgres://postgres@127.0.0.1:PORT` of the test server of this major, without a database.
pub fn server_url(major: u32) -> String {
    fact(major, "url")
}

/// Where `postgres`, `initdb`, `pg_ctl` of this major are, and from 14 on `psql`, `pg_dump` and the other clients.
pub fn bin_dir(major: u32) -> PathBuf {
    fact(major, "bindir").into()
}

/// What `LD_LIBRARY_PATH` must name for the programs in [`bin_dir`].
pub fn lib_dir(major: u32) -> PathBuf {
    fact(major, "libdir").into()
}

/// A stock client of this major, ready for arguments. The build of 13 is a server alone: 14's clients serve it.
pub fn stock(major: u32, program: &str) -> Command {
    let major = major.max(14);
    let mut command = Command::new(bin_dir(major).join(program));
    command.env("LD_LIBRARY_PATH", lib_dir(major)).env("PGOPTIONS", "").env("LC_ALL", "C.UTF-8");
    command
}

/// Feeds a script to stock psql; the caller judges the outcome.
pub fn psql_output(major: u32, url: &str, script: &str) -> Output {
    let mut command = stock(major, "psql");
    command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", url]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("psql starts");
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    let script = script.to_owned();
    // psql may stop reading at the first error: a broken pipe is its answer, not ours
    let feeder = std::thread::spawn(move || drop(stdin.write_all(script.as_bytes())));
    let output = child.wait_with_output().expect("psql ends");
    feeder.join().expect("the feeder ends");
    output
}

/// Runs SQL at `url` by stock psql and gives what it prints: unaligned, `|` between columns. Panics if a statement fails.
pub fn psql(major: u32, url: &str, sql: &str) -> String {
    let output = psql_output(major, url, sql);
    assert!(
        output.status.success(),
        "psql {major} failed\n--- sql\n{sql}\n--- stderr\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("psql prints UTF-8").trim_end_matches('\n').to_owned()
}

/// A database or folder name that no other test of this or another run uses.
pub fn unique(stem: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{stem}_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// An empty database of its own name, dropped at the end of the test, also when the test fails.
pub struct TestDatabase {
    pub major: u32,
    pub name: String,
}

impl TestDatabase {
    pub fn new(major: u32, stem: &str) -> Self {
        let database = TestDatabase { major, name: unique(stem) };
        psql(major, &admin_url(major), &format!("CREATE DATABASE \"{}\" TEMPLATE template0", database.name));
        database
    }

    /// A name only: for databases that the program under test is to create. Dropped all the same.
    pub fn planned(major: u32, stem: &str) -> Self {
        TestDatabase { major, name: unique(stem) }
    }

    pub fn url(&self) -> String {
        format!("{}/{}", server_url(self.major), self.name)
    }

    pub fn psql(&self, sql: &str) -> String {
        psql(self.major, &self.url(), sql)
    }

    pub fn exists(&self) -> bool {
        let sql = format!("SELECT count(*) FROM pg_database WHERE datname = '{}'", self.name);
        psql(self.major, &admin_url(self.major), &sql) == "1"
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // A swap keeps old copies under the same beginning. A failing test unwinds through here, so nothing is asserted.
        let drops = format!(
            "SELECT format('DROP DATABASE %I WITH (FORCE)', datname) FROM pg_database \
             WHERE datname = '{0}' OR starts_with(datname, '{0}_before_restore_') \\gexec\n",
            self.name
        );
        drop(psql_output(self.major, &admin_url(self.major), &drops));
    }
}

/// The `postgres` database of the test server: for statements about other databases.
pub fn admin_url(major: u32) -> String {
    format!("{}/postgres", server_url(major))
}
