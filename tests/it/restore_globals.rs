//! Globals where the target is not as the source was: older, without folders, with another founder, less powerful.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::cmd::{Dir, Ran};
use crate::own_server::{OwnServer, Recipe};
use crate::util::psql_output;

const TRUST: &str = "local all all trust\nhost all all 127.0.0.1/32 trust\n";

fn server(major: u32) -> OwnServer {
    OwnServer::start(major, &Recipe { hba: TRUST, settings: &[], files: &[] })
}

fn url_of(server: &OwnServer, role: &str, database: &str) -> String {
    format!("postgres://{role}@127.0.0.1:{}/{database}?sslmode=disable", server.port)
}

fn save(dir: &Dir, server: &OwnServer) {
    dir.cmd("backup globals --output g.sql.gz --force --url").arg(server.admin_url()).run().exits(0);
}

fn restore<'a>(dir: &'a Dir, url: &str) -> Ran<'a> {
    dir.cmd("restore --file g.sql.gz --type globals --confirm --json --url").arg(url).run()
}

fn left_behind(ran: &Ran<'_>) -> Vec<String> {
    let list = ran.json()["left_behind"].clone();
    list.as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
}

/// The archive's script through stock psql: what it prints on standard error.
fn through_psql(file: &Path, server: &OwnServer, url: &str) -> String {
    let script = std::process::Command::new("gunzip").arg("-c").arg(file).output().unwrap();
    let script = String::from_utf8(script.stdout).unwrap();
    let output = psql_output(server.major, url, &format!("\\set ON_ERROR_STOP off\n{script}"));
    assert!(output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const ATTRIBUTES: &str = "SELECT rolname, rolsuper, rolcanlogin, rolconnlimit, rolvaliduntil FROM pg_roles \
     WHERE NOT rolname ^@ 'pg_' ORDER BY rolname COLLATE \"C\"";

#[test]
fn a_run_saves_each_server_once_and_says_when_it_cannot() {
    let one = server(16);
    one.psql("CREATE DATABASE a");
    one.psql("CREATE ROLE plain LOGIN; CREATE DATABASE b OWNER plain");
    let dir = Dir::new();
    let urls = [url_of(&one, "postgres", "a"), url_of(&one, "plain", "b")];
    let both = |flags: &str| dir.cmd(&format!("backup --json {flags} --url")).arg(&urls[0]).arg("--url").arg(&urls[1]);
    let names = |ran: &Ran<'_>| -> Vec<String> {
        let sources = ran.json()["sources"].as_array().unwrap().clone();
        sources.iter().map(|source| source["name"].as_str().unwrap().to_owned()).collect()
    };
    let globals = format!("127.0.0.1-{}", one.port);
    assert_eq!(names(&both("").run().exits(0)), ["a", "b", globals.as_str()]);
    assert_eq!(names(&both("--no-globals").run().exits(0)), ["a", "b"]);
    assert_eq!(names(&both("").env("MIYABI_BACKUP_GLOBALS", "false").run().exits(0)), ["a", "b"]);
    let alone = dir.cmd("backup --json --output a.sql.gz --url").arg(&urls[0]).run().exits(0);
    assert_eq!(names(&alone), ["a"]);

    let listed = dir.cmd("list --json").run().exits(0).json();
    let stored = |kind: &str| {
        let rows = listed["backups"].as_array().unwrap();
        rows.iter().filter(|row| row["kind"] == kind && row["state"] == "complete").count()
    };
    assert_eq!((stored("globals"), stored("postgres")), (3, 10), "{listed}");
    let globals_only =
        dir.cmd("restore --file latest --confirm --url").arg(url_of(&one, "postgres", "x")).run().exits(2);
    globals_only.reports("several databases: a (postgres), b (postgres)", "--name");

    // A catalog that a database's archive does not need is closed to this role: the globals fail, and nothing else does.
    for database in ["postgres", "template1", "b"] {
        let revoke = "REVOKE SELECT ON pg_catalog.pg_parameter_acl FROM PUBLIC";
        assert!(psql_output(16, &url_of(&one, "postgres", database), revoke).status.success());
    }
    let ran = dir.cmd("backup --json --url").arg(&urls[1]).run().exits(3).says("cannot back up globals of 127.0.0.1");
    let of = |at: usize| ran.json()["sources"][at]["ok"].clone();
    assert_eq!((of(0), of(1)), (Value::Bool(true), Value::Bool(false)));
}

#[test]
fn a_server_that_hides_passwords_gives_the_rest() {
    let source = server(16);
    source.psql("CREATE ROLE plain LOGIN PASSWORD 'geheim'; ALTER ROLE plain SET work_mem = '3MB'");
    let dir = Dir::new();
    let by_plain = url_of(&source, "plain", "postgres");
    dir.cmd("backup globals --output g.sql.gz --url")
        .arg(&by_plain)
        .run()
        .exits(0)
        .says("does not let role plain read pg_authid");
    let meta = fs::read_to_string(dir.join("g.sql.gz.meta")).unwrap();
    assert!(meta.contains("pg_authid") && !meta.contains("SCRAM"), "{meta}");
    let target = server(16);
    restore(&dir, &target.admin_url()).exits(0);
    assert_eq!(target.psql("SELECT rolpassword IS NULL, rolcanlogin FROM pg_authid WHERE rolname = 'plain'"), "t|t");

    dir.cmd("backup globals --no-role-passwords --force --output g.sql.gz --url")
        .arg(source.admin_url())
        .run()
        .exits(0);
    let inflated = std::process::Command::new("gunzip").arg("-c").arg(dir.join("g.sql.gz")).output().unwrap();
    assert!(!String::from_utf8(inflated.stdout).unwrap().contains("SCRAM"));
    save(&dir, &source);
    for command in
        ["inspect g.sql.gz --json --objects", "inspect g.sql.gz --objects", "list --json --from .", "verify g.sql.gz"]
    {
        dir.cmd(command).run().exits(0).never_shows("SCRAM");
    }
    assert!(!fs::read_to_string(dir.join("g.sql.gz.meta")).unwrap().contains("SCRAM"));
}

#[test]
fn what_an_older_server_cannot_take_is_listed_and_the_rest_is_there() {
    let (source, target) = (server(18), server(14));
    source.psql(
        "CREATE ROLE a; CREATE ROLE b; CREATE ROLE c; CREATE ROLE d;
         GRANT a TO b WITH INHERIT TRUE, SET TRUE; GRANT a TO c WITH INHERIT FALSE; GRANT a TO d WITH SET FALSE;
         GRANT pg_maintain TO a; ALTER ROLE b SET transaction_timeout = '1min'; ALTER ROLE b SET work_mem = '3MB';
         GRANT SET ON PARAMETER work_mem TO a; COMMENT ON ROLE d IS 'the last'",
    );
    let dir = Dir::new();
    save(&dir, &source);
    for url in [target.admin_url(), target.admin_url()] {
        let ran = restore(&dir, &url).exits(3);
        let left = left_behind(&ran);
        let begins = |text: &str| left.iter().any(|line| line.starts_with(text));
        assert!(begins("ROLE MEMBERSHIP c in a: this server knows no membership that is not inherited"), "{left:?}");
        assert!(begins("ROLE MEMBERSHIP d in a: ") && begins("ROLE MEMBERSHIP a in pg_maintain: "), "{left:?}");
        assert!(begins("ROLE SETTING transaction_timeout of b: ") && begins("PARAMETER ACL work_mem: "), "{left:?}");
        assert_eq!(left.len(), 5, "{left:?}");
    }
    let there = "SELECT pg_has_role('b', 'a', 'MEMBER'), pg_has_role('c', 'a', 'MEMBER'),
         (SELECT rolconfig::text FROM pg_roles WHERE rolname = 'b'), shobj_description('d'::regrole, 'pg_authid')";
    assert_eq!(target.psql(there), "t|f|{work_mem=3MB}|the last");
    let again = server(14);
    let said = through_psql(&dir.join("g.sql.gz"), &again, &again.admin_url());
    assert_eq!(said.matches("ERROR").count(), 5, "{said}");
    assert_eq!(again.psql(there), target.psql(there));
}

#[test]
fn grantors_that_a_newer_server_does_not_accept_cost_no_membership() {
    let (source, target) = (server(14), server(17));
    source.psql(
        "CREATE ROLE a; CREATE ROLE b; CREATE ROLE c; CREATE ROLE gone SUPERUSER; CREATE ROLE chief SUPERUSER; CREATE ROLE r;
         GRANT r TO b WITH ADMIN OPTION GRANTED BY c; GRANT r TO c WITH ADMIN OPTION GRANTED BY b;
         GRANT r TO a GRANTED BY gone; GRANT a TO b GRANTED BY chief; DROP ROLE gone",
    );
    let dir = Dir::new();
    save(&dir, &source);
    let members = "SELECT roleid::regrole, member::regrole, grantor::regrole, admin_option FROM pg_auth_members
         WHERE roleid >= 16384 ORDER BY roleid::regrole::text, member::regrole::text";
    let mut seen = Vec::new();
    for _ in 0..2 {
        let left = left_behind(&restore(&dir, &target.admin_url()).exits(3));
        assert!(
            left.iter().any(|line| line == "ROLE MEMBERSHIP b in a: not as in the backup: granted by chief"),
            "{left:?}"
        );
        seen.push(target.psql(members));
    }
    assert_eq!(seen[0], "a|b|postgres|f\nr|a|postgres|f\nr|b|postgres|t\nr|c|b|t");
    assert_eq!(seen[0], seen[1], "a second restore changed something");
}

#[test]
fn a_tablespace_without_its_folder_is_listed_and_the_rest_goes_on() {
    let source = server(16);
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let place = folder.path().join("ts");
    fs::create_dir(&place).unwrap();
    let (uid, gid) = source.owner();
    std::os::unix::fs::chown(&place, Some(uid), Some(gid)).unwrap();
    source.psql(&format!("CREATE TABLESPACE gone LOCATION '{}'", place.display()));
    source.psql("COMMENT ON TABLESPACE gone IS 'x'; CREATE ROLE r; GRANT CREATE ON TABLESPACE gone TO r");
    source.psql("GRANT SET ON PARAMETER work_mem TO r");
    let dir = Dir::new();
    save(&dir, &source);
    fs::remove_dir_all(&place).unwrap();
    let (native, by_psql) = (server(16), server(16));
    let left = left_behind(&restore(&dir, &native.admin_url()).exits(3));
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].starts_with("TABLESPACE gone: directory") && left[0].contains("58P01"), "{left:?}");
    let said = through_psql(&dir.join("g.sql.gz"), &by_psql, &by_psql.admin_url());
    assert_eq!(said.matches("ERROR").count(), 1, "{said}");
    for target in [&native, &by_psql] {
        assert_eq!(target.psql("SELECT count(*) FROM pg_parameter_acl"), "1");
    }
}

