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

/// What was found, and the server's major.
pub async fn examine(subject: &str, database: &PostgresSource, context: &Context) -> Result<(Vec<Examined>, u32)> {
    let session = Session::open(&database.server, Purpose::Read).await?;
    let mut all = vec![Examined::fine(subject, "connects")];
    if let Some(warning) = session.reached().and_then(|reached| reached.warning()) {
        let mend = "sslmode = \"verify-full\" of [[postgres]]; sslrootcert names who vouches for the server".to_owned();
        all.push(Examined::warning(subject, warning).mend([mend]));
    }
    all.push(grants(subject, &session).await?);
    all.extend(pooler(subject, &session).await?);
    all.extend(timeouts(subject, &session).await?);
    all.push(locks(subject, &session).await?);
    all.push(clock(subject, &session, context).await?);
    let major = session.version().major();
    session.close().await?;
    Ok((all, major))
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
    let what = "a connection pooler answers with another session each time, and a snapshot cannot be shared";
    let mend = "name the server's own host and port in [[postgres]], not the pooler's".to_owned();
    Ok(changes.then(|| Examined::bad(subject, what).mend([mend])))
}

/// What role or database set by default. The program sets its own sessions free of them, if it is let.
async fn timeouts(subject: &str, session: &Session) -> Result<Vec<Examined>> {
    const DEFAULTS: &str = "
        SELECT name::text AS name, setting::text AS now, current_user::text AS role FROM pg_catalog.pg_settings
         WHERE name IN ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')
           AND setting <> '0'";
    let rows = session.rows(DEFAULTS).await?;
    let told = rows.iter().map(|row| {
        let (name, role) = (row.text("name")?, Ident::new(row.text("role")?));
        let what = format!("{name} is {} ms in our sessions: a long backup ends there", row.text("now")?);
        Ok(Examined::warning(subject, what).mend([format!("ALTER ROLE {role} SET {name} = 0;")]))
    });
    told.collect()
}

/// All tables are locked at once, so that none of them changes its definition meanwhile. The server's table of locks is sized by
/// settings that only take effect with a restart.
async fn locks(subject: &str, session: &Session) -> Result<Examined> {
    const ROOM: &str = "
        SELECT (SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                 WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema') AS tables,
               pg_catalog.current_setting('max_locks_per_transaction')::pg_catalog.int8 AS locks,
               pg_catalog.current_setting('max_connections')::pg_catalog.int8
                 + pg_catalog.current_setting('max_prepared_transactions')::pg_catalog.int8 AS holders";
    let row = session.row(ROOM).await?;
    let (tables, locks, holders) = (row.i64("tables")?, row.i64("locks")?, row.i64("holders")?);
    let room = locks.saturating_mul(holders);
    // Half of it is for everybody else; the server lets a table of locks grow a little, and does not say how far.
    if tables <= room / 2 {
        return Ok(Examined::fine(subject, format!("{tables} tables, and there is room for {room} locks")));
    }
    let what =
        format!("{tables} tables are locked at once, and the server has room for {room} locks, also of everybody else");
    let wanted =
        u64::try_from(tables.saturating_mul(2) / holders.max(1) + locks).unwrap_or_default().next_power_of_two();
    let mend = [
        format!("ALTER SYSTEM SET max_locks_per_transaction = {wanted};"),
        "restart the server: this setting is read when it starts".to_owned(),
    ];
    Ok(match tables > room {
        true => Examined::bad(subject, what).mend(mend),
        false => Examined::warning(subject, what).mend(mend),
    })
}

async fn clock(subject: &str, session: &Session, context: &Context) -> Result<Examined> {
    const NOW: &str = "SELECT pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())::bigint AS now,
                              pg_catalog.current_setting('log_timezone') AS zone";
    let row = session.row(NOW).await?;
    let (now, zone) = (row.i64("now")?, row.text("zone")?);
    let skew = now.saturating_sub(context.clock.now().as_second());
    Ok(match skew.abs() > SKEW_MAX {
        true => {
            let (seconds, way) = (skew.abs(), if skew > 0 { "ahead of" } else { "behind" });
            Examined::warning(subject, format!("the server's clock is {seconds} s {way} this machine's"))
                .mend(["timedatectl set-ntp true".to_owned()])
        }
        false => Examined::fine(subject, format!("its clock is this machine's; its log is in {zone}")),
    })
}
