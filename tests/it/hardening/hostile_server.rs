//! A server that lies: lengths, floods and messages that make no sense, right after the login.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::program::Sandbox;

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    out.extend(body);
    out
}

fn parameter(name: &str, value: &str) -> Vec<u8> {
    message(b'S', format!("{name}\0{value}\0").as_bytes())
}

/// Up to ReadyForQuery; whoever asks for TLS is told that there is none.
fn let_in(stream: &mut TcpStream) -> std::io::Result<()> {
    loop {
        let mut head = [0; 8];
        stream.read_exact(&mut head)?;
        let len = usize::try_from(u32::from_be_bytes(head[..4].try_into().unwrap())).unwrap();
        let mut rest = vec![0; len.saturating_sub(8)];
        stream.read_exact(&mut rest)?;
        if head[4..] == 196_608_u32.to_be_bytes() {
            break;
        }
        stream.write_all(b"N")?;
    }
    let mut out = message(b'R', &[0, 0, 0, 0]);
    for (name, value) in [
        ("server_version", "18.0"),
        ("server_encoding", "UTF8"),
        ("client_encoding", "UTF8"),
        ("standard_conforming_strings", "on"),
    ] {
        out.extend(parameter(name, value));
    }
    out.extend(message(b'K', &[0, 0, 0, 1, 0, 0, 0, 2]));
    out.extend(message(b'Z', b"I"));
    stream.write_all(&out)
}

/// What it says to the first question, and how many bytes of it come at most: it goes on until nobody listens.
type Lie = fn(u64) -> Vec<u8>;

const LIES: [(&str, Lie); 10] = [
    ("a length of 2 GiB", |_| [b"D\x7f\xff\xff\xff".as_slice(), &[0; 60_000]].concat()),
    ("a length of 4 GiB", |_| [b"T\xff\xff\xff\xff".as_slice(), &[0; 60_000]].concat()),
    ("a length below itself", |_| b"D\0\0\0\x03abc".to_vec()),
    ("parameters without end", |n| {
        (0..500).flat_map(|i| parameter(&format!("p{}", n * 500 + i), &"x".repeat(200))).collect()
    }),
    ("notices without end", |_| message(b'N', b"SNOTICE\0C00000\0Mhello\0\0").repeat(500)),
    ("an unknown message", |_| message(0, b"?")),
    ("rows without a description", |_| message(b'D', &[0, 1, 0, 0, 0, 1, b'x'])),
    ("more fields than there are", |_| [message(b'T', &[0xff, 0xff]), message(b'D', &[0x7f, 0xff])].concat()),
    ("an error without fields", |_| [message(b'E', b"\0"), message(b'Z', b"I")].concat()),
    ("readiness without length", |_| message(b'Z', b"")),
];

/// The largest resident size that the program reaches, in KiB, and how it ended.
fn peak_of(sandbox: &Sandbox, url: &str) -> (u64, crate::program::Outcome) {
    let mut run = sandbox.start(&["backup", "postgres", "--url", url, "--output", "a.sql.gz"]);
    let (mut peak, began) = (0, Instant::now());
    while !run.has_ended() {
        peak = peak.max(run.peak_kib());
        if began.elapsed() > Duration::from_secs(40) {
            return (peak, run.kill());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    (peak, run.wait())
}

#[test]
fn a_lying_server_is_found_out() {
    for (what, lie) in LIES {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let Ok((mut stream, _)) = listener.accept() else { return };
            stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
            if let_in(&mut stream).is_err() {
                return;
            }
            let mut question = [0; 4096];
            drop(stream.read(&mut question));
            // At most a gigabyte, so that the test ends whatever happens.
            for n in 0..20_000 {
                if stream.write_all(&lie(n)).is_err() {
                    return;
                }
                if !what.contains("without end") && !what.contains("GiB") {
                    break;
                }
            }
        });
        let sandbox = Sandbox::new();
        let (peak, outcome) =
            peak_of(&sandbox, &format!("postgres://postgres@127.0.0.1:{port}/x?sslmode=disable&connect_timeout=6"));
        let outcome = outcome.expect_failure().never_says("panicked").blames("127.0.0.1");
        assert!(peak < 128 << 10, "{what}: {peak} KiB{outcome}");
        assert!(sandbox.files("a.sql.gz").is_empty());
        server.join().unwrap();
    }
}
