//! Triggers of tables and views: `pg_trigger` without those that constraints made.

use crate::error::Result;
use crate::pg::catalog::index::depends_on_extensions;
use crate::pg::catalog::scope::Scope;
use crate::pg::session::Session;
use crate::pg::version::Capability;
use crate::text::Text;

#[derive(Clone, Debug)]
pub struct Trigger {
    pub oid: u32,
    pub table: u32,
    pub name: Text,
    /// `pg_get_triggerdef`; None for a partition's copy that only differs from its parent's in being enabled.
    pub definition: Option<String>,
    /// `O` on origin, `D` disabled, `R` on replica, `A` always.
    pub enabled: char,
    /// Names of extensions that it DEPENDS ON.
    pub extensions: Vec<String>,
}

pub async fn load(session: &Session, scope: &Scope) -> Result<Vec<Trigger>> {
    // Copies in partitions: before 15 they look internal, as the triggers of foreign keys do.
    let copies = session.version().pick(
        Capability::VisibleTriggerClones,
        "NOT t.tgisinternal",
        "NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.oid = t.tgconstraint AND k.contype = 'f')",
    );
    let sql = format!(
        "SELECT t.oid, t.tgrelid, t.tgname, t.tgenabled, {extensions} AS extensions,
           CASE WHEN t.tgparentid = 0 THEN pg_catalog.pg_get_triggerdef(t.oid, false) END AS definition
         FROM pg_catalog.pg_trigger t
         JOIN pg_catalog.pg_class o ON o.oid = t.tgrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace
         LEFT JOIN pg_catalog.pg_trigger u ON u.oid = t.tgparentid
         WHERE ((t.tgparentid = 0 AND NOT t.tgisinternal) OR ({copies} AND t.tgenabled <> u.tgenabled))
           AND NOT n.nspname ^@ 'pg_' AND n.nspname <> 'information_schema' AND {wanted}
         ORDER BY t.tgrelid, t.tgname",
        extensions = depends_on_extensions("pg_trigger", "t.oid"),
        wanted = scope.has("t.tgrelid"),
    );
    let mut triggers = Vec::new();
    for row in session.rows(&sql).await? {
        triggers.push(Trigger {
            oid: row.u32("oid")?,
            table: row.u32("tgrelid")?,
            name: Text::from(row.text("tgname")?),
            definition: row.opt_statement("definition", &["CREATE TRIGGER", "CREATE CONSTRAINT TRIGGER"])?,
            enabled: row.char("tgenabled")?,
            extensions: row.text_array("extensions")?,
        });
    }
    Ok(triggers)
}
