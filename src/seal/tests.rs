use std::io::{Read, Write};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::*;
use crate::error::{Kind, Result};
use crate::read_at::ReadAt;

const CHUNK: usize = 64 << 10;

fn pair() -> (Recipients, Keys) {
    let identity = age::x25519::Identity::generate();
    let recipients = Recipients::of([identity.to_public().to_string()]).unwrap();
    let mut keys = Keys::default();
    keys.add_identities(&format!("# a comment\n\n{}\n", secret(&identity)), "key.txt").unwrap();
    (recipients, keys)
}

fn secret(identity: &age::x25519::Identity) -> String {
    use age::secrecy::ExposeSecret;
    identity.to_string().expose_secret().to_owned()
}

fn sealed(recipients: &Recipients, plain: &[u8]) -> Vec<u8> {
    let mut sink = Sink::begin(Vec::new(), Some(recipients)).unwrap();
    sink.write_all(plain).unwrap();
    sink.finish().unwrap()
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

fn open(sealed: Vec<u8>, keys: &Arc<Keys>) -> Result<Unsealed<Arc<Vec<u8>>>> {
    unseal(Arc::new(sealed), Arc::clone(keys))
}

#[test]
fn without_recipients_bytes_pass_as_they_are() {
    let mut sink = Sink::begin(Vec::new(), None).unwrap();
    sink.write_all(b"plain").unwrap();
    assert_eq!(sink.finish().unwrap(), b"plain");
    assert!(!is_sealed(b"plain") && !is_sealed(b""));
}

#[test]
fn every_length_around_a_chunk_comes_back() {
    let (recipients, keys) = pair();
    let keys = Arc::new(keys);
    for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7] {
        let plain = bytes(len);
        let stored = sealed(&recipients, &plain);
        assert!(is_sealed(&stored));
        let opened = open(stored.clone(), &keys).unwrap();
        assert_eq!(opened.len(), len as u64);
        let mut found = vec![0; len];
        opened.read_at(0, &mut found).unwrap();
        assert!(found == plain, "{len}");
        assert!(opened.read_at(len as u64, &mut [0]).is_err());
        let mut streamed = Vec::new();
        unseal_stream(stored.as_slice(), &keys).unwrap().read_to_end(&mut streamed).unwrap();
        assert!(streamed == plain, "{len}");
    }
}

#[test]
fn each_of_several_recipients_opens_it_and_nobody_else() {
    let (first, first_key) = pair();
    let (second, second_key) = pair();
    let (_, stranger) = pair();
    let both = Recipients::of(first.shown().into_iter().chain(second.shown())).unwrap();
    let stored = sealed(&both, b"rows");
    for keys in [first_key, second_key] {
        open(stored.clone(), &Arc::new(keys)).unwrap();
    }
    for keys in [stranger, Keys::default()] {
        let keys = Arc::new(keys);
        assert_eq!(open(stored.clone(), &keys).err().unwrap().kind(), Kind::Refused);
        assert_eq!(unseal_stream(stored.as_slice(), &keys).err().unwrap().kind(), Kind::Refused);
    }
}

#[test]
fn a_passphrase_opens_what_it_sealed() {
    let stored = sealed(&Recipients::of_passphrase("open sesame".to_owned()), b"rows");
    let with = |passphrase: &str| {
        let mut keys = Keys::default();
        keys.add_passphrase(passphrase.to_owned());
        open(stored.clone(), &Arc::new(keys))
    };
    assert_eq!(with("open sesame").unwrap().len(), 4);
    assert_eq!(with("close sesame").err().unwrap().kind(), Kind::Refused);
}

