//! Logins at real servers: six sslmodes, every way to authenticate, both kinds of connection, and what errors say.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use miyabi_backup::error::{Error, Kind, Result};
use miyabi_backup::pg::connect::{self, Guard, Secret, Server, Verified};
use miyabi_backup::pg::settings::Purpose;
use miyabi_backup::pg::wire::Conn;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};

use crate::own_server::{OwnServer, Recipe};
use crate::util::{TestDatabase, server_url};

/// Logs in on both paths, which must agree; says how, and whether the server sees TLS.
async fn log_in(server: &Server) -> Result<(Guard, bool)> {
    let sees_tls = "SELECT ssl::text FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()";
    let control = connect::client(server, Purpose::Read).await;
    let data = Conn::open(server, Purpose::Read).await;
    let (control, mut data) = match (control, data) {
        (Ok(control), Ok(data)) => (control, data),
        (Err(control), Err(data)) => {
            assert_eq!(control.kind(), data.kind(), "{control:?} / {data:?}");
            assert_eq!(control.hint_text(), data.hint_text(), "{control:?} / {data:?}");
            return Err(data);
        }
        (control, data) => panic!("the paths differ: {:?} / {:?}", control.err(), data.err()),
    };
    assert_eq!(control.reached.guard, data.reached().guard);
    let by_control: String = control.client.query_one(sees_tls, &[]).await.unwrap().get(0);
    let by_data = data.query(sees_tls.as_bytes()).await.unwrap();
    assert_eq!(by_data, [[Some(by_control.clone().into_bytes())]]);
    let guard = data.reached().guard;
    data.close().await;
    drop(control.client);
    control.driver.finish().await.unwrap();
    Ok((guard, by_control == "true"))
}

async fn at(url: &str) -> Result<(Guard, bool)> {
    log_in(&Server::from_url(url).unwrap()).await
}

async fn refusal(url: &str) -> (Error, String) {
    let error = at(url).await.expect_err(url);
    assert_eq!(error.kind(), Kind::Connect);
    let text = error.chain();
    assert!(!text.contains("hunter"), "{text}");
    (error, text)
}

struct Pki {
    root: String,
    server: (String, String),
    client: (String, String),
}

fn pki() -> Pki {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let root_pem = root.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(root, key);
    let issue = |names: &[&str], common_name: &str| {
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
    };
    Pki { server: issue(&["localhost"], "server"), client: issue(&[], "holder"), root: root_pem }
}

const TLS_HBA: &str = "
hostssl   only_tls    all 127.0.0.1/32 trust
hostnossl only_plain  all 127.0.0.1/32 trust
hostssl   by_cert     all 127.0.0.1/32 cert
host      by_scram    all 127.0.0.1/32 scram-sha-256
hostnossl postgres    postgres 127.0.0.1/32 trust
hostssl   open        all 127.0.0.1/32 trust
hostnossl open        all 127.0.0.1/32 trust
";

