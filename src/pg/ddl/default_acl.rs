//! ALTER DEFAULT PRIVILEGES. These must run after all other objects were made, or they would add to their privileges.

use crate::error::{Error, Kind, Result};
use crate::ident::Ident;
use crate::pg::catalog::default_acl::{DefaultAcl, DefaultAclKind};
use crate::pg::ddl::acl::{AclKind, Target, statements};

fn kind(default_acl: &DefaultAcl) -> Result<(&'static str, AclKind)> {
    Ok(match default_acl.kind {
        DefaultAclKind::Tables => ("TABLES", AclKind::Table),
        DefaultAclKind::Sequences => ("SEQUENCES", AclKind::Sequence),
        DefaultAclKind::Functions => ("FUNCTIONS", AclKind::Function),
        DefaultAclKind::Types => ("TYPES", AclKind::Type),
        DefaultAclKind::Schemas => ("SCHEMAS", AclKind::Schema),
        DefaultAclKind::LargeObjects => ("LARGE OBJECTS", AclKind::LargeObject),
        DefaultAclKind::Unknown(letter) => {
            let role = &default_acl.role;
            let what = format!("cannot read default privileges of role {role}: unknown kind of objects `{letter}`");
            return Err(Error::new(Kind::Unsupported, what).hint("is the server newer than this program?"));
        }
    })
}

/// pg_dump's name for it in its table of contents.
pub fn tag(default_acl: &DefaultAcl) -> Result<String> {
    Ok(format!("DEFAULT PRIVILEGES FOR {}", kind(default_acl)?.0))
}

pub fn create(default_acl: &DefaultAcl) -> Result<String> {
    let (word, kind) = kind(default_acl)?;
    let mut prefix = format!("ALTER DEFAULT PRIVILEGES FOR ROLE {} ", Ident::new(default_acl.role.as_str()));
    if let Some(schema) = &default_acl.schema {
        prefix.push_str(&format!("IN SCHEMA {} ", Ident::new(schema.as_str())));
    }
    let target = Target { kind, object: word.to_owned(), column: None, prefix };
    statements(&target, Some(&default_acl.role), &default_acl.initial, &default_acl.acl)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::catalog::object::{ObjectId, class};

    #[test]
    fn global_rows_are_differences_and_schema_rows_are_additions() {
        let mut row = DefaultAcl {
            id: ObjectId::new(class::PG_DEFAULT_ACL, 1),
            role: "own".into(),
            schema: None,
            kind: DefaultAclKind::Functions,
            acl: vec!["own=X/own".into()],
            initial: vec!["=X/own".into(), "own=X/own".into()],
        };
        assert_eq!(
            create(&row).unwrap(),
            "ALTER DEFAULT PRIVILEGES FOR ROLE \"own\" REVOKE ALL ON FUNCTIONS FROM PUBLIC;\n"
        );
        (row.schema, row.kind, row.initial) = (Some("a\"b".into()), DefaultAclKind::Sequences, Vec::new());
        row.acl = vec!["app=U*/own".into()];
        assert_eq!(
            create(&row).unwrap(),
            "ALTER DEFAULT PRIVILEGES FOR ROLE \"own\" IN SCHEMA \"a\"\"b\" GRANT USAGE ON SEQUENCES TO \"app\" \
             WITH GRANT OPTION;\n"
        );
        assert_eq!(tag(&row).unwrap(), "DEFAULT PRIVILEGES FOR SEQUENCES");
        row.kind = DefaultAclKind::Unknown('?');
        assert_eq!(create(&row).unwrap_err().kind(), Kind::Unsupported);
    }
}
