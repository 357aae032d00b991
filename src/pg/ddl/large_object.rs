//! Large objects: made with their first bytes under their own OID, then filled.

use crate::error::Result;
use crate::pg::catalog::large_object::{LargeObject, Piece};
use crate::pg::ddl::acl::{self, AclKind};
use crate::pg::ddl::text;

pub fn identity(object: &LargeObject) -> String {
    format!("LARGE OBJECT {}", object.base.id.oid)
}

/// One statement for one piece of bytes; the piece at offset 0 makes the object.
pub fn write(piece: &Piece) -> String {
    let Piece { oid, offset, hex } = piece;
    match offset {
        0 => format!("SELECT pg_catalog.lo_from_bytea({oid}, '\\x{hex}');\n"),
        _ => format!("SELECT pg_catalog.lo_put({oid}, {offset}, '\\x{hex}');\n"),
    }
}

pub fn alter_owner(object: &LargeObject) -> String {
    text::alter_owner(&identity(object), &object.base)
}

pub fn acl(object: &LargeObject) -> Result<String> {
    acl::of_object(&object.base, AclKind::LargeObject, &object.base.id.oid.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_piece_makes_the_object() {
        let first = Piece { oid: 7, offset: 0, hex: String::new() };
        assert_eq!(write(&first), "SELECT pg_catalog.lo_from_bytea(7, '\\x');\n");
        let later = Piece { oid: 7, offset: 262_144, hex: "0aff".into() };
        assert_eq!(write(&later), "SELECT pg_catalog.lo_put(7, 262144, '\\x0aff');\n");
    }
}
