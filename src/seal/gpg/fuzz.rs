//! What the fuzz target `gpg` asserts; the committed seeds run as a test, too.

use std::io::Read;

use age::secrecy::SecretString;
use pgp::composed::RawSessionKey;
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::sym::SymmetricKeyAlgorithm;
use pgp::packet::{PacketTrait, SymKeyEncryptedSessionKey};
use pgp::types::{Password, StringToKey};
use rand::rngs::OsRng;

use super::Reader;

const PHRASE: &str = "phrase";
const CIPHER: SymmetricKeyAlgorithm = SymmetricKeyAlgorithm::AES256;

/// First byte even: the rest is a file. Odd: the rest are the packets in it, encrypted, with a digest that is right.
pub fn fuzz_gpg(data: &[u8]) {
    let Some((mode, bytes)) = data.split_first() else { return };
    let stored = if mode & 1 == 0 { bytes.to_vec() } else { sealed(bytes) };
    if is_slow(&stored) {
        return;
    }
    let Some(plain) = opened(&stored, usize::from(mode >> 1)) else { return };
    assert_eq!(opened(&stored, 1 << 20), Some(plain.clone()), "how it is read decides what is read");
    // Deflate makes at most a thousand bytes of one.
    assert!(plain.len() <= stored.len().saturating_mul(1100), "bytes were made");
    assert!(opened(&stored[..stored.len() - 1], 4096).is_none(), "the last byte says nothing");
    assert!(opened(&[stored.as_slice(), &[0]].concat(), 4096).is_none(), "something follows the end");
}

/// A packet of a key that is stretched by more than 64 KiB. What a reader spends on eight of the greatest is bounded, and more than
/// a fuzzer waits for.
fn is_slow(stored: &[u8]) -> bool {
    stored.windows(13).any(|packet| matches!(packet, [4, _, 3, .., count] if *count > 0x60))
}

fn opened(stored: &[u8], step: usize) -> Option<Vec<u8>> {
    let mut reader = Reader::open(stored, &[SecretString::from(PHRASE)]).ok()?;
    let (mut plain, mut buf) = (Vec::new(), vec![0; step + 1]);
    loop {
        match reader.read(&mut buf) {
            Ok(0) => {
                assert_eq!(reader.read(&mut buf).unwrap(), 0, "an end that is none");
                return Some(plain);
            }
            Ok(read) => plain.extend_from_slice(&buf[..read]),
            Err(_) => {
                assert!(reader.read(&mut buf).is_err(), "an error that is forgotten");
                return None;
            }
        }
    }
}

/// These packets under a key that costs nothing to stretch.
fn sealed(packets: &[u8]) -> Vec<u8> {
    let key = RawSessionKey::from(vec![7; 32]);
    let cheap = StringToKey::IteratedAndSalted { hash_alg: HashAlgorithm::Sha256, salt: [7; 8], count: 0 };
    let made = SymKeyEncryptedSessionKey::encrypt_v4(&Password::from(PHRASE), &key, cheap, CIPHER).unwrap();
    let mut stored = Vec::new();
    made.to_writer_with_header(&mut stored).unwrap();
    let encrypted = CIPHER.encrypt_protected(OsRng, key.as_ref(), packets).unwrap();
    stored.extend([0xd2, 0xff]);
    stored.extend((encrypted.len() as u32 + 1).to_be_bytes());
    stored.push(1);
    stored.extend(encrypted);
    stored
}
