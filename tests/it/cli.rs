//! The command line as scripts and people meet it: exit codes, messages, precedence, secrets.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::cmd::{Dir, Ran};

fn server(ran: &Ran<'_>, at: usize) -> Value {
    ran.json()["job"]["sources"][at]["server"].clone()
}

#[test]
fn help_and_version_are_answers() {
    let dir = Dir::new();
    dir.cmd("--help").run().exits(0).prints("Exit codes:").prints("EXAMPLES").prints("salvage");
    dir.cmd("--version").run().exits(0).prints(concat!("miyabi-backup ", env!("CARGO_PKG_VERSION")));
    for command in ["backup", "restore", "verify", "list", "inspect", "salvage"] {
        dir.cmd(command).arg("--help").run().exits(0).prints("EXAMPLES").prints("miyabi-backup");
    }
}

#[test]
fn help_works_whatever_the_configuration_says() {
    let dir = Dir::new();
    dir.write("miyabi-backup.toml", "this is = = no toml");
    dir.cmd("backup --help").run().exits(0).prints("EXAMPLES");
    dir.cmd("backup").run().exits(2).reports("cannot read miyabi-backup.toml, line 1", "");
}

#[test]
fn what_is_misspelt_is_named_with_what_was_meant() {
    let dir = Dir::new();
    dir.cmd("bakcup").run().exits(2).reports("bakcup", "did you mean `backup`?").prints_nothing();
    dir.cmd("backup --jbos 3").run().exits(2).reports("--jbos", "did you mean `--jobs`?");
    dir.cmd("").run().exits(2).reports("no command", "--help");
    dir.write("miyabi-backup.toml", "zone = \"UTC\"\n\n[[postgres]]\nhost = \"db\"\nuserr = \"u\"\n");
    dir.cmd("backup")
        .run()
        .exits(2)
        .reports("unknown key `userr` in [[postgres]] (miyabi-backup.toml, line 5)", "did you mean `user`?");
}

#[test]
fn every_level_wins_over_the_one_below() {
    let dir = Dir::new();
    let jobs = |flag: &str, variable: &str| {
        let ran = dir.cmd("backup --dry-run --json --url postgres://u@h/d").arg("--threads").arg("1");
        let ran = if flag.is_empty() { ran } else { ran.arg("--jobs").arg(flag) };
        let ran = ran.env("MIYABI_BACKUP_JOBS", variable).run().exits(0);
        ran.json()["job"]["jobs"].clone()
    };
    let default = jobs("", "");
    let cores = std::thread::available_parallelism().unwrap().get() as u64;
    assert_eq!(default.as_u64(), Some(cores));
    dir.write("miyabi-backup.toml", "jobs = 11\n");
    assert_eq!(jobs("", ""), 11);
    dir.write(".env", "MIYABI_BACKUP_JOBS=12\n");
    assert_eq!(jobs("", ""), 12);
    assert_eq!(jobs("", "13"), 13);
    assert_eq!(jobs("14", "13"), 14);
}

#[test]
fn a_server_is_merged_field_by_field() {
    let dir = Dir::new();
    dir.write(
        "miyabi-backup.toml",
        "[[postgres]]\nname = \"label\"\nhost = \"file\"\nport = 1\ndatabase = \"d\"\nuser = \"file_user\"\n",
    );
    dir.write("login.env", "DATABASE_PORT=2\nDATABASE_USER=env_file_user\n");
    let ran = dir
        .cmd("backup postgres --dry-run --json --env-file login.env")
        .env("PGUSER", "variable_user")
        .env("PGSSLMODE", "verify-full")
        .run()
        .exits(0);
    let found = server(&ran, 0);
    assert_eq!(found["hosts"], json!(["file:2"]), "the .env file goes before miyabi-backup.toml");
    assert_eq!(found["user"], "variable_user", "the environment goes before the .env file");
    assert_eq!(found["database"], "d");
    assert_eq!(found["sslmode"], "verify-full");
    assert_eq!(ran.json()["job"]["sources"][0]["name"], "label");
}