#[tokio::test(flavor = "multi_thread")]
async fn six_modes_at_a_server_with_tls() {
    for major in [13, 15, 18] {
        let pki = pki();
        let files = [
            ("root.crt", pki.root.clone()),
            ("server.crt", pki.server.0.clone()),
            ("server.key", pki.server.1.clone()),
        ];
        let settings = ["ssl=on", "ssl_ca_file=root.crt"];
        let server = OwnServer::start(major, &Recipe { hba: TLS_HBA, settings: &settings, files: &files });
        for database in ["open", "only_tls", "only_plain", "by_cert", "by_scram"] {
            server.psql(&format!("CREATE DATABASE {database}"));
        }
        server.psql("SET password_encryption = 'scram-sha-256'; CREATE ROLE holder LOGIN; CREATE ROLE ann LOGIN PASSWORD 'hunter2'");
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root.crt");
        fs::write(&root, &pki.root).unwrap();
        let root = root.display();
        let port = server.port;
        let url = |host: &str, database: &str, query: &str| format!("postgres://ann@{host}:{port}/{database}?{query}");
        let (plain, believed) = ((Guard::Plain, false), (Guard::Tls(Verified::No), true));
        let (chain, full) = ((Guard::Tls(Verified::Chain), true), (Guard::Tls(Verified::ChainAndHost), true));

        for (database, query, expected) in [
            ("open", "sslmode=disable".to_owned(), plain),
            ("open", "sslmode=allow".to_owned(), plain),
            ("open", "sslmode=prefer".to_owned(), believed),
            ("open", "sslmode=require".to_owned(), believed),
            ("open", format!("sslmode=require&sslrootcert={root}"), chain),
            ("open", format!("sslmode=verify-ca&sslrootcert={root}"), chain),
            ("open", format!("sslmode=verify-full&sslrootcert={root}"), full),
            ("only_tls", "sslmode=allow".to_owned(), believed),
            ("only_tls", "sslmode=prefer".to_owned(), believed),
            ("only_plain", "sslmode=prefer".to_owned(), plain),
        ] {
            assert_eq!(
                at(&url("localhost", database, &query)).await.unwrap(),
                expected,
                "PostgreSQL {major}: {database} {query}"
            );
        }
        for (host, database, query, said) in [
            ("localhost", "only_tls", "sslmode=disable".to_owned(), "no pg_hba.conf entry"),
            ("localhost", "only_plain", "sslmode=require".to_owned(), "no pg_hba.conf entry"),
            ("localhost", "missing", "sslmode=prefer".to_owned(), "no pg_hba.conf entry"),
            ("127.0.0.1", "open", format!("sslmode=verify-full&sslrootcert={root}"), "not for host 127.0.0.1"),
        ] {
            let (_, text) = refusal(&url(host, database, &query)).await;
            assert!(text.contains(said), "PostgreSQL {major}, {database} {query}: {text}");
        }
        if major >= 17 {
            let direct = url("localhost", "open", "sslmode=require&sslnegotiation=direct");
            assert_eq!(at(&direct).await.unwrap(), believed);
        }
        channel_binding(&server).await;
        client_certificate(&server, &pki).await;
    }
}

async fn channel_binding(server: &OwnServer) {
    let url = |query: &str| format!("postgres://ann:hunter2@localhost:{}/by_scram?{query}", server.port);
    for binding in ["disable", "prefer", "require"] {
        at(&url(&format!("sslmode=require&channel_binding={binding}"))).await.unwrap();
    }
    at(&url("sslmode=disable&channel_binding=prefer")).await.unwrap();
    let error =
        Conn::open(&Server::from_url(&url("sslmode=disable&channel_binding=require")).unwrap(), Purpose::Read).await;
    let text = error.err().expect("nothing to bind to").chain();
    assert!(text.contains("channel_binding=require"), "{text}");
    let (error, text) =
        refusal(&format!("postgres://ann:hunter3@localhost:{}/by_scram?sslmode=require", server.port)).await;
    assert!(text.contains("password authentication failed"), "{text}");
    assert!(error.hint_text().unwrap().contains("password is wrong"));
}

async fn client_certificate(server: &OwnServer, pki: &Pki) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    let (cert, key) = (file("client.crt", &pki.client.0), file("client.key", &pki.client.1));
    let url = format!("postgres://holder@localhost:{}/by_cert?sslmode=require", server.port);
    at(&format!("{url}&sslcert={cert}&sslkey={key}")).await.unwrap();
    let (_, text) = refusal(&url).await;
    assert!(text.contains("certificate"), "{text}");
}

