//! CREATE CAST. Casts have neither owner nor privileges.

use crate::pg::catalog::cast::{Cast, Method};

pub fn identity(cast: &Cast) -> String {
    format!("CAST ({} AS {})", cast.source, cast.target)
}

pub fn create(cast: &Cast) -> String {
    let method = match &cast.method {
        Method::Function(function) => format!("WITH FUNCTION {function}"),
        Method::InOut => "WITH INOUT".to_owned(),
        Method::Binary => "WITHOUT FUNCTION".to_owned(),
    };
    let context = match cast.context {
        'a' => " AS ASSIGNMENT",
        'i' => " AS IMPLICIT",
        _ => "",
    };
    format!("CREATE {} {method}{context};\n", identity(cast))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::catalog::object::class;
    use crate::pg::ddl::testing::base;

    #[test]
    fn methods_and_contexts() {
        let mut cast = Cast {
            base: base(class::PG_CAST, None, "CAST (text AS s.t)"),
            source: "text".into(),
            target: "s.t".into(),
            method: Method::Function("s.f(text)".into()),
            context: 'i',
        };
        assert_eq!(create(&cast), "CREATE CAST (text AS s.t) WITH FUNCTION s.f(text) AS IMPLICIT;\n");
        (cast.method, cast.context) = (Method::InOut, 'a');
        assert_eq!(create(&cast), "CREATE CAST (text AS s.t) WITH INOUT AS ASSIGNMENT;\n");
        (cast.method, cast.context) = (Method::Binary, 'e');
        assert_eq!(create(&cast), "CREATE CAST (text AS s.t) WITHOUT FUNCTION;\n");
    }
}
