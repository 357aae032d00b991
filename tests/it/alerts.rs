//! Alerts as they arrive: over HTTP, by mail, by a command; once for each change, and never in the way of a backup.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rusqlite::Connection;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::program::Sandbox;

/// Answers every request with `status`, and hands on its first line and body.
fn http_server(status: &'static str) -> (String, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut first = String::new();
            reader.read_line(&mut first).unwrap();
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let mut stream = stream;
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
            if sender.send((first.trim().to_owned(), String::from_utf8(body).unwrap())).is_err() {
                return;
            }
        }
    });
    (address, receiver)
}

/// Takes one message and hands on everything that the client said.
fn mail_server() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("smtp://{}", listener.local_addr().unwrap());
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        let mut said = String::new();
        let mut in_data = false;
        write!(stream, "220 mail\r\n").unwrap();
        for line in reader.lines().map_while(Result::ok) {
            said.push_str(&format!("{line}\n"));
            let answer = match (in_data, line.as_str()) {
                (true, ".") => "250 taken\r\n",
                (true, _) => continue,
                (false, "DATA") => "354 go on\r\n",
                (false, "QUIT") => "221 bye\r\n",
                _ => "250 fine\r\n",
            };
            in_data = line == "DATA" || (in_data && line != ".");
            stream.write_all(answer.as_bytes()).unwrap();
        }
        sender.send(said).unwrap();
    });
    (address, receiver)
}

fn configured(alerts: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    Connection::open(sandbox.path("app.db")).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    let toml = format!("[[sqlite]]\npath = \"app.db\"\n[status]\nmin_free = 0\n[alerts]\n{alerts}");
    fs::write(sandbox.path("miyabi-backup.toml"), toml).unwrap();
    sandbox
}

fn changes(body: &str) -> Vec<(String, String)> {
    let json: Value = serde_json::from_str(body).unwrap();
    let text = |alert: &Value, key: &str| alert[key].as_str().unwrap().to_owned();
    json["alerts"].as_array().unwrap().iter().map(|alert| (text(alert, "change"), text(alert, "code"))).collect()
}

#[test]
fn each_change_is_told_once_and_success_pings() {
    let (hook, heard) = http_server("200 OK");
    let (switch, pings) = http_server("204 No Content");
    let sandbox = configured(&format!("webhook = \"{hook}/secret\"\nping = \"{switch}/alive\"\n"));
    let pair = |change: &str, code: &str| (change.to_owned(), code.to_owned());
    sandbox.run(&["watch"]).expect(0);
    let (request, body) = heard.recv().unwrap();
    assert_eq!(request, "POST /secret HTTP/1.1");
    assert_eq!(changes(&body), [pair("raised", "never")]);
    sandbox.run(&["watch"]).expect(0);
    assert!(heard.try_recv().is_err(), "it was told twice");
    sandbox.run(&["backup"]).expect(0).never_says("warning");
    assert_eq!(changes(&heard.recv().unwrap().1), [pair("recovered", "never")]);
    assert_eq!(pings.recv().unwrap().0, "GET /alive HTTP/1.1");
    fs::remove_file(sandbox.path("app.db")).unwrap();
    sandbox.run(&["backup"]).expect_failure();
    assert_eq!(changes(&heard.recv().unwrap().1), [pair("raised", "failed")]);
    assert!(pings.try_recv().is_err(), "a failed backup is no sign of life");
}

#[test]
fn a_dead_channel_is_told_and_fails_nothing() {
    let (broken, _heard) = http_server("500 Internal Server Error");
    let sandbox = configured(&format!("webhook = \"{broken}/secret\"\n"));
    sandbox.run(&["watch"]).expect(3).blames("could not be delivered by webhook").never_says("secret");
    let (hook, heard) = http_server("200 OK");
    let toml = fs::read_to_string(sandbox.path("miyabi-backup.toml")).unwrap();
    fs::write(sandbox.path("miyabi-backup.toml"), toml.replace(&broken, &hook)).unwrap();
    sandbox.run(&["watch"]).expect(0);
    let pair = |code: &str| ("raised".to_owned(), code.to_owned());
    let told = changes(&heard.recv().unwrap().1);
    assert_eq!(told, [pair("alert"), pair("never")], "what nobody could be told is told later, and that nobody could");
    fs::write(sandbox.path("miyabi-backup.toml"), toml).unwrap();
    sandbox.run(&["backup"]).expect(0).says("warning").says("could not be delivered");
}

