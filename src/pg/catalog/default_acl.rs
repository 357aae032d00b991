//! Default privileges: what objects get that are created later.

use crate::error::Result;
use crate::pg::catalog::object::{ObjectId, class};
use crate::pg::session::Session;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DefaultAcl {
    pub id: ObjectId,
    /// Whose new objects.
    pub role: String,
    /// None for all schemas.
    pub schema: Option<String>,
    pub kind: DefaultAclKind,
    pub acl: Vec<String>,
    /// What applies without this row: of a schema's row nothing, since it adds to the row for all schemas.
    pub initial: Vec<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DefaultAclKind {
    Tables,
    Sequences,
    Functions,
    Types,
    Schemas,
    LargeObjects,
    /// A letter that this program does not know.
    Unknown(char),
}

impl DefaultAclKind {
    fn from_char(letter: char) -> Self {
        match letter {
            'r' => DefaultAclKind::Tables,
            'S' => DefaultAclKind::Sequences,
            'f' => DefaultAclKind::Functions,
            'T' => DefaultAclKind::Types,
            'n' => DefaultAclKind::Schemas,
            'L' => DefaultAclKind::LargeObjects,
            other => DefaultAclKind::Unknown(other),
        }
    }
}

pub async fn load(session: &Session) -> Result<Vec<DefaultAcl>> {
    // acldefault() has a letter of its own for sequences: its `S` is a foreign server.
    let sql = "SELECT o.oid, pg_catalog.pg_get_userbyid(o.defaclrole) AS role, n.nspname AS schema, o.defaclobjtype, \
         o.defaclacl::pg_catalog.text[] AS acl, CASE WHEN o.defaclnamespace = 0 THEN pg_catalog.acldefault( \
         CASE WHEN o.defaclobjtype = 'S' THEN 's'::\"char\" ELSE o.defaclobjtype END, o.defaclrole) \
         ELSE '{}' END::pg_catalog.text[] AS initial \
         FROM pg_catalog.pg_default_acl o LEFT JOIN pg_catalog.pg_namespace n ON n.oid = o.defaclnamespace \
         ORDER BY n.nspname NULLS LAST, o.defaclobjtype, role";
    let mut found = Vec::new();
    for row in session.rows(sql).await? {
        found.push(DefaultAcl {
            id: ObjectId::new(class::PG_DEFAULT_ACL, row.u32("oid")?),
            role: row.text("role")?,
            schema: row.opt_text("schema")?,
            kind: DefaultAclKind::from_char(row.char("defaclobjtype")?),
            acl: row.text_array("acl")?,
            initial: row.text_array("initial")?,
        });
    }
    Ok(found)
}