#[test]
fn within_one_level_the_url_goes_first_then_database_then_pg() {
    let dir = Dir::new();
    let found = |variables: &[(&str, &str)]| {
        let mut command = dir.cmd("backup postgres --dry-run --json");
        for (name, value) in variables {
            command = command.env(name, value);
        }
        server(&command.run().exits(0), 0)
    };
    let pg = ("PGDATABASE", "pg");
    let database = ("DATABASE_NAME", "database");
    let url = ("DATABASE_URL", "postgres://u@h/url");
    assert_eq!(found(&[pg])["database"], "pg");
    assert_eq!(found(&[pg, database])["database"], "database");
    assert_eq!(found(&[pg, database, url])["database"], "url");
}

#[test]
fn a_password_of_another_server_is_not_used() {
    let dir = Dir::new();
    let ran = dir
        .cmd("backup postgres --dry-run --json")
        .env("DATABASE_HOST", "one")
        .env("DATABASE_NAME", "d")
        .env("PGHOST", "two")
        .env("PGPASSWORD", "s3cret-of-two")
        .run()
        .exits(0)
        .says("warning: DATABASE_HOST (environment) names one")
        .never_shows("s3cret-of-two");
    let found = server(&ran, 0);
    assert_eq!(found["hosts"], json!(["one:5432"]));
    assert_eq!(found["has_password"], false);
}

#[test]
fn restore_refuses_two_servers_and_lists_both() {
    let dir = Dir::new();
    dir.cmd("restore --type postgres --file x.sql.gz --database d --confirm")
        .env("DATABASE_HOST", "one.example")
        .env("PGHOST", "two.example")
        .run()
        .exits(4)
        .reports("one.example", "--url")
        .reports("two.example", "");
    // The same server by two families is no conflict, and a flag decides any.
    dir.cmd("restore --type postgres --file x.sql.gz --database d --dry-run")
        .env("DATABASE_HOST", "one.example")
        .env("PGHOST", "one.example")
        .run()
        .exits(0);
    let ran = dir
        .cmd("restore --type postgres --file x.sql.gz --url postgres://u@three/d --dry-run --json")
        .env("DATABASE_HOST", "one.example")
        .env("PGHOST", "two.example")
        .run()
        .exits(0);
    assert_eq!(ran.json()["job"]["postgres"]["hosts"], json!(["three:5432"]));
}

#[test]
fn restore_needs_one_configured_server() {
    let dir = Dir::new();
    dir.cmd("restore --type postgres --file x.sql.gz --database d")
        .run()
        .exits(5)
        .reports("no PostgreSQL server", "--url");
    dir.write(
        "miyabi-backup.toml",
        "[[postgres]]\nhost=\"a\"\ndatabase=\"x\"\n[[postgres]]\nhost=\"b\"\ndatabase=\"y\"\n",
    );
    dir.cmd("restore --type postgres --file x.sql.gz --database z").run().exits(4).reports("several servers", "--url");
    let ran = dir.cmd("restore --type postgres --file x.sql.gz --database y --dry-run --json").run().exits(0);
    assert_eq!(ran.json()["job"]["postgres"]["hosts"], json!(["b:5432"]));
    assert_eq!(ran.json()["job"]["postgres"]["database"], "y");
}

#[test]
fn secrets_are_never_shown() {
    let dir = Dir::new();
    let secret = "hunter2-hunter2";
    let url = format!("postgres://u:{secret}@127.0.0.1:1/d");
    dir.cmd("backup --dry-run")
        .arg("--url")
        .arg(&url)
        .run()
        .exits(0)
        .says("warning: the password in --url")
        .never_shows(secret);
    dir.cmd("backup -vv").arg("--url").arg(&url).run().exits(10).reports("127.0.0.1:1", "").never_shows(secret);
    dir.cmd("backup --json -vv").arg("--url").arg(&url).run().exits(10).never_shows(secret);
    dir.cmd("restore --file nothing.sql.gz").arg("--url").arg(&url).run().never_shows(secret);
    let broken = format!("postgres://u:{secret}@h:port/d?sslmode");
    dir.cmd("backup").arg("--url").arg(&broken).run().exits(2).never_shows(secret);
    dir.cmd("backup postgres").env("DATABASE_URL", &broken).run().exits(2).says("DATABASE_URL").never_shows(secret);
    dir.write(".env", &format!("DATABASE_PASSWORD '{secret}\n"));
    dir.cmd("backup").run().exits(2).reports("cannot read .env", "single quotes").never_shows(secret);
    dir.write(".env", &format!("DATABASE_NAME=d\nDATABASE_PASSWORD={secret}\n"));
    let ran = dir.cmd("backup --dry-run --json").run().exits(0).never_shows(secret);
    assert_eq!(server(&ran, 0)["has_password"], true);
}

