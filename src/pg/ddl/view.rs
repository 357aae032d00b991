//! Views, materialized views, and the empty stand-in that breaks a loop through a view.

use crate::ident::Ident;
use crate::pg::catalog::column::Column;
use crate::pg::catalog::relation::Relation;
use crate::pg::ddl::options;

const CHECK_OPTION: &str = "check_option=";

/// CREATE VIEW, or CREATE OR REPLACE VIEW over a stand-in.
pub fn create(relation: &Relation, definition: &str, replace: bool) -> String {
    let verb = if replace { "CREATE OR REPLACE VIEW" } else { "CREATE VIEW" };
    let (check, options): (Vec<String>, Vec<String>) =
        relation.options.iter().cloned().partition(|option| option.starts_with(CHECK_OPTION));
    let check = match check.first().and_then(|option| option.strip_prefix(CHECK_OPTION)) {
        Some("local") => "\n WITH LOCAL CHECK OPTION",
        Some(_) => "\n WITH CASCADED CHECK OPTION",
        None => "",
    };
    format!("{verb} {}{} AS\n{definition}{check};\n", relation.qualified(), options::with(&options, &[]))
}

/// A view with the right columns over nothing. Options come with the later CREATE OR REPLACE.
pub fn stand_in(relation: &Relation, columns: &[Column]) -> String {
    let column = |column: &Column| {
        let collation = column.extras().collation.as_ref().map_or(String::new(), |name| format!(" COLLATE {name}"));
        format!("NULL::{}{collation} AS {}", column.type_name, Ident::new(column.name.as_str()))
    };
    let columns: Vec<String> = columns.iter().map(column).collect();
    format!("CREATE VIEW {} AS\nSELECT\n    {};\n", relation.qualified(), columns.join(",\n    "))
}

/// Without its rows: REFRESH fills it at the end.
pub fn create_materialized(relation: &Relation, definition: &str) -> String {
    let options = options::with(&relation.options, &relation.toast_options);
    format!("CREATE MATERIALIZED VIEW {}{options} AS\n{definition}\nWITH NO DATA;\n", relation.qualified())
}

pub fn refresh(relation: &Relation) -> String {
    format!("REFRESH MATERIALIZED VIEW {};\n", relation.qualified())
}
