//! A PostgreSQL server of the test's own, where the shared one cannot be used: with TLS, or its own pg_hba.conf.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::util::{bin_dir, lib_dir, psql};

pub struct OwnServer {
    pub major: u32,
    pub port: u16,
    address: String,
    folder: TempDir,
}

/// What a server is started with.
pub struct Recipe<'a> {
    pub hba: &'a str,
    pub settings: &'a [&'a str],
    /// Files of the data folder that only the server may read: name and text.
    pub files: &'a [(&'a str, String)],
}

impl OwnServer {
    pub fn start(major: u32, recipe: &Recipe<'_>) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        OwnServer::start_at(major, recipe, "127.0.0.1", port)
    }

    /// At an address of this machine alone (all of `127.0.0.0/8` is), where the usual port is free.
    pub fn start_at(major: u32, recipe: &Recipe<'_>, address: &str, port: u16) -> Self {
        // Short, since a socket's path may have 107 bytes, and open to the servers' user.
        let folder = tempfile::Builder::new().prefix("miyabi-pg").tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let server = OwnServer { major, port, address: address.to_owned(), folder };
        let data = server.data().display().to_string();
        server.tool("initdb", &["-D", &data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
        let owner = fs::metadata(server.data()).unwrap();
        for (name, text) in recipe.files {
            let file = server.data().join(name);
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            chown(&file, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        fs::write(server.data().join("pg_hba.conf"), recipe.hba).unwrap();
        server.control("start", recipe);
        server
    }

    /// What only takes effect when it starts.
    pub fn restart(&self, recipe: &Recipe<'_>) {
        self.control("restart", recipe);
    }

    fn control(&self, action: &str, recipe: &Recipe<'_>) {
        let (data, run) = (self.data().display().to_string(), self.socket_folder().display().to_string());
        let mut options = format!("-p {} -k {run} -c listen_addresses={} -c fsync=off", self.port, self.address);
        for setting in recipe.settings {
            options.push_str(&format!(" -c {setting}"));
        }
        let log = self.folder.path().join("log").display().to_string();
        self.tool("pg_ctl", &["-D", &data, "-w", "-t", "60", "-m", "fast", "-l", &log, "-o", &options, action]);
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    /// Whom files of the server belong to.
    pub fn owner(&self) -> (u32, u32) {
        let owner = fs::metadata(self.data()).unwrap();
        (owner.uid(), owner.gid())
    }

    /// A superuser's URL, without encryption.
    pub fn admin_url(&self) -> String {
        format!("postgres://postgres@{}:{}/postgres?sslmode=disable", self.address, self.port)
    }

    pub fn psql(&self, sql: &str) -> String {
        psql(self.major, &self.admin_url(), sql)
    }

    fn tool(&self, program: &str, arguments: &[&str]) {
        let output = self.command(program, arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{program} {}: {}{}",
            self.major,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Servers refuse to run as root, which then lends them the user `postgres`.
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let program = bin_dir(self.major).join(program);
        let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
        let mut command = if is_root {
            let mut lent = Command::new("runuser");
            lent.args(["-u", "postgres", "--"]).arg(program);
            lent
        } else {
            Command::new(program)
        };
        command.args(arguments).env("LD_LIBRARY_PATH", lib_dir(self.major)).current_dir("/");
        // A server that inherits our pipes would keep them open for as long as it runs.
        command.stdin(std::process::Stdio::null());
        command
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        let data = self.data().display().to_string();
        // A failing test unwinds through here: nothing is asserted.
        drop(self.command("pg_ctl", &["-D", &data, "-m", "immediate", "-w", "stop"]).output());
    }
}