#[test]
fn a_password_file_is_read_and_not_shown() {
    let dir = Dir::new();
    dir.write("conf/pw", "file-secret-1\n");
    dir.write("conf/m.toml", "[[postgres]]\nhost = \"h\"\ndatabase = \"d\"\npassword_file = \"pw\"\n");
    let ran = dir.cmd("backup --config conf/m.toml --dry-run --json").run().exits(0).never_shows("file-secret-1");
    assert_eq!(server(&ran, 0)["has_password"], true);
    dir.write("conf/pw", "");
    dir.cmd("backup --config conf/m.toml").run().exits(2).reports("is empty", "");
}

#[test]
fn nothing_to_do_is_a_failure() {
    let dir = Dir::new();
    dir.cmd("backup").run().exits(5).reports("nothing is configured", "--url");
    dir.cmd("backup postgres").run().exits(5).reports("no PostgreSQL database is configured", "--url");
    dir.cmd("backup sqlite").run().exits(5).reports("no SQLite file is configured", "--file");
    dir.cmd("verify").run().exits(5).reports("backups", "");
    dir.cmd("list").run().exits(5).reports("backups", "");
    std::fs::create_dir(dir.join("backups")).unwrap();
    dir.cmd("verify").run().exits(5).reports("no archive to verify in backups", "");
    dir.cmd("list").run().exits(5).reports("no backup in backups", "");
    dir.write("miyabi-backup.toml", "[[sqlite]]\npath = \"data/*.db\"\n");
    dir.cmd("backup").run().exits(5).reports("data/*.db of sqlite.path (miyabi-backup.toml, line 2)", "");
    dir.cmd("backup sqlite").env("SQLITE_DATABASES", "*.nope").run().exits(5).reports("*.nope", "");
}

#[test]
fn one_empty_pattern_does_not_stop_the_others() {
    let dir = Dir::new();
    dir.sqlite("a.db", 3);
    let ran = dir.cmd("backup sqlite --json").env("SQLITE_DATABASES", "a.db:*.nope").run().exits(3);
    let sources = &ran.json()["sources"];
    assert_eq!((&sources[0]["ok"], &sources[1]["ok"]), (&json!(true), &json!(false)));
    assert_eq!(sources[1]["error"]["kind"], "nothing");
    assert_eq!(ran.json()["exit_code"], 3);
}

