//! CREATE EXTENSION: without a version, so that the target's own is taken. Extensions have no ALTER … OWNER.

use crate::ident::Ident;
use crate::pg::catalog::extension::Extension;

pub fn identity(extension: &Extension) -> String {
    format!("EXTENSION {}", Ident::new(extension.base.name.as_str()))
}

pub fn create(extension: &Extension) -> String {
    let name = Ident::new(extension.base.name.as_str());
    let schema = Ident::new(extension.target_schema.as_str());
    format!("CREATE EXTENSION IF NOT EXISTS {name} WITH SCHEMA {schema};\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::catalog::object::class;
    use crate::pg::ddl::testing::base;

    #[test]
    fn the_version_is_the_targets() {
        let base = base(class::PG_EXTENSION, None, "uuid-ossp");
        let extension =
            Extension { base, target_schema: "ext".into(), version: "1.1".into(), config_tables: Vec::new() };
        assert_eq!(create(&extension), "CREATE EXTENSION IF NOT EXISTS \"uuid-ossp\" WITH SCHEMA \"ext\";\n");
        assert_eq!(identity(&extension), "EXTENSION \"uuid-ossp\"");
    }
}
