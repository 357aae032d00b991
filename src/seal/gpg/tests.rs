//! With the stock program: what it reads, what it writes, and what is no longer what it wrote.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use age::secrecy::SecretString;
use proptest::prelude::*;

use super::*;
use crate::error::{Kind, Result};

const PHRASE: &str = "correct horse battery staple";

fn secret(phrase: &str) -> SecretString {
    SecretString::from(phrase.to_owned())
}

fn sealed(plain: &[u8]) -> Vec<u8> {
    let mut writer = Writer::begin(Vec::new(), &secret(PHRASE)).unwrap();
    for piece in plain.chunks(100_003) {
        writer.write_all(piece).unwrap();
    }
    writer.finish().unwrap()
}

fn opened(stored: &[u8], phrase: &str) -> Result<io::Result<Vec<u8>>> {
    let mut plain = Vec::new();
    Ok(Reader::open(stored, &[secret(phrase)])?.read_to_end(&mut plain).map(|_| plain))
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

/// gpg with a folder of its own, whose agent ends with it.
struct Gpg(tempfile::TempDir);

impl Gpg {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("phrase"), PHRASE).unwrap();
        Gpg(folder)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str], input: &Path) -> Vec<u8> {
        let mut command = Command::new("gpg");
        command
            .args(["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase-file"])
            .arg(self.file("phrase"));
        command.args(arguments).env("GNUPGHOME", self.0.path()).stdin(fs::File::open(input).unwrap());
        let done = command.stderr(Stdio::piped()).output().expect("gpg is installed by `make setup`");
        assert!(done.status.success(), "gpg {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        done.stdout
    }

    fn seals(&self, plain: &[u8], more: &[&str]) -> Vec<u8> {
        let input = self.file("input");
        fs::write(&input, plain).unwrap();
        self.run(&[&["--symmetric"], more].concat(), &input)
    }

    fn opens(&self, stored: &[u8]) -> Vec<u8> {
        let input = self.file("input");
        fs::write(&input, stored).unwrap();
        self.run(&["--decrypt"], &input)
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let ended = Command::new("gpgconf").args(["--kill", "gpg-agent"]).env("GNUPGHOME", self.0.path()).status();
        assert!(ended.is_ok_and(|ended| ended.success()), "an agent of gpg was left running");
    }
}

#[test]
fn gpg_opens_what_we_write_and_we_do() {
    let gpg = Gpg::new();
    for len in [0, 1, 511, 512, 8192, 8193, 512 << 10, (512 << 10) - 12, 2_000_000] {
        let plain = bytes(len);
        let stored = sealed(&plain);
        assert!(gpg.opens(&stored) == plain, "gpg reads {len} bytes otherwise");
        assert!(opened(&stored, PHRASE).unwrap().unwrap() == plain, "{len}");
    }
}

#[test]
fn we_open_whatever_gpg_makes_of_a_passphrase() {
    let gpg = Gpg::new();
    let plain = [bytes(300_000), vec![b' '; 700_000]].concat();
    let kinds: [&[&str]; 8] = [
        &["--cipher-algo", "AES256"],
        &["--cipher-algo", "AES256", "--compress-algo", "none"],
        &["--cipher-algo", "AES128", "--compress-algo", "zip", "--s2k-count", "1024"],
        &["--cipher-algo", "TWOFISH", "--compress-algo", "zlib", "--s2k-count", "1024"],
        &["--s2k-digest-algo", "SHA1", "--s2k-count", "1024"],
        &["--s2k-digest-algo", "SHA512", "--s2k-count", "1024"],
        &["--s2k-mode", "1"],
        &["--s2k-mode", "0", "--set-filename", "a name"],
    ];
    for kind in kinds {
        for plain in [&plain[..], b"", b"x"] {
            let stored = gpg.seals(plain, kind);
            assert!(opened(&stored, PHRASE).unwrap().unwrap() == plain, "{kind:?}, {} bytes", plain.len());
            assert_eq!(opened(&stored, "wrong").unwrap_err().kind(), Kind::Refused, "{kind:?}");
        }
    }
}

#[test]
fn what_is_not_read_is_told_with_the_way_out() {
    let gpg = Gpg::new();
    let armored = gpg.seals(b"rows", &["--armor"]);
    // Whose lines end otherwise than what was encrypted.
    let text = gpg.seals(b"rows\n", &["--textmode"]);
    let old = gpg.seals(b"rows", &["--cipher-algo", "3DES"]);
    for (stored, kind) in [(&armored, Kind::Unsupported), (&text, Kind::Unsupported), (&old, Kind::Unsupported)] {
        assert_eq!(opened(stored, PHRASE).unwrap_err().kind(), kind);
    }
    let stored = sealed(b"rows");
    let none = Reader::open(stored.as_slice(), &[]).err().unwrap();
    assert!(none.kind() == Kind::Refused && none.hint_text().unwrap().contains("--passphrase-file"));
    // A key that would take 2 TiB of memory to make (Argon2): only looked at.
    let mut greedy = vec![0xc3, 22, 4, 9, 4];
    greedy.extend([7; 16]);
    greedy.extend([1, 1, 31, 0xd2, 100, 1]);
    greedy.extend([7; 99]);
    assert_eq!(opened(&greedy, PHRASE).unwrap_err().kind(), Kind::Unsupported);
}

