//! What stands beside the script: where it came from, properties of the database, the roles that the script names.
//!
//! Properties are facts, never SQL of the script: loading a script must not change another database.

use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::pg::script::Script;
use crate::pg::session::{Row, Session};
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
    /// `{"database": …, "settings": …, "role_settings": …, "roles": …, "memberships": …}`.
    pub properties: Value,
}

impl Facts {
    pub async fn load(session: &Session) -> Result<Self> {
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
        Ok(Facts {
            server_version: row.text("server_version")?,
            server_version_num: version.num(),
            database: row.text("datname")?,
            encoding: row.text("encoding")?,
            client_encoding: session.codec().client_encoding().to_owned(),
            locale_provider: provider_name(row.char("provider")?),
            lc_collate: row.text("datcollate")?,
            lc_ctype: row.text("datctype")?,
            locale: row.opt_text("locale")?,
            icu_rules: row.opt_text("rules")?,
            collation_version: row.opt_text("collation_version")?,
            snapshot_lsn: row.opt_text("lsn")?,
            in_recovery: row.bool("in_recovery")?,
            properties: properties(session).await?,
        })
    }

    /// Adds the definitions of the roles that the script names, without their passwords.
    pub async fn with_roles(mut self, session: &Session, script: &Script) -> Result<Self> {
        let names: Vec<String> = script.roles.iter().cloned().collect();
        let (roles, memberships) = roles(session, &names).await?;
        if let Value::Object(properties) = &mut self.properties {
            properties.insert("roles".to_owned(), roles);
            properties.insert("memberships".to_owned(), memberships);
        }
        Ok(self)
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

async fn properties(session: &Session) -> Result<Value> {
    let sql = "SELECT pg_catalog.pg_get_userbyid(d.datdba) AS owner, d.datacl::pg_catalog.text[] AS acl,
           pg_catalog.acldefault('d', d.datdba)::pg_catalog.text[] AS default_acl, d.datconnlimit, d.datistemplate,
           d.datallowconn, t.spcname AS tablespace, pg_catalog.shobj_description(d.oid, 'pg_database') AS comment
         FROM pg_catalog.pg_database d LEFT JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace
         WHERE d.datname = pg_catalog.current_database()";
    let row = session.row(sql).await?;
    let database = json!({
        "owner": row.text("owner")?,
        "acl": row.opt_text_array("acl")?,
        "default_acl": row.text_array("default_acl")?,
        "connection_limit": row.i32("datconnlimit")?,
        "is_template": row.bool("datistemplate")?,
        "allow_connections": row.bool("datallowconn")?,
        "tablespace": row.opt_text("tablespace")?,
        "comment": row.opt_text("comment")?,
    });
    let (settings, role_settings) = settings(session).await?;
    Ok(json!({ "database": database, "settings": settings, "role_settings": role_settings }))
}

/// `name=value` lists: of the database, and of roles in it.
async fn settings(session: &Session) -> Result<(Value, Value)> {
    let sql = "SELECT r.rolname, s.setconfig FROM pg_catalog.pg_db_role_setting s
         JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase AND d.datname = pg_catalog.current_database()
         LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole ORDER BY r.rolname";
    let (mut own, mut of_roles) = (json!([]), Map::new());
    for row in session.rows(sql).await? {
        let list = json!(row.opt_text_array("setconfig")?.unwrap_or_default());
        match row.opt_text("rolname")? {
            Some(role) => _ = of_roles.insert(role, list),
            None => own = list,
        }
    }
    Ok((own, Value::Object(of_roles)))
}

async fn roles(session: &Session, names: &[String]) -> Result<(Value, Value)> {
    // Names come back from the server as they went out; those of a SQL_ASCII database may not be UTF-8 and are matched here.
    let sql = "SELECT r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin,
           r.rolreplication, r.rolbypassrls, r.rolconnlimit, r.rolvaliduntil::pg_catalog.text AS valid_until,
           (SELECT s.setconfig FROM pg_catalog.pg_db_role_setting s WHERE s.setrole = r.oid AND s.setdatabase = 0)
             AS settings
         FROM pg_catalog.pg_roles r WHERE NOT r.rolname ^@ 'pg_' ORDER BY r.rolname";
    let mut roles = Vec::new();
    for row in session.rows(sql).await? {
        if names.contains(&row.text("rolname")?) {
            roles.push(role(&row)?);
        }
    }
    let options = session.version().pick(
        Capability::MembershipOptions,
        ", m.inherit_option, m.set_option",
        ", NULL::pg_catalog.bool AS inherit_option, NULL::pg_catalog.bool AS set_option",
    );
    let sql = format!(
        "SELECT g.rolname AS role, u.rolname AS member, m.admin_option{options} FROM pg_catalog.pg_auth_members m
         JOIN pg_catalog.pg_roles g ON g.oid = m.roleid JOIN pg_catalog.pg_roles u ON u.oid = m.member
         ORDER BY g.rolname, u.rolname"
    );
    let mut memberships = Vec::new();
    for row in session.rows(&sql).await? {
        let (role, member) = (row.text("role")?, row.text("member")?);
        if names.contains(&member) && (names.contains(&role) || role.starts_with("pg_")) {
            memberships.push(json!({
                "role": role,
                "member": member,
                "admin": row.bool("admin_option")?,
                "inherit": row.opt_bool("inherit_option")?,
                "set": row.opt_bool("set_option")?,
            }));
        }
    }
    Ok((Value::Array(roles), Value::Array(memberships)))
}

fn role(row: &Row) -> Result<Value> {
    Ok(json!({
        "name": row.text("rolname")?,
        "superuser": row.bool("rolsuper")?,
        "inherit": row.bool("rolinherit")?,
        "create_role": row.bool("rolcreaterole")?,
        "create_database": row.bool("rolcreatedb")?,
        "login": row.bool("rolcanlogin")?,
        "replication": row.bool("rolreplication")?,
        "bypass_row_security": row.bool("rolbypassrls")?,
        "connection_limit": row.i32("rolconnlimit")?,
        "valid_until": row.opt_text("valid_until")?,
        "settings": row.opt_text_array("settings")?,
    }))
}
