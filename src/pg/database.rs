//! Whole databases on a server: what a target holds, creating one, and exchanging two by rename.
//!
//! All statements run from another database of the same server. Nothing is ever dropped but what this
//! process created itself.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::checksum::crc32;
use crate::error::{Error, Kind, Result};
use crate::ident::{Ident, Literal};

use super::session::Session;
use super::version::{Capability, ServerVersion};

/// The properties that only `CREATE DATABASE` can give.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Shape {
    pub encoding: String,
    /// `libc`, `icu`, `builtin`; empty where the archive does not say.
    pub provider: String,
    pub collate: String,
    pub ctype: String,
    /// Of the ICU or builtin provider.
    pub locale: String,
    pub icu_rules: String,
    /// Empty: the server's default. Never the source's, which this server may lack.
    pub tablespace: String,
}

impl Shape {
    /// From the facts that an archive's header carries.
    pub fn from_source(source: &BTreeMap<String, String>) -> Self {
        let fact = |key: &str| source.get(key).cloned().unwrap_or_default();
        Shape {
            encoding: fact("encoding"),
            provider: fact("locale_provider"),
            collate: fact("lc_collate"),
            ctype: fact("lc_ctype"),
            locale: fact("locale"),
            icu_rules: fact("icu_rules"),
            tablespace: String::new(),
        }
    }

    /// The statement that a server of this version takes, for messages and for use.
    pub fn create_statement_for(&self, name: &str, version: ServerVersion) -> String {
        self.create_statement(&Ident::new(name), version.has(Capability::DatabaseIcuLocale))
    }

    fn create_statement(&self, name: &Ident, providers: bool) -> String {
        let mut sql = format!("CREATE DATABASE {name} TEMPLATE template0");
        let mut option = |keyword: &str, value: &str| {
            if !value.is_empty() {
                sql.push_str(&format!(" {keyword} {}", Literal(value)));
            }
        };
        option("ENCODING", &self.encoding);
        option("LC_COLLATE", &self.collate);
        option("LC_CTYPE", &self.ctype);
        if providers {
            match self.provider.as_str() {
                "icu" => {
                    option("ICU_LOCALE", &self.locale);
                    option("ICU_RULES", &self.icu_rules);
                    sql.push_str(" LOCALE_PROVIDER icu");
                }
                "builtin" => {
                    option("BUILTIN_LOCALE", &self.locale);
                    sql.push_str(" LOCALE_PROVIDER builtin");
                }
                "libc" => sql.push_str(" LOCALE_PROVIDER libc"),
                _ => {}
            }
        }
        if !self.tablespace.is_empty() {
            sql.push_str(&format!(" TABLESPACE {}", Ident::new(self.tablespace.as_str())));
        }
        sql
    }
}

/// What stands under the target's name.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Target {
    Missing,
    /// No objects beyond those of extensions: filled in place.
    Empty,
    /// Replaced by swap.
    Filled(Filled),
}

#[derive(Clone, Debug, Serialize)]
pub struct Filled {
    pub bytes: u64,
    pub objects: u64,
    /// When a file of one of its largest tables was last written, as `2026-03-01 03:00:00 UTC`; `None` where the role
    /// may not ask for it.
    pub written: Option<String>,
    pub owner: String,
    /// `application (user from address)` of each session that a swap would end.
    pub sessions: Vec<String>,
    /// What a swap would lose: subscriptions and logical slots stay with the old database.
    pub subscriptions: u64,
    pub logical_slots: u64,
}

/// Whether the database of this name lets anybody in; `None` if there is none. `admin` is connected to another one.
pub async fn accepts_connections(admin: &Session, name: &str) -> Result<Option<bool>> {
    let sql = format!("SELECT datallowconn AS open FROM pg_catalog.pg_database WHERE datname = {}", Literal(name));
    admin.rows(&sql).await?.first().map(|row| row.bool("open")).transpose()
}

