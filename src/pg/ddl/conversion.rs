//! CREATE CONVERSION.

use crate::ident::Literal;
use crate::pg::catalog::conversion::Conversion;
use crate::pg::ddl::text::{self, full_name};

pub fn identity(conversion: &Conversion) -> String {
    format!("CONVERSION {}", full_name(&conversion.base))
}

pub fn create(conversion: &Conversion) -> String {
    let default = if conversion.is_default { "DEFAULT " } else { "" };
    format!(
        "CREATE {default}{} FOR {} TO {} FROM {};\n",
        identity(conversion),
        Literal(&conversion.from),
        Literal(&conversion.to),
        conversion.function
    )
}

pub fn alter_owner(conversion: &Conversion) -> String {
    text::alter_owner(&identity(conversion), &conversion.base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::catalog::object::class;
    use crate::pg::ddl::testing::base;

    #[test]
    fn a_default_conversion() {
        let conversion = Conversion {
            base: base(class::PG_CONVERSION, Some("s"), "c"),
            from: "LATIN1".into(),
            to: "UTF8".into(),
            function: "iso8859_1_to_utf8".into(),
            is_default: true,
        };
        assert_eq!(
            create(&conversion),
            "CREATE DEFAULT CONVERSION \"s\".\"c\" FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;\n"
        );
    }
}
