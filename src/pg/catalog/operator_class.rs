//! Operator classes and families. A member belongs to the class that it depends on, or is loose in the family.

use std::collections::HashMap;

use crate::error::Result;
use crate::pg::catalog::object::{Base, BaseColumns, class};
use crate::pg::session::Session;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OperatorClass {
    pub base: Base,
    pub access_method: String,
    pub is_default: bool,
    pub data_type: String,
    /// Quoted and qualified.
    pub family: String,
    /// The stored type, where it is another.
    pub storage: Option<String>,
    pub members: Vec<Member>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OperatorFamily {
    pub base: Base,
    pub access_method: String,
    /// Members that belong to no class.
    pub members: Vec<Member>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Member {
    Operator {
        strategy: i16,
        /// With its types, as the server prints it.
        operator: String,
        /// The family by which an ordering operator sorts, quoted and qualified.
        order_by: Option<String>,
    },
    Function {
        number: i16,
        left: String,
        right: String,
        /// With its types, as the server prints it.
        function: String,
    },
}

const CLASS: BaseColumns =
    BaseColumns { catalog: "pg_opclass", name: "opcname", in_schema: true, owner: Some("opcowner"), acl: None };

const FAMILY: BaseColumns =
    BaseColumns { catalog: "pg_opfamily", name: "opfname", in_schema: true, owner: Some("opfowner"), acl: None };

/// `schema.name` of the operator family whose OID is the SQL expression `oid`.
fn family_name(oid: &str) -> String {
    format!(
        "(SELECT pg_catalog.quote_ident(fn.nspname) || '.' || pg_catalog.quote_ident(f.opfname) \
         FROM pg_catalog.pg_opfamily f JOIN pg_catalog.pg_namespace fn ON fn.oid = f.opfnamespace WHERE f.oid = {oid})"
    )
}

pub async fn load_classes(session: &Session) -> Result<Vec<OperatorClass>> {
    let mut members = members(session, "pg_opclass").await?;
    let sql = format!(
        "SELECT {}, m.amname, o.opcdefault, pg_catalog.format_type(o.opcintype, NULL) AS data_type, {} AS family, \
         CASE WHEN o.opckeytype <> 0 THEN pg_catalog.format_type(o.opckeytype, NULL) END AS storage \
         FROM pg_catalog.pg_opclass o JOIN pg_catalog.pg_namespace n ON n.oid = o.opcnamespace \
         JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod WHERE o.oid >= 16384 ORDER BY n.nspname, o.opcname, m.amname",
        CLASS.sql(),
        family_name("o.opcfamily"),
    );
    let mut classes = Vec::new();
    for row in session.rows(&sql).await? {
        let base = Base::read(&row, class::PG_OPCLASS)?;
        classes.push(OperatorClass {
            members: members.remove(&base.id.oid).unwrap_or_default(),
            base,
            access_method: row.text("amname")?,
            is_default: row.bool("opcdefault")?,
            data_type: row.sql("data_type")?,
            family: row.sql("family")?,
            storage: row.opt_sql("storage")?,
        });
    }
    Ok(classes)
}

pub async fn load_families(session: &Session) -> Result<Vec<OperatorFamily>> {
    let mut members = members(session, "pg_opfamily").await?;
    let sql = format!(
        "SELECT {}, m.amname FROM pg_catalog.pg_opfamily o JOIN pg_catalog.pg_namespace n ON n.oid = o.opfnamespace \
         JOIN pg_catalog.pg_am m ON m.oid = o.opfmethod WHERE o.oid >= 16384 ORDER BY n.nspname, o.opfname, m.amname",
        FAMILY.sql()
    );
    let mut families = Vec::new();
    for row in session.rows(&sql).await? {
        let base = Base::read(&row, class::PG_OPFAMILY)?;
        families.push(OperatorFamily {
            members: members.remove(&base.id.oid).unwrap_or_default(),
            base,
            access_method: row.text("amname")?,
        });
    }
    Ok(families)
}

/// Members by the class or family that `pg_depend` ties them to.
async fn members(session: &Session, of: &str) -> Result<HashMap<u32, Vec<Member>>> {
    let tied = |catalog: &str| {
        format!(
            "JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass \
             AND d.objid = a.oid AND d.refclassid = 'pg_catalog.{of}'::pg_catalog.regclass WHERE d.refobjid >= 16384"
        )
    };
    let mut found: HashMap<u32, Vec<Member>> = HashMap::new();
    let sql = format!(
        "SELECT d.refobjid, a.amopstrategy, a.amopopr::pg_catalog.regoperator::pg_catalog.text AS operator, \
         {} AS order_by FROM pg_catalog.pg_amop a {} ORDER BY d.refobjid, a.amopstrategy, operator",
        family_name("a.amopsortfamily"),
        tied("pg_amop"),
    );
    for row in session.rows(&sql).await? {
        found.entry(row.u32("refobjid")?).or_default().push(Member::Operator {
            strategy: row.i16("amopstrategy")?,
            operator: row.sql("operator")?,
            order_by: row.opt_sql("order_by")?,
        });
    }
    let sql = format!(
        "SELECT d.refobjid, a.amprocnum, pg_catalog.format_type(a.amproclefttype, NULL) AS left_type, \
         pg_catalog.format_type(a.amprocrighttype, NULL) AS right_type, \
         a.amproc::pg_catalog.regprocedure::pg_catalog.text AS function FROM pg_catalog.pg_amproc a {} \
         ORDER BY d.refobjid, a.amprocnum, left_type, right_type",
        tied("pg_amproc"),
    );
    for row in session.rows(&sql).await? {
        found.entry(row.u32("refobjid")?).or_default().push(Member::Function {
            number: row.i16("amprocnum")?,
            left: row.sql("left_type")?,
            right: row.sql("right_type")?,
            function: row.sql("function")?,
        });
    }
    Ok(found)
}
