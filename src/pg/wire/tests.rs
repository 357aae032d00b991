//! A scripted server on the loopback: what it says is what a hostile or broken one could say.

use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::input::READ_BYTES;
use super::*;
use crate::pg::connect::Server;

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len() + 4).unwrap();
    [&[tag][..], &len.to_be_bytes(), body].concat()
}

fn welcome() -> Vec<u8> {
    let ready = message(b'Z', b"I");
    [message(b'R', &[0, 0, 0, 0]), message(b'S', b"server_encoding\0UTF8\0"), message(b'K', &[0; 8]), ready].concat()
}

/// Serves one session: after each message of the client, the next of `answers`; then the stream ends.
async fn scripted(answers: Vec<Vec<u8>>) -> (Server, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buf = vec![0; 1 << 16];
        for answer in answers {
            if stream.read(&mut buf).await.unwrap_or(0) == 0 || stream.write_all(&answer).await.is_err() {
                return;
            }
        }
    });
    (Server::from_url(&format!("postgres://ann:hunter2@127.0.0.1:{port}/shop?sslmode=disable")).unwrap(), served)
}

/// Three statements set a session up.
async fn session(answers: Vec<Vec<u8>>) -> Result<Conn> {
    let done = [message(b'C', b"SELECT 1\0"), message(b'Z', b"I")].concat();
    let set_up = vec![welcome(), done.clone(), done.clone(), done];
    let (server, _) = scripted(set_up.into_iter().chain(answers).collect()).await;
    Conn::open(&server, Purpose::Read).await
}

async fn refused(answers: Vec<Vec<u8>>) -> String {
    let (server, _) = scripted(answers).await;
    let error = Conn::open(&server, Purpose::Read).await.err().expect("the login is refused");
    assert_eq!(error.kind(), Kind::Connect);
    let text = error.chain();
    assert!(!text.contains("hunter2"), "{text}");
    text
}

/// Counts rows and bytes; full after `room` rows.
struct Counter {
    rows: usize,
    bytes: usize,
    room: usize,
}

impl CopySink for Counter {
    fn begin(&mut self, _: usize) -> bool {
        self.rows < self.room
    }

    fn part(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
    }

    fn end(&mut self) -> Result<(), Failure> {
        self.rows += 1;
        Ok(())
    }
}

fn counter(room: usize) -> Counter {
    Counter { rows: 0, bytes: 0, room }
}

const BEGIN_COPY: &[u8] = &[b'H', 0, 0, 0, 7, 0, 0, 0];

async fn copying(rows: Vec<u8>) -> (Conn, Counter, Result<CopyStep, Failure>) {
    let mut conn = session(vec![[BEGIN_COPY.to_vec(), rows].concat()]).await.unwrap();
    conn.copy_out(b"COPY t TO STDOUT").await.unwrap();
    let mut sink = counter(usize::MAX);
    let step = conn.copy_read(&mut sink).await;
    (conn, sink, step)
}

fn end_of_copy(count: &str) -> Vec<u8> {
    [message(b'c', b""), message(b'C', format!("COPY {count}\0").as_bytes()), message(b'Z', b"T")].concat()
}

#[tokio::test]
async fn rows_of_any_size_come_whole() {
    let large = vec![b'x'; READ_BYTES * 3 + 17];
    let rows = [message(b'd', b"1\n"), message(b'd', &large), message(b'd', b""), end_of_copy("3")].concat();
    let (mut conn, sink, step) = copying(rows).await;
    assert_eq!(step.unwrap(), CopyStep::Done(3));
    assert_eq!((sink.rows, sink.bytes), (3, large.len() + 2));
    assert!(!conn.is_busy());
    // The script is at its end: the next request meets a closed stream, and the one after it a dead connection.
    assert!(matches!(conn.query(b"SELECT 1").await, Err(Failure::Closed | Failure::Io(_))));
    assert!(matches!(conn.query(b"SELECT 1").await, Err(Failure::Protocol(why)) if why.contains("given up")));
}

#[tokio::test]
async fn a_full_sink_stops_between_rows() {
    let rows = [message(b'd', b"1\n"), message(b'd', b"2\n"), message(b'd', b"3\n"), end_of_copy("3")].concat();
    let mut conn = session(vec![[BEGIN_COPY.to_vec(), rows].concat()]).await.unwrap();
    conn.copy_out(b"COPY t TO STDOUT").await.unwrap();
    let mut sink = counter(2);
    assert_eq!(conn.copy_read(&mut sink).await.unwrap(), CopyStep::Full);
    assert_eq!((sink.rows, conn.is_busy()), (2, true));
    sink.room = 9;
    assert_eq!(conn.copy_read(&mut sink).await.unwrap(), CopyStep::Done(3));
}

#[tokio::test]
async fn impossible_lengths_end_the_session_at_once() {
    let head = |tag: u8, len: i32| [&[tag][..], &len.to_be_bytes()].concat();
    for bad in
        [head(b'd', 3), head(b'd', -1), head(b'd', i32::MIN), head(b'd', i32::MAX), head(b'N', 1 << 28), head(b'C', 0)]
    {
        let (_, sink, step) = copying([message(b'd', b"1\n"), bad].concat()).await;
        assert!(matches!(step, Err(Failure::Protocol(why)) if why.contains("impossible length")));
        assert_eq!(sink.rows, 1);
    }
}

