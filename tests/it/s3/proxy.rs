//! A proxy in front of the S3 server that fails on purpose, and counts what passes.
//!
//! It speaks just enough HTTP to know where a request ends. Host and headers pass unchanged, so that signatures hold.

use std::fmt;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

pub struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub body_bytes: usize,
}

impl Request {
    pub fn is_complete(&self) -> bool {
        self.method == "POST" && self.target.contains("uploadId=")
    }
}

#[derive(Clone, Eq, PartialEq)]
pub enum Action {
    Pass,
    /// An answer of the proxy's own: status and error code.
    Answer(u16, &'static str),
    /// A success that tells of a failure in its body.
    ErrorIn200(&'static str),
    /// The connection ends after so many bytes of the request's body.
    CutRequest(usize),
    /// The connection ends after so many bytes of the answer, head included.
    CutAnswer(usize),
    /// The store does what was asked, and nobody hears of it.
    LoseAnswer,
    /// A read of a range is answered from these bytes, under the ETag that was asked for.
    Instead(Arc<Vec<u8>>),
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Pass => f.write_str("Pass"),
            Action::Answer(status, code) => write!(f, "Answer({status}, {code})"),
            Action::ErrorIn200(code) => write!(f, "ErrorIn200({code})"),
            Action::CutRequest(after) => write!(f, "CutRequest({after})"),
            Action::CutAnswer(after) => write!(f, "CutAnswer({after})"),
            Action::LoseAnswer => f.write_str("LoseAnswer"),
            Action::Instead(bytes) => write!(f, "Instead({} bytes)", bytes.len()),
        }
    }
}

type Judge = Box<dyn FnMut(&Request) -> Action + Send>;

pub struct Proxy {
    pub url: String,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

struct Shared {
    upstream: String,
    judge: Mutex<Judge>,
    stopped: AtomicBool,
    requests: AtomicU64,
    answered_bytes: AtomicU64,
    log: Mutex<Vec<String>>,
}

impl Proxy {
    pub fn start(upstream_url: &str, judge: impl FnMut(&Request) -> Action + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            upstream: upstream_url.trim_start_matches("http://").to_owned(),
            judge: Mutex::new(Box::new(judge)),
            stopped: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            answered_bytes: AtomicU64::new(0),
            log: Mutex::default(),
        });
        let server = Arc::clone(&shared);
        let listening = thread::spawn(move || {
            for client in listener.incoming() {
                if server.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let server = Arc::clone(&server);
                // A connection that breaks is what this is for.
                thread::spawn(move || drop(client.and_then(|client| server.serve(client))));
            }
        });
        Proxy { url, shared, listening: Some(listening) }
    }

    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Of the bodies of answers.
    pub fn answered_bytes(&self) -> u64 {
        self.shared.answered_bytes.load(Ordering::SeqCst)
    }

    /// Every request and what was done to it.
    pub fn log(&self) -> Vec<String> {
        self.shared.log.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the listener.
        drop(TcpStream::connect(self.url.trim_start_matches("http://")));
        if let Some(listening) = self.listening.take() {
            drop(listening.join());
        }
    }
}

impl Shared {
    /// One request a connection.
    fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        let (head, mut body) = read_head(&mut client)?;
        let length = header(&head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut words = head.split_whitespace();
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let request = Request { method: method.to_owned(), target: target.to_owned(), body_bytes: length };
        let action = (self.judge.lock().unwrap())(&request);
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.log.lock().unwrap().push(format!("{} {} ({length} bytes): {action:?}", request.method, request.target));
        if let Action::CutRequest(after) = action {
            read_to(&mut client, &mut body, after.min(length))?;
            return client.shutdown(Shutdown::Both);
        }
        read_to(&mut client, &mut body, length)?;
        match action {
            Action::Answer(status, code) => return answer(&mut client, status, code),
            Action::ErrorIn200(code) => return answer(&mut client, 200, code),
            Action::Instead(ref bytes) => return answer_range(&mut client, &head, bytes),
            _ => {}
        }
        let mut upstream = TcpStream::connect(&self.upstream)?;
        let closing = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        upstream.write_all(closing.as_bytes())?;
        upstream.write_all(&body)?;
        if action == Action::LoseAnswer {
            std::io::copy(&mut upstream, &mut std::io::sink())?;
            return client.shutdown(Shutdown::Both);
        }
        let (head, begun) = read_head(&mut upstream)?;
        let mut left = match action {
            Action::CutAnswer(after) => after,
            _ => usize::MAX,
        };
        let mut pass = |bytes: &[u8]| {
            let now = bytes.len().min(left);
            left -= now;
            client.write_all(&bytes[..now]).map(|()| left > 0)
        };
        let mut goes_on = pass(head.as_bytes())?;
        let mut piece = vec![0; 64 << 10];
        let mut bytes = begun;
        while goes_on {
            self.answered_bytes.fetch_add(bytes.len() as u64, Ordering::SeqCst);
            goes_on = pass(&bytes)?;
            let taken = upstream.read(&mut piece)?;
            if taken == 0 {
                break;
            }
            bytes = piece[..taken].to_vec();
        }
        client.shutdown(Shutdown::Both)
    }
}

fn answer(client: &mut TcpStream, status: u16, code: &str) -> std::io::Result<()> {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>on purpose</Message></Error>");
    let head = format!("HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    client.write_all((head + &body).as_bytes())?;
    client.shutdown(Shutdown::Write)
}

fn answer_range(client: &mut TcpStream, head: &str, bytes: &[u8]) -> std::io::Result<()> {
    let range = header(head, "range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-')).unwrap();
    let (first, last): (usize, usize) = (range.0.parse().unwrap(), range.1.parse().unwrap());
    let (part, size) = (&bytes[first..=last], bytes.len());
    let etag = header(head, "if-match").unwrap_or("\"none\"");
    let (length, range) = (part.len(), format!("Content-Range: bytes {first}-{last}/{size}"));
    let head =
        format!("HTTP/1.1 206 x\r\nConnection: close\r\nETag: {etag}\r\n{range}\r\nContent-Length: {length}\r\n\r\n");
    client.write_all(head.as_bytes())?;
    client.write_all(part)?;
    client.shutdown(Shutdown::Write)
}

/// Everything up to the empty line, and what has come of the body with it.
fn read_head(from: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut piece = [0; 8 << 10];
    loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = bytes.split_off(at + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), body));
        }
        match from.read(&mut piece)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            taken => bytes.extend_from_slice(&piece[..taken]),
        }
    }
}

fn read_to(from: &mut TcpStream, body: &mut Vec<u8>, length: usize) -> std::io::Result<()> {
    let mut piece = vec![0; 64 << 10];
    while body.len() < length {
        match from.read(&mut piece)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            taken => body.extend_from_slice(&piece[..taken]),
        }
    }
    Ok(())
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
