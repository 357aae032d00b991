//! Subscriptions. Their connection strings may hold passwords and are the superuser's to read.

use std::fmt;

use crate::error::Result;
use crate::pg::catalog::object::{Base, BaseColumns, class};
use crate::pg::session::{Row, Session};
use crate::pg::version::{Capability, ServerVersion};

/// A connection string: never printed.
#[derive(Clone, Eq, PartialEq)]
pub struct ConnectionString(pub String);

impl fmt::Debug for ConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subscription {
    pub base: Base,
    pub connection: ConnectionString,
    pub slot: Option<String>,
    pub publications: Vec<String>,
    pub synchronous_commit: String,
    /// `name = value` of what differs from every version's default, in the order of the manual.
    pub options: Vec<(&'static str, String)>,
}

/// What could be read.
#[derive(Clone, Debug, Default)]
pub struct Subscriptions {
    pub found: Vec<Subscription>,
    /// Subscriptions that are there but may not be read by us: they are missing from the archive.
    pub hidden: u64,
}

const BASE: BaseColumns =
    BaseColumns { catalog: "pg_subscription", name: "subname", in_schema: false, owner: Some("subowner"), acl: None };

const OF_THIS_DATABASE: &str = "pg_catalog.pg_subscription o WHERE o.subdbid = (SELECT d.oid \
     FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())";

pub async fn load(session: &Session) -> Result<Subscriptions> {
    let sql = format!(
        "SELECT pg_catalog.has_column_privilege('pg_catalog.pg_subscription', 'subconninfo', 'SELECT') AS readable, \
         (SELECT pg_catalog.count(*) FROM {OF_THIS_DATABASE}) AS count"
    );
    let row = session.row(&sql).await?;
    let count = u64::try_from(row.i64("count")?).unwrap_or_default();
    if count == 0 || !row.bool("readable")? {
        return Ok(Subscriptions { found: Vec::new(), hidden: count });
    }
    let rows = session.rows(&subscriptions_sql(session.version())).await?;
    Ok(Subscriptions { found: rows.iter().map(read).collect::<Result<_>>()?, hidden: 0 })
}

fn subscriptions_sql(version: ServerVersion) -> String {
    let since = |capability, column| version.pick(capability, column, "NULL::pg_catalog.text");
    // `streaming` was a boolean before it had a third value; what is not there has no default to differ from.
    let streaming = version.pick(
        Capability::SubscriptionBinaryStream,
        "CASE o.substream::pg_catalog.text WHEN 't' THEN 'on' WHEN 'true' THEN 'on' WHEN 'p' THEN 'parallel' \
         ELSE 'off' END",
        "NULL::pg_catalog.text",
    );
    format!(
        "SELECT {}, o.subconninfo, o.subslotname, o.subpublications, o.subsynccommit, {streaming} AS streaming, \
         {} AS binary, {} AS two_phase, {} AS disable_on_error, {} AS password_required, {} AS run_as_owner, \
         {} AS origin, {} AS failover FROM {OF_THIS_DATABASE} ORDER BY o.subname",
        BASE.sql(),
        since(Capability::SubscriptionBinaryStream, "CASE WHEN o.subbinary THEN 'true' END"),
        since(Capability::SubscriptionTwoPhase, "CASE WHEN o.subtwophasestate <> 'd' THEN 'true' END"),
        since(Capability::SubscriptionTwoPhase, "CASE WHEN o.subdisableonerr THEN 'true' END"),
        since(Capability::SubscriptionOrigin, "CASE WHEN NOT o.subpasswordrequired THEN 'false' END"),
        since(Capability::SubscriptionOrigin, "CASE WHEN o.subrunasowner THEN 'true' END"),
        since(Capability::SubscriptionOrigin, "NULLIF(o.suborigin, 'any')"),
        since(Capability::SubscriptionFailover, "CASE WHEN o.subfailover THEN 'true' END"),
    )
}

fn read(row: &Row) -> Result<Subscription> {
    let mut options = Vec::new();
    for name in [
        "binary",
        "streaming",
        "two_phase",
        "disable_on_error",
        "password_required",
        "run_as_owner",
        "origin",
        "failover",
    ] {
        options.extend(row.opt_text(name)?.map(|value| (name, value)));
    }
    Ok(Subscription {
        base: Base::read(row, class::PG_SUBSCRIPTION)?,
        connection: ConnectionString(row.text("subconninfo")?),
        slot: row.opt_text("subslotname")?,
        publications: row.text_array("subpublications")?,
        synchronous_commit: row.text("subsynccommit")?,
        options,
    })
}
