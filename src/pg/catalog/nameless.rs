//! The columns of `Base` for catalogs whose rows have no name of their own, no schema and no privileges.

use crate::pg::catalog::object::FIRST_NORMAL_OID;

/// What `Base::read` reads, for `catalog` under the alias `o`; `name` and `owner` are SQL expressions.
pub(super) fn columns(catalog: &str, name: &str, owner: Option<&str>) -> String {
    let owner = owner.map_or("NULL::pg_catalog.text".to_owned(), |oid| format!("pg_catalog.pg_get_userbyid({oid})"));
    format!(
        "o.oid, NULL::pg_catalog.text AS schema, {name} AS name, {owner} AS owner, NULL::pg_catalog.text[] AS acl, \
         NULL::pg_catalog.text[] AS init_acl, NULL::pg_catalog.text[] AS default_acl, \
         EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass \
         AND e.objid = o.oid AND e.objsubid = 0 AND e.deptype = 'e') AS extension_member, \
         o.oid < {FIRST_NORMAL_OID} AS in_system_schema"
    )
}