const LOGIN_HBA: &str = "
local all      postgres              trust
local all      all                   peer
host  all      postgres 127.0.0.1/32 trust
host  all      s        127.0.0.1/32 scram-sha-256
host  all      m        127.0.0.1/32 md5
host  all      p        127.0.0.1/32 password
host  all      reader   127.0.0.1/32 trust
";

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_log_in() {
    for major in [14, 18] {
        let server = OwnServer::start(major, &Recipe { hba: LOGIN_HBA, settings: &[], files: &[] });
        server.psql(
            "SET password_encryption = 'scram-sha-256'; CREATE ROLE s LOGIN PASSWORD 'hunter s'; \
             CREATE ROLE p LOGIN PASSWORD 'hunter:p'; SET password_encryption = 'md5'; \
             CREATE ROLE m LOGIN PASSWORD 'hunter m'; CREATE ROLE reader LOGIN; CREATE ROLE nobody_known LOGIN",
        );
        let (port, socket) = (server.port, server.socket_folder().display().to_string());
        let tcp = |login: &str| format!("postgres://{login}@127.0.0.1:{port}/postgres");
        for login in ["s:hunter%20s", "m:hunter%20m", "p:hunter%3Ap", "reader"] {
            assert_eq!(at(&tcp(login)).await.unwrap(), (Guard::Plain, false), "PostgreSQL {major}: {login}");
        }
        for login in ["s:hunter", "m:hunter", "p:hunter"] {
            let (error, text) = refusal(&tcp(login)).await;
            assert!(text.contains("password authentication failed"), "{text}");
            assert!(error.hint_text().unwrap().contains("password is wrong"), "{error:?}");
        }
        for login in ["s", "m", "p"] {
            let (error, text) = refusal(&tcp(login)).await;
            assert!(text.ends_with("the server asks for a password, and none is given"), "{text}");
            assert!(error.hint_text().unwrap().contains("pgpass"), "{error:?}");
        }
        let me = std::process::Command::new("id").arg("-un").output().unwrap().stdout;
        let me = String::from_utf8(me).unwrap().trim().to_owned();
        server
            .psql(&format!("DO $$BEGIN CREATE ROLE \"{me}\" LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END$$"));
        // sslmode does not concern sockets.
        let local = format!("postgres://{me}@/postgres?host={socket}&port={port}&sslmode=require");
        assert_eq!(at(&local).await.unwrap(), (Guard::Socket, false));
        let (_, text) = refusal(&format!("postgres://nobody_known@/postgres?host={socket}&port={port}")).await;
        assert!(text.contains("Peer authentication failed"), "{text}");
        password_file(&tcp("s")).await;
        what_errors_say(&server).await;
    }
}

