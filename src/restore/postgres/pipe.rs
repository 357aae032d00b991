//! An archive from a pipe into a database: members come in file order, nothing can be read twice.
//!
//! Everything is loaded first; success, and with it the exchange of databases, waits for a sound index and footer.

use std::collections::BTreeMap;
use std::io::Read;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::archive::{PipeReader, StreamKind, Tail};
use crate::error::{Error, Kind, Result, first_cause};
use crate::ident::StreamId;
use crate::job::Adaptation;
use crate::pg::connect::Server;
use crate::pg::database::Shape;
use crate::pg::properties::Properties;
use crate::pg::wire::Conn;
use crate::pipeline::{FeedSender, RowSpan, joined};
use crate::script::{Item, Lexer, TokenKind, Tokens};

use super::Restored;
use super::fitting::Fitting;
use super::rows::{self, Loading, copied_table};
use super::script::{Frame, Runner};
use super::steps::{Step, is_role_check};
use super::target::Prepared;

/// One checked member on its way from the reading thread.
struct Arrived {
    kind: StreamKind,
    stream: StreamId,
    rows: u64,
    bytes: Vec<u8>,
}

pub async fn restore_pipe<R: Read + Send + 'static>(
    reader: PipeReader<R>,
    server: &Server,
    adaptation: &Adaptation,
    loading: impl Fn(Server) -> Loading,
    stamp: &str,
) -> Result<Restored> {
    let source = &reader.header().source;
    let encoding = source.get("client_encoding").cloned();
    let prepared = Prepared::whole(server, &Shape::from_source(source), stamp).await?;
    let loading = Loading { encoding, ..loading(prepared.working_server()) };
    let source = super::source_version(reader.header());
    let fitting = Fitting::new(adaptation.tailoring.clone(), source, prepared.version());
    match fill(reader, &loading, &fitting).await {
        Ok((mut restored, tail)) => {
            restored.tables = tail.streams.iter().filter(|stream| stream.spec.kind == StreamKind::Rows).count() as u64;
            let properties = Properties::from_archive(&tail.properties)?;
            Ok(restored.finished(prepared.finish(&properties, &fitting).await?))
        }
        Err(error) => Err(prepared.abandon(error).await),
    }
}

async fn fill<R: Read + Send + 'static>(
    reader: PipeReader<R>,
    loading: &Loading,
    fitting: &Fitting,
) -> Result<(Restored, Tail)> {
    let salvaged = reader.header().is_salvaged();
    let (sender, receiver) = mpsc::channel(4);
    let cancel = loading.cancel.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let outcome = read_members(reader, &sender);
        if outcome.is_err() {
            cancel.cancel();
        }
        outcome
    });
    let mut filling = Filling::start(loading, salvaged, fitting.clone()).await?;
    let filled = filling.take_all(receiver, loading).await;
    let finished = match filled {
        Ok(()) => filling.finish().await,
        Err(error) => Err(filling.abandon(error, loading).await),
    };
    let tail = joined(reading.await);
    match (finished, tail) {
        (Ok(restored), Ok(tail)) => Ok((restored, tail)),
        (finished, tail) => Err(cause_of(first_cause([finished.map(drop), tail.map(drop)]))),
    }
}

fn cause_of<T>(outcome: Result<T>) -> Error {
    outcome.err().unwrap_or_else(|| Error::new(Kind::Bug, "a restore failed without an error"))
}

fn read_members<R: Read>(mut reader: PipeReader<R>, sender: &mpsc::Sender<Arrived>) -> Result<Tail> {
    loop {
        let mut bytes = Vec::new();
        let Some(member) = reader.next_member(&mut bytes)? else { return reader.finish() };
        let arrived = Arrived { kind: member.kind, stream: member.stream, rows: member.rows, bytes };
        if sender.blocking_send(arrived).is_err() {
            return Err(Error::new(Kind::Stopped, "the restore stopped"));
        }
    }
}

/// The connections that a pipe is poured into.
struct Filling {
    conn: Conn,
    rows: Option<(FeedSender, JoinHandle<Result<u64>>)>,
    restored: Restored,
    /// Rows that others refer to may be missing: what then fails in post-data is listed.
    salvaged: bool,
    fitting: Fitting,
    /// Statements that were run: their numbers stand for positions in the table of contents.
    statements: u32,
    /// Tables that this server could not create, as `COPY` names them.
    lost: BTreeMap<Vec<u8>, u64>,
}

impl Filling {
    async fn start(loading: &Loading, salvaged: bool, fitting: Fitting) -> Result<Self> {
        Ok(Filling {
            conn: loading.connect().await?,
            rows: None,
            restored: Restored::default(),
            salvaged,
            fitting,
            statements: 0,
            lost: BTreeMap::new(),
        })
    }

