//! CREATE LANGUAGE.

use crate::error::Result;
use crate::ident::Ident;
use crate::pg::catalog::language::Language;
use crate::pg::ddl::acl::{self, AclKind};
use crate::pg::ddl::text;

pub fn identity(language: &Language) -> String {
    format!("LANGUAGE {}", Ident::new(language.base.name.as_str()))
}

pub fn create(language: &Language) -> String {
    let trusted = if language.trusted { "TRUSTED " } else { "" };
    let mut sql = format!("CREATE {trusted}{}", identity(language));
    let clauses = [("HANDLER", &language.handler), ("INLINE", &language.inline), ("VALIDATOR", &language.validator)];
    for (word, function) in clauses {
        if let Some(function) = function {
            sql.push_str(&format!(" {word} {function}"));
        }
    }
    sql + ";\n"
}

pub fn alter_owner(language: &Language) -> String {
    text::alter_owner(&identity(language), &language.base)
}

/// Only trusted languages take GRANT.
pub fn acl(language: &Language) -> Result<String> {
    if !language.trusted {
        return Ok(String::new());
    }
    acl::of_object(&language.base, AclKind::Language, &Ident::new(language.base.name.as_str()).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::catalog::object::class;
    use crate::pg::ddl::testing::base;

    #[test]
    fn handlers_and_trust() {
        let mut language = Language {
            base: base(class::PG_LANGUAGE, None, "plx"),
            trusted: true,
            handler: Some("s.h".into()),
            inline: None,
            validator: Some("s.v".into()),
        };
        assert_eq!(create(&language), "CREATE TRUSTED LANGUAGE \"plx\" HANDLER s.h VALIDATOR s.v;\n");
        language.base.acl = Some(["app=U/own".into()].into());
        assert_eq!(acl(&language).unwrap(), "GRANT ALL ON LANGUAGE \"plx\" TO \"app\";\n");
        language.trusted = false;
        assert_eq!(acl(&language).unwrap(), "");
    }
}
