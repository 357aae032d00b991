//! Event triggers.

use crate::error::Result;
use crate::pg::catalog::object::{Base, BaseColumns, class};
use crate::pg::session::Session;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EventTrigger {
    pub base: Base,
    pub event: String,
    /// Empty for all.
    pub tags: Vec<String>,
    /// As the server prints it, without arguments.
    pub function: String,
    /// `O`, `D`isabled, `R`eplica or `A`lways.
    pub enabled: char,
}

const BASE: BaseColumns =
    BaseColumns { catalog: "pg_event_trigger", name: "evtname", in_schema: false, owner: Some("evtowner"), acl: None };

pub async fn load(session: &Session) -> Result<Vec<EventTrigger>> {
    let sql = format!(
        "SELECT {}, o.evtevent, o.evttags, o.evtfoid::pg_catalog.regproc::pg_catalog.text AS function, o.evtenabled \
         FROM pg_catalog.pg_event_trigger o ORDER BY o.evtname",
        BASE.sql()
    );
    let mut triggers = Vec::new();
    for row in session.rows(&sql).await? {
        triggers.push(EventTrigger {
            base: Base::read(&row, class::PG_EVENT_TRIGGER)?,
            event: row.text("evtevent")?,
            tags: row.opt_text_array("evttags")?.unwrap_or_default(),
            function: row.sql("function")?,
            enabled: row.char("evtenabled")?,
        });
    }
    Ok(triggers)
}
