//! SIGINT and SIGTERM: the first asks the run to clean up, the second ends it.

use std::process;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::terminal::Terminal;
use crate::cancel::Cancel;
use crate::error::{Context, Kind, Result};

const SIGINT: u8 = 2;
const SIGTERM: u8 = 15;

/// Must be called within the runtime. Watches until the process ends.
pub fn watch(cancel: &Cancel, terminal: &Terminal) -> Result<()> {
    let open = |kind, name: &str| signal(kind).context(Kind::Bug, || format!("cannot watch for {name}"));
    let mut interrupt = open(SignalKind::interrupt(), "SIGINT")?;
    let mut terminate = open(SignalKind::terminate(), "SIGTERM")?;
    let cancel = cancel.clone();
    let speaks = terminal.is_watched();
    tokio::spawn(async move {
        let first = next(&mut interrupt, &mut terminate).await;
        cancel.cancel_by_signal(first);
        if speaks {
            Terminal::new(false, false).note("stopping and cleaning up; once more stops at once");
        }
        let second = next(&mut interrupt, &mut terminate).await;
        process::exit(i32::from(Kind::Signal(second).exit_code()));
    });
    Ok(())
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) -> u8 {
    tokio::select! {
        _ = interrupt.recv() => SIGINT,
        _ = terminate.recv() => SIGTERM,
    }
}
