//! HTTPS to a store whose certificate only a file of ours vouches for.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use miyabi_backup::store::Name;
use miyabi_backup::store::s3::{Patience, Settings};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::server::{open, place, settings, url};

/// Ends TLS and passes on what is in it, one request a connection, until the test ends.
fn tls_in_front(upstream: String) -> (String, String) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (config, upstream) = (Arc::clone(&config), upstream.clone());
            // Whoever does not trust the certificate goes away again.
            thread::spawn(move || drop(pass(client, config, &upstream)));
        }
    });
    (url, cert.pem())
}

fn pass(client: TcpStream, config: Arc<ServerConfig>, upstream: &str) -> std::io::Result<()> {
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut client = StreamOwned::new(connection, client);
    let mut request = Vec::new();
    let mut piece = vec![0; 64 << 10];
    let body_at = loop {
        let taken = client.read(&mut piece)?;
        request.extend_from_slice(&piece[..taken]);
        if let Some(at) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let head = String::from_utf8_lossy(&request[..body_at]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
    while request.len() < body_at + length {
        let taken = client.read(&mut piece)?;
        request.extend_from_slice(&piece[..taken]);
    }
    let mut server = TcpStream::connect(upstream)?;
    let line_end = request.windows(2).position(|two| two == b"\r\n").unwrap_or(0) + 2;
    server.write_all(&request[..line_end])?;
    server.write_all(b"Connection: close\r\n")?;
    server.write_all(&request[line_end..])?;
    std::io::copy(&mut server, &mut client)?;
    client.conn.send_close_notify();
    client.flush()
}

#[test]
fn a_certificate_of_ones_own_is_trusted_when_it_is_named() {
    let (endpoint, pem) = tls_in_front(url().trim_start_matches("http://").to_owned());
    let location = place("tls");
    let with = |ca: Option<&str>| {
        let patience = Patience { total: Duration::from_millis(50), ..settings().patience };
        let ca = ca.map(|pem| pem.as_bytes().to_vec());
        open(&location, Settings { endpoint: Some(endpoint.clone()), ca, patience, ..settings() })
    };
    let error = with(None).put_new(&Name::new("x").unwrap(), b"1").unwrap_err();
    assert!(error.chain().contains("certificate"), "{}", error.chain());
    let store = with(Some(&pem));
    store.put_new(&Name::new("x").unwrap(), b"1").unwrap();
    assert_eq!(store.list("").unwrap().len(), 1);
}
