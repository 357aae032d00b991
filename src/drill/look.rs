//! What drills would meet on their server, before the first one; nothing is created.

use crate::error::Result;
use crate::pg::connect::Server;
use crate::pg::session::Session;

use super::role;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ground {
    pub major: u32,
    /// Whether the role may make everything that backups hold.
    pub may_all: bool,
    /// Of the connection: whoever listens on the way.
    pub warning: Option<String>,
}

/// The same login and the same judgement of the role as a drill's.
pub async fn look(server: &Server) -> Result<Ground> {
    let admin = Session::open_maintenance(server).await?;
    let may_all = role::check(&admin, false).await?;
    let warning = admin.reached().and_then(|reached| reached.warning()).map(|text| text.to_string());
    let major = admin.version().major();
    admin.close().await?;
    Ok(Ground { major, may_all, warning })
}
