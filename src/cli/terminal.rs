//! Standard output and standard error: results go to the first, everything said about them to the second.
//!
//! Text from servers and files cannot steer the terminal: control characters are shown, not sent.

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;

use super::journal::{Journal, Priority};

use crate::error::{Context, Error, Kind, Result};

pub struct Terminal {
    json: bool,
    quiet: bool,
    /// Messages are objects, one a line.
    logs_json: bool,
    /// Messages are entries with fields.
    journal: Option<Journal>,
}

const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const CYAN: Style = AnsiColor::Cyan.on_default();
const PLAIN: Style = Style::new();

impl Terminal {
    pub fn new(json: bool, quiet: bool) -> Self {
        Terminal { json, quiet, logs_json: false, journal: None }
    }

    pub fn logging_json(self, logs_json: bool) -> Self {
        Terminal { logs_json, ..self }
    }

    pub fn logging_to(self, journal: Option<Journal>) -> Self {
        Terminal { journal, ..self }
    }

    pub fn journal(&self) -> Option<&Journal> {
        self.journal.as_ref()
    }

    /// Whether moving pictures make sense: somebody watches, and has not asked for silence.
    pub fn shows_progress(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// Whether somebody sits there who can see a question; the answer may have to come from elsewhere than stdin.
    pub fn is_watched(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// A result for people. Not shown with `--json`, nor with `--quiet`.
    pub fn result(&self, text: &str) -> Result<()> {
        if self.json || self.quiet { Ok(()) } else { write_out(&printable(text)) }
    }

    /// What was asked for in so many words: a table, a listing. Not shown with `--json`.
    pub fn answer(&self, text: &str) -> Result<()> {
        if self.json { Ok(()) } else { write_out(&printable(text)) }
    }

    /// Whether the run's JSON object is wanted: a large one is not made in vain.
    pub fn wants_json(&self) -> bool {
        self.json
    }

    /// The one JSON object of a run. A failure to write it is told on the other stream.
    pub fn json(&self, value: &Value) {
        if !self.json {
            return;
        }
        let text = serde_json::to_string_pretty(value).unwrap_or_else(|_| "{}".to_owned());
        if let Err(error) = write_out(&text) {
            self.error(&error);
        }
    }

    /// A finding that makes the run fail.
    pub fn failure(&self, text: &str) {
        self.say(RED, "error", text);
    }

    pub fn error(&self, error: &Error) {
        self.say(RED, "error", &error.chain());
        for note in error.notes() {
            self.say(PLAIN, "note", note);
        }
        if let Some(hint) = error.hint_text() {
            self.hint(hint);
        }
    }

    /// What may help with what was said before.
    pub fn hint(&self, text: &str) {
        self.say(CYAN, "hint", text);
    }

    pub fn warning(&self, text: &str) {
        self.say(YELLOW, "warning", text);
    }

    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.say(PLAIN, "note", text);
        }
    }

    fn say(&self, style: Style, word: &str, text: &str) {
        if let Some(journal) = &self.journal {
            let priority = match word {
                "error" => Priority::Error,
                "warning" => Priority::Warning,
                _ => Priority::Info,
            };
            if journal.send(priority, text, &[("MIYABI_LEVEL", word.to_owned())]) {
                return;
            }
        }
        let mut stderr = anstream::stderr().lock();
        // Standard error is the last resort: if it is gone there is nobody to tell.
        let _ = match self.logs_json {
            true => writeln!(stderr, "{}", json!({ "level": word, "message": text })),
            false => {
                let text = printable(text).replace('\n', "\n  ");
                writeln!(stderr, "{style}{word}:{style:#} {text}")
            }
        };
    }

    /// What is about to happen. `--quiet` leaves it out only if nobody is asked.
    pub fn show(&self, text: &str, is_asked: bool) {
        if self.quiet && !is_asked {
            return;
        }
        if self.logs_json || self.journal.is_some() {
            return self.say(PLAIN, "note", text.trim_end());
        }
        let mut stderr = anstream::stderr().lock();
        // Standard error is the last resort: if it is gone there is nobody to tell.
        let _ = writeln!(stderr, "{}", printable(text.trim_end()));
    }

    /// `-v` shows what we do, `-vv` each step. Other crates stay silent: their logs may hold statements and values.
    pub fn start_log(&self, verbosity: u8) -> Result<()> {
        let level = match verbosity {
            0 => return Ok(()),
            1 => "miyabi_backup=debug",
            _ => "miyabi_backup=trace",
        };
        let colours = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
        let log = tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(colours).with_target(false);
        let log = log.with_env_filter(EnvFilter::new(level));
        let started = if self.logs_json { log.json().try_init() } else { log.try_init() };
        started.map_err(|cause| Error::new(Kind::Bug, "cannot start the log").because(cause))
    }
}

/// A reader that has seen enough (`| head`) is no failure.
fn write_out(text: &str) -> Result<()> {
    let mut stdout = anstream::stdout().lock();
    match writeln!(stdout, "{}", text.trim_end_matches('\n')).and_then(|()| stdout.flush()) {
        Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done.context(Kind::Place, || "cannot write to standard output".to_owned()),
    }
}

fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => shown.push(c),
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_not_sent() {
        assert_eq!(printable("a\x1b[2Jb\r\nc\u{9b}d"), "a\\u{1b}[2Jb\\r\nc\\u{9b}d");
        assert_eq!(printable("雅 ok"), "雅 ok");
    }
}
