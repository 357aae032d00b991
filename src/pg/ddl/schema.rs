//! CREATE SCHEMA.

use crate::error::Result;
use crate::ident::Ident;
use crate::pg::catalog::object::Base;
use crate::pg::catalog::schema::Schema;
use crate::pg::ddl::acl::{self, AclKind};
use crate::pg::ddl::comment;
use crate::pg::ddl::text;

/// initdb's comment on `public`.
const PUBLIC_COMMENT: &str = "standard public schema";
/// Who owns `public` in a new database, from the major that has this role on.
const PUBLIC_OWNER: &str = "pg_database_owner";

pub fn identity(schema: &Schema) -> String {
    format!("SCHEMA {}", Ident::new(schema.base.name.as_str()))
}

/// Nothing for `public`, which every new database has.
pub fn create(schema: &Schema) -> String {
    if schema.is_public() { String::new() } else { format!("CREATE {};\n", identity(schema)) }
}

pub fn alter_owner(schema: &Schema) -> String {
    if schema.is_public() && schema.base.owner.as_deref() == Some(PUBLIC_OWNER) {
        return String::new();
    }
    text::alter_owner(&identity(schema), &schema.base)
}

/// For `public` the absence of initdb's comment is a change, too.
pub fn comment(schema: &Schema, comment: Option<&str>) -> String {
    let on = identity(schema);
    match comment {
        Some(PUBLIC_COMMENT) if schema.is_public() => String::new(),
        None if schema.is_public() => format!("COMMENT ON {on} IS NULL;\n"),
        Some(comment) => comment::comment(&on, comment),
        None => String::new(),
    }
}

pub fn acl(schema: &Schema) -> Result<String> {
    let name = Ident::new(schema.base.name.as_str()).to_string();
    let grants = acl::of_object(&schema.base, AclKind::Schema, &name)?;
    Ok(if starts_unknown(&schema.base) {
        format!("REVOKE ALL ON SCHEMA {name} FROM PUBLIC;\n{grants}")
    } else {
        grants
    })
}

/// `public` of a source that does not say what PUBLIC may do there in a new database.
fn starts_unknown(base: &Base) -> bool {
    base.name == "public" && base.default_acl.len() == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::catalog::object::class;
    use crate::pg::ddl::testing::base;

    fn schema(name: &str, owner: &str) -> Schema {
        let mut base = base(class::PG_NAMESPACE, None, name);
        base.owner = Some(owner.into());
        base.default_acl = [format!("{owner}=UC/{owner}")].into();
        Schema { base }
    }

    #[test]
    fn a_schema_is_created_and_given_to_its_owner() {
        let audit = schema("au\"dit", "own");
        assert_eq!(create(&audit), "CREATE SCHEMA \"au\"\"dit\";\n");
        assert_eq!(alter_owner(&audit), "ALTER SCHEMA \"au\"\"dit\" OWNER TO \"own\";\n");
        assert_eq!(acl(&audit).unwrap(), "");
        assert_eq!(comment(&audit, None), "");
    }

    #[test]
    fn public_is_only_changed_where_it_differs() {
        let mut public = schema("public", PUBLIC_OWNER);
        let everybody = "=U/pg_database_owner".to_owned();
        public.base.default_acl = public.base.default_acl.iter().cloned().chain([everybody]).collect();
        public.base.acl = Some(public.base.default_acl.clone());
        assert_eq!(create(&public) + &alter_owner(&public) + &acl(&public).unwrap(), "");
        assert_eq!(comment(&public, Some(PUBLIC_COMMENT)), "");
        assert_eq!(comment(&public, None), "COMMENT ON SCHEMA \"public\" IS NULL;\n");
    }

    #[test]
    fn an_old_public_says_what_everybody_may() {
        let mut public = schema("public", "postgres");
        public.base.acl = Some(["postgres=UC/postgres".into(), "=UC/postgres".into()].into());
        assert_eq!(
            acl(&public).unwrap(),
            "REVOKE ALL ON SCHEMA \"public\" FROM PUBLIC;\nGRANT ALL ON SCHEMA \"public\" TO PUBLIC;\n"
        );
    }
}
