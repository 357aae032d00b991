//! Objects for the unit tests of this module.

use crate::pg::catalog::object::{Base, ObjectId};

/// An object of the user's, owned by `own`, with default privileges.
pub fn base(class: u32, schema: Option<&str>, name: &str) -> Base {
    Base {
        id: ObjectId::new(class, 20_000),
        schema: schema.map(Into::into),
        name: name.into(),
        owner: Some("own".into()),
        acl: None,
        init_acl: None,
        default_acl: Default::default(),
        extension_member: false,
        in_system_schema: false,
    }
}
