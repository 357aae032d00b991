//! TLS as libpq does it, on rustls with the ring provider.
//!
//! The chain is checked when a root certificate is given (whatever the mode says) or demanded; the host name with
//! `verify-full` only. Unlike libpq, a certificate that fails its check never leads to a plain connection.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::error::{Context, Error, Kind, Result};

use super::fault::Failure;
use super::server::{Place, RootCert, SslMode, SslNegotiation, Tls};
use super::stream::Stream;

mod end_point;
mod verify;

use verify::{Check, Verifier};

/// What a session's encryption is worth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verified {
    /// Whoever answered was believed.
    No,
    Chain,
    ChainAndHost,
}

/// A TLS configuration whose files are read and checked once.
#[derive(Clone)]
pub(super) struct Client {
    connector: TlsConnector,
    pub verified: Verified,
}

impl Client {
    pub fn new(tls: &Tls) -> Result<Client> {
        let provider = Arc::new(ring::default_provider());
        let check = check(tls)?;
        let verified = check.worth();
        let verifier = Arc::new(Verifier::new(check, provider.signature_verification_algorithms));
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .context(Kind::Bug, || "cannot set up TLS".to_owned())?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match client_certificate(tls)? {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).context(Kind::Usage, || {
                "cannot use the client certificate (sslcert) with its key (sslkey)".to_owned()
            })?,
            None => builder.with_no_client_auth(),
        };
        if tls.negotiation == SslNegotiation::Direct {
            config.alpn_protocols = vec![b"postgresql".to_vec()];
        }
        Ok(Client { connector: TlsConnector::from(Arc::new(config)), verified })
    }

    /// Does the handshake on a stream whose server agreed to TLS.
    pub async fn handshake(&self, place: &Place, stream: TcpStream) -> Result<Stream, Failure> {
        let Place::Tcp(name) = place else {
            return Err(Failure::Tls { why: "TLS is not used on sockets".into(), hint: None });
        };
        let server_name = ServerName::try_from(name.clone()).map_err(|_| Failure::Tls {
            why: format!("`{name}` is no host name that a certificate could hold"),
            hint: None,
        })?;
        let stream = self.connector.connect(server_name, stream).await.map_err(|cause| verify::explain(cause, name))?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let end_point = certificate.and_then(|certificate| end_point::hash(certificate));
        Ok(Stream::tls(stream, end_point))
    }
}

fn check(tls: &Tls) -> Result<Check> {
    let roots = match &tls.root {
        Some(root) => roots(root)?,
        None if tls.mode >= SslMode::VerifyCa => {
            return Err(Error::new(Kind::Usage, "sslmode=verify-ca and verify-full need a root certificate").hint(
                "give sslrootcert=FILE, or sslrootcert=system for a certificate that public authorities signed",
            ));
        }
        None => return Ok(Check::Nothing),
    };
    let pinned = roots.pinned;
    let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
    let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots.store), provider)
        .build()
        .context(Kind::Usage, || "cannot use the root certificates".to_owned())?;
    match tls.mode {
        SslMode::VerifyFull => Ok(Check::ChainAndHost { chain, pinned }),
        _ => Ok(Check::Chain { chain, pinned }),
    }
}

struct Roots {
    store: RootCertStore,
    /// The certificates of the file as they are: a self-signed server certificate is its own root.
    pinned: Vec<CertificateDer<'static>>,
}

fn roots(root: &RootCert) -> Result<Roots> {
    let mut store = RootCertStore::empty();
    let file = match root {
        RootCert::System => {
            let found = rustls_native_certs::load_native_certs();
            let (added, _) = store.add_parsable_certificates(found.certs);
            if added == 0 {
                return Err(Error::new(Kind::Usage, "the system has no root certificates (sslrootcert=system)")
                    .hint("install the package ca-certificates, or give sslrootcert=FILE"));
            }
            return Ok(Roots { store, pinned: Vec::new() });
        }
        RootCert::File(file) => file,
    };
    let pinned = certificates(file, "sslrootcert")?;
    store.add_parsable_certificates(pinned.iter().cloned());
    if store.is_empty() {
        let doing = format!("sslrootcert {}: none of its certificates can be used as a root", file.display());
        return Err(Error::new(Kind::Usage, doing));
    }
    Ok(Roots { store, pinned })
}

fn certificates(file: &Path, parameter: &str) -> Result<Vec<CertificateDer<'static>>> {
    let doing = || format!("cannot read {parameter} {}", file.display());
    let text = fs::read(file).context(Kind::Usage, doing)?;
    let all: Vec<_> =
        CertificateDer::pem_slice_iter(&text).collect::<std::result::Result<_, _>>().context(Kind::Usage, doing)?;
    if all.is_empty() {
        return Err(Error::new(Kind::Usage, format!("{}: it holds no certificate in PEM form", doing())));
    }
    Ok(all)
}

/// The owner of a file whose owner does not exist in this user namespace.
const UNMAPPED: u32 = 65_534;

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn client_certificate(tls: &Tls) -> Result<Option<Identity>> {
    let (cert, key) = match (&tls.cert, &tls.key) {
        (None, None) => return Ok(None),
        (Some(cert), Some(key)) => (cert, key),
        _ => return Err(Error::new(Kind::Usage, "sslcert and sslkey are given together or not at all")),
    };
    let chain = certificates(cert, "sslcert")?;
    let doing = || format!("cannot read sslkey {}", key.display());
    let facts = fs::metadata(key).context(Kind::Usage, doing)?;
    let mode = facts.permissions().mode() & 0o777;
    // libpq's rule: a key that root owns may be readable by its group. In the user namespace of a user's unit root is nobody.
    let allowed = if matches!(facts.uid(), 0 | UNMAPPED) { 0o640 } else { 0o600 };
    if mode & !allowed != 0 {
        return Err(Error::new(Kind::Usage, format!("sslkey {} has mode {mode:04o}", key.display()))
            .hint(format!("others must not read it: chmod 0600 {}", key.display())));
    }
    let text = fs::read(key).context(Kind::Usage, doing)?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|cause| {
        Error::new(Kind::Usage, doing())
            .because(cause)
            .hint("an encrypted key is not supported: decrypt it with openssl")
    })?;
    Ok(Some((chain, key)))
}

#[cfg(test)]
#[path = "tls/tests.rs"]
mod tests;