/// How an existing database was created. Columns that a version lacks count as empty.
pub async fn shape_of(admin: &Session, name: &str) -> Result<Shape> {
    let sql = format!(
        "SELECT pg_catalog.pg_encoding_to_char(d.encoding)::text AS encoding, d.datcollate::text AS collate, d.datctype::text AS ctype,
                COALESCE(j ->> 'datlocprovider', '') AS provider, COALESCE(j ->> 'datlocale', j ->> 'daticulocale', '') AS locale,
                COALESCE(j ->> 'daticurules', '') AS icu_rules,
                CASE t.spcname WHEN 'pg_default' THEN '' ELSE t.spcname::text END AS tablespace
           FROM pg_catalog.pg_database d
           JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace
          CROSS JOIN LATERAL pg_catalog.to_jsonb(d) AS j
          WHERE d.datname = {}",
        Literal(name)
    );
    let row = admin.row(&sql).await?;
    let provider = match row.text("provider")?.as_str() {
        "i" => "icu",
        "b" => "builtin",
        "c" => "libc",
        _ => "",
    };
    Ok(Shape {
        encoding: row.text("encoding")?,
        provider: provider.to_owned(),
        collate: row.text("collate")?,
        ctype: row.text("ctype")?,
        locale: row.text("locale")?,
        icu_rules: row.text("icu_rules")?,
        tablespace: row.text("tablespace")?,
    })
}

/// The number of objects of the connected database that no extension and no `initdb` made.
pub async fn user_objects(session: &Session) -> Result<u64> {
    let rows = session.rows(USER_OBJECTS).await?;
    let row = rows.first().ok_or_else(|| Error::new(Kind::Bug, "a count came back without a row"))?;
    Ok(u64::try_from(row.i64("objects")?).unwrap_or_default())
}

const USER_OBJECTS: &str = "
SELECT pg_catalog.sum(n)::bigint AS objects FROM (
    SELECT pg_catalog.count(*) AS n FROM pg_catalog.pg_class c
     WHERE c.oid >= 16384 AND c.relnamespace NOT IN (
           SELECT oid FROM pg_catalog.pg_namespace WHERE nspname ~ '^pg_(toast|temp)' OR nspname IN ('pg_catalog', 'information_schema'))
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
            WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
    UNION ALL
    SELECT pg_catalog.count(*) FROM pg_catalog.pg_proc p
     WHERE p.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
            WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype IN ('e', 'i'))
    UNION ALL
    SELECT pg_catalog.count(*) FROM pg_catalog.pg_type t
     WHERE t.oid >= 16384 AND t.typrelid = 0 AND t.typelem = 0 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
            WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = t.oid AND d.deptype IN ('e', 'i'))
    UNION ALL
    SELECT pg_catalog.count(*) FROM pg_catalog.pg_namespace s
     WHERE s.oid >= 16384 AND s.nspname !~ '^pg_(toast|temp)' AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
            WHERE d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.objid = s.oid AND d.deptype = 'e')
    UNION ALL
    SELECT pg_catalog.count(*) FROM pg_catalog.pg_largeobject_metadata
    UNION ALL
    SELECT pg_catalog.count(*) FROM pg_catalog.pg_publication
) all_kinds";

/// Size, owner, sessions and what a swap would lose; `admin` is connected to another database. `own` is the process
/// of the caller's own session there, which nobody loses.
pub async fn filled(admin: &Session, name: &str, objects: u64, written: Option<String>, own: i32) -> Result<Filled> {
    let database = Literal(name);
    let sql = format!(
        "SELECT pg_catalog.pg_database_size(d.oid) AS bytes, pg_catalog.pg_get_userbyid(d.datdba)::text AS owner,
                (SELECT pg_catalog.count(*) FROM pg_catalog.pg_subscription s WHERE s.subdbid = d.oid) AS subscriptions,
                (SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_slots r
                  WHERE r.database = d.datname AND r.slot_type = 'logical') AS slots
           FROM pg_catalog.pg_database d WHERE d.datname = {database}"
    );
    let rows = admin.rows(&sql).await?;
    let row = rows.first().ok_or_else(|| Error::new(Kind::Target, format!("database {name} vanished")))?;
    let count = |column: &str| Ok::<_, Error>(u64::try_from(row.i64(column)?).unwrap_or_default());
    Ok(Filled {
        bytes: count("bytes")?,
        objects,
        written,
        owner: row.text("owner")?,
        sessions: sessions(admin, name, own).await?,
        subscriptions: count("subscriptions")?,
        logical_slots: count("slots")?,
    })
}

