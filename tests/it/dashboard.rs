//! The page and the server as a browser meets them, and the doctor before the first night.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::own_server::{OwnServer, Recipe};
use crate::program::{Running, Sandbox};
use crate::util::{TestDatabase, admin_url, psql, server_url, unique};

fn configured() -> Sandbox {
    let sandbox = Sandbox::new();
    Connection::open(sandbox.path("app.db")).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    let toml = "[[sqlite]]\npath = \"app.db\"\nname = \"<b>app\"\n[status]\nmin_free = 0\n";
    fs::write(sandbox.path("miyabi-backup.toml"), toml).unwrap();
    sandbox
}

#[test]
fn the_page_stands_alone_and_escapes_what_it_shows() {
    let sandbox = configured();
    sandbox.run(&["backup"]).expect(0);
    sandbox.run(&["backup"]).expect(0);
    sandbox.run(&["dashboard", "--output", "page.html"]).expect(0);
    let page = fs::read_to_string(sandbox.path("page.html")).unwrap();
    assert!(page.contains("&lt;b&gt;app") && !page.contains("<b>app"), "{page}");
    for loaded in ["<script", "src=", "href=", "@import", "url("] {
        assert!(!page.contains(loaded), "the page has {loaded}");
    }
    assert_eq!(page.matches("role=\"img\"").count(), 2, "size and duration are drawn");
    assert!(page.contains("currentColor") && !page.contains("#010203"));
    sandbox.run(&["dashboard"]).expect(2);
}

fn get(address: &str, path: &str, header: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{header}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Serves the sandbox's tree; the token is `sesame`.
fn served(sandbox: &Sandbox) -> (Running, String) {
    fs::write(sandbox.path("token"), "sesame\n").unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let server = sandbox.start(&["dashboard", "--listen", &address, "--token-file", "token"]);
    while TcpStream::connect(&address).is_err() {
        std::thread::yield_now();
    }
    (server, address)
}

/// Nights of all kinds: one database that grows and was drilled, one whose drill failed, one that stopped working after a
/// week, one that never had a backup, and a long name.
fn eventful() -> Sandbox {
    const LONG: &str =
        "a-database-with-a-name-that-is-much-longer-than-anybody-expected-it-to-be-when-the-page-was-drawn";
    let sandbox = Sandbox::new();
    let grow = |name: &str, rows: u32| {
        let file = Connection::open(sandbox.path(name)).unwrap();
        file.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS t (a); WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) \
             INSERT INTO t SELECT hex(randomblob(200)) FROM n"
        ))
        .unwrap();
    };
    let toml = format!(
        "zone = \"Europe/Berlin\"\n[[sqlite]]\npath = \"shop.db\"\n[[sqlite]]\npath = \"ledger.db\"\n[[sqlite]]\npath = \"old.db\"\n\
         [[sqlite]]\npath = \"new.db\"\n[[sqlite]]\npath = \"long.db\"\nname = \"{LONG}\"\n[status]\nmin_free = 0\n[schedule]\nat = \"03:00\"\n[retention]\nautomatic = false\n\
         [[drill.check]]\ndatabase = \"ledger\"\nsql = \"SELECT count(*) > 1000000 FROM t\"\nexpect = \"1\"\n"
    );
    fs::write(sandbox.path("miyabi-backup.toml"), toml).unwrap();
    for night in (0..24).rev() {
        grow("shop.db", u32::try_from(40 + 10 * night % 70).unwrap());
        grow("ledger.db", 5);
        grow("long.db", 1);
        let names: &[&str] = if night >= 7 { &["shop", "ledger", "old"] } else { &["shop", "ledger"] };
        names.iter().for_each(|name| {
            grow(&format!("{name}.db"), 1);
            sandbox.run(&["backup", "sqlite", "--name", name]).expect(0);
        });
        back_date(&sandbox, night);
    }
    sandbox.run(&["backup", "sqlite", "--name", LONG]).expect(0);
    fs::remove_file(sandbox.path("old.db")).unwrap();
    sandbox.run(&["verify"]).expect(0);
    sandbox.run(&["drill", "shop"]).expect(0);
    sandbox.run(&["drill", "ledger"]).expect(30);
    sandbox.run(&["backup"]).expect(3);
    sandbox
}

