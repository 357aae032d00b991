//! CREATE TRANSFORM. Transforms have neither owner nor privileges.

use crate::ident::Ident;
use crate::pg::catalog::transform::Transform;

pub fn identity(transform: &Transform) -> String {
    format!("TRANSFORM FOR {} LANGUAGE {}", transform.data_type, Ident::new(transform.language.as_str()))
}

pub fn create(transform: &Transform) -> String {
    let functions = [("FROM SQL", &transform.from_sql), ("TO SQL", &transform.to_sql)];
    let clauses: Vec<String> = functions
        .into_iter()
        .filter_map(|(word, function)| Some(format!("{word} WITH FUNCTION {}", function.as_ref()?)))
        .collect();
    format!("CREATE {} ({});\n", identity(transform), clauses.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::catalog::object::class;
    use crate::pg::ddl::testing::base;

    #[test]
    fn one_direction_is_enough() {
        let mut transform = Transform {
            base: base(class::PG_TRANSFORM, None, "x"),
            data_type: "s.t".into(),
            language: "sql".into(),
            from_sql: Some("pg_catalog.f(internal)".into()),
            to_sql: None,
        };
        assert_eq!(
            create(&transform),
            "CREATE TRANSFORM FOR s.t LANGUAGE \"sql\" (FROM SQL WITH FUNCTION pg_catalog.f(internal));\n"
        );
        transform.to_sql = Some("pg_catalog.g(internal)".into());
        assert!(create(&transform).contains("f(internal), TO SQL WITH FUNCTION pg_catalog.g(internal))"));
    }
}