/// When the connected database was last written, by the times of its largest tables' files: cheap, and right to
/// within a checkpoint. Only some roles may look.
pub async fn last_written(inside: &Session) -> Result<Option<String>> {
    const MAY_LOOK: &str =
        "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_stat_file(text, boolean)', 'EXECUTE') AS may";
    const NEWEST: &str = r#"
        SELECT pg_catalog.to_char(pg_catalog.max(f.modification) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"') AS written
          FROM (SELECT c.oid FROM pg_catalog.pg_class c
                 WHERE c.oid >= 16384 AND c.relkind = 'r' ORDER BY c.relpages DESC LIMIT 100) AS largest,
               LATERAL pg_catalog.pg_stat_file(pg_catalog.pg_relation_filepath(largest.oid), true) AS f"#;
    match inside.row(MAY_LOOK).await?.bool("may")? {
        true => inside.row(NEWEST).await?.opt_text("written"),
        false => Ok(None),
    }
}

async fn sessions(admin: &Session, name: &str, own: i32) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT pg_catalog.concat(COALESCE(NULLIF(application_name, ''), 'a session'), ' (pid ', pid, ', user ', usename,
                ', from ', COALESCE(client_addr::text, 'the local socket'), ')') AS session
           FROM pg_catalog.pg_stat_activity
          WHERE datname = {} AND backend_type = 'client backend' AND pid <> {own} ORDER BY backend_start",
        Literal(name)
    );
    admin.rows(&sql).await?.iter().map(|row| row.text("session")).collect()
}

/// Creates an empty database with the source's encoding and locale.
pub async fn create(admin: &Session, name: &Ident, shape: &Shape) -> Result<()> {
    let sql = shape.create_statement_for(name.as_str(), admin.version());
    admin.execute(&sql).await.map_err(|error| {
        error.of_kind(Kind::Target).while_doing(format!("cannot create database {}", name.as_str())).hint(format!(
            "the source has encoding {}, collation {}: does the server have this locale, and may the user create databases?",
            shape.encoding, shape.collate
        ))
    })
}

/// Drops a database that this process created.
pub async fn drop_own(admin: &Session, name: &Ident) -> Result<()> {
    let is_template =
        format!("SELECT 1 FROM pg_catalog.pg_database WHERE datname = {} AND datistemplate", Literal(name.as_str()));
    if !admin.rows(&is_template).await?.is_empty() {
        admin.execute(&format!("ALTER DATABASE {name} IS_TEMPLATE false")).await?;
    }
    admin.execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await
}

/// A name of this kind that no database bears: of two restores within a second the later one counts on.
pub async fn free_name(admin: &Session, database: &str, suffix: &str, stamp: &str) -> Result<Ident> {
    let mut count = 1;
    loop {
        let name = match count {
            1 => kept_name(database, suffix, stamp),
            more => kept_name(database, suffix, &format!("{stamp}_{more}")),
        };
        if accepts_connections(admin, name.as_str()).await?.is_none() {
            return Ok(name);
        }
        count += 1;
    }
}

/// `<database>_before_restore_<stamp>`, shortened with a hash where the server would cut the stamp off.
pub fn kept_name(database: &str, suffix: &str, stamp: &str) -> Ident {
    const NAME_BYTES_MAX: usize = 63;
    let tail = format!("_{suffix}_{stamp}");
    if database.len() + tail.len() <= NAME_BYTES_MAX {
        return Ident::new(format!("{database}{tail}"));
    }
    let hash = format!("_{:08x}", crc32(database.as_bytes()));
    let mut room = NAME_BYTES_MAX.saturating_sub(tail.len() + hash.len());
    while !database.is_char_boundary(room) {
        room -= 1;
    }
    Ident::new(format!("{}{hash}{tail}", database.get(..room).unwrap_or_default()))
}

/// Databases that restores over `database` have kept, with their sizes, oldest first.
pub async fn kept_copies(admin: &Session, database: &str) -> Result<Vec<(String, u64)>> {
    const ALL: &str = "SELECT datname::text AS name, CASE WHEN pg_catalog.has_database_privilege(oid, 'CONNECT') \
                       THEN pg_catalog.pg_database_size(oid) ELSE 0 END AS bytes \
                       FROM pg_catalog.pg_database WHERE datname ~ '_before_restore_[0-9]{8}_[0-9]{6}(_[0-9]+)?$'";
    let mut kept = Vec::new();
    for row in admin.rows(ALL).await? {
        let name = row.text("name")?;
        let is_ours = name
            .rsplit_once("_before_restore_")
            .is_some_and(|(_, stamp)| kept_name(database, "before_restore", stamp).as_str() == name);
        if is_ours {
            kept.push((name, u64::try_from(row.i64("bytes")?).unwrap_or_default()));
        }
    }
    kept.sort_unstable_by(|one, other| stamp_of(&one.0).cmp(stamp_of(&other.0)));
    Ok(kept)
}

