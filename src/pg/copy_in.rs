//! The restore side of a data connection: script statements, and whole checked members of rows.
//!
//! A member is `COPY … FROM stdin;`, its rows and `\.`: the statement goes as a query, the rows as CopyData. The
//! server's count must be the archive's. Members come here only after their checksums held.

use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};

use super::fault::Failure;
use super::wire::Conn;

const END_OF_DATA: &[u8] = b"\\.\n";

/// Rows between two looks at the cancel token; a member of ordinary size is 1 MiB.
const CANCEL_BYTES: usize = 1 << 20;

/// Runs one or more statements of the script.
pub async fn execute(conn: &mut Conn, sql: &[u8]) -> Result<()> {
    conn.execute(sql)
        .await
        .map_err(|failure| failure.while_doing(Kind::Target, format!("cannot run `{}`", first_line(sql))))
}

pub async fn execute_if_any(conn: &mut Conn, sql: &[u8]) -> Result<()> {
    if sql.is_empty() { Ok(()) } else { execute(conn, sql).await }
}

/// Loads one member of `rows` rows.
pub async fn load(conn: &mut Conn, member: &[u8], rows: u64, cancel: &Cancel) -> Result<()> {
    let mut loading = Loading::new(Visibility::Usual);
    loading.add(conn, member, rows, cancel).await?;
    loading.finish(conn).await
}

/// How rows that a COPY writes are marked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Visibility {
    Usual,
    /// Rows that need no further look at the transaction that wrote them. The table must have been created or
    /// truncated in the transaction.
    Frozen,
}

/// Rows of one table, member after member, in one COPY for as long as the members' statements are the same. One that
/// is given up in the middle leaves the connection unusable, and the server without any of it.
pub struct Loading {
    visibility: Visibility,
    /// What the COPY that is under way began with.
    statement: Vec<u8>,
    rows: u64,
}

impl Loading {
    pub fn new(visibility: Visibility) -> Self {
        Loading { visibility, statement: Vec::new(), rows: 0 }
    }

    /// Sends one member of `rows` rows.
    pub async fn add(&mut self, conn: &mut Conn, member: &[u8], rows: u64, cancel: &Cancel) -> Result<()> {
        let (statement, data) = split(member).ok_or_else(|| {
            Error::new(Kind::Damaged, format!("cannot load `{}`: it is no COPY with its rows", first_line(member)))
        })?;
        cancel.check()?;
        if self.statement != statement {
            self.finish(conn).await?;
            conn.copy_in(&self.asked(statement)).await.map_err(|failure| cannot(failure, statement))?;
            self.statement = statement.to_vec();
        }
        for piece in data.chunks(CANCEL_BYTES) {
            if cancel.is_cancelled() {
                let error = cancel.error();
                return Err(match conn.copy_fail(&error.to_string()).await {
                    Ok(()) => error,
                    Err(left) => error.note(left.to_string()),
                });
            }
            conn.copy_send(piece).await.map_err(|failure| cannot(failure, statement))?;
        }
        self.rows = self.rows.saturating_add(rows);
        Ok(())
    }

    /// Ends the COPY that is under way; the server's count must be the archive's.
    pub async fn finish(&mut self, conn: &mut Conn) -> Result<()> {
        let (statement, rows) = (std::mem::take(&mut self.statement), std::mem::take(&mut self.rows));
        if statement.is_empty() {
            return Ok(());
        }
        let loaded = conn.copy_finish().await.map_err(|failure| cannot(failure, &statement))?;
        if loaded == rows {
            return Ok(());
        }
        let table = table_of(&statement);
        Err(Error::new(Kind::Target, format!("cannot load rows into {table}: the server kept {loaded} of {rows} rows"))
            .hint("does the table have a trigger or rule that drops rows?"))
    }

    fn asked(&self, statement: &[u8]) -> Vec<u8> {
        match self.visibility {
            Visibility::Usual => statement.to_vec(),
            Visibility::Frozen => [statement, b" WITH (FREEZE)"].concat(),
        }
    }
}

fn cannot(failure: Failure, statement: &[u8]) -> Error {
    failure.while_doing(Kind::Target, format!("cannot load rows into {}", table_of(statement)))
}

/// The statement without its semicolon, and the rows without their end mark.
fn split(member: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut quoted = false;
    let end = member.iter().position(|byte| {
        quoted ^= *byte == b'"';
        *byte == b';' && !quoted
    })?;
    let (statement, rest) = member.split_at_checked(end)?;
    let rows = rest.strip_prefix(b";\n")?.strip_suffix(END_OF_DATA)?;
    let is_copy = statement.starts_with(b"COPY ") && statement.ends_with(b" FROM stdin");
    (is_copy && (rows.is_empty() || rows.ends_with(b"\n"))).then_some((statement, rows))
}

/// `"s"."t"` of `COPY "s"."t" ("a") FROM stdin`, for messages.
fn table_of(statement: &[u8]) -> String {
    let name = statement.strip_prefix(b"COPY ").unwrap_or(statement);
    let mut quoted = false;
    let end = name.iter().position(|byte| {
        quoted ^= *byte == b'"';
        *byte == b' ' && !quoted
    });
    let name = String::from_utf8_lossy(name.get(..end.unwrap_or(name.len())).unwrap_or_default()).into_owned();
    name.replace("\".\"", ".").trim_matches('"').to_owned()
}

fn first_line(sql: &[u8]) -> String {
    let text = String::from_utf8_lossy(sql.get(..sql.len().min(400)).unwrap_or_default()).into_owned();
    text.trim_start().lines().next().unwrap_or_default().chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_comes_apart_at_its_own_semicolon() {
        let member = b"COPY \"s;\n\".\"t\"\"u\" (\"a\") FROM stdin;\n1;\n2\n\\.\n";
        let (statement, rows) = split(member).unwrap();
        assert_eq!(statement, b"COPY \"s;\n\".\"t\"\"u\" (\"a\") FROM stdin");
        assert_eq!(rows, b"1;\n2\n");
        assert_eq!(table_of(statement), "s;\n.t\"\"u");
        assert_eq!(split(b"COPY s.t (a) FROM stdin;\n\\.\n").unwrap().1, b"");
    }

    #[test]
    fn what_is_no_member_is_refused() {
        for text in [
            &b""[..],
            b"COPY s.t (a) FROM stdin;\n1\n",
            b"COPY s.t (a) FROM stdin;\n1\\.\n",
            b"COPY s.t (a) FROM stdin\n1\n\\.\n",
            b"DROP TABLE x; COPY s.t FROM stdin;\n1\n\\.\n",
            b"COPY s.t TO stdout;\n1\n\\.\n",
        ] {
            assert_eq!(split(text), None, "{}", text.escape_ascii());
        }
    }
}
