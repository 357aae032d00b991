//! Lists of options: `WITH (…)` of relations, `OPTIONS (…)` of foreign objects.

use crate::ident::{Ident, Literal};

/// `"name"='value'` of each stored `name=value`; the part before the last dot of the prefix stays outside the quotes.
fn storage(options: &[String], prefix: &str) -> impl Iterator<Item = String> {
    options.iter().map(move |option| {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        format!("{prefix}{}={}", Ident::new(name), Literal(value))
    })
}

/// `WITH (…)` with a leading newline, or nothing. `toast` are the options of the TOAST table.
pub fn with(options: &[String], toast: &[String]) -> String {
    let all: Vec<String> = storage(options, "").chain(storage(toast, "toast.")).collect();
    if all.is_empty() { String::new() } else { format!("\nWITH ({})", all.join(", ")) }
}

/// The list alone, for `SET (…)`.
pub fn list(options: &[String]) -> String {
    storage(options, "").collect::<Vec<_>>().join(", ")
}

/// `OPTIONS (…)` with a leading newline, or nothing.
pub fn foreign(options: &[(String, String)]) -> String {
    if options.is_empty() {
        return String::new();
    }
    format!("\nOPTIONS ({})", foreign_list(options))
}

pub fn foreign_list(options: &[(String, String)]) -> String {
    let one = |(name, value): &(String, String)| format!("{} {}", Ident::new(name), Literal(value));
    options.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_quoted() {
        let options = ["fillfactor=90".to_owned(), "odd".to_owned(), "a=b='c'".to_owned()];
        let toast = ["autovacuum_enabled=off".to_owned()];
        let expected = "\nWITH (\"fillfactor\"='90', \"odd\"='', \"a\"='b=''c''', toast.\"autovacuum_enabled\"='off')";
        assert_eq!(with(&options, &toast), expected);
        assert_eq!(with(&[], &[]), "");
        assert_eq!(foreign(&[("user".to_owned(), "o'b".to_owned())]), "\nOPTIONS (\"user\" 'o''b')");
    }
}
