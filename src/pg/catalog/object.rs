//! What all objects have in common: identity, name, owner, privileges, where they come from.

use crate::error::Result;
use crate::pg::session::Row;
use crate::text::{List, Text};

/// OIDs of the catalogs: fixed in every version.
pub mod class {
    pub const PG_TYPE: u32 = 1247;
    pub const PG_ATTRIBUTE: u32 = 1249;
    pub const PG_PROC: u32 = 1255;
    pub const PG_CLASS: u32 = 1259;
    pub const PG_DATABASE: u32 = 1262;
    pub const PG_FOREIGN_SERVER: u32 = 1417;
    pub const PG_USER_MAPPING: u32 = 1418;
    pub const PG_FOREIGN_DATA_WRAPPER: u32 = 2328;
    pub const PG_AM: u32 = 2601;
    pub const PG_AMOP: u32 = 2602;
    pub const PG_AMPROC: u32 = 2603;
    pub const PG_ATTRDEF: u32 = 2604;
    pub const PG_CAST: u32 = 2605;
    pub const PG_CONSTRAINT: u32 = 2606;
    pub const PG_CONVERSION: u32 = 2607;
    pub const PG_LANGUAGE: u32 = 2612;
    pub const PG_LARGEOBJECT: u32 = 2613;
    pub const PG_NAMESPACE: u32 = 2615;
    pub const PG_OPCLASS: u32 = 2616;
    pub const PG_OPERATOR: u32 = 2617;
    pub const PG_REWRITE: u32 = 2618;
    pub const PG_TRIGGER: u32 = 2620;
    pub const PG_OPFAMILY: u32 = 2753;
    pub const PG_LARGEOBJECT_METADATA: u32 = 2995;
    pub const PG_EXTENSION: u32 = 3079;
    pub const PG_POLICY: u32 = 3256;
    pub const PG_STATISTIC_EXT: u32 = 3381;
    pub const PG_COLLATION: u32 = 3456;
    pub const PG_EVENT_TRIGGER: u32 = 3466;
    pub const PG_TRANSFORM: u32 = 3576;
    pub const PG_TS_DICT: u32 = 3600;
    pub const PG_TS_PARSER: u32 = 3601;
    pub const PG_TS_CONFIG: u32 = 3602;
    pub const PG_TS_TEMPLATE: u32 = 3764;
    pub const PG_SUBSCRIPTION: u32 = 6100;
    pub const PG_PUBLICATION: u32 = 6104;
    pub const PG_PUBLICATION_REL: u32 = 6106;
    pub const PG_PUBLICATION_NAMESPACE: u32 = 6237;
    pub const PG_DEFAULT_ACL: u32 = 826;
}

/// The first OID that is not the server's own.
pub const FIRST_NORMAL_OID: u32 = 16384;

#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct ObjectId {
    /// The catalog, one of [`class`].
    pub class: u32,
    pub oid: u32,
}

impl ObjectId {
    pub const fn new(class: u32, oid: u32) -> Self {
        ObjectId { class, oid }
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Base {
    pub id: ObjectId,
    pub schema: Option<Text>,
    pub name: Text,
    /// None for kinds without an owner.
    pub owner: Option<Text>,
    /// None where the catalog has NULL: the defaults apply.
    pub acl: Option<List>,
    /// What `initdb` or `CREATE EXTENSION` left, where `pg_init_privs` says.
    pub init_acl: Option<List>,
    /// `acldefault()`: what NULL stands for. Empty for kinds without privileges.
    pub default_acl: List,
    pub extension_member: bool,
    /// In `pg_*` or `information_schema`; for kinds outside schemas: made by initdb.
    pub in_system_schema: bool,
}

impl Base {
    /// Whether its definition (and owner, comment, labels) is the user's: neither the server's nor an extension's.
    pub fn is_users(&self) -> bool {
        !self.extension_member && !self.in_system_schema
    }

    /// Reads the columns that [`BaseColumns`] selects.
    pub fn read(row: &Row, class: u32) -> Result<Self> {
        Ok(Base {
            id: ObjectId::new(class, row.u32("oid")?),
            schema: row.opt_shared("schema")?,
            name: Text::from(row.text("name")?),
            owner: row.opt_shared("owner")?,
            acl: row.opt_shared_list("acl")?,
            init_acl: row.opt_shared_list("init_acl")?,
            default_acl: row.shared_list("default_acl")?,
            extension_member: row.bool("extension_member")?,
            in_system_schema: row.bool("in_system_schema")?,
        })
    }
}

/// Builds the select list that [`Base::read`] reads, for the catalog `catalog` under the alias `o`
/// (and `pg_namespace` under the alias `n` where the kind has a schema: the query must join it).
#[derive(Clone, Copy, Debug)]
pub struct BaseColumns {
    pub catalog: &'static str,
    /// The column prefix: `pro` for `pg_proc`.
    pub name: &'static str,
    pub in_schema: bool,
    pub owner: Option<&'static str>,
    /// The ACL column and the letter for `acldefault()`, an SQL expression such as `'f'`.
    pub acl: Option<(&'static str, &'static str)>,
}

impl BaseColumns {
    pub fn sql(&self) -> String {
        let schema = if self.in_schema { "n.nspname" } else { "NULL::pg_catalog.name" };
        let system = if self.in_schema {
            "(n.nspname ^@ 'pg_' OR n.nspname = 'information_schema')".to_owned()
        } else {
            format!("o.oid < {FIRST_NORMAL_OID}")
        };
        let owner = self
            .owner
            .map_or("NULL::pg_catalog.name".to_owned(), |column| format!("pg_catalog.pg_get_userbyid(o.{column})"));
        let class = format!("'pg_catalog.{}'::pg_catalog.regclass", self.catalog);
        let acl = match (self.acl, self.owner) {
            (Some((column, letter)), Some(owner)) => format!(
                "o.{column}::pg_catalog.text[] AS acl, \
                 CASE WHEN o.oid IN (SELECT p.objoid FROM pg_catalog.pg_init_privs p) THEN \
                 (SELECT p.initprivs::pg_catalog.text[] FROM pg_catalog.pg_init_privs p WHERE p.objoid = o.oid \
                 AND p.classoid = {class} AND p.objsubid = 0) END AS init_acl, \
                 pg_catalog.acldefault({letter}, o.{owner})::pg_catalog.text[] AS default_acl"
            ),
            _ => "NULL::pg_catalog.text[] AS acl, NULL::pg_catalog.text[] AS init_acl, \
                  NULL::pg_catalog.text[] AS default_acl"
                .to_owned(),
        };
        format!(
            "o.oid, {schema} AS schema, o.{name} AS name, {owner} AS owner, {acl}, \
             EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = {class} AND e.objid = o.oid \
             AND e.objsubid = 0 AND e.deptype = 'e') AS extension_member, {system} AS in_system_schema",
            name = self.name,
        )
    }
}
