//! Who inherits from whom, how partitioned tables are cut, and the bounds of their partitions.

use std::collections::HashMap;

use crate::error::Result;
use crate::pg::catalog::scope::Scope;
use crate::pg::session::Session;

#[derive(Debug, Default)]
pub struct Inheritance {
    /// Parents by child, in the order of INHERITS.
    pub parents: HashMap<u32, Vec<u32>>,
    /// `pg_get_partkeydef` by partitioned table.
    pub keys: HashMap<u32, String>,
    /// The bound by partition: `FOR VALUES …` or `DEFAULT`.
    pub bounds: HashMap<u32, String>,
    /// Partitioned tables whose rows may land in another partition after a reload: hashed by an enum, whose values
    /// have other OIDs then.
    pub unstable_hash: Vec<u32>,
}

pub async fn load(session: &Session, scope: &Scope) -> Result<Inheritance> {
    let mut inheritance = Inheritance::default();
    let sql = "SELECT h.inhrelid, h.inhparent FROM pg_catalog.pg_inherits h
         JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid AND c.relkind = ANY ('{r,p,f}'::\"char\"[])
         ORDER BY h.inhrelid, h.inhseqno";
    for row in session.rows(sql).await? {
        inheritance.parents.entry(row.u32("inhrelid")?).or_default().push(row.u32("inhparent")?);
    }
    let sql = "SELECT p.partrelid, pg_catalog.pg_get_partkeydef(p.partrelid) AS key,
           p.partstrat = 'h' AND EXISTS (SELECT FROM pg_catalog.pg_opclass c
             JOIN pg_catalog.pg_namespace n ON n.oid = c.opcnamespace
             WHERE c.oid = ANY (p.partclass) AND c.opcname = 'enum_ops' AND n.nspname = 'pg_catalog') AS unstable
         FROM pg_catalog.pg_partitioned_table p ORDER BY p.partrelid";
    for row in session.rows(sql).await? {
        let table = row.u32("partrelid")?;
        inheritance.keys.insert(table, row.sql("key")?);
        if row.bool("unstable")? {
            inheritance.unstable_hash.push(table);
        }
    }
    let sql = format!(
        "SELECT c.oid, pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bound FROM pg_catalog.pg_class c
         WHERE c.relispartition AND c.relkind = ANY ('{{r,p,f}}'::\"char\"[]) AND {} ORDER BY c.oid",
        scope.has("c.oid"),
    );
    for row in session.rows(&sql).await? {
        inheritance.bounds.insert(row.u32("oid")?, row.sql("bound")?);
    }
    Ok(inheritance)
}

impl Inheritance {
    pub fn parents_of(&self, table: u32) -> &[u32] {
        self.parents.get(&table).map_or(&[], Vec::as_slice)
    }

    /// The top of the partition tree through which the rows of `partition` must be loaded, when an ancestor's hash
    /// does not survive a reload. An ancestor that is not `made` has no partition attached to it.
    pub fn load_through(&self, partition: u32, made: impl Fn(u32) -> bool) -> Option<u32> {
        let (mut at, mut unstable) = (partition, false);
        while self.bounds.contains_key(&at) {
            let Some(parent) = self.parents_of(at).first().filter(|parent| made(**parent)) else { break };
            at = *parent;
            unstable |= self.unstable_hash.contains(&at);
        }
        unstable.then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_below_an_enum_hash_are_loaded_through_the_root() {
        let mut tree = Inheritance::default();
        for (child, parent) in [(2, 1), (3, 2), (4, 1)] {
            tree.parents.insert(child, vec![parent]);
            tree.bounds.insert(child, "DEFAULT".to_owned());
        }
        tree.unstable_hash.push(2);
        assert_eq!(tree.load_through(3, |_| true), Some(1));
        assert_eq!(tree.load_through(3, |table| table != 1), Some(2));
        assert_eq!(tree.load_through(3, |table| table != 2), None);
        assert_eq!(tree.load_through(4, |_| true), None);
        assert_eq!(tree.load_through(1, |_| true), None);
    }
}
