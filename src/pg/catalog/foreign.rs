//! Foreign-data wrappers, foreign servers and user mappings. Options may hold passwords.

use std::fmt;

use crate::error::Result;
use crate::pg::catalog::object::{Base, BaseColumns, FIRST_NORMAL_OID, ObjectId, class};
use crate::pg::catalog::relation;
use crate::pg::catalog::types::function;
use crate::pg::session::{Row, Session};
use crate::text::List;

/// Options in stored order; never printed, since they may hold passwords.
#[derive(Clone, Eq, PartialEq)]
pub struct Options(pub Vec<(String, String)>);

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wrapper {
    pub base: Base,
    /// As the server prints them.
    pub handler: Option<String>,
    pub validator: Option<String>,
    pub options: Options,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Server {
    pub base: Base,
    pub wrapper: String,
    pub server_type: Option<String>,
    pub version: Option<String>,
    pub options: Options,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UserMapping {
    /// Named as pg_dump names it: `USER MAPPING u SERVER s`; owned by the server's owner.
    pub base: Base,
    /// None is PUBLIC.
    pub user: Option<String>,
    pub server: String,
    /// Empty also where we may not see them.
    pub options: Options,
}

const WRAPPER: BaseColumns = BaseColumns {
    catalog: "pg_foreign_data_wrapper",
    name: "fdwname",
    in_schema: false,
    owner: Some("fdwowner"),
    acl: Some(("fdwacl", "'F'")),
};

const SERVER: BaseColumns = BaseColumns {
    catalog: "pg_foreign_server",
    name: "srvname",
    in_schema: false,
    owner: Some("srvowner"),
    acl: Some(("srvacl", "'S'")),
};

fn options(row: &Row, column: &str) -> Result<Options> {
    relation::options(row, column).map(Options)
}

pub async fn load_wrappers(session: &Session) -> Result<Vec<Wrapper>> {
    let sql = format!(
        "SELECT {}, o.fdwhandler::pg_catalog.regproc::pg_catalog.text AS handler, \
         o.fdwvalidator::pg_catalog.regproc::pg_catalog.text AS validator, o.fdwoptions \
         FROM pg_catalog.pg_foreign_data_wrapper o ORDER BY o.fdwname",
        WRAPPER.sql()
    );
    let mut wrappers = Vec::new();
    for row in session.rows(&sql).await? {
        wrappers.push(Wrapper {
            base: Base::read(&row, class::PG_FOREIGN_DATA_WRAPPER)?,
            handler: function(&row, "handler")?,
            validator: function(&row, "validator")?,
            options: options(&row, "fdwoptions")?,
        });
    }
    Ok(wrappers)
}

pub async fn load_servers(session: &Session) -> Result<Vec<Server>> {
    let sql = format!(
        "SELECT {}, w.fdwname, o.srvtype, o.srvversion, o.srvoptions FROM pg_catalog.pg_foreign_server o \
         JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = o.srvfdw ORDER BY o.srvname",
        SERVER.sql()
    );
    let mut servers = Vec::new();
    for row in session.rows(&sql).await? {
        servers.push(Server {
            base: Base::read(&row, class::PG_FOREIGN_SERVER)?,
            wrapper: row.text("fdwname")?,
            server_type: row.opt_text("srvtype")?,
            version: row.opt_text("srvversion")?,
            options: options(&row, "srvoptions")?,
        });
    }
    Ok(servers)
}

/// Through the view, which shows options only to those who may see them; the catalog is the superuser's.
pub async fn load_user_mappings(session: &Session) -> Result<Vec<UserMapping>> {
    let sql = "SELECT m.umid, m.srvname, CASE WHEN m.umuser <> 0 THEN m.usename END AS usename, m.umoptions, \
               pg_catalog.pg_get_userbyid(s.srvowner) AS owner, EXISTS (SELECT FROM pg_catalog.pg_depend e \
               WHERE e.classid = 'pg_catalog.pg_user_mapping'::pg_catalog.regclass AND e.objid = m.umid \
               AND e.deptype = 'e') AS extension_member FROM pg_catalog.pg_user_mappings m \
               JOIN pg_catalog.pg_foreign_server s ON s.oid = m.srvid ORDER BY m.srvname, m.usename";
    let mut mappings = Vec::new();
    for row in session.rows(sql).await? {
        let (user, server) = (row.opt_text("usename")?, row.text("srvname")?);
        let oid = row.u32("umid")?;
        let base = Base {
            id: ObjectId::new(class::PG_USER_MAPPING, oid),
            schema: None,
            name: format!("USER MAPPING {} SERVER {server}", user.as_deref().unwrap_or("public")).into(),
            owner: row.opt_shared("owner")?,
            acl: None,
            init_acl: None,
            default_acl: List::default(),
            extension_member: row.bool("extension_member")?,
            in_system_schema: oid < FIRST_NORMAL_OID,
        };
        mappings.push(UserMapping { base, user, server, options: options(&row, "umoptions")? });
    }
    Ok(mappings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_in_debug_output() {
        let options = Options(vec![("password".into(), "s3cret".into())]);
        assert_eq!(format!("{options:?}"), "[\"password\"]");
    }
}
