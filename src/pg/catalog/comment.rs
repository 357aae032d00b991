//! Comments and security labels of everything, read at once.
//!
//! The server's own objects are left out (schema `public`, which everybody may comment on, is not; nor are large
//! objects, whose OIDs are the user's choice).

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::object::{FIRST_NORMAL_OID, ObjectId};
use crate::error::Result;
use crate::pg::filter::Switch;
use crate::pg::selection::Selection;
use crate::pg::session::Session;

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Label {
    pub provider: String,
    pub text: String,
}

/// What people noted about objects and their parts (columns, for tables and composite types).
#[derive(Debug, Default)]
pub struct Notes {
    comments: HashMap<(ObjectId, i32), String>,
    labels: HashMap<(ObjectId, i32), Vec<Label>>,
}

/// Whose notes are read: `o.objoid` is not the server's, or a schema, or a large object.
fn own() -> String {
    format!(
        "(o.objoid >= {FIRST_NORMAL_OID} OR o.classoid = ANY (ARRAY['pg_catalog.pg_namespace'::pg_catalog.regclass, \
         'pg_catalog.pg_largeobject'::pg_catalog.regclass]::pg_catalog.oid[]))"
    )
}

impl Notes {
    pub async fn load(session: &Session, selection: &Selection) -> Result<Self> {
        let mut notes = Notes::default();
        if !selection.has(Switch::NoComments) {
            notes.load_comments(session).await?;
        }
        if !selection.has(Switch::NoSecurityLabels) {
            notes.load_labels(session).await?;
        }
        Ok(notes)
    }

    async fn load_comments(&mut self, session: &Session) -> Result<()> {
        let sql = format!(
            "SELECT o.classoid AS class, o.objoid AS oid, o.objsubid AS sub, o.description AS text \
             FROM pg_catalog.pg_description o WHERE {}",
            own()
        );
        for row in session.rows(&sql).await? {
            let id = ObjectId::new(row.u32("class")?, row.u32("oid")?);
            self.comments.insert((id, row.i32("sub")?), row.text("text")?);
        }
        Ok(())
    }

    async fn load_labels(&mut self, session: &Session) -> Result<()> {
        let sql = format!(
            "SELECT o.classoid AS class, o.objoid AS oid, o.objsubid AS sub, o.provider, o.label AS text \
             FROM pg_catalog.pg_seclabel o WHERE {} ORDER BY o.provider",
            own()
        );
        for row in session.rows(&sql).await? {
            let id = ObjectId::new(row.u32("class")?, row.u32("oid")?);
            let label = Label { provider: row.text("provider")?, text: row.text("text")? };
            self.labels.entry((id, row.i32("sub")?)).or_default().push(label);
        }
        Ok(())
    }

    /// `sub` is 0 for the object itself, else the column's number.
    pub fn comment(&self, id: ObjectId, sub: i32) -> Option<&str> {
        self.comments.get(&(id, sub)).map(String::as_str)
    }

    pub fn labels(&self, id: ObjectId, sub: i32) -> &[Label] {
        self.labels.get(&(id, sub)).map_or(&[], Vec::as_slice)
    }
}
