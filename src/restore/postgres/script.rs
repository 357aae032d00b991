//! Steps of a script on one connection: the first failure ends it, what may stay behind is collected.

use std::ops::Range;

use crate::archive::{Archive, ReadAt, TocEntry};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::ident::StreamId;
use crate::pg::copy_in;
use crate::pg::wire::{Canceller, Conn};

use super::fitting::{Fitted, Fitting, Refusal};
use super::left::{LeftBehind, innermost};
use super::select::Chosen;
use super::steps::{SectionSteps, Step};

/// Whether the connection is inside of one transaction that all steps share.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Frame {
    /// Each step is a transaction of its own.
    Step,
    /// A collected failure must not end the transaction: what may fail stands behind a savepoint.
    Transaction,
}

/// How steps are run, and what is to be told of them.
pub struct Runner<'a> {
    pub conn: &'a mut Conn,
    pub frame: Frame,
    pub cancel: &'a Cancel,
    pub fitting: &'a Fitting,
    pub left: &'a mut LeftBehind,
}

impl Runner<'_> {
    /// Runs the wanted entries of a part of one stream.
    pub async fn stream<R: ReadAt>(
        &mut self,
        archive: &Archive<R>,
        stream: StreamId,
        part: Range<u64>,
        chosen: &Chosen,
    ) -> Result<()> {
        let mut steps = SectionSteps::new(archive, stream, part, |at, entry| chosen.wants(at, entry));
        while let Some(batch) = steps.next_member()? {
            for step in batch {
                let step = chosen.fit(step);
                self.wanted(&step, step.optional, archive.toc()).await?;
            }
        }
        Ok(())
    }

    /// Runs one step as far as what it stands on is there.
    pub async fn wanted(&mut self, step: &Step, optional: bool, toc: &[TocEntry]) -> Result<()> {
        match self.left.stands_in_the_air(step) {
            Some((reason, why)) => self.in_the_air(step, &reason, why, toc).await,
            None => self.step(step, optional, toc).await,
        }
    }

    /// Runs one step. The server undoes a failed batch whole, so a collected failure leaves nothing half.
    pub async fn step(&mut self, step: &Step, optional: bool, toc: &[TocEntry]) -> Result<()> {
        let fitted = self.fitting.fit(&step.sql)?;
        if fitted.statements.is_empty() {
            self.changed(step, &fitted.changes);
            return Ok(());
        }
        let Some(error) = self.attempt(&fitted.batch(), &step.what, optional).await? else {
            self.changed(step, &fitted.changes);
            return Ok(());
        };
        match (self.forgives(&error), fitted.statements.len()) {
            (None, _) => self.left.push(format!("{}: {}", step.what, error.chain())),
            (Some(why), 1) => self.lose(step, &fitted, &innermost(&error), why, toc).await?,
            (Some(_), _) => self.one_by_one(step, &fitted, toc).await?,
        }
        Ok(())
    }

    /// Something that the step needs is not there. A partition is made without its parent all the same: it has rows.
    async fn in_the_air(&mut self, step: &Step, reason: &str, why: Refusal, toc: &[TocEntry]) -> Result<()> {
        let fitted = self.fitting.fit(&step.sql)?;
        if step.rows.is_some() && self.attempt(&fitted.batch(), &step.what, false).await?.is_none() {
            self.changed(step, &fitted.changes);
            return Ok(());
        }
        self.lose(step, &fitted, reason, why, toc).await
    }

    /// The object cannot be there, except for a table whose rows would go with it: that is tried without what its
    /// columns compute. From a pipe nobody knows which tables have rows.
    async fn lose(&mut self, step: &Step, fitted: &Fitted, reason: &str, why: Refusal, toc: &[TocEntry]) -> Result<()> {
        let may_have_rows = step.rows.is_some() || step.kind.is_empty();
        if let Some(bare) = self.fitting.bare(fitted).filter(|_| may_have_rows)
            && self.attempt(&bare.batch(), &step.what, false).await?.is_none()
        {
            let without = bare.changes.join(", ");
            self.left.push(format!("{}: {without}: {reason}", step.what));
            return Ok(());
        }
        self.left.lose(step, toc, reason, why);
        Ok(())
    }

    fn changed(&mut self, step: &Step, changes: &[String]) {
        for change in changes {
            self.left.push(format!("{}: {change}", step.what));
        }
    }

    /// One of several statements was refused: the object itself, or only something that is said of it.
    async fn one_by_one(&mut self, step: &Step, fitted: &Fitted, toc: &[TocEntry]) -> Result<()> {
        let mut made = step.is_accessory();
        let mut lost = false;
        for sql in &fitted.statements {
            // What frames an object, such as its tablespace, is set back in any case.
            let frames = sql.starts_with(b"SET ") || sql.starts_with(b"RESET ");
            if lost && !frames {
                continue;
            }
            let Some(error) = self.attempt(sql, &step.what, false).await? else {
                made |= !frames;
                continue;
            };
            match () {
                // Under another role the grants behind it would be other grants.
                () if sql.starts_with(b"SET SESSION ") => return Err(failed(error, &step.what)),
                () if made || frames => self.left.tell_of(step, error.chain(), self.forgives(&error)),
                () => {
                    lost = true;
                    let why = self.forgives(&error).unwrap_or(Refusal::Feature);
                    self.lose(step, fitted, &innermost(&error), why, toc).await?;
                }
            }
        }
        if !lost {
            self.changed(step, &fitted.changes);
        }
        Ok(())
    }

    /// Runs a batch; a failure that is to be listed comes back, any other ends the restore.
    async fn attempt(&mut self, sql: &[u8], what: &str, optional: bool) -> Result<Option<Error>> {
        let may_fail = optional || self.fitting.lists_refusals();
        let guarded = may_fail && self.frame == Frame::Transaction;
        if guarded {
            self.run(b"SAVEPOINT optional", what).await?;
        }
        match stoppable(self.conn, sql, self.cancel).await {
            Ok(()) if guarded => self.run(b"RELEASE SAVEPOINT optional", what).await.map(|()| None),
            Ok(()) => Ok(None),
            Err(error) if self.is_collected(&error, optional) => {
                if guarded {
                    self.run(b"ROLLBACK TO SAVEPOINT optional; RELEASE SAVEPOINT optional", what).await?;
                }
                Ok(Some(error))
            }
            Err(error) => Err(failed(error, what)),
        }
    }

    fn forgives(&self, error: &Error) -> Option<Refusal> {
        self.fitting.forgives(error, self.left.is_beyond_rights())
    }

    fn is_collected(&self, error: &Error, optional: bool) -> bool {
        let goes_on = !self.conn.is_broken() && !self.cancel.is_cancelled();
        goes_on && (optional || self.forgives(error).is_some())
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
