//! Rewrite rules: `pg_rewrite`. The `_RETURN` rule of a view is the view itself and has no text here.

use crate::error::Result;
use crate::pg::catalog::scope::Scope;
use crate::pg::session::Session;
use crate::text::Text;

#[derive(Clone, Debug)]
pub struct Rule {
    pub oid: u32,
    pub relation: u32,
    pub name: Text,
    /// `pg_get_ruledef`; None for the rule that makes a relation a view, and for those that nobody wants.
    pub definition: Option<String>,
    /// `O` on origin, `D` disabled, `R` on replica, `A` always.
    pub enabled: char,
}

pub async fn load(session: &Session, scope: &Scope) -> Result<Vec<Rule>> {
    let definition = "CASE WHEN r.ev_type = '1' AND r.is_instead AND o.relkind = ANY ('{v,m}'::\"char\"[]) THEN NULL
                ELSE pg_catalog.pg_get_ruledef(r.oid) END";
    let sql = format!(
        "SELECT r.oid, r.ev_class, r.rulename, r.ev_enabled, {} AS definition
         FROM pg_catalog.pg_rewrite r
         JOIN pg_catalog.pg_class o ON o.oid = r.ev_class
         JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace
         WHERE NOT n.nspname ^@ 'pg_' AND n.nspname <> 'information_schema'
         ORDER BY r.ev_class, r.rulename",
        scope.only("r.ev_class", definition),
    );
    let mut rules = Vec::new();
    for row in session.rows(&sql).await? {
        rules.push(Rule {
            oid: row.u32("oid")?,
            relation: row.u32("ev_class")?,
            name: Text::from(row.text("rulename")?),
            definition: row.opt_statement("definition", &["CREATE RULE"])?,
            enabled: row.char("ev_enabled")?,
        });
    }
    Ok(rules)
}
