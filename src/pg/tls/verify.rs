//! Whether a server's certificate is accepted, and the words for why not.

use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{AlertDescription, CertificateError, DigitallySignedStruct, Error as TlsError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::asn1::{PrintableStringRef, Utf8StringRef};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::Verified;
use crate::pg::fault::Failure;

#[derive(Debug)]
pub(super) enum Check {
    Nothing,
    Chain { chain: Arc<WebPkiServerVerifier>, pinned: Vec<CertificateDer<'static>> },
    ChainAndHost { chain: Arc<WebPkiServerVerifier>, pinned: Vec<CertificateDer<'static>> },
}

impl Check {
    pub(super) fn worth(&self) -> Verified {
        match self {
            Check::Nothing => Verified::No,
            Check::Chain { .. } => Verified::Chain,
            Check::ChainAndHost { .. } => Verified::ChainAndHost,
        }
    }
}

#[derive(Debug)]
pub(super) struct Verifier {
    check: Check,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    pub(super) fn new(check: Check, algorithms: WebPkiSupportedAlgorithms) -> Self {
        Verifier { check, algorithms }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let (chain, pinned, names_host) = match &self.check {
            Check::Nothing => return Ok(ServerCertVerified::assertion()),
            Check::Chain { chain, pinned } => (chain, pinned, false),
            Check::ChainAndHost { chain, pinned } => (chain, pinned, true),
        };
        if pinned.iter().any(|root| root.as_ref() == end_entity.as_ref()) {
            in_its_time(end_entity, now)?;
        } else {
            // The name is the last thing that is checked: an error about it means that the chain holds.
            match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp, now) {
                Err(TlsError::InvalidCertificate(
                    CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
                )) => {}
                Err(other) => return Err(other),
                Ok(_) => return Ok(ServerCertVerified::assertion()),
            }
        }
        if names_host {
            names(end_entity, server_name)?
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn in_its_time(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), TlsError> {
    let parsed = parse(certificate)?;
    let validity = &parsed.tbs_certificate.validity;
    if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

/// libpq's rule: the alternative names decide; without one that names a host or an address, the common name does.
fn names(certificate: &CertificateDer<'_>, host: &ServerName<'_>) -> Result<(), TlsError> {
    let by_alternative = verify_server_name(&ParsedCertificate::try_from(certificate)?, host);
    let Err(refusal) = by_alternative else { return Ok(()) };
    let parsed = parse(certificate)?;
    let alternatives = parsed.tbs_certificate.get::<SubjectAltName>().map_err(|_| CertificateError::BadEncoding)?;
    let decides = |name: &GeneralName| matches!(name, GeneralName::DnsName(_) | GeneralName::IpAddress(_));
    if alternatives.is_some_and(|(_, names)| names.0.iter().any(decides)) {
        return Err(refusal);
    }
    let wanted = host.to_str();
    if common_names(&parsed).iter().any(|name| name_fits(name, &wanted)) { Ok(()) } else { Err(refusal) }
}

fn common_names(certificate: &Certificate) -> Vec<String> {
    const COMMON_NAME: &str = "2.5.4.3";
    let parts = certificate.tbs_certificate.subject.0.iter().flat_map(|part| part.0.iter());
    parts
        .filter(|part| part.oid.to_string() == COMMON_NAME)
        .filter_map(|part| {
            let utf8 = Utf8StringRef::try_from(&part.value).map(|text| text.as_str().to_owned());
            utf8.or_else(|_| PrintableStringRef::try_from(&part.value).map(|text| text.as_str().to_owned())).ok()
        })
        .collect()
}

/// `*.example` stands for one label.
fn name_fits(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(domain) => host.split_once('.').is_some_and(|(label, rest)| {
            !label.is_empty() && domain.contains('.') && rest.eq_ignore_ascii_case(domain)
        }),
        None => pattern.eq_ignore_ascii_case(host),
    }
}

fn parse(certificate: &CertificateDer<'_>) -> Result<Certificate, TlsError> {
    Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding.into())
}

/// Words for a handshake that failed; only a certificate's fault is [`Failure::Tls`], the rest may fall back.
pub(super) fn explain(cause: io::Error, host: &str) -> Failure {
    let Some(tls) = cause.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) else {
        return cause.into();
    };
    let refused = |why: &str, hint: &str| Failure::Tls {
        why: format!("the server's certificate is not accepted: {why}"),
        hint: Some(hint.to_owned()),
    };
    match tls {
        TlsError::InvalidCertificate(fault) => match fault {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                refused("it has expired", "renew it on the server; is the clock here right?")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                refused("it is not valid yet", "is the clock here right?")
            }
            // A bad signature is what another authority of the same name leaves.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                refused("no root certificate of ours signed it", "does sslrootcert hold the authority of this server?")
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                refused(&format!("it is not for host {host}"), "connect by a name that the certificate holds")
            }
            other => refused(&other.to_string(), "a certificate of X.509 version 3, signed by the root, is needed"),
        },
        TlsError::AlertReceived(AlertDescription::CertificateRequired) => Failure::Tls {
            why: "the server demands a client certificate".into(),
            hint: Some("give sslcert and sslkey".into()),
        },
        other => Failure::Io(io::Error::new(cause.kind(), format!("TLS handshake failed: {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        assert!(name_fits("DB.example.org", "db.example.org"));
        assert!(name_fits("*.example.org", "db.example.org"));
        assert!(!name_fits("*.example.org", "a.db.example.org"));
        assert!(!name_fits("*.example.org", "example.org"));
        assert!(!name_fits("*.org", "example.org"));
        assert!(!name_fits("db.*.org", "db.example.org"));
    }
}