async fn password_file(url: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pgpass");
    fs::write(&file, "*:*:postgres:s:hunter s\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let server = Server { passfile: Some(file.clone()), ..Server::from_url(url).unwrap() };
    log_in(&server).await.unwrap();
    // A given password is stronger than the file.
    let wrong = Server { password: Some(Secret::new("hunter")), ..server.clone() };
    assert!(log_in(&wrong).await.is_err());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let error = log_in(&server).await.unwrap_err();
    assert!(error.hint_text().unwrap().contains("mode is 0644"), "{error:?}");
}

async fn what_errors_say(server: &OwnServer) {
    let (port, socket) = (server.port, server.socket_folder().display().to_string());
    let cases = [
        (format!("postgres://reader@127.0.0.1:{port}/missing"), "database \"missing\" does not exist", "psql -l"),
        (format!("postgres://stranger@127.0.0.1:{port}/postgres"), "no pg_hba.conf entry", "pg_hba.conf"),
        (format!("postgres://reader@127.0.0.1:{port}/postgres?sslmode=require"), "does not offer TLS", "ssl"),
        ("postgres://reader@127.0.0.1:1/postgres".to_owned(), "127.0.0.1:1 as reader: Connection refused", "running"),
        ("postgres://reader@no-such-host.invalid/x".to_owned(), "`no-such-host.invalid` cannot be resolved", "spelt"),
        (
            format!("postgres://reader@/x?host={socket}/nowhere"),
            "nowhere/.s.PGSQL.5432 as reader: No such file",
            "socket",
        ),
    ];
    for (url, said, helps) in cases {
        let (error, text) = refusal(&url).await;
        assert!(text.contains(said), "{text}");
        assert!(error.hint_text().is_some_and(|hint| hint.contains(helps)), "{error:?}");
    }
    server.psql("ALTER ROLE reader CONNECTION LIMIT 0");
    let (error, text) = refusal(&format!("postgres://reader@127.0.0.1:{port}/postgres")).await;
    assert!(text.contains("too many connections"), "{text}");
    assert!(error.hint_text().unwrap().contains("--jobs"));
    server.psql("ALTER ROLE reader CONNECTION LIMIT -1");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_hosts_are_tried_in_order_and_the_one_found_is_kept() {
    let port = server_url(18).rsplit(':').next().unwrap().to_owned();
    let url = format!("postgres://postgres@127.0.0.1:1,127.0.0.1:{port}/postgres?target_session_attrs=read-write");
    let control = connect::client(&Server::from_url(&url).unwrap(), Purpose::Read).await.unwrap();
    let hosts: Vec<String> = control.reached.server.hosts.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, [format!("127.0.0.1:{port}")]);
    assert_eq!(control.reached.warning(), None, "the loopback needs no warning");
    let preferred = url.replace("read-write", "prefer-standby");
    connect::client(&Server::from_url(&preferred).unwrap(), Purpose::Read).await.unwrap();
    let (standby, nowhere) = (url.replace("read-write", "standby"), url.replace(&format!(":{port}"), ":2"));
    let said = |error: Error| error.chain();
    let text = said(connect::client(&Server::from_url(&standby).unwrap(), Purpose::Read).await.err().unwrap());
    assert!(text.contains("the server is not standby"), "{text}");
    let text = said(connect::client(&Server::from_url(&nowhere).unwrap(), Purpose::Read).await.err().unwrap());
    assert!(text.contains("127.0.0.1:1: Connection refused") && text.contains("127.0.0.1:2"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_a_role_or_database_do_not_reach_a_session() {
    let hostile = [
        ("search_path", "public"),
        ("datestyle", "German"),
        ("intervalstyle", "iso_8601"),
        ("extra_float_digits", "0"),
        ("bytea_output", "escape"),
        ("standard_conforming_strings", "off"),
        ("statement_timeout", "3min"),
        ("lock_timeout", "1min"),
        ("row_security", "on"),
        ("quote_all_identifiers", "on"),
        ("timezone", "Asia/Tokyo"),
        ("synchronize_seqscans", "on"),
        ("xmloption", "document"),
    ];
    for major in [13, 16, 17, 18] {
        let database = TestDatabase::new(major, "hostile");
        for (name, value) in hostile {
            database.psql(&format!("ALTER DATABASE {} SET {name} = '{value}'", database.name));
        }
        let server = Server::from_url(&database.url()).unwrap();
        let control = connect::client(&server, Purpose::Read).await.unwrap();
        let mut data = Conn::open(&server, Purpose::Read).await.unwrap();
        for (name, value) in hostile {
            let sql = format!("SELECT pg_catalog.current_setting('{name}')");
            let by_control: String = control.client.query_one(&sql, &[]).await.unwrap().get(0);
            let by_data = data.query(sql.as_bytes()).await.unwrap();
            assert_eq!(by_data, [[Some(by_control.clone().into_bytes())]], "PostgreSQL {major}: {name}");
            assert_ne!(by_control, value, "PostgreSQL {major}: {name}");
        }
        let mut writer = Conn::open(&server, Purpose::Write).await.unwrap();
        let shown =
            writer.query(b"SELECT pg_catalog.current_setting('TimeZone'), pg_catalog.current_setting('search_path')");
        assert_eq!(shown.await.unwrap(), [[Some(b"Asia/Tokyo".to_vec()), Some(b"".to_vec())]]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_statement_can_be_cancelled() {
    let server = Server::from_url(&format!("{}/postgres", server_url(15))).unwrap();
    let control = connect::client(&server, Purpose::Read).await.unwrap();
    let token = control.client.cancel_token();
    let sleeping = control.client.batch_execute("SELECT pg_catalog.pg_sleep(60)");
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        connect::cancel(&control.reached, &token).await
    };
    let both = async { tokio::join!(sleeping, cancel) };
    let (slept, cancelled) = tokio::time::timeout(Duration::from_secs(20), both).await.expect("cancelled in time");
    cancelled.unwrap();
    assert_eq!(slept.unwrap_err().code().map(|code| code.code().to_owned()).as_deref(), Some("57014"));
}
