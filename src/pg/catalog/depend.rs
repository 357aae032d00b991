//! `pg_depend`: what needs what, and what belongs to which extension.

use crate::error::Result;
use crate::pg::catalog::object::ObjectId;
use crate::pg::session::{Row, Session};

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Dependency {
    pub object: ObjectId,
    pub on: ObjectId,
    /// `n` normal, `a` auto, `i` internal, `P` and `S` of partitions, `e` member of an extension, `x` marked by hand.
    pub kind: char,
}

/// All dependencies but those of pinned objects, and of what is made by the way and needed by nothing: TOAST tables, row
/// and array types, NOT NULL. Members of operator families count as the family.
pub async fn load(session: &Session) -> Result<Vec<Dependency>> {
    let of_family = |catalog: &str, family: &str| {
        format!(
            "SELECT 'pg_catalog.pg_opfamily'::pg_catalog.regclass::pg_catalog.oid, o.{family}, d.refclassid,
                    d.refobjid, d.deptype
             FROM pg_catalog.pg_depend d JOIN pg_catalog.{catalog} o ON o.oid = d.objid
             WHERE d.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass
               AND d.deptype <> ALL ('{{p,e,i}}'::\"char\"[])
               AND NOT (d.refclassid = 'pg_catalog.pg_opfamily'::pg_catalog.regclass AND d.refobjid = o.{family})"
        )
    };
    let sql = format!(
        "WITH needed AS (SELECT t.refobjid AS oid FROM pg_catalog.pg_depend t
           WHERE t.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND t.deptype <> 'i')
         SELECT d.classid, d.objid, d.refclassid, d.refobjid, d.deptype FROM pg_catalog.pg_depend d
         WHERE d.deptype <> 'p'
           AND d.classid <> ALL (ARRAY['pg_catalog.pg_amop'::pg_catalog.regclass,
                                       'pg_catalog.pg_amproc'::pg_catalog.regclass]::pg_catalog.oid[])
           AND NOT (d.classid = d.refclassid AND d.objid = d.refobjid)
           AND NOT (d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid IN
             (SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relnamespace = 'pg_toast'::pg_catalog.regnamespace))
           AND NOT (d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.deptype = 'a' AND d.objid IN
             (SELECT c.oid FROM pg_catalog.pg_constraint c WHERE c.contype = 'n' AND c.conrelid <> 0))
           AND NOT (d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.deptype = 'i' AND d.objid NOT IN
             (SELECT t.oid FROM needed t UNION ALL
              SELECT t.typelem FROM pg_catalog.pg_type t JOIN needed ON needed.oid = t.oid))
         UNION ALL {} UNION ALL {}",
        of_family("pg_amop", "amopfamily"),
        of_family("pg_amproc", "amprocfamily"),
    );
    let read = |row: &Row| {
        Ok(Dependency {
            object: ObjectId::new(row.u32("classid")?, row.u32("objid")?),
            on: ObjectId::new(row.u32("refclassid")?, row.u32("refobjid")?),
            kind: row.char("deptype")?,
        })
    };
    // Sorted here: a server's default memory for sorting would send this one to its disk.
    let mut all = session.all(&sql, read).await?;
    all.sort_unstable();
    Ok(all)
}