#[test]
fn a_pattern_is_expanded_and_labels_may_not_clash() {
    let dir = Dir::new();
    for name in ["one/app.db", "two/app.db", "one/other.db", "one/app.db-wal"] {
        dir.write(name, "");
    }
    let labels = |ran: Ran<'_>| -> Vec<String> {
        let json = ran.exits(0).json();
        let sources = json["job"]["sources"].as_array().unwrap().clone();
        sources.iter().map(|source| source["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(labels(dir.cmd("backup sqlite --dry-run --json --file one/*").run()), ["app", "other"]);
    dir.cmd("backup sqlite --dry-run --file */app.db")
        .run()
        .exits(2)
        .reports("one/app.db and two/app.db would both be backed up as `app`", "name");
    dir.write("m.toml", "[[sqlite]]\nname = \"x\"\npath = \"one/*.db\"\n[[sqlite]]\npath = \"two/app.db\"\n");
    assert_eq!(labels(dir.cmd("backup --config m.toml --dry-run --json").run()), ["x-app", "x-other", "app"]);
}

#[test]
fn a_name_picks_among_the_configured_or_labels_the_one() {
    let dir = Dir::new();
    dir.write(
        "miyabi-backup.toml",
        "[[postgres]]\nhost = \"a\"\ndatabase = \"x\"\n[[sqlite]]\nname = \"app\"\npath = \"app.db\"\n",
    );
    let ran = dir.cmd("backup --dry-run --json --name app").run().exits(0);
    assert_eq!(ran.json()["job"]["sources"].as_array().map(Vec::len), Some(1));
    assert_eq!(ran.json()["job"]["sources"][0]["path"], "app.db");
    dir.cmd("backup --name other").run().exits(5).reports("`other`", "there are: x, app");
    let ran = dir.cmd("backup --dry-run --json --url postgres://u@h/d --name shop").run().exits(0);
    assert_eq!(ran.json()["job"]["sources"][0]["name"], "shop");
    dir.cmd("backup --file a.db --file b.db --name shop").run().exits(2).reports("exactly one", "");
}

#[test]
fn variables_never_shorten_a_list_of_databases() {
    let dir = Dir::new();
    dir.write(
        "miyabi-backup.toml",
        "[[postgres]]\nhost = \"a\"\ndatabase = \"x\"\n[[postgres]]\nhost = \"a\"\ndatabase = \"y\"\n",
    );
    dir.cmd("backup --dry-run")
        .env("DATABASE_NAME", "z")
        .env("DATABASE_HOST", "elsewhere")
        .run()
        .exits(2)
        .reports("elsewhere", "--url");
    let ran =
        dir.cmd("backup --dry-run --json").env("DATABASE_NAME", "y").env("DATABASE_USER", "only_y").run().exits(0);
    assert_eq!(server(&ran, 1)["user"], "only_y");
    assert_ne!(server(&ran, 0)["user"], "only_y");
}

#[test]
fn settings_that_cannot_be_are_named_with_their_place() {
    let dir = Dir::new();
    let url = "--url postgres://u@h/d";
    for (flag, expected) in [
        ("--jobs 0", "cannot use --jobs: expected a number from 1 to 256, found `0`"),
        ("--compress gzip:10", "expected gzip:1 to gzip:9, found `gzip:10`"),
        ("--compress gzip:0", "expected gzip:1 to gzip:9, found `gzip:0`"),
        ("--gzip-engine pigz", "expected libdeflate or zlib-ng, found `pigz`"),
        ("--compress zstd:20", "expected zstd:1 to zstd:19, found `zstd:20`"),
        ("--compress lz4", "expected gzip, gzip:1 to gzip:9, zstd, zstd:1 to zstd:19, or none, found `lz4`"),
        ("--lock-timeout soon", "expected a time such as 30s"),
        ("--zone Mars/Olympus", "`Mars/Olympus` is not a known time zone"),
        ("--to s3://", "a bucket's name has 3 to 63 letters"),
        ("--s3-endpoint s3.example.org", "cannot use --s3-endpoint: expected a URL"),
        ("--output s3://bucket/x.gz", "--output names a file of this machine"),
        ("--file a.db --output b", "--output takes one source"),
        ("--output b --to c", "cannot be used with"),
        ("--schema-only --data-only", "cannot be used with"),
    ] {
        dir.cmd(&format!("backup {url} {flag}")).run().exits(2).reports(expected, "");
    }
    dir.cmd("backup --url http://h/d").run().exits(2).reports("--url", "postgres://");
    dir.cmd("backup --url postgres://u@h/d")
        .env("MIYABI_BACKUP_JOBS", "x")
        .run()
        .exits(2)
        .reports("MIYABI_BACKUP_JOBS (environment)", "");
    dir.cmd("backup --url postgres://u@h/d").env("PGSERVICE", "s").run().exits(2).reports("PGSERVICE", "");
    dir.write("miyabi-backup.toml", "[retention]\ndaily = 0\n");
    dir.cmd("backup --url postgres://u@h/d").run().exits(2).reports("retention.daily (miyabi-backup.toml, line 2)", "");
}

#[test]
fn a_bucket_that_cannot_be_reached_is_a_failure_never_skipped() {
    let dir = Dir::new();
    dir.sqlite("a.db", 1);
    let with_bucket = |command: &str| {
        let command =
            dir.cmd(command).env("AWS_S3_BACKUP_BUCKET", "vault").env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
        command.env("AWS_ACCESS_KEY_ID", "key").env("AWS_SECRET_ACCESS_KEY", "s3cret")
    };
    with_bucket("backup sqlite --file a.db --dry-run").run().exits(0).prints("s3://vault/miyabi");
    with_bucket("backup sqlite --file a.db --to here").run().exits(0);
    with_bucket("list --from here").run().exits(0).prints("sqlite/daily/");
}

#[test]
fn errors_are_one_json_object_too() {
    let dir = Dir::new();
    let ran = dir.cmd("backup --json").run().exits(5);
    let error = &ran.json()["error"];
    assert_eq!((&error["kind"], &error["exit_code"]), (&json!("nothing"), &json!(5)));
    assert!(error["message"].as_str().is_some_and(|text| text.contains("nothing is configured")));
    assert!(error["hint"].as_str().is_some_and(|text| text.contains("--url")));
    assert_eq!(dir.cmd("nonsense --json").run().exits(2).json()["error"]["kind"], "usage");
}

#[test]
fn without_a_terminal_a_restore_needs_confirm() {
    let dir = Dir::new();
    dir.sqlite("a.db", 5);
    dir.cmd("backup sqlite --file a.db --output a.db.gz").run().exits(0).prints("1 of 1 backed up");
    dir.cmd("restore --file a.db.gz --database b.db")
        .run()
        .exits(4)
        .reports("without a confirmation", "--confirm")
        .says("b.db");
    assert!(!dir.join("b.db").exists());
    dir.cmd("restore --file a.db.gz --database b.db --confirm").run().exits(0).prints("restored");
    let rows: u32 = rusqlite::Connection::open(dir.join("b.db"))
        .unwrap()
        .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 5);
    let ran = dir.cmd("restore --file a.db.gz --database b.db --confirm --json").run().exits(0);
    assert!(ran.json()["kept"].as_str().is_some_and(|kept| kept.contains("before-restore")), "{}", ran.stdout());
}

#[test]
fn commands_around_a_restore_run_in_order_and_stop_it() {
    let dir = Dir::new();
    dir.sqlite("a.db", 1);
    dir.cmd("backup sqlite --file a.db --output a.db.gz").run().exits(0);
    dir.write("good.toml", "[restore]\nbefore_restore = \"echo before >> log; ls b.db >> log 2>&1; true\"\nafter_restore = \"ls b.db >> log; echo said\"\n");
    dir.cmd("restore --config good.toml --file a.db.gz --database b.db --confirm --json")
        .run()
        .exits(0)
        .says("said")
        .json();
    let log = std::fs::read_to_string(dir.join("log")).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 3, "{log}");
    assert_eq!((lines[0], lines[2]), ("before", "b.db"));
    assert!(lines[1].contains("No such file") || lines[1].contains("cannot access"), "{log}");

    dir.write("bad.toml", "[restore]\nbefore_restore = \"exit 3\"\n");
    dir.cmd("restore --config bad.toml --file a.db.gz --database c.db --confirm")
        .run()
        .exits(1)
        .reports("before_restore", "");
    assert!(!dir.join("c.db").exists());
    dir.write("late.toml", "[restore]\nafter_restore = \"exit 3\"\n");
    dir.cmd("restore --config late.toml --file a.db.gz --database d.db --confirm")
        .run()
        .exits(1)
        .reports("after_restore", "complete");
    assert!(dir.join("d.db").exists());
}

