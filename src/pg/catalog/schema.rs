//! Schemas.

use crate::error::Result;
use crate::pg::catalog::object::{Base, BaseColumns, class};
use crate::pg::session::Session;
use crate::pg::version::Capability;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Schema {
    pub base: Base,
}

impl Schema {
    /// It exists in every new database, so it is changed rather than created.
    pub fn is_public(&self) -> bool {
        self.base.name == "public"
    }
}

const BASE: BaseColumns = BaseColumns {
    catalog: "pg_namespace",
    name: "nspname",
    in_schema: false,
    owner: Some("nspowner"),
    acl: Some(("nspacl", "'n'")),
};

/// All schemas except those of temporary and TOAST tables and the information schema, whose privileges initdb gives
/// after it has noted what objects start with.
pub async fn load(session: &Session) -> Result<Vec<Schema>> {
    let sql = format!(
        "SELECT {} FROM pg_catalog.pg_namespace o WHERE o.nspname !~ '^(pg_toast|pg_temp|information_schema$)' ORDER BY o.nspname",
        BASE.sql()
    );
    let mut schemas = Vec::new();
    for row in session.rows(&sql).await? {
        let mut base = Base::read(&row, class::PG_NAMESPACE)?;
        base.in_system_schema = base.name.starts_with("pg_");
        let mut schema = Schema { base };
        if schema.is_public() {
            settle_public(&mut schema.base, session.version().has(Capability::PublicOwnedByDatabaseOwner));
        }
        schemas.push(schema);
    }
    Ok(schemas)
}

/// What `public` starts with is a matter of the server it is restored into, not of this one's `pg_init_privs`.
/// Majors with `pg_database_owner` start it without CREATE for PUBLIC; where the source is older, nothing is assumed
/// beyond the owner's own rights, so that PUBLIC's are written out.
fn settle_public(base: &mut Base, owned_by_database_owner: bool) {
    base.init_acl = None;
    if !owned_by_database_owner {
        return;
    }
    if let Some(own) = base.default_acl.first().cloned() {
        // `role=UC/role`: the same name twice.
        let grantor = own.get(own.len() / 2 + 2..).unwrap_or_default();
        base.default_acl = [own.clone(), format!("=U/{grantor}")].into();
        // NULL means the owner alone, which is less than the start.
        base.acl.get_or_insert_with(|| [own].into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::ddl::testing::base;

    #[test]
    fn public_starts_with_what_new_databases_have() {
        let mut base = base(class::PG_NAMESPACE, None, "public");
        base.init_acl = Some(["x".into()].into());
        base.default_acl = ["\"o/w\"=UC/\"o/w\"".into()].into();
        settle_public(&mut base, true);
        assert_eq!(*base.default_acl, ["\"o/w\"=UC/\"o/w\"", "=U/\"o/w\""]);
        assert_eq!(*base.acl.unwrap(), ["\"o/w\"=UC/\"o/w\""]);
        assert_eq!(base.init_acl, None);
    }
}
