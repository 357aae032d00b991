//! CREATE TEXT SEARCH PARSER, TEMPLATE, DICTIONARY and CONFIGURATION. The first two have no owner.

use crate::ident::Ident;
use crate::pg::catalog::object::Base;
use crate::pg::catalog::text_search::{Configuration, Dictionary, Parser, Template};
use crate::pg::ddl::text::full_name;

/// Which of the four a base belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    Parser,
    Template,
    Dictionary,
    Configuration,
}

pub fn identity(part: Part, base: &Base) -> String {
    let word = match part {
        Part::Parser => "PARSER",
        Part::Template => "TEMPLATE",
        Part::Dictionary => "DICTIONARY",
        Part::Configuration => "CONFIGURATION",
    };
    format!("TEXT SEARCH {word} {}", full_name(base))
}

fn create(part: Part, base: &Base, clauses: &[(&str, Option<&String>)]) -> String {
    let clauses: Vec<String> =
        clauses.iter().filter_map(|(word, value)| Some(format!("\n    {word} = {}", (*value)?))).collect();
    format!("CREATE {} ({}\n);\n", identity(part, base), clauses.join(","))
}

pub fn create_parser(parser: &Parser) -> String {
    let clauses = [
        ("START", Some(&parser.start)),
        ("GETTOKEN", Some(&parser.get_token)),
        ("END", Some(&parser.end)),
        ("HEADLINE", parser.headline.as_ref()),
        ("LEXTYPES", Some(&parser.lex_types)),
    ];
    create(Part::Parser, &parser.base, &clauses)
}

pub fn create_template(template: &Template) -> String {
    let clauses = [("INIT", template.init.as_ref()), ("LEXIZE", Some(&template.lexize))];
    create(Part::Template, &template.base, &clauses)
}

pub fn create_dictionary(dictionary: &Dictionary) -> String {
    let options = dictionary.options.as_ref().map(|options| format!(",\n    {options}")).unwrap_or_default();
    let name = identity(Part::Dictionary, &dictionary.base);
    format!("CREATE {name} (\n    TEMPLATE = {}{options}\n);\n", dictionary.template)
}

pub fn create_configuration(configuration: &Configuration) -> String {
    let mut sql = create(Part::Configuration, &configuration.base, &[("PARSER", Some(&configuration.parser))]);
    for mapping in &configuration.mappings {
        sql.push_str(&format!(
            "ALTER {} ADD MAPPING FOR {} WITH {};\n",
            identity(Part::Configuration, &configuration.base),
            Ident::new(mapping.token.as_str()),
            mapping.dictionaries.join(", ")
        ));
    }
    sql
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::catalog::object::class;
    use crate::pg::catalog::text_search::Mapping;
    use crate::pg::ddl::testing::base;

    #[test]
    fn all_four() {
        let parser = Parser {
            base: base(class::PG_TS_PARSER, Some("s"), "p"),
            start: "prsd_start".into(),
            get_token: "prsd_nexttoken".into(),
            end: "prsd_end".into(),
            headline: None,
            lex_types: "prsd_lextype".into(),
        };
        assert_eq!(
            create_parser(&parser),
            "CREATE TEXT SEARCH PARSER \"s\".\"p\" (\n    START = prsd_start,\n    GETTOKEN = prsd_nexttoken,\n    \
             END = prsd_end,\n    LEXTYPES = prsd_lextype\n);\n"
        );
        let template =
            Template { base: base(class::PG_TS_TEMPLATE, Some("s"), "t"), init: None, lexize: "dsimple_lexize".into() };
        assert_eq!(
            create_template(&template),
            "CREATE TEXT SEARCH TEMPLATE \"s\".\"t\" (\n    LEXIZE = dsimple_lexize\n);\n"
        );
        let dictionary = Dictionary {
            base: base(class::PG_TS_DICT, Some("s"), "d"),
            template: "pg_catalog.simple".into(),
            options: Some("stopwords = 'english'".into()),
        };
        assert_eq!(
            create_dictionary(&dictionary),
            "CREATE TEXT SEARCH DICTIONARY \"s\".\"d\" (\n    TEMPLATE = pg_catalog.simple,\n    \
             stopwords = 'english'\n);\n"
        );
        let configuration = Configuration {
            base: base(class::PG_TS_CONFIG, Some("s"), "c"),
            parser: "pg_catalog.\"default\"".into(),
            mappings: vec![Mapping { token: "asciiword".into(), dictionaries: vec!["s.d".into(), "simple".into()] }],
        };
        assert_eq!(
            create_configuration(&configuration),
            "CREATE TEXT SEARCH CONFIGURATION \"s\".\"c\" (\n    PARSER = pg_catalog.\"default\"\n);\n\
             ALTER TEXT SEARCH CONFIGURATION \"s\".\"c\" ADD MAPPING FOR \"asciiword\" WITH s.d, simple;\n"
        );
    }
}