#[test]
fn a_backup_is_listed_inspected_and_salvaged() {
    let dir = Dir::new();
    dir.sqlite("app.db", 10);
    let ran = dir.cmd("backup sqlite --file app.db --name shop --json").run().exits(0);
    let path = ran.json()["sources"][0]["backup"]["path"].as_str().unwrap().to_owned();
    assert!(path.starts_with("backups/sqlite/daily/sqlite-shop-"), "{path}");
    dir.cmd("list").run().exits(0).prints("shop").prints("complete");
    assert_eq!(dir.cmd("list --json --name shop").run().exits(0).json()["backups"].as_array().map(Vec::len), Some(3));
    dir.cmd("list --name other").run().exits(5).reports("no backup of `other`", "");
    let inspected = dir.cmd("inspect --json").arg(&path).run().exits(0).json();
    assert_eq!(inspected["streams"][0]["kind"], "pages");
    assert_eq!(inspected["meta"]["format"], "sqlite");
    dir.cmd("inspect backups").run().exits(2).reports("is a folder", "");
    dir.cmd("inspect nothing.db.gz").run().exits(5).reports("nothing.db.gz does not exist", "");
    dir.cmd("verify").run().exits(0).prints("3 of 3 sound");
    dir.cmd("verify --quiet").run().exits(0).prints_nothing();
    let salvaged = dir.cmd("salvage --json --output s.db.gz").arg(&path).run().exits(0).json();
    assert_eq!(salvaged["complete"], true);
    dir.cmd("salvage --output s.db.gz").arg(&path).run().exits(4).reports("s.db.gz", "");
    dir.cmd("salvage --force --output s.db.gz").arg(&path).run().exits(0).prints("everything was kept");
}

