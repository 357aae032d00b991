//! Proof that what the server deparsed is what the snapshot shows.
//!
//! A query sees the snapshot; `pg_get_viewdef`, `format_type`, `regproc` and all the rest that turn catalog rows into
//! text see what is committed by then. Table locks keep tables as they are, but nothing locks views, functions, types,
//! sequences, schemas or roles. So after everything was read one query asks which rows of the snapshot somebody has
//! touched since (`xmax`): as a rule none. Those that are found are compared with what another session sees. Where
//! nothing that is deparsed differs (privileges, owners, files, statistics), or the change is not committed, all is
//! well; anything else would have been a mixture of two states.

use std::collections::{BTreeSet, HashMap};

use crate::error::{Error, Kind, Result};
use crate::pg::connect::Server;
use crate::pg::session::{Row, Session};
use crate::pg::settings::Purpose;

/// A catalog that the server's functions read behind the snapshot's back.
struct Watched {
    catalog: &'static str,
    /// What identifies a row, as SQL.
    key: &'static str,
    owner: Owner,
}

/// Whose name stands in the error, and by whose schema a row is the user's.
enum Owner {
    /// The column with its schema and the one with its name.
    Schema(&'static str, &'static str),
    /// The column with its relation.
    Relation(&'static str),
    /// The column with its type.
    Type(&'static str),
    /// The column with its name: outside of all schemas.
    Nobody(&'static str),
}

const fn in_schema(catalog: &'static str, schema: &'static str, name: &'static str) -> Watched {
    Watched { catalog, key: "o.oid::pg_catalog.text", owner: Owner::Schema(schema, name) }
}

const fn of_relation(catalog: &'static str, relation: &'static str) -> Watched {
    Watched { catalog, key: "o.oid::pg_catalog.text", owner: Owner::Relation(relation) }
}

const ENUMS: Watched = Watched { catalog: "pg_enum", key: "o.oid::pg_catalog.text", owner: Owner::Type("enumtypid") };

const SCHEMA: [Watched; 22] = [
    in_schema("pg_namespace", "oid", "nspname"),
    in_schema("pg_class", "relnamespace", "relname"),
    Watched {
        catalog: "pg_attribute",
        key: "pg_catalog.concat(o.attrelid, '.', o.attnum)",
        owner: Owner::Relation("attrelid"),
    },
    of_relation("pg_attrdef", "adrelid"),
    Watched { catalog: "pg_index", key: "o.indexrelid::pg_catalog.text", owner: Owner::Relation("indrelid") },
    in_schema("pg_constraint", "connamespace", "conname"),
    of_relation("pg_trigger", "tgrelid"),
    of_relation("pg_rewrite", "ev_class"),
    of_relation("pg_policy", "polrelid"),
    in_schema("pg_type", "typnamespace", "typname"),
    ENUMS,
    in_schema("pg_proc", "pronamespace", "proname"),
    in_schema("pg_operator", "oprnamespace", "oprname"),
    in_schema("pg_opclass", "opcnamespace", "opcname"),
    in_schema("pg_opfamily", "opfnamespace", "opfname"),
    in_schema("pg_collation", "collnamespace", "collname"),
    in_schema("pg_ts_config", "cfgnamespace", "cfgname"),
    in_schema("pg_ts_dict", "dictnamespace", "dictname"),
    in_schema("pg_statistic_ext", "stxnamespace", "stxname"),
    Watched { catalog: "pg_am", key: "o.oid::pg_catalog.text", owner: Owner::Nobody("amname") },
    Watched { catalog: "pg_language", key: "o.oid::pg_catalog.text", owner: Owner::Nobody("lanname") },
    Watched { catalog: "pg_foreign_server", key: "o.oid::pg_catalog.text", owner: Owner::Nobody("srvname") },
];

/// Columns that no function deparses: who may do what, where it lies, what a VACUUM or REFRESH leaves.
const IGNORED: &str = "'{relacl,attacl,proacl,typacl,nspacl,lanacl,srvacl,relowner,proowner,typowner,nspowner,lanowner,\
    srvowner,oprowner,opcowner,opfowner,collowner,cfgowner,dictowner,stxowner,relfilenode,relpages,reltuples,\
    relallvisible,relallfrozen,relhasindex,relhassubclass,relfrozenxid,relminmxid,relispopulated,relreplident,\
    indisvalid,indisready,indislive,indcheckxmin,indisclustered,indisreplident}'::pg_catalog.text[]";

/// Names in an error: who runs a migration knows which ones belong together.
const NAMES_SHOWN: usize = 3;

/// Nothing that the script was made of has changed since the snapshot. `server` is the one that holds it.
pub async fn schema(session: &Session, server: &Server) -> Result<()> {
    roles(session).await?;
    let all: Vec<&Watched> = SCHEMA.iter().collect();
    check(session, server, &all, "the schema was read").await
}

/// Labels of enum types are printed as they are when a row is read; the script has those of the snapshot.
pub async fn labels(session: &Session, server: &Server) -> Result<()> {
    check(session, server, &[&ENUMS], "rows were read").await
}

async fn check(session: &Session, server: &Server, watched: &[&Watched], during: &str) -> Result<()> {
    let touched = rows(session, watched, |_| "o.xmax <> 0".to_owned()).await?;
    if touched.is_empty() {
        return Ok(());
    }
    let mut now = Session::open(server, Purpose::Read).await?;
    now.speak(session.codec()).await?;
    let mut keys: HashMap<&str, Vec<&str>> = HashMap::new();
    for version in &touched {
        keys.entry(version.catalog.as_str()).or_default().push(version.key.as_str());
    }
    let again: Vec<&Watched> = watched.iter().copied().filter(|one| keys.contains_key(one.catalog)).collect();
    // Keys are numbers and dots.
    let among = |one: &Watched| {
        let keys = keys.get(one.catalog).map(|keys| keys.join(",")).unwrap_or_default();
        format!("{} = ANY ('{{{keys}}}'::pg_catalog.text[])", one.key)
    };
    let found = rows(&now, &again, among).await?;
    now.close().await?;
    let found: HashMap<(&str, &str), &Version> = found.iter().map(|one| ((&*one.catalog, &*one.key), one)).collect();
    let is_same = |then: &&Version| !found.get(&(&*then.catalog, &*then.key)).is_some_and(|now| then.still_holds(now));
    let changed: BTreeSet<&str> = touched.iter().filter(is_same).map(|version| version.name.as_str()).collect();
    if changed.is_empty() {
        return Ok(());
    }
    Err(torn(&changed, during))
}

fn torn(changed: &BTreeSet<&str>, during: &str) -> Error {
    let shown: Vec<&str> = changed.iter().take(NAMES_SHOWN).copied().collect();
    let more = match changed.len().saturating_sub(shown.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Error::new(Kind::Source, format!("{}{more} changed while {during}", shown.join(", ")))
        .hint("a backup is of one state of the schema: run it again when the migration is done")
}

/// One version of a catalog row.
struct Version {
    catalog: String,
    key: String,
    xmin: String,
    xmax: String,
    content: String,
    name: String,
}

impl Version {
    /// Whether `now`, what other sessions see of the same row, deparses the same: it is this version, or the only one
    /// that came after it and differs in nothing that counts.
    fn still_holds(&self, now: &Version) -> bool {
        self.xmin == now.xmin || (self.xmax == now.xmin && self.content == now.content)
    }

    fn read(row: &Row) -> Result<Self> {
        let name = match (row.opt_text("schema")?, row.text("name")?) {
            (Some(schema), name) => format!("{schema}.{name}"),
            (None, name) => name,
        };
        Ok(Version {
            catalog: row.text("catalog")?,
            key: row.text("key")?,
            xmin: row.text("xmin")?,
            xmax: row.text("xmax")?,
            content: row.text("content")?,
            name,
        })
    }
}

async fn rows(session: &Session, watched: &[&Watched], condition: impl Fn(&Watched) -> String) -> Result<Vec<Version>> {
    let selects: Vec<String> = watched.iter().map(|one| select(one, &condition(one))).collect();
    session.rows(&selects.join(" UNION ALL ")).await?.iter().map(Version::read).collect()
}

fn select(watched: &Watched, condition: &str) -> String {
    let Watched { catalog, key, owner } = watched;
    let users = "NOT n.nspname ^@ 'pg_' AND n.nspname <> 'information_schema'";
    let schema = format!("JOIN pg_catalog.pg_namespace n ON {users} AND n.oid");
    let (schema_name, name, from) = match owner {
        Owner::Schema(of, name) => ("n.nspname", format!("o.{name}"), format!("{schema} = o.{of}")),
        Owner::Relation(relation) => (
            "n.nspname",
            "p.relname".to_owned(),
            format!("JOIN pg_catalog.pg_class p ON p.oid = o.{relation} {schema} = p.relnamespace"),
        ),
        Owner::Type(of_type) => (
            "n.nspname",
            "p.typname".to_owned(),
            format!("JOIN pg_catalog.pg_type p ON p.oid = o.{of_type} {schema} = p.typnamespace"),
        ),
        Owner::Nobody(name) => ("NULL::pg_catalog.name", format!("o.{name}"), String::new()),
    };
    format!(
        "SELECT '{catalog}' AS catalog, {key} AS key, o.xmin::pg_catalog.text AS xmin, o.xmax::pg_catalog.text AS xmax, \
         {schema_name} AS schema, {name} AS name, \
         pg_catalog.md5((pg_catalog.to_jsonb(o) - {IGNORED})::pg_catalog.text) AS content \
         FROM pg_catalog.{catalog} o {from} WHERE {condition}"
    )
}

/// Role names are printed as they are now as well, but `pg_authid` is not for everybody: the snapshot's names are
/// compared with today's. A role that went away matters only if something of this database was its own.
async fn roles(session: &Session) -> Result<()> {
    let sql = "SELECT r.rolname FROM pg_catalog.pg_roles r WHERE r.rolname <> pg_catalog.pg_get_userbyid(r.oid)
         AND (NOT pg_catalog.pg_get_userbyid(r.oid) ^@ 'unknown (OID='
              OR EXISTS (SELECT FROM pg_catalog.pg_shdepend d JOIN pg_catalog.pg_database b ON b.oid = d.dbid
                         WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = r.oid
                           AND b.datname = pg_catalog.current_database()))";
    let changed = session.rows(sql).await?.iter().map(|row| row.text("rolname")).collect::<Result<Vec<_>>>()?;
    match changed.iter().map(String::as_str).collect::<BTreeSet<_>>() {
        none if none.is_empty() => Ok(()),
        changed => Err(torn(&changed, "the schema was read")),
    }
}
