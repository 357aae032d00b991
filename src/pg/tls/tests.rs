//! Handshakes with a server in this process, whose certificate is right, wrong, old or for another host.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::PrivatePkcs8KeyDer;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::pg::connect::{Dialler, Guard, Server};

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Test Authority");
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }
}

/// A certificate and its key, as a server holds them.
struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

fn params(names: &[&str], common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

fn signed(params: CertificateParams, authority: &Authority) -> Identity {
    let key = KeyPair::generate().unwrap();
    Identity { certificate: params.signed_by(&key, &authority.issuer).unwrap(), key }
}

fn self_signed(params: CertificateParams) -> Identity {
    let key = KeyPair::generate().unwrap();
    Identity { certificate: params.self_signed(&key).unwrap(), key }
}

/// Says `S` to an SSLRequest and does the handshake; answers until the test's runtime ends. Gives its port.
async fn serve(identity: &Identity) -> u16 {
    let chain = vec![identity.certificate.der().clone()];
    let key = PrivatePkcs8KeyDer::from(identity.key.serialize_der()).into();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 8];
            if stream.read_exact(&mut request).await.is_ok() && stream.write_all(b"S").await.is_ok() {
                drop(acceptor.accept(stream).await);
            }
        }
    });
    port
}

async fn dial(host: &str, port: u16, query: &str) -> Result<Guard> {
    let url = format!("postgres://ann@{host}:{port}/x?hostaddr=127.0.0.1&connect_timeout=20&{query}");
    Dialler::new(&Server::from_url(&url).unwrap()).next().await.map(|link| link.guard)
}

async fn refusal(host: &str, port: u16, query: &str) -> String {
    let error = dial(host, port, query).await.expect_err(query);
    assert_eq!(error.kind(), Kind::Connect);
    error.chain()
}

fn file(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

#[tokio::test]
async fn the_six_modes_differ_in_what_they_check() {
    let (ours, theirs, folder) = (Authority::new(), Authority::new(), tempfile::tempdir().unwrap());
    let root = file(&folder, "root.crt", &ours.pem).display().to_string();
    let other_root = file(&folder, "other.crt", &theirs.pem).display().to_string();
    let port = serve(&signed(params(&["db.example"], "unused"), &ours)).await;

    for mode in ["prefer", "require"] {
        assert_eq!(dial("db.example", port, &format!("sslmode={mode}")).await.unwrap(), Guard::Tls(Verified::No));
        // A root certificate is used whatever the mode, and its refusal is final.
        let query = format!("sslmode={mode}&sslrootcert={root}");
        assert_eq!(dial("wrong.example", port, &query).await.unwrap(), Guard::Tls(Verified::Chain));
        let text = refusal("db.example", port, &format!("sslmode={mode}&sslrootcert={other_root}")).await;
        assert!(text.contains("no root certificate of ours signed it"), "{text}");
    }
    let ca = format!("sslmode=verify-ca&sslrootcert={root}");
    assert_eq!(dial("wrong.example", port, &ca).await.unwrap(), Guard::Tls(Verified::Chain));
    let full = format!("sslmode=verify-full&sslrootcert={root}");
    assert_eq!(dial("db.example", port, &full).await.unwrap(), Guard::Tls(Verified::ChainAndHost));
    let text = refusal("wrong.example", port, &full).await;
    assert!(text.contains("it is not for host wrong.example"), "{text}");
    assert_eq!(dial("db.example", port, "sslmode=disable").await.unwrap(), Guard::Plain);
    assert_eq!(dial("db.example", port, "sslmode=allow").await.unwrap(), Guard::Plain);
}

#[tokio::test]
async fn the_common_name_counts_only_without_alternative_names() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let root = file(&folder, "root.crt", &authority.pem);
    let full = format!("sslmode=verify-full&sslrootcert={}", root.display());
    let port = serve(&signed(params(&[], "db.example"), &authority)).await;
    assert_eq!(dial("db.example", port, &full).await.unwrap(), Guard::Tls(Verified::ChainAndHost));
    assert!(refusal("other.example", port, &full).await.contains("not for host other.example"));
    let port = serve(&signed(params(&["other.example"], "db.example"), &authority)).await;
    assert!(refusal("db.example", port, &full).await.contains("not for host db.example"));
}

#[tokio::test]
async fn a_self_signed_certificate_can_be_its_own_root() {
    let folder = tempfile::tempdir().unwrap();
    let identity = self_signed(params(&["db.example"], "db"));
    let root = file(&folder, "server.crt", &identity.certificate.pem()).display().to_string();
    let port = serve(&identity).await;
    let full = format!("sslmode=verify-full&sslrootcert={root}");
    assert_eq!(dial("db.example", port, &full).await.unwrap(), Guard::Tls(Verified::ChainAndHost));
    assert!(refusal("other.example", port, &full).await.contains("not for host"));

    let mut old = params(&["db.example"], "db");
    (old.not_before, old.not_after) = (rcgen::date_time_ymd(2001, 1, 1), rcgen::date_time_ymd(2002, 1, 1));
    let identity = self_signed(old);
    let root = file(&folder, "old.crt", &identity.certificate.pem()).display().to_string();
    let port = serve(&identity).await;
    let text = refusal("db.example", port, &format!("sslmode=verify-ca&sslrootcert={root}")).await;
    assert!(text.contains("it has expired"), "{text}");
}

#[tokio::test]
async fn an_expired_certificate_is_refused_only_where_it_is_checked() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let root = file(&folder, "root.crt", &authority.pem);
    let mut old = params(&["db.example"], "db");
    (old.not_before, old.not_after) = (rcgen::date_time_ymd(2001, 1, 1), rcgen::date_time_ymd(2002, 1, 1));
    let port = serve(&signed(old, &authority)).await;
    let text = refusal("db.example", port, &format!("sslmode=verify-ca&sslrootcert={}", root.display())).await;
    assert!(text.contains("it has expired"), "{text}");
    assert_eq!(dial("db.example", port, "sslmode=require").await.unwrap(), Guard::Tls(Verified::No));
}

#[test]
fn files_that_cannot_serve_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let identity = self_signed(params(&["client"], "ann"));
    let cert = file(&folder, "client.crt", &identity.certificate.pem());
    let key = file(&folder, "client.key", &identity.key.serialize_pem());
    let empty = file(&folder, "empty.crt", "no certificate here");
    let tls = |mode, root: Option<&PathBuf>, cert: Option<&PathBuf>, key: Option<&PathBuf>| Tls {
        mode,
        root: root.cloned().map(RootCert::File),
        cert: cert.cloned(),
        key: key.cloned(),
        ..Tls::default()
    };
    let said = |tls: &Tls| Client::new(tls).err().map(|error| error.chain()).unwrap_or_default();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(said(&tls(SslMode::Require, None, Some(&cert), Some(&key))).contains("has mode 0644"));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(said(&tls(SslMode::Require, None, Some(&cert), Some(&key))), "");
    assert!(said(&tls(SslMode::Require, None, Some(&cert), None)).contains("together"));
    assert!(said(&tls(SslMode::VerifyFull, None, None, None)).contains("need a root certificate"));
    assert!(said(&tls(SslMode::VerifyCa, Some(&empty), None, None)).contains("no certificate in PEM form"));
    let missing = folder.path().join("missing.crt");
    assert!(said(&tls(SslMode::VerifyCa, Some(&missing), None, None)).contains("missing.crt"));
}
