//! CREATE FOREIGN DATA WRAPPER, SERVER and USER MAPPING.

use crate::error::Result;
use crate::ident::{Ident, Literal};
use crate::pg::catalog::foreign::{Server, UserMapping, Wrapper};
use crate::pg::ddl::acl::{self, AclKind};
use crate::pg::ddl::{options, text};

pub fn wrapper_identity(wrapper: &Wrapper) -> String {
    format!("FOREIGN DATA WRAPPER {}", Ident::new(wrapper.base.name.as_str()))
}

pub fn create_wrapper(wrapper: &Wrapper) -> String {
    let mut sql = format!("CREATE {}", wrapper_identity(wrapper));
    for (word, function) in [("HANDLER", &wrapper.handler), ("VALIDATOR", &wrapper.validator)] {
        if let Some(function) = function {
            sql.push_str(&format!(" {word} {function}"));
        }
    }
    sql + &options::foreign(&wrapper.options.0) + ";\n"
}

pub fn alter_wrapper_owner(wrapper: &Wrapper) -> String {
    text::alter_owner(&wrapper_identity(wrapper), &wrapper.base)
}

pub fn wrapper_acl(wrapper: &Wrapper) -> Result<String> {
    let name = Ident::new(wrapper.base.name.as_str()).to_string();
    acl::of_object(&wrapper.base, AclKind::ForeignDataWrapper, &name)
}

pub fn server_identity(server: &Server) -> String {
    format!("SERVER {}", Ident::new(server.base.name.as_str()))
}

pub fn create_server(server: &Server) -> String {
    let mut sql = format!("CREATE {}", server_identity(server));
    for (word, value) in [("TYPE", &server.server_type), ("VERSION", &server.version)] {
        if let Some(value) = value {
            sql.push_str(&format!(" {word} {}", Literal(value)));
        }
    }
    let wrapper = Ident::new(server.wrapper.as_str());
    format!("{sql} FOREIGN DATA WRAPPER {wrapper}{};\n", options::foreign(&server.options.0))
}

pub fn alter_server_owner(server: &Server) -> String {
    text::alter_owner(&server_identity(server), &server.base)
}

pub fn server_acl(server: &Server) -> Result<String> {
    acl::of_object(&server.base, AclKind::ForeignServer, &Ident::new(server.base.name.as_str()).to_string())
}

pub fn create_user_mapping(mapping: &UserMapping) -> String {
    let user = mapping.user.as_ref().map_or("PUBLIC".to_owned(), |user| Ident::new(user.as_str()).to_string());
    let server = Ident::new(mapping.server.as_str());
    format!("CREATE USER MAPPING FOR {user} SERVER {server}{};\n", options::foreign(&mapping.options.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::catalog::foreign::Options;
    use crate::pg::catalog::object::class;
    use crate::pg::ddl::testing::base;

    #[test]
    fn wrapper_server_and_mapping() {
        let options = Options(vec![("user".into(), "it's".into())]);
        let wrapper = Wrapper {
            base: base(class::PG_FOREIGN_DATA_WRAPPER, None, "w"),
            handler: Some("s.h".into()),
            validator: None,
            options: Options(Vec::new()),
        };
        assert_eq!(create_wrapper(&wrapper), "CREATE FOREIGN DATA WRAPPER \"w\" HANDLER s.h;\n");
        let server = Server {
            base: base(class::PG_FOREIGN_SERVER, None, "srv"),
            wrapper: "w".into(),
            server_type: Some("t".into()),
            version: None,
            options: options.clone(),
        };
        assert_eq!(
            create_server(&server),
            "CREATE SERVER \"srv\" TYPE 't' FOREIGN DATA WRAPPER \"w\"\nOPTIONS (\"user\" 'it''s');\n"
        );
        let mut mapping = UserMapping {
            base: base(class::PG_USER_MAPPING, None, "x"),
            user: Some("public".into()),
            server: "srv".into(),
            options,
        };
        assert_eq!(
            create_user_mapping(&mapping),
            "CREATE USER MAPPING FOR \"public\" SERVER \"srv\"\nOPTIONS (\"user\" 'it''s');\n"
        );
        mapping.user = None;
        assert!(create_user_mapping(&mapping).starts_with("CREATE USER MAPPING FOR PUBLIC SERVER"));
    }
}