#[test]
fn mail_and_command_carry_the_words() {
    let (server, mails) = mail_server();
    let sandbox = configured(&format!(
        "smtp = \"{server}\"\nemail_from = \"backup@example.com\"\nemail_to = \"a@example.com, b@example.com\"\n\
         command = \"cat > told.json; printf %s \\\"$MIYABI_ALERT\\\" > told.txt\"\n"
    ));
    sandbox.run(&["alert", "test"]).expect(0).says("e-mail: delivered").says("command: delivered");
    let said = mails.recv().unwrap();
    assert!(said.contains("RCPT TO:<a@example.com>") && said.contains("RCPT TO:<b@example.com>"), "{said}");
    assert!(said.contains("6 critical, 1 recovered") && said.contains("this is only a test"), "{said}");
    assert_eq!(changes(&fs::read_to_string(sandbox.path("told.json")).unwrap()).len(), 7);
    assert!(fs::read_to_string(sandbox.path("told.txt")).unwrap().contains("critical: alert test"));
    configured("").run(&["alert", "test"]).expect(5);
    configured("").run(&["watch"]).expect(41).says("nobody is told");
}

#[test]
fn metrics_pass_promtool() {
    let sandbox = configured("metrics_file = \"out.prom\"\n");
    sandbox.run(&["backup"]).expect(0);
    let text = fs::read_to_string(sandbox.path("out.prom")).unwrap();
    for name in ["last_success_timestamp_seconds", "stored_bytes", "tier_backups", "place_free_bytes", "state"] {
        assert!(text.contains(&format!("\nmiyabi_backup_{name}{{")), "{name} is missing\n{text}");
    }
    let shown = sandbox.run(&["metrics"]).expect(0).stdout();
    for text in [text, shown] {
        let mut check = std::process::Command::new("promtool");
        check.args(["check", "metrics"]).stdin(std::process::Stdio::piped());
        check.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut child = check.spawn().expect("promtool is installed");
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success() && said.is_empty(), "{}\n{text}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn manual_pages_and_completions_are_made_of_the_arguments() {
    let sandbox = Sandbox::new();
    sandbox.run(&["man", "--output", "man"]).expect(0);
    let page = fs::read_to_string(sandbox.path("man/miyabi-backup-drill.1")).unwrap();
    assert!(page.contains(".TH") && page.contains("scratch"), "{page}");
    assert!(sandbox.path("man/miyabi-backup.1").exists());
    for shell in ["bash", "zsh", "fish"] {
        sandbox.run(&["completions", shell]).expect(0).says("drill");
    }
}

/// A certificate for `localhost` that vouches for itself, in a folder: `cert.pem`, `key.pem`.
fn certificate(sandbox: &Sandbox, stem: &str, name: &str) -> (PathBuf, PathBuf) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let (cert_path, key_path) = (sandbox.path(format!("{stem}.pem")), sandbox.path(format!("{stem}.key")));
    fs::write(&cert_path, cert.pem()).unwrap();
    fs::write(&key_path, signing_key.serialize_pem()).unwrap();
    (cert_path, key_path)
}

/// HTTPS with this certificate; hands on the body of each request.
fn https_server(certificate: &(PathBuf, PathBuf)) -> (String, Receiver<String>) {
    let certs = CertificateDer::pem_file_iter(&certificate.0).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(&certificate.1).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(certs, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            // Whoever does not trust the certificate goes away again.
            if let Ok(body) = answer(StreamOwned::new(connection, client)) {
                drop(sender.send(body));
            }
        }
    });
    (address, receiver)
}