/// Makes what was just written look as if it had been written some nights ago; of tiers, only dailies and the oldest others stay.
fn back_date(sandbox: &Sandbox, night: i64) {
    // Names tell the day of the configured zone, which late in the evening is tomorrow's in UTC.
    let now = jiff::Timestamp::now().in_tz("Europe/Berlin").unwrap();
    let then = now.checked_sub(jiff::Span::new().days(night)).unwrap();
    let (today, day) = (now.strftime("%Y%m%d-").to_string(), then.strftime("%Y%m%d-").to_string());
    for path in sandbox.files(".meta").into_iter().filter(|_| night > 0) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.contains(&today) {
            continue;
        }
        let mut meta: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let at: jiff::Timestamp = meta["timestamp"].as_str().unwrap().parse().unwrap();
        let at = at.to_zoned(jiff::tz::TimeZone::UTC).checked_sub(jiff::Span::new().days(night)).unwrap();
        meta["timestamp"] = at.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string().into();
        let renamed = |path: &Path, name: &str| path.with_file_name(name.replace(&today, &day));
        fs::write(renamed(&path, &name), meta.to_string()).unwrap();
        fs::remove_file(&path).unwrap();
        let archive = path.with_extension("");
        fs::rename(&archive, renamed(&archive, name.trim_end_matches(".meta"))).unwrap();
    }
}

fn browser() -> PathBuf {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let named = ["chromium-headless-shell", "chromium", "google-chrome"];
    let found = named.iter().flat_map(|name| std::env::split_paths(&folders).map(move |folder| folder.join(name)));
    found.into_iter().find(|path| path.exists()).expect("a browser is installed: run scripts/setup.sh test")
}

/// Where screenshots stay for whoever wants to see them.
fn shots() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Opens the places in a real browser and uses them; see tests/browser/dashboard.mjs.
fn look(wanted: &Value) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/dashboard.mjs");
    assert!(script.with_file_name("node_modules").exists(), "run scripts/browser.sh get");
    let mut node = Command::new("node").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("node");
    node.stdin.take().unwrap().write_all(wanted.to_string().as_bytes()).unwrap();
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success(), "the browser's driver failed: {}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_browser_shows_everything_to_everybody() {
    let sandbox = eventful();
    sandbox.run(&["dashboard", "--output", "page.html"]).expect(0);
    let (server, address) = served(&sandbox);
    let seen = look(&json!({
        "browser": browser(),
        "out": shots(),
        "surfaces": [
            { "name": "served", "url": format!("http://{address}/?token=sesame") },
            { "name": "file", "url": format!("file://{}", sandbox.path("page.html").display()) },
        ],
        "texts": ["critical", "never", "there is no backup", "no daily backup within 24 hours", "the restore drill failed", "Last runs",
                  "next run"],
        "names": [["heading", "Backups of"], ["region", "Databases"], ["article", "shop"], ["article", "ledger"], ["img", "Size of shop over nights"],
                  ["img", "Duration of backups of shop"], ["region", "Last runs"], ["meter", "time of the restore against its target"], ["columnheader", "result"]],
        "expandable": 4,
    }));
    let problems = seen["problems"].as_array().unwrap();
    let told: Vec<&str> = problems.iter().map(|problem| problem.as_str().unwrap()).collect();
    assert!(told.is_empty(), "{} problems, screenshots in {}\n{}", told.len(), shots().display(), told.join("\n"));
    assert_eq!(seen["shots"].as_array().map(Vec::len), Some(8), "two surfaces, light and dark, desk and phone");
    println!("{}", seen["tree"].as_str().unwrap());
    server.signal("TERM");
    server.wait();
}

#[test]
fn the_server_is_for_reading_and_wants_its_token() {
    let sandbox = configured();
    sandbox.run(&["dashboard", "--listen", "0.0.0.0:0"]).expect(4).blames("without a token");
    let (server, address) = served(&sandbox);
    assert!(get(&address, "/", "").starts_with("HTTP/1.1 401"));
    assert!(get(&address, "/?token=sesam", "").starts_with("HTTP/1.1 401"));
    let page = get(&address, "/?token=sesame", "");
    assert!(
        page.starts_with("HTTP/1.1 200") && page.contains("content-security-policy") && page.contains("never"),
        "{page}"
    );
    let bearer = "authorization: Bearer sesame\r\n";
    assert!(get(&address, "/health", bearer).starts_with("HTTP/1.1 503"), "there is no backup yet");
    sandbox.run(&["backup"]).expect(0);
    assert!(get(&address, "/health", bearer).starts_with("HTTP/1.1 200"), "every request looks again");
    assert!(get(&address, "/metrics", bearer).contains("miyabi_backup_rows{"));
    assert!(get(&address, "/api/status", bearer).contains("\"status_version\":1"));
    server.signal("TERM");
    server.wait();
}

