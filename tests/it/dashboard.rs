//! The page and the server as a browser meets them, and the doctor before the first night.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use rusqlite::Connection;

use crate::program::Sandbox;
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

#[test]
fn the_server_is_for_reading_and_wants_its_token() {
    let sandbox = configured();
    sandbox.run(&["dashboard", "--listen", "0.0.0.0:0"]).expect(4).blames("without a token");
    fs::write(sandbox.path("token"), "sesame\n").unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let server = sandbox.start(&["dashboard", "--listen", &address, "--token-file", "token"]);
    while TcpStream::connect(&address).is_err() {
        std::thread::yield_now();
    }
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
}
