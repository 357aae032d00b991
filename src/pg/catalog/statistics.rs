//! Extended statistics objects: `pg_statistic_ext`. Never their data: ANALYZE makes that again.

use crate::error::Result;
use crate::pg::catalog::object::{Base, BaseColumns, class};
use crate::pg::session::Session;
use crate::pg::version::Capability;

#[derive(Clone, Debug)]
pub struct Statistics {
    pub base: Base,
    pub table: u32,
    /// `pg_get_statisticsobjdef`.
    pub definition: String,
    /// None is the default.
    pub target: Option<i16>,
}

const BASE: BaseColumns =
    BaseColumns { catalog: "pg_statistic_ext", name: "stxname", in_schema: true, owner: Some("stxowner"), acl: None };

pub async fn load(session: &Session) -> Result<Vec<Statistics>> {
    let nullable = Capability::NullableStatisticsTargets;
    let target = session.version().pick(nullable, "o.stxstattarget", "NULLIF(o.stxstattarget, -1)");
    let sql = format!(
        "SELECT {base}, o.stxrelid, pg_catalog.pg_get_statisticsobjdef(o.oid) AS definition,
           {target}::pg_catalog.int2 AS target
         FROM pg_catalog.pg_statistic_ext o JOIN pg_catalog.pg_namespace n ON n.oid = o.stxnamespace ORDER BY o.oid",
        base = BASE.sql()
    );
    let mut statistics = Vec::new();
    for row in session.rows(&sql).await? {
        statistics.push(Statistics {
            base: Base::read(&row, class::PG_STATISTIC_EXT)?,
            table: row.u32("stxrelid")?,
            definition: row.statement("definition", &["CREATE STATISTICS"])?,
            target: row.opt_i16("target")?,
        });
    }
    Ok(statistics)
}