#[test]
fn nobody_loses_what_the_restore_stands_on() {
    let source = server(16);
    // The founder has another name here, and an ordinary role has the target's.
    source.psql("CREATE ROLE other SUPERUSER LOGIN");
    let by_other = url_of(&source, "other", "postgres");
    let rename =
        "ALTER ROLE postgres RENAME TO chief; CREATE ROLE postgres CONNECTION LIMIT 0 VALID UNTIL '2001-01-01';
        CREATE ROLE runner NOLOGIN; GRANT SET ON PARAMETER work_mem TO runner; CREATE ROLE m; GRANT runner TO m;
        ALTER ROLE other NOSUPERUSER";
    assert!(psql_output(16, &by_other, rename).status.success());
    let dir = Dir::new();
    dir.cmd("backup globals --output g.sql.gz --url").arg(url_of(&source, "chief", "postgres")).run().exits(0);

    let (native, by_psql) = (server(16), server(16));
    for target in [&native, &by_psql] {
        target.psql("CREATE ROLE runner SUPERUSER LOGIN");
    }
    let by_runner = url_of(&native, "runner", "postgres");
    for _ in 0..2 {
        let left = left_behind(&restore(&dir, &by_runner).exits(3));
        let kept = |name: &str, what: &str| left.iter().any(|line| line.starts_with(name) && line.contains(what));
        assert!(
            kept("ROLE postgres: not as in the backup: NOSUPERUSER", "NOBYPASSRLS, CONNECTION LIMIT 0"),
            "{left:?}"
        );
        assert!(kept("ROLE runner: not as in the backup: NOSUPERUSER, NOLOGIN", ""), "{left:?}");
        assert_eq!(left.len(), 2, "{left:?}");
    }
    let said = through_psql(&dir.join("g.sql.gz"), &by_psql, &url_of(&by_psql, "runner", "postgres"));
    assert!(said.contains("role runner is not given NOSUPERUSER") && !said.contains("ERROR"), "{said}");
    for target in [&native, &by_psql] {
        assert_eq!(
            target.psql(ATTRIBUTES),
            "chief|t|t|-1|\nm|f|f|-1|\nother|f|t|-1|\npostgres|t|t|-1|\nrunner|t|t|-1|",
            "{said}"
        );
        assert_eq!(target.psql("SELECT paracl FROM pg_parameter_acl"), "{postgres=sA/postgres,runner=s/postgres}");
    }
}

