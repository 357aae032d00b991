//! `tls-server-end-point` (RFC 5929): the server certificate's hash, by the hash of its own signature.

use ring::digest;
use x509_cert::Certificate;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, Reader, SliceReader};
use x509_cert::spki::AlgorithmIdentifierRef;

const MD5_WITH_RSA: &str = "1.2.840.113549.1.1.4";
const SHA1_WITH_RSA: &str = "1.2.840.113549.1.1.5";
const SHA256_WITH_RSA: &str = "1.2.840.113549.1.1.11";
const SHA384_WITH_RSA: &str = "1.2.840.113549.1.1.12";
const SHA512_WITH_RSA: &str = "1.2.840.113549.1.1.13";
const RSA_PSS: &str = "1.2.840.113549.1.1.10";
const ECDSA_SHA1: &str = "1.2.840.10045.4.1";
const ECDSA_SHA256: &str = "1.2.840.10045.4.3.2";
const ECDSA_SHA384: &str = "1.2.840.10045.4.3.3";
const ECDSA_SHA512: &str = "1.2.840.10045.4.3.4";
const SHA1: &str = "1.3.14.3.2.26";
const SHA256: &str = "2.16.840.1.101.3.4.2.1";
const SHA384: &str = "2.16.840.1.101.3.4.2.2";
const SHA512: &str = "2.16.840.1.101.3.4.2.3";

/// `None` where the signature has no hash of its own (Ed25519): then there is no channel binding, as in libpq.
pub(super) fn hash(certificate: &[u8]) -> Option<Vec<u8>> {
    let parsed = Certificate::from_der(certificate).ok()?;
    let algorithm = &parsed.signature_algorithm;
    let oid = match algorithm.oid.to_string().as_str() {
        RSA_PSS => pss_hash(algorithm.parameters.as_ref()?.value())?,
        named => named.to_owned(),
    };
    let by = match oid.as_str() {
        // MD5 and SHA-1 are replaced by SHA-256.
        MD5_WITH_RSA | SHA1_WITH_RSA | SHA256_WITH_RSA | ECDSA_SHA1 | ECDSA_SHA256 | SHA1 | SHA256 => &digest::SHA256,
        SHA384_WITH_RSA | ECDSA_SHA384 | SHA384 => &digest::SHA384,
        SHA512_WITH_RSA | ECDSA_SHA512 | SHA512 => &digest::SHA512,
        _ => return None,
    };
    Some(digest::digest(by, certificate).as_ref().to_vec())
}

/// `RSASSA-PSS-params` begins with `[0] { hashAlgorithm }`; left out, it is SHA-1.
fn pss_hash(parameters: &[u8]) -> Option<String> {
    let mut reader = SliceReader::new(parameters).ok()?;
    if reader.is_finished() || reader.peek_byte() != Some(0xa0) {
        return Some(SHA1.to_owned());
    }
    let explicit = x509_cert::der::asn1::ContextSpecific::<AlgorithmIdentifierRef<'_>>::decode(&mut reader).ok()?;
    let oid: ObjectIdentifier = explicit.value.oid;
    Some(oid.to_string())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SignatureAlgorithm};

    use super::*;

    fn certificate(algorithm: &'static SignatureAlgorithm) -> Vec<u8> {
        let key = KeyPair::generate_for(algorithm).unwrap();
        CertificateParams::new(vec!["db".into()]).unwrap().self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_hash_is_that_of_the_signature() {
        let p256 = certificate(&rcgen::PKCS_ECDSA_P256_SHA256);
        assert_eq!(hash(&p256), Some(digest::digest(&digest::SHA256, &p256).as_ref().to_vec()));
        let p384 = certificate(&rcgen::PKCS_ECDSA_P384_SHA384);
        assert_eq!(hash(&p384), Some(digest::digest(&digest::SHA384, &p384).as_ref().to_vec()));
        assert_eq!(hash(&certificate(&rcgen::PKCS_ED25519)), None);
        assert_eq!(hash(b"no certificate"), None);
    }

    #[test]
    fn pss_names_its_hash_in_the_parameters() {
        // [0] { SEQUENCE { OID sha-384, NULL } }
        let named =
            [0xa0, 0x0f, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00];
        assert_eq!(pss_hash(&named).as_deref(), Some(SHA384));
        assert_eq!(pss_hash(&[]).as_deref(), Some(SHA1));
    }
}