    async fn take_all(&mut self, mut members: mpsc::Receiver<Arrived>, loading: &Loading) -> Result<()> {
        while let Some(member) = loading.cancel.guard(async { Ok(members.recv().await) }).await? {
            self.take(member, loading).await?;
        }
        Ok(())
    }

    async fn take(&mut self, member: Arrived, loading: &Loading) -> Result<()> {
        match member.kind {
            StreamKind::Rows => {
                if let Some(rows) = self.lost.get_mut(copied_table(&member.bytes)) {
                    *rows = rows.saturating_add(member.rows);
                    return Ok(());
                }
                let (sender, _) = self.rows.get_or_insert_with(|| rows::load_from_queue(loading));
                let span = RowSpan { at: 0..member.bytes.len(), count: member.rows };
                sender.block(member.stream, member.bytes, Some(span)).await
            }
            StreamKind::Pages => {
                Err(Error::new(Kind::Unsupported, "a SQLite archive cannot be restored into PostgreSQL"))
            }
            StreamKind::PreData if self.rows.is_some() => {
                Err(Error::new(Kind::Damaged, "pre-data stands after rows: the archive's members are out of order"))
            }
            _ => {
                if member.kind != StreamKind::PreData {
                    self.rows_loaded().await?;
                }
                let may_fail = self.salvaged && member.kind == StreamKind::PostData;
                self.run_statements(&member.bytes, may_fail, loading).await
            }
        }
    }

    /// Waits until every row that came so far is loaded.
    async fn rows_loaded(&mut self) -> Result<()> {
        let Some((sender, loader)) = self.rows.take() else { return Ok(()) };
        drop(sender);
        self.restored.rows += joined(loader.await)?;
        Ok(())
    }

    /// Without the table of contents, which comes last, a statement is named by its own first words.
    async fn run_statements(&mut self, script: &[u8], may_fail: bool, loading: &Loading) -> Result<()> {
        let mut lexer = Lexer::new();
        lexer.feed(script);
        lexer.finish();
        loop {
            let item = lexer.next().map_err(|fault| {
                Error::new(Kind::Damaged, "a member of the archive is no whole script").because(fault)
            })?;
            match item {
                None => return Ok(()),
                Some(Item::Statement(sql)) => {
                    // Which roles are wanted is no longer what the script asks for: each statement shows it.
                    if is_role_check(sql) && !self.fitting.is_identity() {
                        continue;
                    }
                    self.statements = self.statements.saturating_add(1);
                    self.run_step(Step::of_statement(sql, self.statements), may_fail, loading).await?;
                }
                // Our own frame for psql: what it sets, a native session has set already.
                Some(Item::Meta(_)) => {}
                Some(_) => return Err(Error::new(Kind::Damaged, "a script section of the archive holds rows")),
            }
        }
    }

    async fn run_step(&mut self, step: Step, may_fail: bool, loading: &Loading) -> Result<()> {
        let mut runner = Runner {
            conn: &mut self.conn,
            frame: Frame::Step,
            cancel: &loading.cancel,
            fitting: &self.fitting,
            left: &mut self.restored.left_behind,
        };
        runner.step(&step, step.optional || may_fail, &[]).await?;
        if runner.left.has_lost_step(&step)
            && let Some(table) = created_table(&step.sql)
        {
            self.lost.insert(table, 0);
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Restored> {
        self.rows_loaded().await?;
        for (table, rows) in self.lost.into_iter().filter(|(_, rows)| *rows > 0) {
            let table = String::from_utf8_lossy(&table).into_owned();
            self.restored.left_behind.push(format!("{rows} rows of {table}: the table is not there"));
        }
        self.conn.close().await;
        Ok(self.restored)
    }

    async fn abandon(self, error: Error, loading: &Loading) -> Error {
        loading.cancel.cancel();
        let loader = match self.rows {
            Some((sender, loader)) => {
                drop(sender);
                joined(loader.await).map(drop)
            }
            None => Ok(()),
        };
        cause_of(first_cause([Err(error), loader]))
    }
}

/// The table that the statement creates, as COPY names it.
fn created_table(sql: &[u8]) -> Option<Vec<u8>> {
    let tokens = Tokens::of(sql);
    let table = (1..=2).find(|at| tokens.is(0, "CREATE") && tokens.is(*at, "TABLE"))? + 1;
    let last = (table..tokens.count()).take_while(|at| {
        tokens.is_mark(*at, b'.') || tokens.get(*at).is_some_and(|token| token.kind == TokenKind::Quoted)
    });
    sql.get(tokens.span(table, last.last()?)).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_table_is_known_by_its_rows() {
        let created = created_table(b"CREATE UNLOGGED TABLE \"a b\".\"c\"\"d\" (\n    \"x\" integer\n);").unwrap();
        assert_eq!(created, copied_table(b"COPY \"a b\".\"c\"\"d\" (\"x\") FROM stdin;\n\\.\n"));
        assert_eq!(created_table(b"CREATE VIEW \"v\" AS SELECT 1;"), None);
    }
}