#[tokio::test]
async fn a_length_takes_no_memory_before_its_bytes_come() {
    // The largest row that a server may announce, of which ten bytes arrive.
    let (conn, sink, step) = copying([&[b'd', 0x3f, 0xff, 0xff, 0xff][..], b"0123456789"].concat()).await;
    assert!(matches!(step, Err(Failure::Closed)));
    assert_eq!((sink.rows, sink.bytes), (0, 10));
    assert!(conn.input.capacity() <= 2 * READ_BYTES);
}

#[tokio::test]
async fn messages_that_do_not_belong_are_refused() {
    for (rows, said) in [
        (message(b'D', &[0, 0]), "message `D` among the rows"),
        (message(b'R', &[0; 4]), "message `R` among the rows"),
        (message(b'?', b""), "unknown message type 0x3f"),
        (message(b'Z', b"I"), "message `Z` among the rows"),
        ([message(b'c', b""), message(b'c', b"")].concat(), "message `c` among the rows"),
        ([message(b'c', b""), message(b'd', b"1\n")].concat(), "message `d` among the rows"),
        (end_of_copy("x"), "without its count"),
        ([message(b'c', b""), message(b'C', b"SELECT 1\0")].concat(), "without its count"),
    ] {
        let (_, _, step) = copying(rows).await;
        match step {
            Err(Failure::Protocol(why)) => assert!(why.contains(said), "{why}"),
            other => panic!("{said}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_error_among_rows_is_the_servers_own() {
    let error = message(b'E', b"SERROR\0VERROR\0C57014\0Mcancelled\0Wsomewhere\0\0");
    let (conn, _, step) = copying([message(b'd', b"1\n"), error, message(b'Z', b"E")].concat()).await;
    assert_eq!(step.unwrap_err().to_string(), "cancelled [somewhere] (SQLSTATE 57014)");
    assert!(!conn.is_busy());
    let fatal = message(b'E', b"SFATAL\0VFATAL\0C57P01\0Mterminating\0\0");
    let (conn, _, step) = copying(fatal).await;
    assert_eq!(step.unwrap_err().code(), Some("57P01"));
    assert!(conn.is_busy(), "nothing can follow on this connection");
    // Cut before its end, and not UTF-8.
    let (_, _, step) = copying([message(b'E', b"C0A000\0M\xff"), message(b'Z', b"E")].concat()).await;
    assert_eq!(step.unwrap_err().to_string(), "\u{fffd} (SQLSTATE 0A000)");
}

#[tokio::test]
async fn an_answer_must_fit_its_rows() {
    for body in [&[0, 1][..], &[0, 1, 0, 0, 0, 9, b'x'], &[0, 0, 1], b"", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff]] {
        let mut conn = session(vec![message(b'D', body)]).await.unwrap();
        assert!(matches!(conn.query(b"SELECT 1").await, Err(Failure::Protocol(_))), "{body:?}");
    }
    let row = message(b'D', &[0, 2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, b'x']);
    let done = [message(b'C', b"SELECT 1\0"), message(b'Z', b"I")].concat();
    let mut conn = session(vec![[row, done].concat()]).await.unwrap();
    assert_eq!(conn.query(b"SELECT 1").await.unwrap(), [[None, Some(b"x".to_vec())]]);
}

#[tokio::test]
async fn a_statement_with_a_zero_byte_is_never_sent() {
    let mut conn = session(Vec::new()).await.unwrap();
    assert!(matches!(conn.query(b"SELECT 1\0; DROP TABLE x").await, Err(Failure::Protocol(_))));
    assert!(!conn.is_busy());
}

#[tokio::test]
async fn logins_that_go_astray_are_refused() {
    let auth = |code: i32, data: &[u8]| message(b'R', &[&code.to_be_bytes()[..], data].concat());
    assert!(refused(vec![Vec::new()]).await.contains("closed the connection"));
    assert!(refused(vec![b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()]).await.contains("outside the protocol"));
    assert!(refused(vec![auth(7, b"")]).await.contains("not supported (number 7)"));
    assert!(refused(vec![auth(5, b"abc")]).await.contains("md5 salt"));
    assert!(refused(vec![auth(10, b"SCRAM-SHA-1\0\0")]).await.contains("SASL mechanism"));
    assert!(refused(vec![auth(10, b"SCRAM-SHA-256\0\0"), auth(11, b"r=x,s=,i=1")]).await.contains("SCRAM"));
    // A server that skips its proof has not shown that it knows the password.
    assert!(refused(vec![auth(10, b"SCRAM-SHA-256\0\0"), auth(0, b"")]).await.contains("expected 11"));
    assert!(refused(vec![[auth(0, b""), message(b'K', &[0; 3])].concat()]).await.contains("cancel key"));
    assert!(
        refused(vec![message(b'E', b"SFATAL\0VFATAL\0C53300\0Mtoo many\0\0")])
            .await
            .contains("too many (SQLSTATE 53300)")
    );
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut server = Server::from_url(&format!("postgres://ann@127.0.0.1:{port}/x")).unwrap();
    server.connect_timeout = Some(Duration::from_millis(200));
    let begun = Instant::now();
    let error = Conn::open(&server, Purpose::Read).await.err().expect("no answer");
    assert!(error.chain().contains("no answer in time"), "{}", error.chain());
    assert!(begun.elapsed() < Duration::from_secs(5));
}
