//! An archive from a pipe into a database: members come in file order, nothing can be read twice.
//!
//! Rows are loaded as they come. Post-data comes behind all of them and right before the index, so it is held until the
//! table of contents is there and sound, and then run side by side as from a file. More of it than memory should hold is
//! run as it comes, in order. Success, and with it the exchange of databases, waits for a sound index and footer.

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
use crate::pipeline::{FeedSender, RowSpan, feed, joined};
use crate::script::{Item, Lexer, TokenKind, Tokens};

use super::Restored;
use super::fitting::Fitting;
use super::left::LeftBehind;
use super::relations::Relations;
use super::rows::{self, Loading, copied_table};
use super::script::{Frame, Runner};
use super::steps::{Step, is_role_check, steps_of, tail_at};
use super::target::Prepared;
use super::workers::{self, Awaited, Rows, Source};

/// So much of post-data is held.
const HELD_BYTES_MAX: usize = 32 << 20;

/// Steps of what is held that are given out at a time.
const BATCH: usize = 256;

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
    let fitting = Fitting::new(adaptation, source, prepared.version());
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
    let filled = match filling.take_all(receiver, loading).await {
        Ok(()) => filling.rows_loaded(loading).await,
        Err(error) => Err(filling.abandon(error, loading).await),
    };
    let tail = joined(reading.await);
    match (filled, tail) {
        (Ok(()), Ok(tail)) => Ok((filling.finish(&tail, loading).await?, tail)),
        (filled, tail) => Err(cause_of(first_cause([filled, tail.map(drop)]))),
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

#[derive(Default)]
struct Held {
    stream: Option<StreamId>,
    bytes: Vec<u8>,
}

/// The connections that a pipe is poured into.
struct Filling {
    conn: Conn,
    rows: Option<(FeedSender, JoinHandle<Result<u64>>)>,
    restored: Restored,
    /// Rows that others refer to may be missing: what then fails in post-data is listed.
    salvaged: bool,
    fitting: Fitting,
    /// Statements that were run are numbered from the end, as positions that no table of contents has.
    statement: u32,
    /// Post-data that waits for the table of contents, and its stream; `None` once it is run as it comes.
    held: Option<Held>,
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
            statement: u32::MAX,
            held: Some(Held::default()),
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
                let (sender, _) = self.rows.get_or_insert_with(|| load_from_queue(loading, &self.fitting));
                let span = RowSpan { at: 0..member.bytes.len(), count: member.rows };
                sender.block(member.stream, member.bytes, Some(span)).await
            }
            StreamKind::Pages => {
                Err(Error::new(Kind::Unsupported, "a SQLite archive cannot be restored into PostgreSQL"))
            }
            StreamKind::PreData if self.rows.is_some() => {
                Err(Error::new(Kind::Damaged, "pre-data stands after rows: the archive's members are out of order"))
            }
            StreamKind::PreData => self.run_statements(&member.bytes, false, loading).await,
            StreamKind::PostData => self.take_post_data(member, loading).await,
            StreamKind::LargeObjects | StreamKind::Sequences => {
                self.rows_loaded(loading).await?;
                self.run_held(loading).await?;
                self.run_statements(&member.bytes, false, loading).await
            }
        }
    }

    async fn take_post_data(&mut self, member: Arrived, loading: &Loading) -> Result<()> {
        if let Some(held) = &mut self.held
            && *held.stream.get_or_insert(member.stream) == member.stream
            && held.bytes.len().saturating_add(member.bytes.len()) <= HELD_BYTES_MAX
        {
            held.bytes.extend_from_slice(&member.bytes);
            return Ok(());
        }
        self.rows_loaded(loading).await?;
        self.run_held(loading).await?;
        self.run_statements(&member.bytes, self.salvaged, loading).await
    }

    /// Runs what is held, in order, where it cannot wait; what follows comes in order, too.
    async fn run_held(&mut self, loading: &Loading) -> Result<()> {
        match self.held.take() {
            Some(Held { stream: Some(_), bytes }) => self.run_statements(&bytes, self.salvaged, loading).await,
            Some(Held { stream: None, .. }) => {
                self.held = Some(Held::default());
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Runs what is held with the table of contents, side by side as far as that says it may.
    async fn build_held(&mut self, tail: &Tail, loading: &Loading) -> Result<()> {
        let Some(Held { stream: Some(stream), bytes }) = self.held.take() else { return Ok(()) };
        let (at, salvaged) = (tail_at(&tail.toc, stream), self.salvaged);
        let steps = |part| {
            let fit = move |step: Step| Step { optional: step.optional || salvaged, ..step };
            steps_of(&tail.toc, &tail.streams, stream, part, &bytes).map(move |step| step.map(fit))
        };
        let mut body = steps(0..at);
        let mut next = || {
            let batch = body.by_ref().take(BATCH).collect::<Result<Vec<Step>>>()?;
            Ok(Some(batch).filter(|batch| !batch.is_empty()))
        };
        let mut relations = Relations::of(&tail.toc, &tail.streams);
        let left = &mut self.restored.left_behind;
        workers::run(loading, &self.fitting, None, &mut relations, left, &mut next).await?;
        self.connect_anew(loading).await?;
        let left = &mut self.restored.left_behind;
        let (conn, fitting, cancel) = (&mut self.conn, &self.fitting, &loading.cancel);
        let mut runner = Runner { conn, frame: Frame::Step, cancel, fitting, left };
        for step in steps(at..u64::MAX) {
            let step = step?;
            runner.wanted(&step, step.optional, &tail.toc).await?;
        }
        Ok(())
    }

    /// Waits until every row that came so far is loaded.
    async fn rows_loaded(&mut self, loading: &Loading) -> Result<()> {
        let Some((sender, loader)) = self.rows.take() else { return Ok(()) };
        drop(sender);
        self.restored.rows += joined(loader.await)?;
        self.connect_anew(loading).await
    }

    /// The connection was idle while others worked, perhaps for so long that a firewall forgot it.
    async fn connect_anew(&mut self, loading: &Loading) -> Result<()> {
        let idle = std::mem::replace(&mut self.conn, loading.connect().await?);
        idle.close().await;
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
                    self.statement = self.statement.saturating_sub(1);
                    self.run_step(Step::of_statement(sql, self.statement), may_fail, loading).await?;
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

    async fn finish(mut self, tail: &Tail, loading: &Loading) -> Result<Restored> {
        self.build_held(tail, loading).await?;
        self.restored.warnings.extend(rows::flush(&mut self.conn).await?);
        for (table, rows) in self.lost.into_iter().filter(|(_, rows)| *rows > 0) {
            let table = String::from_utf8_lossy(&table).into_owned();
            self.restored.left_behind.push(format!("{rows} rows of {table}: the table is not there"));
        }
        self.conn.close().await;
        Ok(self.restored)
    }

    async fn abandon(&mut self, error: Error, loading: &Loading) -> Error {
        loading.cancel.cancel();
        let loader = match self.rows.take() {
            Some((sender, loader)) => {
                drop(sender);
                joined(loader.await).map(drop)
            }
            None => Ok(()),
        };
        cause_of(first_cause([Err(error), loader]))
    }
}

/// A queue for members, and the task that loads them.
fn load_from_queue(loading: &Loading, fitting: &Fitting) -> (FeedSender, JoinHandle<Result<u64>>) {
    let (sender, receiver) = feed(rows::QUEUE_BYTES);
    let (loading, fitting) = (loading.clone(), fitting.clone());
    let loader = tokio::spawn(async move {
        let rows = Some(Rows { source: Source::queue(receiver), awaited: Awaited::default() });
        let (mut relations, mut left) = (Relations::default(), LeftBehind::default());
        workers::run(&loading, &fitting, rows, &mut relations, &mut left, &mut || Ok(None)).await
    });
    (sender, loader)
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
