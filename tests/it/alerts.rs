//! Alerts as they arrive: over HTTP, by mail, by a command; once for each change, and never in the way of a backup.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use rusqlite::Connection;
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
    assert_eq!(changes(&heard.recv().unwrap().1).len(), 1, "what nobody could be told is told later");
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