/// Truncation at a chunk's end looks whole to whoever does not ask for the last chunk's mark.
#[test]
fn what_was_cut_swapped_or_flipped_is_damaged() {
    let (recipients, keys) = pair();
    let keys = Arc::new(keys);
    let plain = bytes(3 * CHUNK + 100);
    let stored = sealed(&recipients, &plain);
    let chunk = CHUNK + 16;
    let body = stored.len() - (3 * chunk + 116);
    for len in [stored.len() - 1, body + 3 * chunk, body + chunk, body + 5, body, body - 20, 30] {
        let error = open(stored[..len].to_vec(), &keys).err().unwrap();
        assert_eq!(error.kind(), Kind::Damaged, "{len}: {error:?}");
        let streamed = unseal_stream(&stored[..len], &keys).map(|mut stream| stream.read_to_end(&mut Vec::new()));
        assert!(!matches!(streamed, Ok(Ok(_))), "{len} bytes of a stream were taken as all");
    }
    let mut swapped = stored.clone();
    swapped[body..body + 2 * chunk].rotate_left(chunk);
    let opened = open(swapped, &keys).unwrap();
    let mut piece = [0; 10];
    assert_eq!(opened.read_at(5, &mut piece).unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    opened.read_at(2 * CHUNK as u64 + 5, &mut piece).unwrap();
    assert_eq!(piece, plain[2 * CHUNK + 5..][..10]);
    let mut flipped = stored;
    flipped[body + chunk + 9] ^= 1;
    let opened = open(flipped, &keys).unwrap();
    assert!(opened.read_at(CHUNK as u64, &mut piece).is_err());
    // The next read is not spoilt by the one that failed.
    opened.read_at(7, &mut piece).unwrap();
    assert_eq!(piece, plain[7..17]);
}

#[test]
fn what_is_no_key_is_told() {
    let (_, _) = pair();
    let identity = age::x25519::Identity::generate();
    let error = Recipients::of([secret(&identity)]).unwrap_err();
    assert!(error.chain().contains("secret key") && !error.chain().contains("AGE-SECRET-KEY-1"), "{}", error.chain());
    for text in ["age1nonsense", "ssh-ed25519 nonsense", "me@example.org", ""] {
        assert_eq!(Recipients::of([text.to_owned()]).unwrap_err().kind(), Kind::Usage, "{text}");
    }
    assert_eq!(Recipients::of([]).unwrap_err().kind(), Kind::Usage);
    for text in ["", "# nothing\n", "AGE-SECRET-KEY-1NO", "-----BEGIN OPENSSH PRIVATE KEY-----\nxx\n"] {
        assert_eq!(Keys::default().add_identities(text, "key").unwrap_err().kind(), Kind::Usage, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any reads in any order, by several threads at once.
    #[test]
    fn any_place_reads_as_it_was_written(
        len in 1_usize..5 * CHUNK,
        places in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..2 * CHUNK), 1..24),
    ) {
        let (recipients, keys) = pair();
        let plain = bytes(len);
        let opened = open(sealed(&recipients, &plain), &Arc::new(keys)).unwrap();
        let read = |places: &[(prop::sample::Index, usize)]| {
            places.iter().all(|(at, most)| {
                let at = at.index(len);
                let mut found = vec![0; (*most).min(len - at)];
                opened.read_at(at as u64, &mut found).unwrap();
                found == plain[at..at + found.len()]
            })
        };
        let (left, right) = places.split_at(places.len() / 2);
        let held = std::thread::scope(|scope| {
            let other = scope.spawn(|| read(left));
            read(right) && other.join().unwrap()
        });
        prop_assert!(held);
    }
}

/// Remembers what it was told to expect.
struct Far {
    bytes: Vec<u8>,
    expected: Mutex<Vec<Range<u64>>>,
}

impl ReadAt for Far {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
        self.bytes.read_at(offset, buf)
    }

    fn expect(&self, ranges: &[Range<u64>]) {
        self.expected.lock().unwrap().extend_from_slice(ranges);
    }
}

#[test]
fn what_is_expected_is_expected_of_the_stored_chunks() {
    let (recipients, keys) = pair();
    let stored = sealed(&recipients, &bytes(3 * CHUNK + 100));
    let chunk = CHUNK as u64 + 16;
    let header = stored.len() as u64 - 3 * chunk - 116;
    let far = Arc::new(Far { bytes: stored, expected: Mutex::default() });
    let opened = unseal(Arc::clone(&far), Arc::new(keys)).unwrap();
    let at = CHUNK as u64;
    opened.expect(&[5..6, at..2 * at, 2 * at - 1..2 * at + 1, 3 * at..3 * at + 100]);
    let chunks = |from: u64, to: u64| header + from * chunk..(header + to * chunk).min(far.len());
    assert_eq!(*far.expected.lock().unwrap(), [chunks(0, 1), chunks(1, 2), chunks(1, 3), chunks(3, 4)]);
}
