//! What stands beside the script: where it came from, properties of the database, the roles that the script names.
//!
//! Properties are facts, never SQL of the script: loading a script must not change another database.

use std::collections::{BTreeSet, HashSet};

use crate::error::Result;
use crate::pg::encoding::Codec;
use crate::pg::filter::{Filter, Switch};
use crate::pg::properties::{self, Properties};
use crate::pg::script::Script;
use crate::pg::session::Session;
use crate::pg::version::Capability;

#[derive(Clone, Debug)]
pub struct Facts {
    pub server_version: String,
    pub server_version_num: u32,
    pub database: String,
    pub encoding: String,
    pub client_encoding: String,
    /// `libc`, `icu`, `builtin`.
    pub locale_provider: String,
    pub lc_collate: String,
    pub lc_ctype: String,
    pub locale: Option<String>,
    pub icu_rules: Option<String>,
    pub collation_version: Option<String>,
    /// Where the write-ahead log stood when the snapshot was taken.
    pub snapshot_lsn: Option<String>,
    pub in_recovery: bool,
    pub properties: Properties,
}

impl Facts {
    /// Facts are text for whoever reads the archive: the server converts them, unlike the script and the rows.
    pub async fn load(session: &mut Session, filter: &Filter) -> Result<Self> {
        let codec = session.codec();
        session.speak(Codec::converted(codec.client_encoding())).await?;
        let facts = Facts::read(session, codec, filter).await;
        session.speak(codec).await?;
        facts
    }

    async fn read(session: &Session, codec: Codec, filter: &Filter) -> Result<Self> {
        let version = session.version();
        let provider = version.pick(Capability::DatabaseIcuLocale, "d.datlocprovider", "'c'::\"char\"");
        let locale = version.pick(Capability::DatabaseIcuLocale, "d.daticulocale", "NULL::pg_catalog.text");
        let locale = version.pick(Capability::BuiltinLocale, "d.datlocale", locale);
        let rules = version.pick(Capability::IcuRules, "d.daticurules", "NULL::pg_catalog.text");
        let collation = version.pick(Capability::DatabaseIcuLocale, "d.datcollversion", "NULL::pg_catalog.text");
        // A cloud service may hide functions of the log from its customers' roles.
        let sql = format!(
            "SELECT pg_catalog.current_setting('server_version') AS server_version, d.datname,
               pg_catalog.pg_encoding_to_char(d.encoding) AS encoding, {provider} AS provider,
               d.datcollate::pg_catalog.text AS datcollate, d.datctype::pg_catalog.text AS datctype,
               {locale} AS locale, {rules} AS rules, {collation} AS collation_version,
               pg_catalog.pg_is_in_recovery() AS in_recovery,
               CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                    WHEN pg_catalog.has_function_privilege('pg_catalog.pg_current_wal_lsn()', 'EXECUTE')
                    THEN pg_catalog.pg_current_wal_lsn() END::pg_catalog.text AS lsn
             FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()"
        );
        let row = session.row(&sql).await?;
        let database = row.text("datname")?;
        let mut properties = properties::read(session, &database).await?;
        leave_out(&mut properties, filter);
        Ok(Facts {
            server_version: row.text("server_version")?,
            server_version_num: version.num(),
            properties,
            database,
            encoding: row.text("encoding")?,
            client_encoding: codec.client_encoding().to_owned(),
            locale_provider: provider_name(row.char("provider")?),
            lc_collate: row.text("datcollate")?,
            lc_ctype: row.text("datctype")?,
            locale: row.opt_text("locale")?,
            icu_rules: row.opt_text("rules")?,
            collation_version: row.opt_text("collation_version")?,
            snapshot_lsn: row.opt_text("lsn")?,
            in_recovery: row.bool("in_recovery")?,
        })
    }

    /// Adds the definitions of the roles that the script names, without their passwords.
    pub async fn with_roles(mut self, session: &mut Session, script: &Script) -> Result<Self> {
        let sql = "SELECT r.oid, r.rolname FROM pg_catalog.pg_roles r ORDER BY r.oid";
        // The script has names as their bytes, the facts have them as text.
        let mut named = HashSet::new();
        for row in session.rows(sql).await? {
            if script.roles.contains(&row.text("rolname")?) {
                named.insert(row.u32("oid")?);
            }
        }
        let codec = session.codec();
        session.speak(Codec::converted(codec.client_encoding())).await?;
        let mut names = BTreeSet::new();
        for row in session.rows(sql).await? {
            if named.contains(&row.u32("oid")?) {
                names.insert(row.text("rolname")?);
            }
        }
        self.properties.add_roles(session, &names).await?;
        session.speak(codec).await?;
        Ok(self)
    }
}

/// What objects are without, the database is without, too. Its privileges name its owner as their grantor.
fn leave_out(properties: &mut Properties, filter: &Filter) {
    let database = &mut properties.database;
    if filter.has(Switch::NoOwner) {
        database.owner.clear();
    }
    if filter.has(Switch::NoOwner) || filter.has(Switch::NoPrivileges) {
        database.acl = None;
    }
    if filter.has(Switch::NoComments) {
        database.comment = None;
    }
}

fn provider_name(letter: char) -> String {
    match letter {
        'c' => "libc".to_owned(),
        'i' => "icu".to_owned(),
        'b' => "builtin".to_owned(),
        other => other.to_string(),
    }
}
