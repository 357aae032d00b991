//! Who may restore for trial on which server.

use crate::error::{Error, Kind, Result};
use crate::ident::Ident;
use crate::pg::session::Session;

use super::scratch;

/// Refuses roles whose rights reach beyond the scratch database. Returns whether the role may make everything in it.
pub async fn check(admin: &Session, as_superuser: bool) -> Result<bool> {
    const ROLE: &str = "
        SELECT r.rolname::text AS name, r.rolsuper AS superuser, r.rolcreatedb AS creates,
               EXISTS (SELECT FROM pg_catalog.pg_roles g WHERE g.rolname IN
                       ('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files')
                       AND pg_catalog.pg_has_role(r.oid, g.oid, 'MEMBER')) AS reaches_files
          FROM pg_catalog.pg_roles r WHERE r.rolname = current_user";
    let role = admin.row(ROLE).await?;
    let (name, superuser) = (role.text("name")?, role.bool("superuser")?);
    if superuser && !as_superuser {
        let others = other_databases(admin).await?;
        if let Some(other) = others.first() {
            let what = format!("refusing to drill as superuser {name}: the server also holds database {other}");
            return Err(refused(what));
        }
    }
    if !superuser && role.bool("reaches_files")? && !as_superuser {
        return Err(refused(format!("refusing to drill as {name}: it may reach files and programs of the server")));
    }
    if !superuser && !role.bool("creates")? {
        let what = format!("cannot drill as {name}: it may not create databases");
        return Err(Error::new(Kind::Refused, what).hint(format!("ALTER ROLE {} CREATEDB;", Ident::new(name))));
    }
    Ok(superuser)
}

fn refused(what: String) -> Error {
    Error::new(Kind::Refused, what).hint(
        "rows can run code of the database that they come from; make a role for it: \
         CREATE ROLE miyabi_drill LOGIN NOSUPERUSER CREATEDB PASSWORD '…', and name it by `url` of [drill] or --url; \
         or name a server that holds nothing else",
    )
}

/// What is neither the server's own nor of a drill.
async fn other_databases(admin: &Session) -> Result<Vec<String>> {
    const OTHERS: &str = "SELECT datname::text AS name FROM pg_catalog.pg_database \
                          WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY datname";
    let mut others = admin.all(OTHERS, |row| row.text("name")).await?;
    others.retain(|name| !scratch::is_scratch(name));
    Ok(others)
}
