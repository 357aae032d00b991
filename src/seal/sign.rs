//! Signatures (Ed25519): who made a backup. They stand in `.meta`, which names the archive's SHA-256.
//!
//! Signed is the JSON object without what places change when they keep it: the signature itself, in how many files the
//! archive is, and whether it was read back. Keys are as `openssl genpkey -algorithm ed25519` writes them.

use std::fmt;

use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use serde_json::{Map, Value};

use crate::checksum::hex;
use crate::error::{Context, Error, Kind, Result};

const SIGNATURE: &str = "signature";
const UNSIGNED: [&str; 3] = [SIGNATURE, "files", "readback"];

/// What precedes the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo.
const PUBLIC_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Signs what a run writes.
pub struct Signer(Ed25519KeyPair);

/// Knows whose signature is wanted.
#[derive(Clone)]
pub struct Verifier([u8; 32]);

impl Signer {
    /// `pem`: a private key in PKCS#8.
    pub fn from_pem(pem: &str) -> Result<Self> {
        let unusable = || "it is no private Ed25519 key in PEM".to_owned();
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).context(Kind::Usage, unusable)?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der());
        pair.map(Signer).map_err(|_| {
            Error::new(Kind::Usage, unusable()).hint("openssl genpkey -algorithm ed25519 -out sign.pem makes one")
        })
    }

    /// A `.meta` with its signature.
    pub fn sign(&self, meta: &[u8]) -> Result<Vec<u8>> {
        let mut object = object(meta)?;
        let signature = self.0.sign(&signed_part(&object)?);
        object.insert(SIGNATURE.to_owned(), Value::String(hex(signature.as_ref())));
        let mut json = serde_json::to_vec_pretty(&object).context(Kind::Bug, || "cannot write .meta".to_owned())?;
        json.push(b'\n');
        Ok(json)
    }
}

impl Verifier {
    /// `pem`: a public key, as `openssl pkey -pubout` prints it.
    pub fn from_pem(pem: &str) -> Result<Self> {
        let unusable = || "it is no public Ed25519 key in PEM".to_owned();
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).context(Kind::Usage, unusable)?;
        let key = der.as_ref().strip_prefix(&PUBLIC_PREFIX).and_then(|key| <[u8; 32]>::try_from(key).ok());
        key.map(Verifier).ok_or_else(|| {
            Error::new(Kind::Usage, unusable()).hint("openssl pkey -in sign.pem -pubout -out sign.pub prints it")
        })
    }

    /// Whether the `.meta` is signed by the key; `Damaged` if not.
    pub fn check(&self, meta: &[u8]) -> Result<()> {
        let object = object(meta)?;
        let Some(signature) = object.get(SIGNATURE) else {
            return Err(Error::new(Kind::Damaged, "its .meta is not signed"));
        };
        let signature = signature.as_str().and_then(unhex).unwrap_or_default();
        let key = UnparsedPublicKey::new(&ED25519, &self.0);
        key.verify(&signed_part(&object)?, &signature)
            .map_err(|_| Error::new(Kind::Damaged, "its .meta is not signed by the key that is asked for"))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({})", hex(&self.0))
    }
}

fn object(meta: &[u8]) -> Result<Map<String, Value>> {
    serde_json::from_slice(meta).context(Kind::Damaged, || "its .meta is not valid".to_owned())
}

/// One form for one object: fields in their order, without spaces.
fn signed_part(object: &Map<String, Value>) -> Result<Vec<u8>> {
    let signed: Map<String, Value> = object
        .iter()
        .filter(|(name, _)| !UNSIGNED.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    serde_json::to_vec(&signed).context(Kind::Bug, || "cannot write .meta".to_owned())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    });
    bytes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by openssl for this test.
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";

    #[test]
    fn a_signature_holds_for_what_was_signed_and_nothing_else() {
        let (signer, verifier) = (Signer::from_pem(PRIVATE).unwrap(), Verifier::from_pem(PUBLIC).unwrap());
        let meta =
            br#"{"database":"shop","sha256":"ab","seconds":1.5,"readback":"checked","future":[1,{"b":2,"a":1}]}"#;
        let signed = String::from_utf8(signer.sign(meta).unwrap()).unwrap();
        verifier.check(signed.as_bytes()).unwrap();
        // Kept elsewhere, written anew.
        let kept = signed.replace("\"checked\"", "\"denied\"").replace("\n", " ");
        verifier.check(kept.as_bytes()).unwrap();
        for (from, to) in [("shop", "sh0p"), ("\"ab\"", "\"ac\""), ("1.5", "1.6"), ("\"b\": 2", "\"b\": 3")] {
            assert!(signed.contains(from), "{signed}");
            assert_eq!(
                verifier.check(signed.replace(from, to).as_bytes()).unwrap_err().kind(),
                Kind::Damaged,
                "{from}"
            );
        }
        assert!(verifier.check(meta).unwrap_err().chain().contains("not signed"));
        for broken in ["{\"signature\":1}", "{\"signature\":\"zz\"}", "{\"signature\":\"é\"}", "[]", ""] {
            assert_eq!(verifier.check(broken.as_bytes()).unwrap_err().kind(), Kind::Damaged, "{broken}");
        }
    }

    #[test]
    fn other_keys_are_refused() {
        assert_eq!(Signer::from_pem(PUBLIC).unwrap_err().kind(), Kind::Usage);
        assert_eq!(Verifier::from_pem(PRIVATE).unwrap_err().kind(), Kind::Usage);
        assert_eq!(Verifier::from_pem("").unwrap_err().kind(), Kind::Usage);
    }
}
