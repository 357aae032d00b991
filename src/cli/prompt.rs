//! The one question of this program. It is put to a person at a terminal, or not at all.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};

use super::terminal::Terminal;
use crate::cancel::Cancel;
use crate::error::{Context, Error, Kind, Result};

/// Where the answer comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answerer {
    Stdin,
    /// Standard input is the archive.
    ControllingTerminal,
}

/// Fails unless the person answers with `name` or `yes`.
pub async fn confirm(terminal: &Terminal, answerer: Answerer, name: &str, cancel: &Cancel) -> Result<()> {
    let refusal = Error::new(Kind::Refused, format!("refusing to restore into {name} without a confirmation"))
        .hint("there is no terminal to ask at; --confirm restores without a question");
    ask(terminal, answerer, name, refusal, cancel).await
}

/// The same before something is removed for good.
pub async fn confirm_removal(terminal: &Terminal, answerer: Answerer, what: &str, cancel: &Cancel) -> Result<()> {
    let refusal = Error::new(Kind::Refused, format!("refusing to remove {what} without a confirmation"))
        .hint("there is no terminal to ask at; --confirm removes without a question, --dry-run only lists");
    ask(terminal, answerer, what, refusal, cancel).await
}

async fn ask(terminal: &Terminal, answerer: Answerer, name: &str, refusal: Error, cancel: &Cancel) -> Result<()> {
    let input = open(terminal, answerer).ok_or(refusal)?;
    terminal.show(&format!("Type `{name}` or `yes` to go on, anything else to stop:"), true);
    let reading = tokio::task::spawn_blocking(move || read_line(input));
    let answer = cancel
        .guard(async { reading.await.map_err(|cause| Error::new(Kind::Bug, "cannot ask").because(cause))? })
        .await?;
    if is_yes(&answer, name) {
        return Ok(());
    }
    Err(Error::new(Kind::Refused, format!("not confirmed: nothing was done to {name}")))
}

fn is_yes(answer: &str, name: &str) -> bool {
    let answer = answer.trim();
    answer == name || answer.eq_ignore_ascii_case("yes")
}

fn open(terminal: &Terminal, answerer: Answerer) -> Option<Box<dyn io::Read + Send>> {
    if !terminal.is_watched() {
        return None;
    }
    match answerer {
        Answerer::Stdin => io::stdin().is_terminal().then(|| Box::new(io::stdin()) as Box<dyn io::Read + Send>),
        Answerer::ControllingTerminal => {
            File::open("/dev/tty").ok().map(|file| Box::new(file) as Box<dyn io::Read + Send>)
        }
    }
}

fn read_line(input: Box<dyn io::Read + Send>) -> Result<String> {
    let mut answer = String::new();
    // The question must be on the screen before we wait.
    io::stderr().flush().context(Kind::Refused, || "cannot ask".to_owned())?;
    BufReader::new(input).read_line(&mut answer).context(Kind::Refused, || "cannot read the answer".to_owned())?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_and_yes_are_consent() {
        for yes in ["shop\n", "yes\n", "YES", " yes "] {
            assert!(is_yes(yes, "shop"), "{yes:?}");
        }
        for no in ["", "\n", "y\n", "Shop\n", "no\n", "shop_copy\n"] {
            assert!(!is_yes(no, "shop"), "{no:?}");
        }
    }
}
