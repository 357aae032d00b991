//! URLs as libpq takes them, and refusals that never repeat a password.

use std::path::PathBuf;
use std::time::Duration;

use super::super::server::{ChannelBinding, Place, RootCert, Secret, Server, SslMode, Target};
use super::*;

fn server(url: &str) -> Server {
    Server::from_url(url).unwrap_or_else(|error| panic!("{url}: {error:?}"))
}

fn refusal(url: &str) -> (String, String) {
    let error = Server::from_url(url).expect_err(url);
    assert_eq!(error.kind(), Kind::Usage);
    (error.chain(), error.hint_text().unwrap_or_default().to_owned())
}

fn tcp(name: &str) -> Place {
    Place::Tcp(name.into())
}

#[test]
fn all_parts_of_a_plain_url() {
    let s = server(
        "postgresql://ann:p%40ss%3Aword@db.example:6543/shop?sslmode=verify-full&sslrootcert=/ca.pem&connect_timeout=7&application_name=x",
    );
    assert_eq!(s.user, "ann");
    assert_eq!(s.password.as_ref().map(Secret::reveal), Some("p@ss:word"));
    assert_eq!((s.hosts[0].place.clone(), s.hosts[0].port), (tcp("db.example"), 6543));
    assert_eq!(s.database, "shop");
    assert_eq!(s.tls.mode, SslMode::VerifyFull);
    assert_eq!(s.tls.root, Some(RootCert::File(PathBuf::from("/ca.pem"))));
    assert_eq!(s.connect_timeout, Some(Duration::from_secs(7)));
    assert_eq!(s.application_name, "x");
}

#[test]
fn defaults_are_libpqs_but_for_the_bounded_wait() {
    let s = server("postgres://ann@db");
    assert_eq!((s.database.as_str(), s.hosts[0].port), ("ann", 5432));
    assert_eq!((s.tls.mode, s.channel_binding, s.target), (SslMode::Prefer, ChannelBinding::Prefer, Target::Any));
    assert_eq!(s.password, None);
    assert_eq!(s.connect_timeout, Some(Duration::from_secs(30)));
    assert_eq!(server("postgres://ann@db?connect_timeout=0").connect_timeout, None);
}

#[test]
fn several_hosts_each_with_its_port() {
    let s = server("postgres://ann@a:1,b,[::1]:3/x?target_session_attrs=prefer-standby");
    let hosts: Vec<_> = s.hosts.iter().map(|host| (host.place.clone(), host.port)).collect();
    assert_eq!(hosts, [(tcp("a"), 1), (tcp("b"), 5432), (tcp("::1"), 3)]);
    assert_eq!(s.target, Target::PreferStandby);
    assert_eq!(server("postgres://ann@a,b:7/x").hosts[0].port, 5432);
    assert_eq!(server("postgres://ann@/x?host=a,b&port=9").hosts[1].port, 9);
}

#[test]
fn sockets_come_by_parameter_or_percent_encoded() {
    for url in
        ["postgres://ann@/x?host=/var/run/postgresql&port=5433", "postgres://ann@%2Fvar%2Frun%2Fpostgresql:5433/x"]
    {
        let s = server(url);
        assert_eq!(s.hosts.len(), 1);
        assert_eq!(s.hosts[0].place, Place::Socket("/var/run/postgresql".into()));
        assert_eq!(s.hosts[0].port, 5433);
    }
}

#[test]
fn without_a_host_the_usual_sockets_come_before_tcp() {
    let s = server("postgres://ann@/x");
    assert_eq!(s.hosts.len(), 3);
    assert_eq!(s.hosts[2].place, tcp("localhost"));
    assert!(s.hosts.iter().all(super::super::server::Host::is_local));
}

#[test]
fn the_name_stays_beside_its_address() {
    let s = server("postgres://ann@db.example/x?hostaddr=10.0.0.1");
    assert_eq!(s.hosts[0].place, tcp("db.example"));
    assert_eq!(s.hosts[0].address, Some("10.0.0.1".parse().unwrap()));
    assert!(refusal("postgres://ann@db/x?hostaddr=nowhere").0.contains("nowhere"));
}

#[test]
fn an_unknown_parameter_names_the_nearest_known() {
    let (text, hint) = refusal("postgres://ann@db/x?sslmod=require");
    assert_eq!(text, "unknown connection parameter `sslmod`");
    assert_eq!(hint, "did you mean `sslmode`?");
    assert!(refusal("postgres://ann@db/x?sslmode=strong").1.contains("verify-full"));
    assert!(refusal("postgres://ann@db/x?require_auth=scram-sha-256").0.contains("not supported"));
    assert!(refusal("postgres://ann@db/x?qqqqqqqqqqqqq=1").1.contains("known parameters"));
}

#[test]
fn no_refusal_repeats_the_password() {
    for url in [
        "postgre://ann:hunter2@db/x",
        "postgres://ann:hunter2%@db/x",
        "postgres://ann:hunter2%zz@db/x",
        "postgres://ann:hunter2@db:port/x",
        "postgres://ann:hunter2@[::1/x",
        "postgres://ann:hunter2@db/x?password=hunter2&bad=1",
        "postgres://ann:hunter2@db/x?hunter",
        "postgres://:hunter2@db/x",
        "postgres://ann:hunter2%FF@db/x",
        "postgres://ann:hunter2%00@db/x",
        "ann:hunter2@db/x",
        "postgres://ann:hunter/2@db/x",
        "postgres://ann:hunter?hunter=2@db/x",
    ] {
        let (text, hint) = refusal(url);
        assert!(!text.contains("hunter") && !hint.contains("hunter"), "{url} → {text} / {hint}");
    }
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    assert!(refusal("postgres://ann@db/x?sslrootcert=system&sslmode=require").0.contains("verify-full"));
    assert_eq!(server("postgres://ann@db/x?sslrootcert=system").tls.mode, SslMode::VerifyFull);
    assert!(refusal("postgres://ann@db/x?sslnegotiation=direct").0.contains("require"));
    assert!(refusal("postgres://ann@a,b,c/x?port=1,2").0.contains("2 ports for 3 hosts"));
    assert!(refusal("postgres://ann@db:0/x").0.contains("1 to 65535"));
    assert!(refusal("postgres://ann@db/x?connect_timeout=soon").0.contains("soon"));
    assert!(refusal("postgres://db/x").0.contains("no PostgreSQL user"));
    assert!(refusal("postgres://ann@db/x?client_encoding=SJIS").0.contains("SJIS"));
}

#[test]
fn an_unescaped_at_sign_in_a_password_is_understood() {
    let s = server("postgres://ann:a@b@db/x");
    assert_eq!(s.password.as_ref().map(Secret::reveal), Some("a@b"));
    assert_eq!(s.hosts[0].place, tcp("db"));
}

#[test]
fn a_stronger_level_wins() {
    let mut params = Params::from_url("postgres://db/x").unwrap();
    params.set_default("user", "ann").unwrap();
    params.set_default("dbname", "other").unwrap();
    params.set_default("password", "pw").unwrap();
    params.set_default("password", "weaker").unwrap();
    let s = params.server().unwrap();
    assert_eq!((s.user.as_str(), s.database.as_str()), ("ann", "x"));
    assert_eq!(s.password.as_ref().map(Secret::reveal), Some("pw"));
}
