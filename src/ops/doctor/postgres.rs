//! One PostgreSQL database: can the role read all of it, and will anything on the way bite?

use crate::error::Result;
use crate::ident::Ident;
use crate::job::{Context, PostgresSource};
use crate::pg::session::Session;
use crate::pg::settings::Purpose;

use super::Examined;

/// Seconds that clocks may differ before names and ages mislead.
const SKEW_MAX: i64 = 60;

const NAMED: usize = 20;

pub async fn examine(subject: &str, database: &PostgresSource, context: &Context) -> Result<Vec<Examined>> {
    let session = Session::open(&database.server, Purpose::Read).await?;
    let mut all = vec![Examined::fine(subject, "connects")];
    if let Some(warning) = session.reached().and_then(|reached| reached.warning()) {
        all.push(Examined::warning(subject, warning));
    }
    all.push(grants(subject, &session).await?);
    all.extend(pooler(subject, &session).await?);
    all.extend(timeouts(subject, &session).await?);
    all.extend(clock(subject, &session, context).await?);
    session.close().await?;
    Ok(all)
}

/// Tables and sequences that the role may not read, with the statements that let it.
async fn grants(subject: &str, session: &Session) -> Result<Examined> {
    const UNREADABLE: &str = "
        SELECT n.nspname::text AS schema, c.relname::text AS name, c.relkind = 'S' AS is_sequence,
               pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS sees, current_user::text AS role
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'm', 'S') AND c.relpersistence <> 't'
           AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
           AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                    AND CASE c.relkind WHEN 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
                                       ELSE pg_catalog.has_table_privilege(c.oid, 'SELECT') END)
         ORDER BY 1, 2";
    let mut statements: Vec<String> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for row in session.rows(UNREADABLE).await? {
        let (schema, name, role) = (row.text("schema")?, row.text("name")?, Ident::new(row.text("role")?));
        let usage = format!("GRANT USAGE ON SCHEMA {} TO {role};", Ident::new(schema.as_str()));
        if !row.bool("sees")? && !statements.contains(&usage) {
            statements.push(usage);
        }
        let kind = if row.bool("is_sequence")? { "SEQUENCE" } else { "TABLE" };
        let object = format!("{}.{}", Ident::new(schema.as_str()), Ident::new(name.as_str()));
        statements.push(format!("GRANT SELECT ON {kind} {object} TO {role};"));
        names.push(format!("{schema}.{name}"));
    }
    if names.is_empty() {
        return Ok(Examined::fine(subject, "everything in it can be read"));
    }
    let count = names.len();
    names.truncate(NAMED);
    Ok(Examined::bad(subject, format!("{count} tables or sequences cannot be read: {}", names.join(", ")))
        .mend(statements))
}

/// Behind a pooler that gives each transaction another session a snapshot cannot be shared.
async fn pooler(subject: &str, session: &Session) -> Result<Option<Examined>> {
    const ASKS: usize = 4;
    let mut pids = Vec::new();
    for _ in 0..ASKS {
        pids.push(session.row("SELECT pg_catalog.pg_backend_pid() AS pid").await?.i32("pid")?);
    }
    let changes = pids.windows(2).any(|pair| pair.first() != pair.last());
    let what = "a connection pooler answers with another session each time: connect to the server itself";
    Ok(changes.then(|| Examined::bad(subject, what)))
}

/// What role or database set by default. The program sets its own sessions free of them, if it is let.
async fn timeouts(subject: &str, session: &Session) -> Result<Vec<Examined>> {
    const DEFAULTS: &str = "
        SELECT name::text AS name, setting::text AS now, reset_val::text AS usual FROM pg_catalog.pg_settings
         WHERE name IN ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')
           AND setting <> '0'";
    let rows = session.rows(DEFAULTS).await?;
    let told = rows.iter().map(|row| {
        let what =
            format!("{} is {} ms in our sessions: a long backup ends there", row.text("name")?, row.text("now")?);
        Ok(Examined::warning(subject, what))
    });
    told.collect()
}

async fn clock(subject: &str, session: &Session, context: &Context) -> Result<Option<Examined>> {
    const NOW: &str = "SELECT pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())::bigint AS now";
    let theirs = session.row(NOW).await?.i64("now")?;
    let skew = theirs.saturating_sub(context.clock.now().as_second()).abs();
    Ok((skew > SKEW_MAX)
        .then(|| Examined::warning(subject, format!("the server's clock is {skew} s off from this machine's"))))
}
