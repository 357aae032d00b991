//! A plain pg_dump script of another tool into a database: one connection, our lexer, COPY blocks.
//!
//! Matching `\restrict` and `\unrestrict` lines are passed over, every other backslash line is refused: psql would run
//! some of them on this machine.

use std::io::Read;

use tokio::sync::mpsc;

use crate::error::{Error, Kind, Result, first_cause};
use crate::job::Adaptation;
use crate::pg::connect::Server;
use crate::pg::database::Shape;
use crate::pg::fault::Failure;
use crate::pg::properties::Properties;
use crate::pg::settings::Purpose;
use crate::pg::wire::Conn;
use crate::pipeline::joined;
use crate::script::{Item, Lexer, Restrict, ScriptError, Tailoring};

use super::Restored;
use super::fitting::Fitting;
use super::rows::Loading;
use super::target::Prepared;

/// Bytes of the script that are read at a time.
const PIECE_BYTES: usize = 256 << 10;

/// Restores the script that `reader` yields, already inflated. `named` is what errors call it.
pub async fn restore_foreign<R: Read + Send + 'static>(
    reader: R,
    named: &str,
    server: &Server,
    adaptation: &Adaptation,
    loading: impl Fn(Server) -> Loading,
    stamp: &str,
) -> Result<Restored> {
    let prepared = Prepared::whole(server, &Shape::default(), stamp).await?;
    let loading = loading(prepared.working_server());
    let fitting = Fitting::new(adaptation, None, prepared.version());
    match fill(reader, named, &loading, &fitting).await {
        Ok(restored) => Ok(restored.finished(prepared.finish(&Properties::default(), &fitting).await?)),
        Err(error) => Err(prepared.abandon(error).await),
    }
}

async fn fill<R: Read + Send + 'static>(
    reader: R,
    named: &str,
    loading: &Loading,
    fitting: &Fitting,
) -> Result<Restored> {
    let (sender, pieces) = mpsc::channel(4);
    let cancel = loading.cancel.clone();
    let what = named.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        let outcome = read_pieces(reader, &what, &sender);
        if outcome.is_err() {
            cancel.cancel();
        }
        outcome
    });
    let conn = Conn::open(&loading.server, Purpose::Write).await?;
    let run = Run {
        conn,
        lexer: Lexer::new(),
        guard: Restrict::new(),
        copy_line: 0,
        named: named.to_owned(),
        tailoring: fitting.tailoring.clone(),
        restored: Restored::default(),
    };
    let restored = loading.cancel.guard(run.all(pieces, loading)).await;
    if restored.is_err() {
        loading.cancel.cancel();
    }
    let read = joined(reading.await);
    match (restored, read) {
        (Ok(restored), Ok(())) => Ok(restored),
        (restored, read) => match first_cause([read, restored.map(drop)]) {
            Err(error) => Err(error),
            Ok(_) => Err(Error::new(Kind::Bug, "a restore failed without an error")),
        },
    }
}

fn read_pieces<R: Read>(mut reader: R, named: &str, sender: &mpsc::Sender<Vec<u8>>) -> Result<()> {
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        reader
            .by_ref()
            .take(PIECE_BYTES as u64)
            .read_to_end(&mut piece)
            .map_err(|cause| Error::new(Kind::Damaged, format!("cannot read {named}")).because(cause))?;
        if piece.is_empty() {
            return Ok(());
        }
        if sender.blocking_send(piece).is_err() {
            return Err(Error::new(Kind::Stopped, "the restore stopped"));
        }
    }
}

/// One script on its way into the server.
struct Run {
    conn: Conn,
    lexer: Lexer,
    guard: Restrict,
    /// Where the COPY under way begins: the server counts its rows from there.
    copy_line: u64,
    named: String,
    tailoring: Tailoring,
    restored: Restored,
}

impl Run {
    async fn all(mut self, mut pieces: mpsc::Receiver<Vec<u8>>, loading: &Loading) -> Result<Restored> {
        while let Some(piece) = pieces.recv().await {
            self.lexer.feed(&piece);
            loading.progress.add_raw(piece.len() as u64, 0);
            self.drain().await?;
        }
        self.lexer.finish();
        self.drain().await?;
        let markers = self.lexer.markers();
        if (markers.started && !markers.complete) || !self.guard.is_closed() {
            return Err(Error::new(Kind::Damaged, format!("{} ends before pg_dump's last line", self.named))
                .hint("the dump was cut off, perhaps between two statements: use another backup"));
        }
        self.conn.close().await;
        Ok(self.restored)
    }

    /// Runs every item that the lexer can make of what it has.
    async fn drain(&mut self) -> Result<()> {
        loop {
            let item = match self.lexer.next() {
                Ok(Some(item)) => item,
                Ok(None) => return Ok(()),
                Err(fault) => return Err(unreadable(&self.named, fault)),
            };
            match item {
                Item::Statement(sql) => {
                    let Some(sql) = self.tailoring.apply(sql) else { continue };
                    match self.conn.execute(&sql).await {
                        Err(failure) if is_unknown_setting(&sql, failure.code()) => {
                            let setting = String::from_utf8_lossy(&sql).trim().to_owned();
                            self.restored.warnings.push(format!("the server does not know this setting: {setting}"));
                        }
                        done => done.map_err(|failure| self.failed(failure, self.lexer.item_line()))?,
                    }
                }
                Item::CopyIn { statement } => {
                    let begun = self.conn.copy_in(statement).await;
                    self.copy_line = self.lexer.item_line();
                    begun.map_err(|failure| self.failed(failure, self.copy_line))?;
                    self.restored.tables += 1;
                }
                Item::CopyRows(rows) => {
                    self.conn.copy_send(rows).await.map_err(|failure| self.failed(failure, self.copy_line))?;
                }
                Item::CopyEnd => {
                    let rows = self.conn.copy_finish().await;
                    self.restored.rows += rows.map_err(|failure| self.failed(failure, self.copy_line))?;
                }
                Item::Meta(command) => {
                    if self.guard.accept(command).is_err() {
                        let command = String::from_utf8_lossy(command).into_owned();
                        return Err(Error::new(Kind::Refused, self.doing(self.lexer.item_line()))
                            .because(format!("it holds the psql command {command}"))
                            .hint(
                                "only scripts without psql commands are restored; pg_dump writes such without --create",
                            ));
                    }
                }
            }
        }
    }

    fn failed(&self, failure: Failure, line: u64) -> Error {
        failure.while_doing(Kind::Target, self.doing(line))
    }

    fn doing(&self, line: u64) -> String {
        format!("cannot restore {}, line {line}", self.named)
    }
}

/// A newer pg_dump sets what an older server lacks, such as `transaction_timeout`; nothing of the data hangs on it.
fn is_unknown_setting(sql: &[u8], code: Option<&str>) -> bool {
    const UNDEFINED_OBJECT: &str = "42704";
    code == Some(UNDEFINED_OBJECT) && sql.get(..4).is_some_and(|word| word.eq_ignore_ascii_case(b"SET "))
}

fn unreadable(named: &str, fault: ScriptError) -> Error {
    Error::new(Kind::Damaged, format!("cannot read {named} as a script")).because(fault)
}