fn answer(mut client: StreamOwned<ServerConnection, TcpStream>) -> std::io::Result<String> {
    let (mut request, mut piece) = (Vec::new(), vec![0; 16 << 10]);
    loop {
        let taken = client.read(&mut piece)?;
        if taken == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        request.extend_from_slice(&piece[..taken]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
        if body.len() >= length.unwrap_or(0) {
            client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
            client.conn.send_close_notify();
            client.flush()?;
            return Ok(body.to_owned());
        }
    }
}

fn configure(sandbox: &Sandbox, alerts: &str) {
    let toml = format!("[[sqlite]]\npath = \"app.db\"\n[status]\nmin_free = 0\n[alerts]\n{alerts}");
    fs::write(sandbox.path("miyabi-backup.toml"), toml).unwrap();
}

#[test]
fn a_webhook_over_tls_is_trusted_by_a_certificate_of_ones_own_alone() {
    let sandbox = configured("");
    let right = certificate(&sandbox, "right", "localhost");
    let named_otherwise = certificate(&sandbox, "otherwise", "other.example");
    let (hook, heard) = https_server(&right);
    let refused = |ca: &str, hook: &str| {
        configure(&sandbox, &format!("webhook = \"{hook}/secret\"\n{ca}"));
        sandbox
            .run(&["alert", "test"])
            .expect(3)
            .blames("could not be delivered by webhook")
            .blames("certificate")
            .never_says("secret");
    };
    refused("", &hook);
    // A backup is none the worse, and status tells until it is mended.
    sandbox.run(&["backup"]).expect(0).says("warning").says("could not be delivered");
    sandbox.run(&["status"]).expect(40).says("no alert gets through by webhook since").says("certificate");
    refused("ca = \"otherwise.pem\"\n", &hook);
    let (other_hook, _) = https_server(&named_otherwise);
    refused("ca = \"otherwise.pem\"\n", &other_hook);
    assert!(heard.try_recv().is_err());
    configure(&sandbox, &format!("webhook = \"{hook}/secret\"\nca = \"right.pem\"\n"));
    sandbox.run(&["alert", "test"]).expect(0).says("webhook: delivered");
    assert_eq!(changes(&heard.recv().unwrap()).len(), 7);
    sandbox.run(&["status"]).expect(0).never_says("no alert gets through");
    configure(&sandbox, &format!("webhook = \"{hook}/secret\"\nca = \"gone.pem\"\n"));
    sandbox.run(&["alert", "test"]).expect(2).blames("gone.pem");
}

/// Debian's aiosmtpd; prints its port and then each message as JSON.
struct MailServer {
    child: std::process::Child,
    port: u16,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl MailServer {
    fn start(mode: &str, certificate: &(PathBuf, PathBuf)) -> Self {
        let mut command = std::process::Command::new("/usr/bin/python3");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mail/server.py")).arg(mode);
        command
            .args([&certificate.0, &certificate.1])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null());
        let mut child = command.spawn().expect("python3 is installed");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port =
            lines.next().expect("python3-aiosmtpd is installed: run scripts/setup.sh test").unwrap().parse().unwrap();
        MailServer { child, port, lines }
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn mail_goes_over_tls_with_a_login() {
    let sandbox = configured("");
    let right = certificate(&sandbox, "right", "localhost");
    fs::write(sandbox.path("password"), "right\n").unwrap();
    fs::write(sandbox.path("wrong"), "wrong\n").unwrap();
    for (mode, scheme, query) in [("tls", "smtps", ""), ("starttls", "smtp", "?tls=required")] {
        let mut server = MailServer::start(mode, &right);
        let alerts = |host: &str, password: &str, ca: &str| {
            configure(
                &sandbox,
                &format!(
                    "smtp = \"{scheme}://{host}:{}{query}\"\nsmtp_user = \"backup\"\nsmtp_password_file = \"{password}\"\n\
                     email_from = \"backup@example.com\"\nemail_to = \"ops@example.com\"\n{ca}",
                    server.port
                ),
            );
        };
        alerts("localhost", "password", "");
        sandbox.run(&["alert", "test"]).expect(3).blames("could not be delivered by e-mail").blames("certificate");
        alerts("localhost", "wrong", "ca = \"right.pem\"\n");
        sandbox.run(&["alert", "test"]).expect(3).blames("535").never_says("wrong\n");
        alerts("localhost", "password", "ca = \"right.pem\"\n");
        sandbox.run(&["alert", "test"]).expect(0).says("e-mail: delivered");
        let mail: Value = serde_json::from_str(&server.lines.next().unwrap().unwrap()).unwrap();
        assert_eq!((&mail["tls"], &mail["to"][0]), (&true.into(), &"ops@example.com".into()), "{mode}: {mail}");
        assert!(mail["text"].to_string().contains("6 critical, 1 recovered"), "{mode}: {mail}");
    }
    configure(
        &sandbox,
        "smtp = \"smtp://mail.invalid:587\"\nsmtp_user = \"backup\"\nsmtp_password_file = \"password\"\n\
         email_from = \"backup@example.com\"\nemail_to = \"ops@example.com\"\n",
    );
    sandbox.run(&["alert", "test"]).expect(3).blames("would send its password without TLS");
}

/// By what Slack and Discord document: <https://api.slack.com/messaging/webhooks>, <https://discord.com/developers/docs/resources/webhook>.
#[test]
fn chats_get_what_they_document_and_names_call_nobody() {
    let (hook, heard) = http_server("204 No Content");
    for format in ["slack", "discord"] {
        let sandbox = configured("");
        let alerts = format!("webhook = \"{hook}/hook\"\nwebhook_format = \"{format}\"\n");
        let toml = format!(
            "[[sqlite]]\nname = \"<!channel> & @everyone\"\npath = \"app.db\"\n[status]\nmin_free = 0\n[alerts]\n{alerts}"
        );
        fs::write(sandbox.path("miyabi-backup.toml"), toml).unwrap();
        sandbox.run(&["watch"]).expect(0);
        let body: Value = serde_json::from_str(&heard.recv().unwrap().1).unwrap();
        let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
        match format {
            "slack" => {
                let text = body["text"].as_str().unwrap();
                assert_eq!(keys, ["text"]);
                assert!(text.contains("&lt;!channel&gt; &amp; @everyone") && !text.contains("<!channel>"), "{text}");
                assert!(text.starts_with('*') && text.lines().count() == 2, "{text}");
            }
            _ => {
                assert_eq!(keys, ["content", "allowed_mentions"]);
                assert_eq!(body["allowed_mentions"]["parse"], serde_json::json!([]));
                let content = body["content"].as_str().unwrap();
                assert!(content.starts_with("**") && content.chars().count() <= 2000, "{content}");
            }
        }
    }
}
