//! CREATE ACCESS METHOD. Access methods have neither owner nor privileges.

use crate::ident::Ident;
use crate::pg::catalog::access_method::AccessMethod;

pub fn identity(method: &AccessMethod) -> String {
    format!("ACCESS METHOD {}", Ident::new(method.base.name.as_str()))
}

pub fn create(method: &AccessMethod) -> String {
    let kind = if method.is_table { "TABLE" } else { "INDEX" };
    format!("CREATE {} TYPE {kind} HANDLER {};\n", identity(method), method.handler)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::catalog::object::class;
    use crate::pg::ddl::testing::base;

    #[test]
    fn an_index_method() {
        let base = base(class::PG_AM, None, "gist2");
        let method = AccessMethod { base, is_table: false, handler: "gisthandler".into() };
        assert_eq!(create(&method), "CREATE ACCESS METHOD \"gist2\" TYPE INDEX HANDLER gisthandler;\n");
    }
}