#[test]
fn damage_is_an_error_even_when_quiet() {
    let dir = Dir::new();
    dir.sqlite("a.db", 100);
    dir.cmd("backup sqlite --file a.db --output a.db.gz").run().exits(0);
    let mut bytes = std::fs::read(dir.join("a.db.gz")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(dir.join("a.db.gz"), bytes).unwrap();
    dir.cmd("verify --quiet a.db.gz").run().exits(30).reports("a.db.gz is damaged", "salvage").prints_nothing();
    let ran = dir.cmd("verify --json a.db.gz").run().exits(30);
    assert_eq!(ran.json()["files"][0]["verdict"], "damaged");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let dir = Dir::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_miyabi-backup"));
    child.env_clear().env("HOME", dir.path()).current_dir(dir.path());
    child.args(["backup", "--dry-run", "--url", "postgres://u@h/d"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_signal_ends_a_run_with_its_own_code() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let dir = Dir::new();
        // A listener that never answers: the run waits in its login until it is told to stop.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("postgres://u@{}/d?sslmode=disable", silent.local_addr().unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_miyabi-backup"));
        command.env_clear().env("HOME", dir.path()).env("XDG_STATE_HOME", dir.join("state")).current_dir(dir.path());
        command.args(["backup", "--url", &url]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.process_group(0).spawn().unwrap();
        let _login = silent.accept().unwrap();
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status().unwrap();
        assert!(sent.success());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains("error: "), "{stderr}");
        assert!(
            !dir.join("backups/postgres/daily").exists()
                || dir.join("backups/postgres/daily").read_dir().unwrap().next().is_none()
        );
    }
}

#[test]
fn globals_come_with_the_databases_of_a_tree_or_alone() {
    let dir = Dir::new();
    let sources = |arguments: &str| -> Vec<(String, String)> {
        let plan = dir.cmd(&format!("backup --dry-run --json {arguments}")).run().exits(0).json();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let all = plan["job"]["sources"].as_array().unwrap().clone();
        all.iter().map(|source| (text(&source["type"]), text(&source["name"]))).collect()
    };
    let pairs = |all: &[(&str, &str)]| all.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>();
    let (one, other) = ("--url postgres://u@h:6000/a", "--url postgres://v@h:6000/b");
    let databases = [("postgres", "a"), ("postgres", "b")];
    let globals = ("globals", "h-6000");
    assert_eq!(sources(&format!("{one} {other}")), pairs(&[databases[0], databases[1], globals]));
    assert_eq!(sources(&format!("{one} {other} --no-globals")), pairs(&databases));
    assert_eq!(sources(&format!("{one} --output a.sql.gz")), pairs(&databases[..1]));
    assert_eq!(sources(&format!("globals {one} {other}")), pairs(&[globals]));
    assert_eq!(sources("globals --output g.sql.gz --name mine --url postgres://u@h"), pairs(&[("globals", "mine")]));
    dir.write("off.toml", "globals = false\nrole_passwords = false\n[[postgres]]\nhost = \"h\"\ndatabase = \"d\"\n");
    assert_eq!(sources("--config off.toml"), pairs(&[("postgres", "d")]));
    let plan = dir.cmd("backup globals --config off.toml --dry-run --json").run().exits(0).json();
    assert_eq!(plan["job"]["sources"][0]["role_passwords"], serde_json::Value::Bool(false));

    for (arguments, expected) in [
        ("globals --file a.db", "--file names a SQLite file"),
        ("globals --schema-only --url postgres://u@h/d", "leave nothing of globals"),
        ("globals --no-globals --url postgres://u@h/d", "leave nothing of globals"),
        ("globals --output g --url postgres://u@h --url postgres://u@i", "--output takes one source"),
    ] {
        dir.cmd(&format!("backup {arguments}")).run().exits(2).reports(expected, "");
    }
    dir.cmd("backup globals").run().exits(5).reports("no PostgreSQL server is configured", "--url");
}