fn stamp_of(kept: &str) -> &str {
    kept.rsplit_once("_before_restore_").map_or("", |(_, stamp)| stamp)
}

/// Drops what a restore has kept. Whoever works in it keeps it: no session is ended.
pub async fn drop_kept(admin: &Session, name: &str) -> Result<()> {
    admin.execute(&format!("DROP DATABASE {}", Ident::new(name))).await.map_err(|error| {
        error
            .of_kind(Kind::Target)
            .while_doing(format!("cannot drop database {name}"))
            .hint("is somebody connected to it, or does it belong to another role?")
    })
}

/// Puts `fresh` in the place of `live`, which stays as `kept`. On any failure `live` is open again under its name.
/// Returns a warning if the exchange is done but the kept database could not be opened again.
pub async fn swap(admin: &Session, live: &Ident, fresh: &Ident, kept: &Ident) -> Result<Option<String>> {
    let closed = admin.execute(&format!("ALTER DATABASE {live} WITH ALLOW_CONNECTIONS false")).await;
    closed.map_err(|error| error.of_kind(Kind::Target))?;
    let renamed = end_sessions_and_rename(admin, live, fresh, kept).await;
    let reopened = match &renamed {
        Ok(()) => kept,
        Err(_) => live,
    };
    let opened = admin.execute(&format!("ALTER DATABASE {reopened} WITH ALLOW_CONNECTIONS true")).await;
    match (renamed, opened) {
        (Ok(()), Ok(())) => Ok(None),
        (Ok(()), Err(left)) => {
            Ok(Some(format!("database {} still refuses connections: {}", kept.as_str(), left.chain())))
        }
        (Err(error), Ok(())) => Err(error),
        (Err(error), Err(left)) => {
            Err(error.note(format!("database {} still refuses connections: {}", live.as_str(), left.chain())))
        }
    }
}

async fn end_sessions_and_rename(admin: &Session, live: &Ident, fresh: &Ident, kept: &Ident) -> Result<()> {
    end_sessions(admin, live.as_str()).await?;
    end_sessions(admin, fresh.as_str()).await?;
    admin
        // One message of two statements is one transaction, and leaves none open when it fails.
        .execute(&format!("ALTER DATABASE {live} RENAME TO {kept}; ALTER DATABASE {fresh} RENAME TO {live}"))
        .await
        .map_err(|error| {
            error
                .of_kind(Kind::Target)
                .while_doing(format!("cannot exchange {} for the restored database", live.as_str()))
        })
}

/// Ends every session of the database and waits, bounded, until they are gone.
async fn end_sessions(admin: &Session, name: &str) -> Result<()> {
    const ATTEMPTS: u32 = 50;
    let sql = format!(
        "SELECT pid::text AS pid, pg_catalog.pg_terminate_backend(pid) AS told FROM pg_catalog.pg_stat_activity WHERE datname = {}",
        Literal(name)
    );
    for _ in 0..ATTEMPTS {
        if admin.rows(&sql).await?.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(Error::new(Kind::Refused, format!("sessions of database {name} do not end"))
        .hint("stop the services that use the database, then restore again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_name_fits_and_keeps_its_stamp() {
        let stamp = "20260301_030000";
        assert_eq!(kept_name("shop", "before_restore", stamp).as_str(), "shop_before_restore_20260301_030000");
        let long = "日本語".repeat(7);
        let (one, other) = (format!("{long}a"), format!("{long}b"));
        let (one, other) = (kept_name(&one, "before_restore", stamp), kept_name(&other, "before_restore", stamp));
        assert!(one.as_str().len() <= 63 && one.as_str().ends_with("_before_restore_20260301_030000"), "{one}");
        assert_ne!(one, other, "two databases that differ past the cut need two names");
    }

    #[test]
    fn a_database_is_created_with_the_sources_locale() {
        let shape = Shape {
            encoding: "UTF8".into(),
            provider: "icu".into(),
            collate: "C".into(),
            ctype: "C".into(),
            locale: "und".into(),
            icu_rules: String::new(),
            tablespace: "fast".into(),
        };
        assert_eq!(
            shape.create_statement(&Ident::new("a\"b"), true),
            "CREATE DATABASE \"a\"\"b\" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' ICU_LOCALE 'und' LOCALE_PROVIDER icu TABLESPACE \"fast\""
        );
        assert!(!shape.create_statement(&Ident::new("x"), false).contains("PROVIDER"));
    }
}