#[test]
fn the_doctor_gives_the_statements_that_are_missing() {
    let sandbox = Sandbox::new();
    let database = TestDatabase::new(17, "patient");
    let role = unique("doctors_role");
    database.psql(&format!(
        "CREATE ROLE {role} LOGIN; CREATE SCHEMA closed; CREATE TABLE closed.\"odd name\" (a serial); CREATE TABLE open (a int); GRANT SELECT ON open TO {role}"
    ));
    let url = server_url(17).replace("postgres@", &format!("{role}@"));
    fs::write(sandbox.path("miyabi-backup.toml"), format!("[[postgres]]\nurl = \"{url}/{}\"\n", database.name))
        .unwrap();
    let found = sandbox.run(&["doctor", "--json"]).expect(41).json();
    let statements: Vec<String> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|one| one["mend"].as_array().unwrap())
        .map(|how| how.as_str().unwrap().to_owned())
        .filter(|how| how.starts_with("GRANT"))
        .collect();
    assert_eq!(statements.len(), 3, "{found}");
    database.psql(&statements.join("\n"));
    let after = sandbox.run(&["doctor"]);
    after.says("everything in it can be read").says("can be written").never_says("error");
    assert!(sandbox.files(".partial").is_empty() && sandbox.staging_files().is_empty(), "the doctor left something");
    database.psql(&format!("DROP OWNED BY {role}"));
    psql(17, &admin_url(17), &format!("DROP ROLE {role}"));
    fs::write(sandbox.path("miyabi-backup.toml"), "[[sqlite]]\npath = \"gone.db\"\n").unwrap();
    sandbox.run(&["doctor"]).expect(41).blames("gone.db");
    fs::write(sandbox.path("miyabi-backup.toml"), "[[sqlite]]\npath = \"gone/*.db\"\n").unwrap();
    sandbox.run(&["doctor"]).expect(41).blames("the pattern gone/*.db").never_says("no database is configured");
}

/// Two hundred tables, and room for fewer locks: what the doctor says, done, is what helps.
#[test]
fn the_doctor_counts_locks_and_its_statement_mends_it() {
    let recipe = Recipe {
        hba: "local all all trust\nhost all all 127.0.0.1/32 trust\n",
        settings: &["max_connections=10"],
        files: &[],
    };
    let server = OwnServer::start(17, &recipe);
    server.psql("ALTER SYSTEM SET max_locks_per_transaction = 10");
    server.restart(&recipe);
    server.psql("SELECT format('CREATE TABLE t%s (a int)', n) FROM generate_series(1, 200) n \\gexec\n");
    let sandbox = Sandbox::new();
    let toml = format!("globals = false\n[[postgres]]\nurl = \"{}\"\n[status]\nmin_free = 0\n", server.admin_url());
    fs::write(sandbox.path("miyabi-backup.toml"), toml).unwrap();
    let found = sandbox.run(&["doctor", "--json"]).expect(41).json();
    let findings = found["findings"].as_array().unwrap();
    let locks = findings
        .iter()
        .find(|one| one["what"].to_string().contains("200 tables are locked at once"))
        .expect("a finding");
    server.psql(locks["mend"][0].as_str().unwrap());
    server.restart(&recipe);
    sandbox.run(&["doctor"]).expect(40).says("200 tables, and there is room").says("its clock is this machine's");
    sandbox.run(&["backup"]).expect(0);
    for one in findings.iter().filter(|one| one["level"] != "ok") {
        assert!(!one["mend"].as_array().unwrap().is_empty(), "nothing mends {one}");
    }
}

/// As a user who is not root, with units of that user; in a namespace, so that this machine's logind is not asked.
#[test]
fn the_doctor_knows_whether_a_user_lingers() {
    let sandbox = configured();
    fs::create_dir_all(sandbox.path(".config/systemd/user")).unwrap();
    fs::write(sandbox.path(".config/systemd/user/miyabi-backup.timer"), "").unwrap();
    let script = r#"
        set -e
        chmod -R a+rwX "$HOME"
        mount -t tmpfs none /var/lib/systemd && mkdir /var/lib/systemd/linger
        doctor() { setpriv --reuid=nobody --clear-groups "$PROGRAM" doctor > "$1" 2>&1 || true; }
        doctor without
        touch /var/lib/systemd/linger/nobody
        doctor with
    "#;
    fs::write(sandbox.path("script.sh"), script).unwrap();
    let program = sandbox.command::<&str>(&[]).get_program().to_owned();
    // Where everybody may run it.
    let copy = sandbox.path("program");
    fs::copy(program, &copy).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "script.sh"]).current_dir(sandbox.path(".")).env("PROGRAM", copy);
    command
        .env("HOME", sandbox.path("."))
        .env("MIYABI_BACKUP_STATE_DIR", sandbox.path("state"))
        .env("TZ", "UTC")
        .stdin(Stdio::null());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |name: &str| fs::read_to_string(sandbox.path(name)).unwrap();
    assert!(read("without").contains("hint: loginctl enable-linger nobody"), "{}", read("without"));
    assert!(read("with").contains("nobody lingers") && !read("with").contains("enable-linger"), "{}", read("with"));
}
