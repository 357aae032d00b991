//! Names of databases that would be paths, options or each other.

use super::super::own_server::{OwnServer, Recipe};
use crate::program::Sandbox;
use crate::util::psql;

fn names() -> Vec<String> {
    let long = "n".repeat(62);
    let mut names: Vec<String> = [
        "../../etc/cron.d/x",
        "-rf",
        "..",
        ".",
        "--output=x",
        "a/b",
        "a\\b",
        "a%2Fb",
        "%2e%2e",
        "CON",
        "Db",
        "db ",
        " db",
        "x\ny",
        "\"; DROP DATABASE keep; --",
        "'; DROP DATABASE keep; --",
        "keep",
        "雪",
        "~",
        "a~0123456789abcdef",
        "latest",
        "$(touch pwned)",
        "`touch pwned`",
        "a\u{2028}b",
    ]
    .map(str::to_owned)
    .into();
    names.extend([format!("{long}1"), format!("{long}2"), "é".repeat(31), format!("{}x", "雪".repeat(20))]);
    names
}

/// As a URL has it.
fn escaped(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn names_of_databases_are_never_paths() {
    let server = OwnServer::start(
        17,
        &Recipe { hba: "local all all trust\nhost all all all trust\n", settings: &[], files: &[] },
    );
    let base = format!("postgres://postgres@127.0.0.1:{}", server.port);
    let names = names();
    for name in &names {
        server.psql(&format!("CREATE DATABASE \"{}\" TEMPLATE template0", name.replace('"', "\"\"")));
        let url = format!("{base}/{}?sslmode=disable", escaped(name));
        psql(
            17,
            &url,
            &format!("CREATE TABLE mark (v text); INSERT INTO mark VALUES ('{}')", name.replace('\'', "''")),
        );
    }
    let sandbox = Sandbox::new();
    // On some file systems these two would be one file.
    server.psql("CREATE DATABASE \"dB\"");
    let both = ["Db", "dB"].map(|name| format!("{base}/{name}?sslmode=disable"));
    sandbox
        .run(&["backup", "postgres", "--url", &both[0], "--url", &both[1]])
        .expect(2)
        .blames("Db")
        .blames("dB")
        .hints();
    let urls: Vec<String> = names.iter().map(|name| format!("{base}/{}?sslmode=disable", escaped(name))).collect();
    let mut arguments = vec!["backup", "postgres", "--no-globals"];
    urls.iter().for_each(|url| arguments.extend(["--url", url]));
    sandbox.run(&arguments).expect(0);

    let daily = sandbox.path("backups/postgres/daily");
    let archives = sandbox.files(".sql.gz");
    let here: Vec<_> = archives.iter().filter(|path| path.parent() == Some(&daily)).collect();
    assert_eq!(here.len(), names.len(), "{archives:?}");
    let strange: Vec<_> = sandbox
        .files("")
        .into_iter()
        .filter(|path| !path.starts_with(sandbox.path("backups")) && !path.starts_with(sandbox.path("state")))
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
    for archive in here {
        let file = archive.file_name().unwrap().to_str().unwrap();
        assert!(
            file.len() < 255
                && file.starts_with("postgres-")
                && !file.contains(['/', '\\', '\n', ' ', '$', '`', '\'', '"']),
            "{file}"
        );
        // Each is the backup of the database that its .meta names.
        let meta: serde_json::Value =
            serde_json::from_slice(&std::fs::read(format!("{}.meta", archive.display())).unwrap()).unwrap();
        let target = format!("{base}/restored?sslmode=disable");
        sandbox.run(&["restore", "--file", archive.to_str().unwrap(), "--url", &target, "--confirm"]).expect(0);
        assert_eq!(psql(17, &target, "SELECT v FROM mark"), meta["database"].as_str().unwrap(), "{file}");
        server.psql("DROP DATABASE restored WITH (FORCE)");
    }
    // And back under their own names, over what stands there.
    for name in ["../../etc/cron.d/x", "-rf", "\"; DROP DATABASE keep; --", "'; DROP DATABASE keep; --"] {
        let url = format!("{base}/{}?sslmode=disable", escaped(name));
        sandbox.run(&["backup", "postgres", "--url", &url, "--output", "one.sql.gz"]).expect(0);
        psql(17, &url, "TRUNCATE mark");
        sandbox.run(&["restore", "--file", "one.sql.gz", "--url", &url, "--confirm"]).expect(0);
        assert_eq!(psql(17, &url, "SELECT v FROM mark"), name);
        for file in sandbox.files("one.sql.gz").into_iter().chain(sandbox.files("one.sql.gz.meta")) {
            std::fs::remove_file(file).unwrap();
        }
    }
    assert_eq!(server.psql("SELECT count(*) FROM pg_database WHERE datname = 'keep'"), "1");
}
