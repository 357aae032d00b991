//! CREATE COLLATION.

use crate::ident::Literal;
use crate::pg::catalog::collation::{Collation, Provider};
use crate::pg::ddl::text::{self, full_name};

pub fn identity(collation: &Collation) -> String {
    format!("COLLATION {}", full_name(&collation.base))
}

pub fn create(collation: &Collation) -> String {
    let provider = match collation.provider {
        Provider::Libc => "libc",
        Provider::Icu => "icu",
        Provider::Builtin => "builtin",
        Provider::Default => "default",
    };
    let mut clauses = vec![format!("provider = {provider}")];
    if !collation.deterministic {
        clauses.push("deterministic = false".to_owned());
    }
    let same = collation.collate == collation.ctype;
    let values = [
        ("locale", collation.locale.as_ref().or(collation.collate.as_ref().filter(|_| same))),
        ("lc_collate", collation.collate.as_ref().filter(|_| !same)),
        ("lc_ctype", collation.ctype.as_ref().filter(|_| !same)),
        ("rules", collation.rules.as_ref()),
    ];
    clauses.extend(values.into_iter().filter_map(|(word, value)| Some(format!("{word} = {}", Literal(value?)))));
    format!("CREATE {} ({});\n", identity(collation), clauses.join(", "))
}

pub fn alter_owner(collation: &Collation) -> String {
    text::alter_owner(&identity(collation), &collation.base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::catalog::object::class;
    use crate::pg::ddl::testing::base;

    #[test]
    fn providers() {
        let mut collation = Collation {
            base: base(class::PG_COLLATION, Some("s"), "c"),
            provider: Provider::Icu,
            deterministic: false,
            locale: Some("und-u-ks-level2".into()),
            collate: None,
            ctype: None,
            rules: Some("&a < 'b'".into()),
        };
        assert_eq!(
            create(&collation),
            "CREATE COLLATION \"s\".\"c\" (provider = icu, deterministic = false, locale = 'und-u-ks-level2', \
             rules = '&a < ''b''');\n"
        );
        (collation.provider, collation.deterministic, collation.locale, collation.rules) =
            (Provider::Libc, true, None, None);
        (collation.collate, collation.ctype) = (Some("C".into()), Some("C".into()));
        assert_eq!(create(&collation), "CREATE COLLATION \"s\".\"c\" (provider = libc, locale = 'C');\n");
        collation.ctype = Some("POSIX".into());
        assert_eq!(
            create(&collation),
            "CREATE COLLATION \"s\".\"c\" (provider = libc, lc_collate = 'C', lc_ctype = 'POSIX');\n"
        );
    }
}
