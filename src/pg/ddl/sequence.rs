//! CREATE SEQUENCE, identity columns, OWNED BY.

use std::fmt::Write;

use crate::ident::{Ident, QualifiedName};
use crate::pg::catalog::relation::Relation;
use crate::pg::catalog::sequence::{OwningColumn, Sequence};
use crate::pg::version::{Capability, ServerVersion};

pub fn create(relation: &Relation, sequence: &Sequence) -> String {
    let unlogged = if relation.unlogged { "UNLOGGED " } else { "" };
    let mut sql = format!("CREATE {unlogged}SEQUENCE {}", relation.qualified());
    if sequence.type_name != "bigint" {
        let _ = write!(sql, "\n    AS {}", sequence.type_name);
    }
    format!("{sql}{};\n", parameters(sequence))
}

/// The identity column that owns the sequence. Its persistence is said where it differs from the table's and the source
/// could choose it: servers without unlogged sequences have no word for either.
pub fn add_identity(
    relation: &Relation,
    sequence: &Sequence,
    table: &Relation,
    owner: &OwningColumn,
    version: ServerVersion,
) -> String {
    let when = if owner.identity == 'a' { "ALWAYS" } else { "BY DEFAULT" };
    let persistence = match (relation.unlogged, table.unlogged) {
        (true, false) => "\n    UNLOGGED",
        (false, true) if version.has(Capability::UnloggedSequences) => "\n    LOGGED",
        _ => "",
    };
    format!(
        "{} {} ALTER COLUMN {} ADD GENERATED {when} AS IDENTITY (\n    SEQUENCE NAME {}{persistence}{}\n);\n",
        super::table::alter(table),
        table.qualified(),
        Ident::new(owner.column.as_str()),
        relation.qualified(),
        parameters(sequence)
    )
}

pub fn owned_by(relation: &Relation, table: &QualifiedName, column: &str) -> String {
    format!("ALTER SEQUENCE {} OWNED BY {table}.{};\n", relation.qualified(), Ident::new(column))
}

/// All parameters, said in full: defaults depend on type and direction.
fn parameters(sequence: &Sequence) -> String {
    let Sequence { start, increment, min, max, cache, .. } = sequence;
    let cycle = if sequence.cycle { "\n    CYCLE" } else { "" };
    format!(
        "\n    START WITH {start}\n    INCREMENT BY {increment}\n    MINVALUE {min}\n    MAXVALUE {max}\n    CACHE {cache}{cycle}"
    )
}