#[test]
fn a_role_that_may_create_roles_restores_what_it_may() {
    let (source, target) = (server(16), server(16));
    source.psql("CREATE ROLE a LOGIN PASSWORD 'x'; CREATE ROLE boss SUPERUSER LOGIN; CREATE ROLE b; GRANT a TO b");
    let dir = Dir::new();
    save(&dir, &source);
    target.psql("CREATE ROLE manager CREATEROLE LOGIN");
    let left = left_behind(&restore(&dir, &url_of(&target, "manager", "postgres")).exits(3));
    assert_eq!(left, ["ROLE boss: not as in the backup: SUPERUSER"]);
    let there = "SELECT rolname, rolsuper, rolcanlogin, rolpassword IS NOT NULL FROM pg_authid \
        WHERE rolname IN ('a', 'b', 'boss') ORDER BY 1";
    assert_eq!(target.psql(there), "a|f|t|t\nb|f|f|f\nboss|f|t|f");
    assert_eq!(target.psql("SELECT pg_has_role('b', 'a', 'MEMBER')"), "t");
}

#[test]
fn nothing_of_a_damaged_archive_is_run_and_salvage_keeps_the_kind() {
    let (source, target) = (server(15), server(15));
    source.psql("CREATE ROLE a LOGIN; CREATE ROLE b");
    let dir = Dir::new();
    save(&dir, &source);
    dir.cmd("salvage g.sql.gz --output whole.sql.gz").run().exits(0);
    let whole = fs::read(dir.join("g.sql.gz")).unwrap();
    let mut bytes = whole.clone();
    let at = whole.windows(4).rposition(|four| four == b"MY\x3c\0").unwrap() + 200;
    bytes[at] ^= 1;
    fs::write(dir.join("damaged.sql.gz"), &bytes).unwrap();
    fs::write(dir.join("cut.sql.gz"), &whole[..whole.len() - 1]).unwrap();
    dir.cmd("verify damaged.sql.gz").run().exits(30);
    let url = target.admin_url();
    dir.cmd("restore --file damaged.sql.gz --confirm --url").arg(&url).run().exits(30);
    let piped = |file: &str| {
        let shell =
            format!("cat {file} | {} restore --file - --confirm --url '{url}'", env!("CARGO_BIN_EXE_miyabi-backup"));
        let run = std::process::Command::new("sh")
            .arg("-c")
            .arg(shell)
            .current_dir(dir.path())
            .env("HOME", dir.path())
            .output();
        run.unwrap().status.code()
    };
    assert_eq!((piped("damaged.sql.gz"), piped("cut.sql.gz")), (Some(30), Some(30)));
    assert_eq!(target.psql(ATTRIBUTES), "postgres|t|t|-1|");
    dir.cmd("restore --file whole.sql.gz --table x --confirm --url").arg(&url).run().exits(2);
    dir.cmd("restore --file whole.sql.gz --type postgres --confirm --url")
        .arg(&url)
        .run()
        .exits(2)
        .says("globals backup");

    // The header says what it is; a terminal is asked, and no answer is a no.
    dir.cmd("restore --file whole.sql.gz --url").arg(&url).run().exits(4).says("new roles").says("a, b");
    assert_eq!(target.psql(ATTRIBUTES), "postgres|t|t|-1|");
    assert_eq!(piped("whole.sql.gz"), Some(0));
    assert_eq!(target.psql(ATTRIBUTES), "a|f|t|-1|\nb|f|f|-1|\npostgres|t|t|-1|");
}
