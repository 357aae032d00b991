//! The user's own questions to a restored database.

use std::path::Path;

use tokio_postgres::SimpleQueryMessage;

use crate::error::{Context as _, Kind, Result};
use crate::job::Check;
use crate::pg::session::Session;
use crate::sqlite;

/// One finding for each answer that is not the expected one, and for each question that fails.
pub async fn postgres(session: &Session, checks: &[&Check]) -> Result<Vec<String>> {
    // The user wrote them as for psql, where names are looked for in the database's own search path.
    session.execute("SET search_path TO DEFAULT").await?;
    let mut findings = Vec::new();
    for check in checks {
        let answer = session.client().simple_query(&check.sql).await;
        let answer = answer.context(Kind::Target, || format!("check `{}` failed", check.sql)).map(|all| as_text(&all));
        findings.extend(judge(check, answer));
    }
    Ok(findings)
}

pub fn sqlite(path: &Path, checks: &[&Check]) -> Vec<String> {
    checks.iter().filter_map(|check| judge(check, sqlite::ask(path, &check.sql))).collect()
}

fn judge(check: &Check, answer: Result<String>) -> Option<String> {
    match answer {
        Ok(answer) if answer.trim_end() == check.expect.trim_end() => None,
        Ok(answer) => {
            Some(format!("check `{}` says `{}`, expected is `{}`", check.sql, shortened(&answer), check.expect))
        }
        Err(error) => Some(error.chain()),
    }
}

fn as_text(messages: &[SimpleQueryMessage]) -> String {
    let mut lines = Vec::new();
    for message in messages {
        if let SimpleQueryMessage::Row(row) = message {
            let columns: Vec<&str> = (0..row.len()).map(|at| row.get(at).unwrap_or_default()).collect();
            lines.push(columns.join("|"));
        }
    }
    lines.join("\n")
}

fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 200;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.trim_end().to_owned(),
    }
}
