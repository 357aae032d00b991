//! Alerts by a command of the user's own.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Context as _, Error, Kind, Result};
use crate::policy::alerts::Notice;

use super::message;

/// The notices come as JSON on standard input, and as text in `MIYABI_ALERT`.
pub async fn run(line: &str, notices: &[Notice], host: &str, patience: Duration) -> Result<()> {
    let json = message::as_json(notices, host).to_string();
    let text = format!("{}\n{}", message::subject(notices, host), message::text(notices));
    let line = line.to_owned();
    tokio::task::spawn_blocking(move || blocking(&line, &json, &text, patience))
        .await
        .map_err(|cause| Error::new(Kind::Bug, "a command died").because(cause))?
}

fn blocking(line: &str, json: &str, text: &str, patience: Duration) -> Result<()> {
    let doing = || format!("cannot run `{line}`");
    let mut child = Command::new("/bin/sh")
        .args(["-c", line])
        .env("MIYABI_ALERT", text)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .context(Kind::Target, doing)?;
    if let Some(mut input) = child.stdin.take() {
        // A command that does not read is none the worse.
        let _ = input.write_all(json.as_bytes());
    }
    wait(&mut child, line, patience)
}

fn wait(child: &mut Child, line: &str, patience: Duration) -> Result<()> {
    const LOOKS_EVERY: Duration = Duration::from_millis(20);
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context(Kind::Target, || format!("cannot wait for `{line}`"))? {
            return match status.success() {
                true => Ok(()),
                false => Err(Error::new(Kind::Target, format!("`{line}` failed: {status}"))),
            };
        }
        if began.elapsed() > patience {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Error::new(Kind::Target, format!("`{line}` did not end within {} s", patience.as_secs())));
        }
        std::thread::sleep(LOOKS_EVERY);
    }
}
