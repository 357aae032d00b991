//! Privileges on single columns, those of the server's own tables included where somebody changed them.

use crate::error::Result;
use crate::pg::catalog::column::{Column, Extras};
use crate::pg::catalog::relation::Relation;
use crate::pg::ddl::acl;
use crate::text::Text;

/// Column names with their GRANTs and REVOKEs; columns without a change are left out.
pub fn statements(relation: &Relation, columns: &[Column]) -> Result<Vec<(Text, String)>> {
    let table = relation.qualified().to_string();
    let mut changed = Vec::new();
    for column in columns {
        let Extras { acl, init_acl, .. } = column.extras();
        let (initial, acl) = (init_acl.as_deref(), acl.as_deref());
        let owner = relation.base.owner.as_deref();
        let sql = acl::of_column(&table, &column.name, owner, initial.unwrap_or_default(), acl.unwrap_or_default())?;
        if !sql.is_empty() {
            changed.push((column.name.clone(), sql));
        }
    }
    Ok(changed)
}
