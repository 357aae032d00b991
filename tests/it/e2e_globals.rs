//! Globals: saved once for each server, and back on another so that stock pg_dumpall cannot tell the two apart.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::cmd::Dir;
use crate::own_server::{OwnServer, Recipe};
use crate::util::stock;

const TRUST: &str = "local all all trust\nhost all all 127.0.0.1/32 trust\n";

fn server(major: u32) -> OwnServer {
    OwnServer::start(major, &Recipe { hba: TRUST, settings: &[], files: &[] })
}

/// What stock pg_dumpall says of a server's globals, without the tokens that it draws anew each time.
fn judge(server: &OwnServer) -> String {
    let output = stock(server.major, "pg_dumpall").args(["-g", "-d", &server.admin_url()]).output().unwrap();
    assert!(output.status.success(), "pg_dumpall: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict")).fold(
        String::new(),
        |mut all, line| {
            all.push_str(line);
            all.push('\n');
            all
        },
    )
}

/// The archive through `gunzip` and stock psql, as a person without our program would. Returns what psql complained of.
fn through_psql(archive: &Path, server: &OwnServer) -> String {
    let mut inflate = std::process::Command::new("gunzip");
    let script = inflate.arg("-c").arg(archive).output().unwrap();
    assert!(script.status.success());
    let mut command = stock(server.major, "psql");
    command.args(["-X", "-q", "-o", "/dev/null", "-d", &server.admin_url()]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || std::io::Write::write_all(&mut input, &script.stdout));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder for tablespaces that every server of the test may use, one after the other: the catalogs keep its path
/// alone, so what one of them put there can go.
struct Locations(tempfile::TempDir);

impl Locations {
    fn new(server: &OwnServer, names: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("miyabi-ts").tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let (uid, gid) = server.owner();
        for name in names {
            fs::create_dir(folder.path().join(name)).unwrap();
            chown(folder.path().join(name), Some(uid), Some(gid)).unwrap();
        }
        Locations(folder)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn empty(&self) {
        for location in fs::read_dir(self.0.path()).unwrap() {
            for content in fs::read_dir(location.unwrap().path()).unwrap() {
                fs::remove_dir_all(content.unwrap().path()).unwrap();
            }
        }
    }
}

/// Roles, settings and tablespaces that any version has.
fn fill(server: &OwnServer, locations: &Locations) {
    let (fast, odd) = (locations.at("fast"), locations.at("so odd"));
    let sql = format!(
        r#"
SET password_encryption = 'scram-sha-256';
CREATE ROLE app LOGIN PASSWORD 'geheim-1' VALID UNTIL '2031-05-06 07:08:09+02' CONNECTION LIMIT 7;
SET password_encryption = 'md5';
CREATE ROLE old_app LOGIN PASSWORD 'geheim-2';
CREATE ROLE "user" SUPERUSER CREATEDB CREATEROLE REPLICATION BYPASSRLS LOGIN VALID UNTIL 'infinity';
CREATE ROLE "q""uo'te $$ \ :x" NOINHERIT;
CREATE ROLE "new
\! touch {0}
line";
CREATE ROLE "雅 Ünïcode" LOGIN;
CREATE ROLE "select";
CREATE ROLE "CamelCase" CREATEROLE;
CREATE ROLE boss;
CREATE ROLE locked NOLOGIN CONNECTION LIMIT 0;
COMMENT ON ROLE app IS E'it''s\n\\! touch {0}\nthe app';
COMMENT ON ROLE "q""uo'te $$ \ :x" IS '$$ $_$';
ALTER ROLE app SET search_path = "A b", public, '';
ALTER ROLE app SET work_mem = '8MB';
ALTER ROLE app SET "DateStyle" = 'ISO, DMY';
ALTER ROLE app SET my.variable = E'a=b''c\n\\! touch {0}';
ALTER ROLE app SET temp_tablespaces = 'fast', 'odd one';
ALTER ROLE app SET role = 'boss';
ALTER ROLE "雅 Ünïcode" SET session_preload_libraries = '';
ALTER ROLE app IN DATABASE postgres SET jit = off;
GRANT pg_monitor TO app;
GRANT pg_read_all_stats TO boss WITH ADMIN OPTION;
CREATE TABLESPACE fast OWNER app LOCATION '{1}';
CREATE TABLESPACE "odd
\! touch {0}
one" LOCATION '{2}';
ALTER TABLESPACE fast SET (seq_page_cost = 1.5, random_page_cost = 1.25);
COMMENT ON TABLESPACE fast IS 'fast''s';
GRANT CREATE ON TABLESPACE fast TO boss WITH GRANT OPTION;
SET SESSION AUTHORIZATION boss;
GRANT CREATE ON TABLESPACE fast TO "q""uo'te $$ \ :x";
RESET SESSION AUTHORIZATION;
"#,
        locations.at("ran").display(),
        fast.display(),
        odd.display(),
    );
    server.psql(&sql);
    let memberships = match server.major {
        ..16 => {
            r#"GRANT boss TO app WITH ADMIN OPTION;
GRANT boss TO "CamelCase" GRANTED BY app;
GRANT boss TO "select" WITH ADMIN OPTION GRANTED BY "user";
GRANT "CamelCase" TO "new
\! touch X
line" WITH ADMIN OPTION GRANTED BY locked;"#
        }
        _ => {
            r#"GRANT boss TO "select" WITH ADMIN OPTION, INHERIT FALSE, SET FALSE;
GRANT boss TO app WITH ADMIN OPTION GRANTED BY "select";
GRANT boss TO "CamelCase" WITH INHERIT TRUE, SET FALSE GRANTED BY app;
GRANT boss TO "CamelCase" WITH INHERIT FALSE GRANTED BY "select";
GRANT "CamelCase" TO "q""uo'te $$ \ :x" WITH INHERIT TRUE;
GRANT "CamelCase" TO "new
\! touch X
line" WITH ADMIN OPTION;"#
        }
    };
    server.psql(&memberships.replace('X', &locations.at("ran").display().to_string()));
    if server.major >= 15 {
        server.psql(
            r#"GRANT SET, ALTER SYSTEM ON PARAMETER work_mem TO app WITH GRANT OPTION;
GRANT SET ON PARAMETER log_statement TO PUBLIC;
GRANT ALTER SYSTEM ON PARAMETER "my.thing" TO "q""uo'te $$ \ :x";
SET SESSION AUTHORIZATION app;
GRANT SET ON PARAMETER work_mem TO "雅 Ünïcode";"#,
        );
    }
}

fn only_archive(dir: &Dir) -> PathBuf {
    let listed = dir.cmd("list --json --type globals").run().exits(0).json();
    let rows = listed["backups"].as_array().unwrap().clone();
    let daily: Vec<&Value> = rows.iter().filter(|row| row["tier"] == "daily").collect();
    assert_eq!(daily.len(), 1, "{rows:?}");
    dir.join("backups").join(daily[0]["path"].as_str().unwrap())
}

fn globals_are_the_same_to_pg_dumpall(major: u32) {
    let (source, native, by_psql) = (server(major), server(major), server(major));
    let locations = Locations::new(&source, &["fast", "so odd"]);
    fill(&source, &locations);
    let expected = judge(&source);
    for part in ["SCRAM-SHA-256$", "'md5", "GRANTED BY", "odd\n\\! touch", "seq_page_cost", "temp_tablespaces"] {
        assert!(expected.contains(part), "the judge does not see {part}: {expected}");
    }
    let dir = Dir::new();
    dir.cmd("backup globals --url").arg(source.admin_url()).run().exits(0).never_shows("SCRAM-SHA").never_shows("md5");
    let archive = only_archive(&dir);
    assert_eq!(fs::metadata(&archive).unwrap().permissions().mode() & 0o777, 0o600);
    dir.cmd("verify").run().exits(0);

    locations.empty();
    let restore = |url: String| {
        dir.cmd("restore --type globals --file latest --confirm --json --url").arg(url).run().never_shows("SCRAM-SHA")
    };
    restore(native.admin_url()).exits(0);
    let first = judge(&native);
    assert_eq!(first, expected, "natively on {major}");
    restore(native.admin_url()).exits(0);
    assert_eq!(judge(&native), expected, "natively on {major}, a second time");

    locations.empty();
    for time in ["first", "second"] {
        let said = through_psql(&archive, &by_psql);
        let errors: Vec<&str> = said.lines().filter(|line| line.contains("ERROR") || line.contains("error:")).collect();
        assert!(errors.is_empty(), "{time}: {said}");
        assert!(!said.contains("SCRAM-SHA"), "{said}");
        assert_eq!(judge(&by_psql), expected, "through psql on {major}, {time} time");
    }
    // A change between the two is undone, and what is new there stays.
    native.psql("ALTER ROLE app NOLOGIN CONNECTION LIMIT 1; ALTER ROLE app SET work_mem = '1MB'; CREATE ROLE newcomer");
    restore(native.admin_url()).exits(0);
    native.psql("DROP ROLE newcomer");
    assert_eq!(judge(&native).lines().collect::<std::collections::BTreeSet<_>>(), expected.lines().collect());
    assert!(!locations.at("ran").exists(), "a name was run as a command");
}

#[test]
fn globals_of_13_come_back() {
    globals_are_the_same_to_pg_dumpall(13);
}

#[test]
fn globals_of_14_come_back() {
    globals_are_the_same_to_pg_dumpall(14);
}

#[test]
fn globals_of_15_come_back() {
    globals_are_the_same_to_pg_dumpall(15);
}

#[test]
fn globals_of_16_come_back() {
    globals_are_the_same_to_pg_dumpall(16);
}

#[test]
fn globals_of_17_come_back() {
    globals_are_the_same_to_pg_dumpall(17);
}

#[test]
fn globals_of_18_come_back() {
    globals_are_the_same_to_pg_dumpall(18);
}