/// Every byte of a small file, and every length of it.
#[test]
fn what_was_cut_or_flipped_never_ends_well() {
    let stored = gpg_like();
    let spoilt = |stored: &[u8], what: &str| match opened(stored, PHRASE) {
        Err(error) => {
            assert!(matches!(error.kind(), Kind::Damaged | Kind::Refused | Kind::Unsupported), "{what}: {error:?}")
        }
        Ok(Err(cause)) => assert_eq!(cause.kind(), io::ErrorKind::InvalidData, "{what}"),
        Ok(Ok(_)) => panic!("{what} was not noticed"),
    };
    for len in 0..stored.len() {
        spoilt(&stored[..len], &format!("a cut at {len}"));
    }
    for at in 0..stored.len() {
        let mut flipped = stored.clone();
        flipped[at] ^= 1 << (at % 8);
        spoilt(&flipped, &format!("a flip at {at}"));
    }
    spoilt(&[&stored[..], b"x"].concat(), "a byte behind the end");
    spoilt(&[&stored[..], &stored[..]].concat(), "a second file behind the end");
    // Of ours some: their key takes long to make.
    let ours = sealed(&bytes(700));
    for cut in [20, 90, ours.len() - 23, ours.len() - 1] {
        spoilt(&ours[..cut], &format!("a cut of ours at {cut}"));
        let mut flipped = ours.clone();
        flipped[cut] ^= 1;
        spoilt(&flipped, &format!("a flip of ours at {cut}"));
    }
}

#[test]
fn after_an_error_nothing_more_is_read() {
    let mut stored = sealed(&bytes(100_000));
    let last = stored.len() - 1;
    stored[last] ^= 1;
    let mut reader = Reader::open(stored.as_slice(), &[secret(PHRASE)]).unwrap();
    let mut plain = Vec::new();
    assert!(reader.read_to_end(&mut plain).is_err());
    for _ in 0..3 {
        assert!(reader.read(&mut [0; 10]).is_err());
    }
}

/// A place that fails is no damage, and its error comes out as it was.
#[test]
fn a_place_that_fails_says_so() {
    struct Broken(usize);
    impl Write for Broken {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(buf.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(buf.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut writer = Writer::begin(Broken(1 << 20), &secret(PHRASE)).unwrap();
    let failed = (0..100).find_map(|_| writer.write_all(&[7; 100_000]).err());
    assert_eq!(failed.unwrap().kind(), io::ErrorKind::StorageFull);
    assert!(writer.write_all(&[7; 1_000_000]).is_err() && writer.finish().is_err());
    let at_the_end = Writer::begin(Broken(10), &secret(PHRASE)).unwrap();
    assert_eq!(at_the_end.finish().err().unwrap().kind(), io::ErrorKind::StorageFull);

    struct Flaky<'a>(&'a [u8]);
    impl Read for Flaky<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buf)? {
                0 => Err(io::ErrorKind::TimedOut.into()),
                read => Ok(read),
            }
        }
    }
    let stored = sealed(&bytes(500_000));
    assert_eq!(Reader::open(Flaky(&stored[..10]), &[secret(PHRASE)]).err().unwrap().kind(), Kind::Place);
    let mut reader = Reader::open(Flaky(&stored[..400_000]), &[secret(PHRASE)]).unwrap();
    assert_eq!(reader.read_to_end(&mut Vec::new()).unwrap_err().kind(), io::ErrorKind::TimedOut);
}

/// Whoever gives up leaves a file that nobody takes for whole.
#[test]
fn a_writer_that_is_dropped_writes_no_end() {
    #[derive(Clone, Default)]
    struct Shared(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(buf)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for len in [0, 100, 3_000_000] {
        let shared = Shared::default();
        let mut writer = Writer::begin(shared.clone(), &secret(PHRASE)).unwrap();
        writer.write_all(&bytes(len)).unwrap();
        drop(writer);
        let stored = shared.0.lock().unwrap().clone();
        assert!(!matches!(opened(&stored, PHRASE), Ok(Ok(_))), "{len}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any bytes behind a beginning that is believed: an error, or an end, and never more than was there.
    #[test]
    fn anything_at_all_is_refused_in_order(
        // The packet of the key is whole: what it costs to stretch is its to say.
        kept in 15_usize..120,
        rest in prop::collection::vec(any::<u8>(), 0..3000),
        reads in prop::collection::vec(1_usize..10_000, 1..8),
    ) {
        let mut stored = gpg_like();
        stored.truncate(kept);
        stored.extend(rest);
        if let Ok(mut reader) = Reader::open(stored.as_slice(), &[secret(PHRASE)]) {
            let mut total = 0;
            for at in 0.. {
                let mut buf = vec![0; reads[at % reads.len()]];
                match reader.read(&mut buf) {
                    Ok(0) => panic!("false bytes were taken as all"),
                    Ok(read) => total += read,
                    Err(_) => break,
                }
            }
            prop_assert!(total <= stored.len());
        }
    }
}

/// Made once: a file whose key is cheap to stretch.
fn gpg_like() -> Vec<u8> {
    static MADE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    MADE.get_or_init(|| {
        let cheap = ["--cipher-algo", "AES256", "--s2k-mode", "1", "--compress-algo", "none"];
        Gpg::new().seals(&bytes(2000), &cheap)
    })
    .clone()
}
