//! Steps of a script on one connection: run in order, the first failure ends it, optional ones are collected.

use crate::archive::{Archive, ReadAt};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::ident::StreamId;
use crate::pg::copy_in;
use crate::pg::wire::Conn;

use super::select::Chosen;
use super::steps::{SectionSteps, Step};

/// What could not be restored although the rest is whole: one line each, the object and the server's reason.
pub type LeftBehind = Vec<String>;

/// Runs the wanted entries of one stream.
pub async fn run_stream<R: ReadAt>(
    conn: &mut Conn,
    archive: &Archive<R>,
    stream: StreamId,
    chosen: &Chosen,
    cancel: &Cancel,
    left: &mut LeftBehind,
) -> Result<()> {
    let mut steps = SectionSteps::new(archive, stream, |entry| chosen.wants(entry));
    while let Some(batch) = steps.next_member()? {
        for step in batch {
            let optional = step.optional || chosen.may_stay_behind(&step.kind);
            cancel.guard(run_step(conn, &step, optional, left)).await?;
        }
    }
    Ok(())
}

/// Runs one step. The server undoes a failed batch whole, so a collected failure leaves nothing half.
pub async fn run_step(conn: &mut Conn, step: &Step, optional: bool, left: &mut LeftBehind) -> Result<()> {
    match copy_in::execute(conn, &step.sql).await {
        Ok(()) => Ok(()),
        Err(error) if optional && !conn.is_broken() => {
            left.push(format!("{}: {}", step.what, error.chain()));
            Ok(())
        }
        Err(error) => Err(failed(error, &step.what)),
    }
}

fn failed(error: Error, what: &str) -> Error {
    error.while_doing(format!("cannot restore {what}"))
}
