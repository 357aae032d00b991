//! Steps of a script on one connection: run in order, the first failure ends it, optional ones are collected.

use crate::archive::{Archive, ReadAt};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::ident::StreamId;
use crate::pg::copy_in;
use crate::pg::wire::{Canceller, Conn};

use super::select::Chosen;
use super::steps::{SectionSteps, Step};

/// What could not be restored although the rest is whole: one line each, the object and the server's reason.
pub type LeftBehind = Vec<String>;

/// Whether the connection is inside of one transaction that all steps share.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Frame {
    /// Each step is a transaction of its own.
    Step,
    /// A collected failure must not end the transaction: optional steps stand behind a savepoint.
    Transaction,
}

/// How steps are run, and what is to be told of them.
pub struct Runner<'a> {
    pub conn: &'a mut Conn,
    pub frame: Frame,
    pub cancel: &'a Cancel,
    pub left: &'a mut LeftBehind,
}

impl Runner<'_> {
    /// Runs the wanted entries of one stream.
    pub async fn stream<R: ReadAt>(&mut self, archive: &Archive<R>, stream: StreamId, chosen: &Chosen) -> Result<()> {
        let mut steps = SectionSteps::new(archive, stream, |at, entry| chosen.wants(at, entry));
        while let Some(batch) = steps.next_member()? {
            for step in batch {
                let optional = step.optional || chosen.may_stay_behind(&step.kind);
                self.step(&step, optional).await?;
            }
        }
        Ok(())
    }

    /// Runs one step. The server undoes a failed batch whole, so a collected failure leaves nothing half.
    pub async fn step(&mut self, step: &Step, optional: bool) -> Result<()> {
        let guarded = optional && self.frame == Frame::Transaction;
        if guarded {
            self.run(b"SAVEPOINT optional", &step.what).await?;
        }
        match stoppable(self.conn, &step.sql, self.cancel).await {
            Ok(()) if guarded => self.run(b"RELEASE SAVEPOINT optional", &step.what).await,
            Ok(()) => Ok(()),
            Err(error) if optional && !self.conn.is_broken() && !self.cancel.is_cancelled() => {
                if guarded {
                    self.run(b"ROLLBACK TO SAVEPOINT optional; RELEASE SAVEPOINT optional", &step.what).await?;
                }
                self.left.push(format!("{}: {}", step.what, error.chain()));
                Ok(())
            }
            Err(error) => Err(failed(error, &step.what)),
        }
    }

    async fn run(&mut self, sql: &[u8], what: &str) -> Result<()> {
        copy_in::execute(self.conn, sql).await.map_err(|error| failed(error, what))
    }
}

/// Runs a statement and, when the run is stopped, ends it on the server as well: an index may take an hour there.
pub async fn stoppable(conn: &mut Conn, sql: &[u8], cancel: &Cancel) -> Result<()> {
    let canceller = conn.canceller();
    until_stopped(canceller, copy_in::execute(conn, sql), cancel).await
}

/// Waits for what runs on a connection, whose `canceller` this is.
pub async fn until_stopped(
    canceller: Canceller,
    running: impl Future<Output = Result<()>>,
    cancel: &Cancel,
) -> Result<()> {
    cancel.check()?;
    tokio::pin!(running);
    tokio::select! {
        biased;
        done = &mut running => return done,
        () = cancel.cancelled() => {}
    }
    let told = canceller.cancel().await;
    Err(match told {
        Ok(()) => cancel.error(),
        Err(left) => cancel.error().note(format!("the server could not be told to stop: {}", left.chain())),
    })
}

fn failed(error: Error, what: &str) -> Error {
    error.while_doing(format!("cannot restore {what}"))
}
