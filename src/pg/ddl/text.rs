//! How values get into statements where a quoted name or a literal is not all: bodies and settings.
//!
//! Pure text. Everything returned is safe under `standard_conforming_strings = on` and an empty `search_path`.

use crate::ident::{Ident, Literal, QualifiedName};
use crate::pg::catalog::object::Base;

/// `"schema"."name"`, or `"name"` for kinds outside of schemas.
pub fn full_name(base: &Base) -> String {
    match &base.schema {
        Some(schema) => QualifiedName::new(schema.as_str(), base.name.as_str()).to_string(),
        None => Ident::new(base.name.as_str()).to_string(),
    }
}

/// `ALTER <what> OWNER TO "owner";`, nothing for kinds without an owner. `what` is a kind and a quoted name.
pub fn alter_owner(what: &str, base: &Base) -> String {
    match &base.owner {
        Some(owner) => format!("ALTER {what} OWNER TO {};\n", Ident::new(owner.as_str())),
        None => String::new(),
    }
}

/// The body between dollar quotes whose tag cannot end early: not even where the body ends in half of it.
pub fn dollar_quoted(body: &str) -> String {
    let mut tag = "$".to_owned();
    let mut number = 0u32;
    while body.contains(&tag) {
        tag = if number == 0 { "$_".to_owned() } else { format!("$_{number}_") };
        number = number.saturating_add(1);
    }
    format!("{tag}${body}{tag}$")
}

/// Settings whose value is a list of names, each of which must be quoted on its own: a single literal would become
/// one name with commas in it. The list grows even in minor versions; a name that a server lacks does no harm.
const NAME_LISTS: [&str; 8] = [
    "local_preload_libraries",
    "oauth_validator_libraries",
    "output_plugin_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// `"name" TO 'value'` from `name=value`, as in `proconfig` and `setconfig`. None if there is no `=`.
pub fn setting(item: &str) -> Option<String> {
    let (name, value) = item.split_once('=')?;
    let is_list = NAME_LISTS.iter().any(|list| list.eq_ignore_ascii_case(name));
    let elements = is_list.then(|| split_names(value)).flatten();
    let values = match elements {
        Some(elements) if !elements.is_empty() => {
            elements.iter().map(|one| Literal(one).to_string()).collect::<Vec<_>>().join(", ")
        }
        _ => Literal(value).to_string(),
    };
    Some(format!("{} TO {values}", Ident::new(name)))
}

/// Names separated by commas, some of them in double quotes. None if that is not what it is.
fn split_names(list: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = list.trim();
    while !rest.is_empty() {
        let (name, after) = match rest.strip_prefix('"') {
            Some(quoted) => split_quoted(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].trim_end().to_owned(), &rest[end..])
            }
        };
        names.push(name);
        rest = match after.trim_start().strip_prefix(',') {
            Some(more) if more.trim_start().is_empty() => return None,
            Some(more) => more.trim_start(),
            None if after.trim_start().is_empty() => "",
            None => return None,
        };
    }
    Some(names)
}

/// What stands before the closing quote, with doubled quotes made single, and what follows it.
pub(super) fn split_quoted(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let at = rest.find('"')?;
        name.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_never_closes_its_own_quotes() {
        for body in ["", "x", "$$", "a$", "$_$", "$_", "x $_1_ $_ $", "$_1_$_2_$_", "it's \\ $1"] {
            let quoted = dollar_quoted(body);
            let tag = &quoted[..=quoted[1..].find('$').unwrap() + 1];
            let inner = quoted.strip_prefix(tag).unwrap();
            assert_eq!(inner.find(tag), Some(body.len()), "{quoted}");
            assert_eq!(&inner[..body.len()], body);
        }
        assert_eq!(dollar_quoted("SELECT 1"), "$$SELECT 1$$");
        assert_eq!(dollar_quoted("a $$ b"), "$_$a $$ b$_$");
    }

    #[test]
    fn lists_of_names_are_quoted_one_by_one() {
        let cases = [
            (r#"search_path="A b", public, """#, r#""search_path" TO 'A b', 'public', ''"#),
            (r#"search_path="a""b,c""#, r#""search_path" TO 'a"b,c'"#),
            ("Search_Path=a,b", r#""Search_Path" TO 'a', 'b'"#),
            ("search_path=", r#""search_path" TO ''"#),
            (r#"search_path="""#, r#""search_path" TO ''"#),
            (r#"search_path="open"#, r#""search_path" TO '"open'"#),
            ("search_path=a,", r#""search_path" TO 'a,'"#),
            ("work_mem=8MB", r#""work_mem" TO '8MB'"#),
            ("DateStyle=ISO, DMY", r#""DateStyle" TO 'ISO, DMY'"#),
            ("my.var=a=b'c", r#""my.var" TO 'a=b''c'"#),
        ];
        for (item, expected) in cases {
            assert_eq!(setting(item).as_deref(), Some(expected));
        }
        assert_eq!(setting("nothing"), None);
    }
}
