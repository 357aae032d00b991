//! Row security policies: `pg_policy`.

use crate::error::Result;
use crate::pg::catalog::scope::Scope;
use crate::pg::session::Session;
use crate::text::Text;

#[derive(Clone, Debug)]
pub struct Policy {
    pub oid: u32,
    pub table: u32,
    pub name: Text,
    /// `*` all, `r` select, `a` insert, `w` update, `d` delete.
    pub command: char,
    pub permissive: bool,
    /// None means PUBLIC.
    pub roles: Option<Vec<String>>,
    pub using: Option<String>,
    pub check: Option<String>,
}

pub async fn load(session: &Session, scope: &Scope) -> Result<Vec<Policy>> {
    let sql = format!(
        "SELECT p.oid, p.polrelid, p.polname, p.polcmd, p.polpermissive,
           CASE WHEN p.polroles = '{{0}}' THEN NULL
                ELSE ARRAY(SELECT pg_catalog.pg_get_userbyid(r.role)
                             FROM pg_catalog.unnest(p.polroles) WITH ORDINALITY AS r(role, position)
                             ORDER BY r.position) END AS roles,
           {} AS using, {} AS check
         FROM pg_catalog.pg_policy p
         JOIN pg_catalog.pg_class o ON o.oid = p.polrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace
         WHERE NOT n.nspname ^@ 'pg_' AND n.nspname <> 'information_schema'
         ORDER BY p.polrelid, p.polname",
        scope.only("p.polrelid", "pg_catalog.pg_get_expr(p.polqual, p.polrelid)"),
        scope.only("p.polrelid", "pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)"),
    );
    let mut policies = Vec::new();
    for row in session.rows(&sql).await? {
        policies.push(Policy {
            oid: row.u32("oid")?,
            table: row.u32("polrelid")?,
            name: Text::from(row.text("polname")?),
            command: row.char("polcmd")?,
            permissive: row.bool("polpermissive")?,
            roles: row.opt_text_array("roles")?,
            using: row.opt_sql("using")?,
            check: row.opt_sql("check")?,
        });
    }
    Ok(policies)
}
